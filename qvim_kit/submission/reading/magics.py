"""Following lines that begin with ``%`` or ``!``: what IPython makes of them, and of their text.

Shell lines become calls named ``!`` with the command, magics calls named ``%name`` with the rest
of the line; magics that time or capture Python are followed like Python.

Notebook: 05_submission.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from qvim_kit.submission.reading.texts import HOME, SOME, as_text
from qvim_kit.submission.reading.values import UNKNOWN, Scope, options

if TYPE_CHECKING:
    from qvim_kit.submission.reading.calls import Calls

SHELL = ("system", "getoutput", "system_raw", "system_piped", "getoutput_raw")
PYTHON_LINES = ("time", "timeit", "prun", "memit", "mprun", "lprun")
PYTHON_CELLS = (*PYTHON_LINES, "capture")
INSTALLERS = ("pip", "conda", "mamba", "micromamba", "uv")
SHELL_LINES = ("sx", "system", "!")
SHELL_CELLS = ("bash", "sh", "sx", "system", "!", "script", "cmd")
INTERPRETERS = ("python", "python2", "python3", "pypy", "perl", "ruby")
FIRST_WORD = ("run", "load", "loadpy", "save", "logstart", "notebook")  # is a file
LAST_WORD = ("writefile", "file")
EXPANDED = re.compile(r"(?<!\{)\{([^{}\n]+)\}(?!\})|\$(\{)?([A-Za-z_]\w*)(?(2)\})")


def call(
    reader: Calls, method: str, args: list, kwargs: dict, node: ast.AST, scope: Scope
) -> object:
    """``get_ipython().method(*args)``, which is what magics and shell lines are turned into."""
    texts = [option for value in args for option in options(value)[:1]]
    words = [as_text(value) for value in texts]
    if method in SHELL:
        for command in options(args[0]) if args else ():
            reader.record("!", [expanded(reader, as_text(command), scope)], {}, node)
    elif method in ("run_line_magic", "magic", "run_magic") and words:
        name, _, rest = " ".join(words[:2]).strip().lstrip("%").partition(" ")
        line_magic(reader, name, rest, node, scope)
    elif method == "run_cell_magic" and len(words) > 2:
        cell_magic(reader, words[0], words[1], words[2], node, scope)
    elif method in ("run_cell", "run_code", "ex", "ev", "run_cell_async") and words:
        if SOME in words[0]:
            reader.skip(f"what {method} runs", node)
        reader.run_text(words[0], node, scope)
    return UNKNOWN


def line_magic(reader: Calls, name: str, rest: str, node: ast.AST, scope: Scope) -> None:
    """``%name rest``."""
    line = expanded(reader, rest, scope)
    if name in INSTALLERS:
        reader.record("!", [f"{name} {line}"], {}, node)
    elif name in SHELL_LINES:
        reader.record("!", [line], {}, node)
    elif name in PYTHON_LINES:
        reader.run_text(_without_options(rest), node, scope)
    else:
        reader.record(f"%{name}", [_file_of(name, line)], {}, node)


def _file_of(name: str, line: str) -> str:
    """The file that a magic is given, for those that are given one; else its whole line."""
    words = [word.strip("'\"") for word in line.split() if not word.startswith("-")]
    if name in FIRST_WORD or name in LAST_WORD:
        return (words or [""])[0 if name in FIRST_WORD else -1]
    return line


def cell_magic(reader: Calls, name: str, rest: str, body: str, node: ast.AST, scope: Scope) -> None:
    """``%%name rest``, with the lines below it."""
    if name in PYTHON_CELLS:
        if name != "capture":
            reader.run_text(_without_options(rest), node, scope)
        reader.run_text(body, node, scope, below=True)
    elif name in SHELL_CELLS:
        reader.record("!", [expanded(reader, body, scope)], {}, node)
    elif name in INTERPRETERS:
        reader.record("!", [name], {}, node)
    else:
        reader.record(f"%{name}", [_file_of(name, expanded(reader, rest, scope))], {}, node)


def _without_options(line: str) -> str:
    """``-n 10 -r3 statement`` → ``statement``."""
    words = line.split()
    while words and re.fullmatch(r"-\w.*", words[0]):
        takes_word = re.fullmatch(r"-[nrplstTD]", words[0]) is not None
        words = words[2:] if takes_word and words[1:2] and words[1].isdecimal() else words[1:]
    return line[line.find(words[0]) :] if words else ""


def expanded(reader: Calls, line: str, scope: Scope) -> str:
    """A shell line after IPython put in the values of ``{expression}`` and ``$name``."""

    def replacement(match: re.Match) -> str:
        if match[3] == "HOME" and match[3] not in scope.names:
            return HOME
        try:
            tree = ast.parse((match[1] or match[3]).strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return match[0]
        value = options(reader.value(tree.body, scope))[0]
        return " ".join(map(as_text, value)) if isinstance(value, tuple) else as_text(value)

    return EXPANDED.sub(replacement, line)
