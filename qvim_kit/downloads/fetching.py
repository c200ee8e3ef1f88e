"""One HTTP transfer into a ``.part`` file, which can be resumed; `downloads.fetch` repeats it.

What has arrived stays in ``NAME.part``; ``NAME.part.json`` says which URL it came from, which
version (ETag or Last-Modified) and how long the whole is. The next attempt asks only for the rest
(RFC 9110, sections 13.1.5 If-Range and 14.2 Range), and a server that has another version by then,
or knows no ranges, sends all of it again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, BinaryIO

from qvim_kit.downloads.asking import OUT_OF_TIME, Refused, Stopped, ask

MARGIN = 16 << 20  # bytes that stay free on the disk
USUAL_MODE = 0o644


class Part:
    """A download in progress: ``data`` holds the bytes so far, ``note`` says whose they are.

    Args:
        path: what the finished file will be called.
    """

    def __init__(self, path: Path):
        name = path.name
        if len(name.encode()) > 240:  # leaves room for the suffixes
            name = hashlib.sha256(name.encode()).hexdigest()
        self.path = path
        self.data = path.with_name(f"{name}.part")
        self.note = path.with_name(f"{name}.part.json")

    def state(self, url: str) -> tuple[int, str | None, int | None]:
        """Bytes of this URL that are there, its version, its whole length; (0, None, None)."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            note = json.loads(self.note.read_text(encoding="utf-8"))
            have, total = self.data.stat().st_size, note["total"]
            fits = total is None or have <= int(total)
            ours = not self.data.is_symlink() and not self.note.is_symlink()
            if note["url"] == url and _usable(note["version"]) and have and fits and ours:
                return have, note["version"], total
        return 0, None, None

    def complete(self, url: str) -> bool:
        """Whether every byte of this URL is there, so that no network is needed."""
        have, _, total = self.state(url)
        return have > 0 and have == total

    def begin(self, url: str, version: str | None, total: int | None) -> None:
        """Start with no bytes, noting what the server calls them."""
        self.delete()  # first: old bytes must never stand beside a new note
        note = {"url": url, "version": version, "total": total}
        with open_here(self.note, "x", encoding="utf-8") as file:
            file.write(json.dumps(note))
        open_here(self.data, "x").close()

    def delete(self) -> None:
        """Remove both files."""
        for path in (self.data, self.note):
            path.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what the next attempt could not go on with."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            note = json.loads(self.note.read_text(encoding="utf-8"))
            if _usable(note["version"]) and self.data.stat().st_size:
                return
        self.delete()


def open_here(path: Path, mode: str, **options: Any) -> Any:
    """`open` for writing, but never through a link that somebody has put there."""
    nofollow = getattr(os, "O_NOFOLLOW", 0)  # Windows has none

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | nofollow, USUAL_MODE)

    return open(path, mode, opener=opener, **options)


def _usable(version: Any) -> bool:
    """Whether a header can be made of it; an older note, or a server, may hold anything."""
    return isinstance(version, str) and bool(re.fullmatch(r"[!-~][ -~]*", version))


