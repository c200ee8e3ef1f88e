"""Is a command a package install, and does it name its versions?

Installing packages is all that a submission may use commands for. Understood are pip (also as
``python -m pip``), ``uv pip``, conda, mamba and micromamba. A command must be one simple command:
no ``;``, ``&&``, ``|`` or ``$(…)``, and no output into files other than /dev/null. The shell reads
``%pip`` lines too.

Notebook: 05_submission.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

from qvim_kit.submission.reading.texts import PYTHON, SOME, shown

PIP_NAMES = re.compile(r"pip(3(\.\d+)?)?")
PYTHON_NAMES = re.compile(rf"{PYTHON}|python(3(\.\d+)?)?")
CONDA_NAMES = ("conda", "mamba", "micromamba")
HARMLESS = ("uninstall", "list", "show", "freeze", "check", "remove", "info", "inspect", "help")
# Options of `install` that take a word, by what the word is.
PATH_OPTIONS = ("-e", "--editable", "-r", "--requirement", "-c", "--constraint", "-t", "--target")
PATH_OPTIONS += ("--prefix", "--root", "--src", "--cache-dir", "--log", "--file", "-p")
URL_OPTIONS = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--default-index")
WORD_OPTIONS = ("--python", "--platform", "--python-version", "--implementation", "--abi")
WORD_OPTIONS += ("--trusted-host", "--timeout", "--retries", "--proxy", "--progress-bar", "-n")
WORD_OPTIONS += ("--only-binary", "--no-binary", "--upgrade-strategy", "--channel", "--name")
WORD_OPTIONS += ("--config-settings", "-C", "--report", "--exists-action", "--root-user-action")
PINNED = re.compile(r"[A-Za-z0-9][\w.-]*(\[[^\]]*\])?\s*={1,3}\s*[\w.!+-]+(=[\w.]+)?(\s*[;,].*)?")
BRANCH = re.compile(r"(main|master|develop|dev|trunk|HEAD|latest)\.(zip|tar\.gz|tgz)")
COMMIT = re.compile(r"@[0-9a-fA-F]{40}(#.*)?$")
ARCHIVES = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tgz", ".conda")


class NotAnInstall(ValueError):
    """The command does something else, or something more; the message says what."""


@dataclass
class Install:
    """What package installs name: requirements (of which without a version), paths, addresses."""

    packages: list[str] = field(default_factory=list)
    unpinned: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    unquoted: list[str] = field(default_factory=list)


def read_script(script: str) -> Install:
    """Read the lines of a shell script. Raises `NotAnInstall` if one of them is something else."""
    found = Install()
    for line in script.replace("\\\n", " ").splitlines():
        words = _words(line, found)
        if words:
            _read(words, found)
    return found


def read_words(words: tuple) -> Install:
    """Read a command given as a list of words. Raises `NotAnInstall`."""
    found = Install()
    _read([word if isinstance(word, str) else SOME for word in words], found)
    return found


def _words(line: str, found: Install) -> list[str]:
    """The words of one simple command, as the shell splits them."""
    _refuse_substitution(line)
    lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        parts = list(lexer)
    except ValueError as error:
        raise NotAnInstall(f"cannot be read ({error})") from None
    words: list[str] = []
    while parts:
        part = parts.pop(0)
        if part.startswith("#"):
            break
        if set(part) - set("();<>|&"):
            words.append(part)
        elif set(part) <= set("<>&") and set(part) & set("<>") and parts:
            _redirect(part, words, parts.pop(0), found)
        else:
            raise NotAnInstall(f"has a second command, after {part!r}")
    return words


def _refuse_substitution(line: str) -> None:
    quote = ""
    for before, letter, after in zip(" " + line, line, line[1:] + " ", strict=False):
        if before == "\\" and quote != "'":
            continue
        if letter in "'\"" and quote in ("", letter):
            quote = "" if quote else letter
        elif quote != "'" and (letter == "`" or letter + after in ("$(", "<(", ">(")):
            raise NotAnInstall(f"runs another command inside {'`…`' if letter == '`' else '$(…)'}")


def _redirect(sign: str, words: list[str], file: str, found: Install) -> None:
    if words and words[-1] in ("1", "2"):
        words.pop()  # 2> and 2>&1
    if file == "/dev/null" or (sign.endswith("&") and file in ("1", "2")):
        return
    if words and (file[:1] == "=" or file[:1].isdigit()):
        found.unquoted.append(f"{words[-1]}{sign}{file}")
    else:
        raise NotAnInstall(f"sends its output into the file {shown(file)!r}")


def _read(words: list[str], found: Install) -> None:
    while words and re.fullmatch(r"[A-Za-z_]\w*=.*", words[0]):
        words = words[1:]  # NAME=value command
    if not words:
        return
    program, rest = words[0], words[1:]
    if PYTHON_NAMES.fullmatch(program):
        while rest and rest[0] in ("-u", "-I", "-s", "-E", "-B"):
            rest = rest[1:]
        if rest[:1] != ["-m"] or rest[1:2] != ["pip"]:
            raise NotAnInstall("runs Python, but not 'python -m pip'")
        rest = rest[2:]
    elif program == "uv" and rest[:1] == ["pip"]:
        rest = rest[1:]
    elif not PIP_NAMES.fullmatch(program) and program not in CONDA_NAMES:
        raise NotAnInstall(f"runs {shown(program)!r}")
    _read_arguments(rest, program in CONDA_NAMES, found)


def _read_arguments(words: list[str], conda: bool, found: Install) -> None:
    while words and words[0].startswith("-") and words[0] not in ("--version", "-V"):
        words = words[1:]
    if not words or words[0] in (*HARMLESS, "--version", "-V"):
        return
    if conda and words[:2] == ["env", "update"]:
        words = words[1:]
    elif words[0] != "install":
        raise NotAnInstall(f"is {shown(words[0])!r}, no install")
    words = words[1:]
    while words:
        word, words = words[0], words[1:]
        option, equals, value = word.partition("=")
        if word.startswith("-"):
            takes = option in (*PATH_OPTIONS, *URL_OPTIONS, *WORD_OPTIONS) or (
                conda and option == "-c"
            )
            if takes and not equals and words:
                value, words = words[0], words[1:]
            _read_option(option, value, conda, found)
        else:
            _read_requirement(word, found)


def _read_option(option: str, value: str, conda: bool, found: Install) -> None:
    if not value or option in WORD_OPTIONS or (conda and option in ("-c", "-p", "-n")):
        return
    if option in URL_OPTIONS:
        (found.urls if "://" in value else found.paths).append(value)
    elif option in ("-e", "--editable") and "://" in value:
        _read_requirement(value, found)
    elif option in PATH_OPTIONS and "://" not in value:
        found.paths.append(re.sub(r"\[[^\]]*\]$", "", value))  # ./project[extra]
        if option in ("-r", "--requirement", "--file"):
            found.unpinned.append(f"{option} {value}")


def _read_requirement(word: str, found: Install) -> None:
    name, at, address = word.partition(" @ ")
    address = (address if at else word).strip()
    if "://" in address:
        found.urls.append(address.removeprefix("git+"))
        file = address.split("#")[0].split("?")[0].rpartition("/")[2]
        archive = file.endswith(ARCHIVES) and not BRANCH.fullmatch(file)
        if not archive and not COMMIT.search(address):
            found.unpinned.append(address)
    elif "/" in word or word.startswith(".") or word.endswith(ARCHIVES):
        found.paths.append(re.sub(r"\[[^\]]*\]$", "", word))
    else:
        found.packages.append(word)
        if not PINNED.fullmatch(word) or word.endswith("*"):
            found.unpinned.append(word)
