"""One HTTP transfer into a ``.part`` file, which can be resumed; `downloads.fetch` repeats it.

What has arrived stays in ``NAME.part``; ``NAME.part.json`` says which URL it came from, which
version (ETag or Last-Modified) and how long the whole is. The next attempt asks only for the rest
(RFC 9110, sections 13.1.5 If-Range and 14.2 Range), and a server that has another version by then,
or knows no ranges, sends all of it again.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

from qvim_kit.downloads.safety import url_problem

CHUNK = 1 << 16  # bytes; with 1 KiB, as some libraries have it, the loop is the bottleneck
MARGIN = 16 << 20  # bytes that stay free on the disk
OUT_OF_TIME = "it takes longer than the time allowed"


class Refused(OSError):
    """An answer, or a disk, with which another attempt would fare no better."""


class Stopped(Refused):
    """The disk or the time is used up, so that no other mirror needs to be asked."""


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
            if note["url"] == url and note["version"] and have and fits:
                return have, str(note["version"]), total
        return 0, None, None

    def complete(self, url: str) -> bool:
        """Whether every byte of this URL is there, so that no network is needed."""
        have, _, total = self.state(url)
        return have > 0 and have == total

    def begin(self, url: str, version: str | None, total: int | None) -> None:
        """Start with no bytes, noting what the server calls them."""
        self.delete()  # first: old bytes must never stand beside a new note
        note = {"url": url, "version": version, "total": total}
        self.note.write_text(json.dumps(note), encoding="utf-8")
        self.data.touch()

    def delete(self) -> None:
        """Remove both files."""
        for path in (self.data, self.note):
            path.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what the next attempt could not go on with."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            note = json.loads(self.note.read_text(encoding="utf-8"))
            if note["version"] and self.data.stat().st_size:
                return
        self.delete()


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
        timeout: seconds to connect, and at most between two pieces of the answer.
        max_bytes: longest file accepted, as declared and again as it arrives.
        deadline: moment of `time.monotonic` at which to give up, looked at every ``CHUNK`` bytes.

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
    hooks = {"response": functools.partial(_watch, page=page)}
    with requests.get(url, headers=headers, stream=True, timeout=timeout, hooks=hooks) as answer:
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
        have = _receive(answer, part, have, total, max_bytes, deadline)
    if total is None:
        note = json.loads(part.note.read_text(encoding="utf-8")) | {"total": have}
        part.note.write_text(json.dumps(note), encoding="utf-8")
    elif have != total:  # urllib3 before 2 hands over what arrived and says nothing
        raise requests.ConnectionError(f"{have} of {total} bytes arrived")


def _receive(
    answer: Any,
    part: Part,
    have: int,
    total: int | None,
    max_bytes: int | None,
    deadline: float | None,
) -> int:
    """Append the answer to the part, under a bar in bytes; the part's length afterwards."""
    from tqdm.auto import tqdm

    look = {"total": total, "initial": have, "unit": "B", "unit_scale": True, "unit_divisor": 1024}
    with part.data.open("ab") as file, tqdm(desc=part.path.name[:40], **look) as bar:
        for count, chunk in enumerate(answer.iter_content(CHUNK), 1):
            _append(file, chunk, part, (total or have) - have)
            have += len(chunk)
            bar.update(len(chunk))
            if count % 256 == 0:  # other programs fill disks too
                _check_length(total, have, part, max_bytes)
            if max_bytes is not None and have > max_bytes:
                part.delete()
                raise Refused(f"more than the {max_bytes} bytes allowed were sent")
            if deadline is not None and time.monotonic() > deadline:
                raise Refused(
                    "it takes longer than the time allowed; a later run goes on from here"
                )
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

    >>> space_problem(Path("."), 10**18)  # doctest: +SKIP
    'the disk is full: 1000000000.0 GB are needed in …, 12.3 GB are free; make room and run again'
    """
    free = shutil.disk_usage(folder).free
    if not full and free >= needed + MARGIN:
        return None
    need = f"{(needed + MARGIN) / 1e9:.1f} GB ({needed} bytes and {MARGIN} to spare)"
    return f"the disk is full: {need} are needed in {folder}, {free} are free; make room"


def _watch(answer: Any, *, page: bool, **_: Any) -> None:
    if problem := answer_problem(answer, page):
        raise Refused(problem)


def answer_problem(answer: Any, page: bool) -> str | None:
    """Why a `requests.Response` is not to be followed or kept, or None; ``page``: HTML is meant."""
    if answer.is_redirect:
        here, there = answer.url, urljoin(answer.url, answer.headers["Location"])
        if urlsplit(here).scheme == "https" != urlsplit(there).scheme or url_problem(there):
            return f"the server redirects to {there}, which is refused (only https is followed)"
    elif answer.ok and not page:
        kind = answer.headers.get("Content-Type", "").split(";")[0].strip().lower()
        if kind in ("text/html", "application/xhtml+xml"):
            return f"a web page ({kind}) was sent instead of the file"
    return None


def _declared(answer: Any) -> int | None:
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdigit() and "Content-Encoding" not in answer.headers else None


def _version(answer: Any) -> str | None:
    """What If-Range may compare: a strong ETag, else the date (RFC 9110, section 13.1.5)."""
    tag = answer.headers.get("ETag", "")
    if "Content-Encoding" in answer.headers or answer.headers.get("Accept-Ranges") == "none":
        return None
    return tag if tag.startswith('"') else answer.headers.get("Last-Modified")


def _ranged_total(answer: Any, have: int, known: int | None) -> int | None:
    """The whole length, if this 206 carries exactly the bytes from ``have`` to the end."""
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("Content-Range", ""))
    if not found or "Content-Encoding" in answer.headers:
        return None
    first, last, total = map(int, found.groups())
    return total if first == have and last == total - 1 and known in (None, total) else None