def transfer(
    url: str,
    part: Part,
    *,
    timeout: float,
    max_bytes: int | None = None,
    deadline: float | None = None,
) -> None:
    """One attempt to complete ``part`` from ``url``; what it already holds is not sent again.

    Args:
        timeout: seconds, as for `ask`; a server that is too slow counts as broken off.
        max_bytes: longest file accepted, as declared and again as it arrives.
        deadline: moment of `time.monotonic` at which to give up.

    Raises:
        requests.RequestException: where another attempt may help, or the server said no.
        Refused: for a web page, an unsafe redirect, too long a file, too full a disk, no time left.
    """
    import requests

    if part.complete(url):
        return
    if deadline is not None and time.monotonic() > deadline:
        raise Stopped(OUT_OF_TIME)
    have, version, known = part.state(url)
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    page = part.path.name.lower().endswith((".html", ".htm"))
    with closing(ask(url, headers, timeout=timeout, page=page, deadline=deadline)) as coming:
        answer = next(coming)
        if answer.status_code == 416:
            part.delete()
        answer.raise_for_status()
        if answer.status_code == 206:
            total = _ranged_total(answer, have, known)
            if total is None:
                part.delete()
                raise requests.ConnectionError("the server sent other bytes than were asked for")
        else:
            have, total = 0, _declared(answer)
        _check_length(total, have, part, max_bytes)
        if not have:  # only now: the part may be another mirror's, and worth keeping
            part.begin(url, _version(answer), total)
        have = _receive(coming, part, have, total, max_bytes)
    if total is None:
        note = json.loads(part.note.read_text(encoding="utf-8")) | {"total": have}
        with open_here(part.note, "w", encoding="utf-8") as file:
            file.write(json.dumps(note))
    elif have != total:  # urllib3 before 2 hands over what arrived and says nothing
        raise requests.ConnectionError(f"{have} of {total} bytes arrived")


def _receive(
    coming: Iterator[bytes], part: Part, have: int, total: int | None, max_bytes: int | None
) -> int:
    """Append what comes to the part, under a bar in bytes; the part's length afterwards."""
    from tqdm.auto import tqdm

    # The bar is drawn ten times a second (tqdm's mininterval), however many pieces come.
    look = {"total": total, "initial": have, "unit": "B", "unit_scale": True, "unit_divisor": 1024}
    with open_here(part.data, "ab") as file, tqdm(desc=part.path.name[:40], **look) as bar:
        for count, chunk in enumerate(coming, 1):
            _append(file, chunk, part, (total or have) - have)
            have += len(chunk)
            bar.update(len(chunk))
            if count % 256 == 0:  # other programs fill disks too
                _check_length(total, have, part, max_bytes)
            if max_bytes is not None and have > max_bytes:
                part.delete()
                raise Refused(f"more than the {max_bytes} bytes allowed were sent")
    return have


def _append(file: BinaryIO, chunk: bytes, part: Part, missing: int) -> None:
    try:
        file.write(chunk)
        file.flush()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Stopped(space_problem(part.data.parent, missing, full=True)) from error
        raise


def _check_length(total: int | None, have: int, part: Part, max_bytes: int | None) -> None:
    if max_bytes is not None and total is not None and total > max_bytes:
        raise Refused(f"the file has {total} bytes, more than the {max_bytes} allowed")
    if problem := space_problem(part.data.parent, (total or have) - have):
        raise Stopped(problem)


def space_problem(folder: Path, needed: int, full: bool = False) -> str | None:
    """Why ``needed`` more bytes cannot go into ``folder``, or None if they can.

    >>> space_problem(Path("."), 10**18)  # doctest: +ELLIPSIS
    'the disk is full: 1000000000... GB (...) are needed in ., ... are free; make room...'
    """
    free = shutil.disk_usage(folder).free
    if not full and free >= needed + MARGIN:
        return None
    need = f"{(needed + MARGIN) / 1e9:.1f} GB ({needed} bytes and {MARGIN} to spare)"
    return f"the disk is full: {need} are needed in {folder}, {free} are free; make room"


def _declared(answer: Any) -> int | None:
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdigit() and "Content-Encoding" not in answer.headers else None


def _version(answer: Any) -> str | None:
    """What If-Range may compare: a strong ETag, else the date (RFC 9110, section 13.1.5)."""
    tag = answer.headers.get("ETag", "")
    if "Content-Encoding" in answer.headers or answer.headers.get("Accept-Ranges") == "none":
        return None
    version = tag if tag.startswith('"') else answer.headers.get("Last-Modified")
    return version if _usable(version) else None


def _ranged_total(answer: Any, have: int, known: int | None) -> int | None:
    """The whole length, if this 206 carries exactly the bytes from ``have`` to the end."""
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("Content-Range", ""))
    if not found or "Content-Encoding" in answer.headers:
        return None
    first, last, total = map(int, found.groups())
    return total if first == have and last == total - 1 and known in (None, total) else None
