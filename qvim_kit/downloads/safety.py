"""Which names and addresses can be trusted, and how to write so that a failure leaves nothing.

Names and URLs reach the kit from notebooks, servers and archives written by others. Both checks
answer with a reason in words, so that a caller can report every problem at once.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
RESERVED = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | {
    device + digit for device in ("COM", "LPT") for digit in "123456789¹²³"
}

HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9_.-]*[a-z0-9])?)(:[0-9]+)?", re.IGNORECASE)


def filename_problem(name: str, portable: bool = True) -> str | None:
    """Why ``name`` cannot be one file name, or None if it can.

    The reserved names and letters are those of Microsoft's "Naming Files, Paths, and
    Namespaces". With ``portable=False`` the letters that Windows merely forbids are let through.

    >>> filename_problem("mn04.pt")
    >>> filename_problem("nul.wav")
    "the name 'nul.wav' is reserved on Windows"
    """
    if name in ("", ".", "..") or "\0" in name:
        return f"the name {name!r} is empty, '.', '..' or holds a NUL"
    if "/" in name or "\\" in name:
        return f"the name {name!r} holds a slash or backslash"
    if ":" in name:
        return f"the name {name!r} holds ':' (a drive letter or stream)"
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        return f"the name {name!r} is not valid UTF-8"
    if len(name.encode()) > 255:
        return f"the name {name[:40]!r}… is longer than 255 bytes"
    if name.split(".")[0].rstrip(" ").upper() in RESERVED:
        return f"the name {name!r} is reserved on Windows"
    if portable and any(letter in '<>"|?*\x7f' or letter < " " for letter in name):
        return f'the name {name!r} holds a control character or one of <>"|?*'
    if portable and name[-1] in ". ":
        return f"the name {name!r} ends with a dot or a space"
    return None


def url_problem(url: str, local: bool = True) -> str | None:
    """Why ``url`` is not an address the kit downloads from, or None if it is.

    Only https is accepted and, with ``local``, http to this very machine.

    >>> url_problem("https://zenodo.org/records/2596911")
    >>> url_problem("https://drive.google.com@evil.example/")
    'the URL holds a user name or password; use a public URL'
    """
    if not url:
        return "the URL is empty"
    if len(url) > 4096:
        return f"the URL has {len(url)} characters; expected at most 4096"
    if any(letter.isspace() or letter < " " or letter in "\\\x7f" for letter in url):
        return "the URL holds white space, a control character or a backslash"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        return f"the URL cannot be read ({error})"
    if "@" in parts.netloc:
        return "the URL holds a user name or password; use a public URL"
    if not host.isascii():
        return f"the URL's host {host!r} is not plain ASCII; look-alike letters are refused"
    if parts.scheme != "https" and not (local and parts.scheme == "http" and host in LOCAL_HOSTS):
        return f"the URL's scheme is {parts.scheme or 'missing'!r}; expected https"
    # As it is written: programs differ in what they make of anything else.
    if not HOST.fullmatch(parts.netloc):
        return f"the URL's host is {parts.netloc!r}; expected a name, then ':' and a port if needed"
    return None


def prefix_problem(url: str, prefix: str) -> str | None:
    """Why ``url``, one without `url_problem`, does not begin with ``prefix``, or None.

    Compared part by part: scheme, host and port must be equal, and the path must begin with the
    prefix's without climbing out of it. "" is the beginning of every URL.

    >>> prefix_problem("https://drive.google.com/uc?id=1", "https://drive.google.com/")
    >>> prefix_problem("https://x.org.evil.example/", "https://x.org")
    "the URL is 'https://x.org.evil.example/'; expected one that begins with https://x.org"
    """
    if not prefix:
        return None
    found = urlsplit(url)
    try:
        wanted = urlsplit(prefix)
        host, port = wanted.hostname or found.hostname, wanted.port
    except ValueError as error:
        return f"url_prefix is {prefix!r}, which cannot be read ({error})"
    same = (found.scheme, found.hostname) == (wanted.scheme, host)
    same &= not wanted.hostname or found.port == port
    climbs = ".." in unquote(found.path).replace("\\", "/").split("/")
    if same and not climbs and (found.path or "/").startswith(wanted.path):
        return None
    return f"the URL is {url!r}; expected one that begins with {prefix}"


def branch_problem(name: str) -> str | None:
    """Why ``name`` cannot be a git branch, or None: ``git check-ref-format --branch``'s rules.

    >>> branch_problem("main")
    >>> branch_problem("--upload-pack=x")
    "'--upload-pack=x' is not a valid branch name"
    """
    parts = name.split("/")
    bad = (
        name in ("", "HEAD")
        or name.startswith("-")
        or name.endswith(".")
        or any(not part or part[0] == "." or part.endswith(".lock") for part in parts)
        or re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{", name)
    )
    return f"{name!r} is not a valid branch name" if bad else None


def content_problem(path: Path, filename: str) -> str | None:
    """Why the file just received at ``path`` cannot be ``filename``, or None.

    Quota notices and log-in forms arrive as web pages with status 200.

    >>> content_problem(Path("part.tmp"), "mn04.pt")  # doctest: +SKIP
    'a web page was sent instead of the file'
    """
    with path.open("rb") as file:
        start = file.read(1024)
    if not start:
        return "an empty file was sent"
    start = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    page = start.startswith((b"<!doctype html", b"<html", b"<head", b"<script", b"<title"))
    page = page or (start.startswith((b"<!--", b"<?xml", b"<!doctype")) and b"<html" in start)
    if page and not filename.lower().endswith((".html", ".htm")):
        return "a web page was sent instead of the file"
    return None


def followed(path: Path) -> Path:
    """The path without links. Raises `OSError` for a link that leads back to itself."""
    found = path.resolve()  # which from Python 3.13 on leaves such a link as it is
    if any(part.is_symlink() for part in (found, *found.parents)):
        raise OSError("a link leads back to itself")
    return found


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A temporary folder inside ``folder``, for work that is moved into place when complete.

    It is removed at the end; parents that had to be made are removed too if the work failed.

    >>> with staging(Path("data")) as stage:  # doctest: +SKIP
    ...     (stage / "a.txt").write_text("complete")
    ...     (stage / "a.txt").replace("data/a.txt")
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=".qvim-", dir=folder, ignore_cleanup_errors=True
        ) as stage:
            yield Path(stage)
    except BaseException:
        for path in made:
            with suppress(OSError):
                path.rmdir()
        raise


def move(source: Path, target: Path) -> None:
    """Move a finished file or folder to its place, whose folder has been resolved before.

    Raises `OSError` where that folder has become a link since then.

    >>> move(Path("stage/a.pt"), Path("models/a.pt").resolve())  # doctest: +SKIP
    """
    _unchanged(target.parent)
    source.replace(target)


def _unchanged(folder: Path) -> None:
    if (now := folder.resolve()) != folder:
        raise OSError(f"{folder} was exchanged meanwhile and now leads to {now}")


def move_into(stage: Path, folder: Path) -> None:
    """Move everything in ``stage`` into ``folder``, or, if one move fails, nothing.

    ``folder`` is resolved and may be missing; what it holds must have other names. Both are on one
    file system.

    >>> move_into(stage / "all", Path("data/qvim-dev").resolve())  # doctest: +SKIP
    """
    if not folder.exists():
        move(stage, folder)
        return
    _unchanged(folder)
    moved: list[Path] = []
    try:
        for path in list(stage.iterdir()):
            if os.path.lexists(folder / path.name):  # POSIX would replace a file without a word
                raise FileExistsError(f"{folder / path.name} is there already")
            path.rename(folder / path.name)
            moved.append(path)
    except BaseException:
        for path in moved:
            (folder / path.name).rename(path)
        raise
