"""Which names and addresses can be trusted, and how to write so that a failure leaves nothing.

Names and URLs reach the kit from notebooks, servers and archives written by others. Both checks
answer with a reason in words, so that a caller can report every problem at once.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
RESERVED = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | {
    device + digit for device in ("COM", "LPT") for digit in "123456789¹²³"
}


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
    return None if host else "the URL names no host"


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
        start = file.read(512)
    if not start:
        return "an empty file was sent"
    page = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html"))
    if page and not filename.lower().endswith((".html", ".htm")):
        return "a web page was sent instead of the file"
    return None


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


def move_into(stage: Path, folder: Path) -> None:
    """Move everything in ``stage`` into ``folder``, or, if one move fails, nothing.

    ``folder`` may be missing; what it holds must have other names. Both are on one file system.

    >>> move_into(stage / "all", Path("data/qvim-dev"))  # doctest: +SKIP
    """
    if not folder.exists():
        stage.replace(folder)
        return
    moved: list[Path] = []
    try:
        for path in list(stage.iterdir()):
            path.rename(folder / path.name)
            moved.append(path)
    except BaseException:
        for path in moved:
            (folder / path.name).rename(path)
        raise
