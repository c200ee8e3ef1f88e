"""Fetch files and clone repositories: verified before they are in place, never half there.

A failure of any kind (no network, a web page instead of a file, a wrong hash) is one
DownloadError that says which file to put where by hand. ``QVIM_OFFLINE=1`` forbids the network.
One transfer is in ``fetching``, one answer in ``asking``, clones in ``repositories``, Google
Drive in ``drive``, unpacking in ``archives``.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from qvim_kit.downloads.asking import CHUNK, Refused, Stopped
from qvim_kit.downloads.failures import DownloadError, by_hand, in_words, offline
from qvim_kit.downloads.fetching import Part, transfer
from qvim_kit.downloads.locks import locked
from qvim_kit.downloads.repositories import clone
from qvim_kit.downloads.safety import content_problem, filename_problem, move, url_problem

__all__ = ["DownloadError", "by_hand", "clone", "fetch", "offline"]

TIMEOUT = 30.0  # seconds to connect, and at most between two pieces of the answer
ATTEMPTS = 3  # in a row without progress, before a server is given up
PAUSE = 1.0  # seconds before the second attempt; twice that before the third


def fetch(
    url: str | Sequence[str],
    folder: str | Path,
    filename: str,
    sha256: str | None = None,
    *,
    md5: str | None = None,
    max_bytes: int | None = None,
    max_seconds: float | None = None,
) -> Path:
    """The path of a file in ``folder``, downloaded if it is not there yet.

    A file that exists, and has the hash where one is given, is returned without any network;
    without a hash, one that is empty, or a web page under another name, does not count.
    Otherwise it is downloaded beside its place, checked and moved; a file with the wrong hash
    stays until its replacement is verified. A download that breaks off is taken up again where it
    stopped, now or in a later run: that is what ``filename.part`` is for, the only thing a failure
    leaves behind, and only where the server can go on from it. Mirrors are tried in turn. A server
    is given up after ``ATTEMPTS`` attempts in a row that brought nothing new. Without a hash only
    the length, where the server declares it, and the kind are checked. Two processes that fetch
    one file take turns. Taught in ``notebooks/05_submission.ipynb``.

    Args:
        url: https (or http to this machine), public, without user name; or several, in order.
        folder: made if missing.
        filename: one name, valid on every system.
        sha256: 64 hexadecimal digits.
        md5: 32 hexadecimal digits, where the publisher gives no better.
        max_bytes: longest file accepted.
        max_seconds: longest time for all attempts together.

    Raises:
        ValueError: for arguments that cannot work, all at once.
        DownloadError: if the file cannot be had; with several URLs, why each of them failed.

    >>> fetch("https://example.org/a.pt", "models", "a.pt")  # doctest: +SKIP
    """
    urls = [url] if isinstance(url, str) else list(url)
    hashes = {"sha256": sha256, "md5": md5}
    problems = [*map(url_problem, urls), filename_problem(filename), *_hash_problems(hashes)]
    if any(problems) or not urls:
        problems += [] if urls else ["there is no URL"]
        raise ValueError(f"cannot download {url!r}: " + "; ".join(filter(None, problems)))
    hashes = {kind: digits.lower() for kind, digits in hashes.items() if digits}
    path = Path(folder).expanduser().resolve() / filename
    kept = ""
    try:
        if path.is_file():
            if not (wrong := _wrong(path, path.name, hashes)):
                return path
            kept = f" (of the file that was there, {wrong}; it was kept)"
        elif path.exists():
            raise OSError(f"{path} is a folder, or no file at all")
        if offline() and not any(map(Part(path).complete, urls)):
            raise OSError("QVIM_OFFLINE is set")
        limit = None if max_seconds is None else time.monotonic() + max_seconds
        _fetch(urls, path, hashes, max_bytes=max_bytes, deadline=limit)
    except Exception as error:
        source = urls[0] if len(urls) == 1 else filename
        raise by_hand(source, f"{in_words(error, urls[0])}{kept}", path, sha256) from error
    return path


def _hash_problems(hashes: dict[str, str | None]) -> list[str]:
    return [
        f"{kind} is {digits!r}; expected {length} hexadecimal digits"
        for (kind, digits), length in zip(hashes.items(), (64, 32), strict=True)
        if digits is not None and not re.fullmatch(f"[0-9a-fA-F]{{{length}}}", digits)
    ]


def _wrong(path: Path, filename: str, hashes: dict[str, str]) -> str | None:
    """Why the file cannot be what is wanted: the first hash that differs, with both values.

    Without hashes all that can be told is that it is empty, or a web page under another name.
    """
    if not hashes:
        return content_problem(path, filename)
    import pooch

    for kind, expected in hashes.items():
        if (found := pooch.file_hash(str(path), kind)) != expected:
            label = {"sha256": "SHA-256", "md5": "MD5"}[kind]
            return f"{label} is {found}, expected {expected}"
    return None


def _fetch(urls: list[str], path: Path, hashes: dict[str, str], **limits: Any) -> None:
    """Put the file at ``path`` from the first URL that has it, or raise with every reason."""
    made = [parent for parent in path.parents if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    part, errors = Part(path), []
    try:
        with locked(path):
            try:
                if path.is_file() and not _wrong(path, path.name, hashes):
                    return  # another process was faster
                # First the one whose part is there: another would begin anew.
                for url in sorted(urls, key=lambda url: -part.state(url)[0]):
                    try:
                        return _fetch_one(url, part, hashes, **limits)
                    except OSError as error:  # what requests raises is one, too
                        errors.append((url, error))
                        if isinstance(error, Stopped):
                            break
            finally:
                part.tidy()
        if len(errors) == 1:
            raise errors[0][1]
        raise OSError("; ".join(f"{url}: {in_words(error, url)}" for url, error in errors))
    except BaseException:
        for parent in made:
            with suppress(OSError):
                parent.rmdir()
        raise


def _fetch_one(url: str, part: Part, hashes: dict[str, str], **limits: Any) -> None:
    import requests

    print(f"Downloading {url} to {part.path}", file=sys.stderr)
    failures, best = 0, part.state(url)[0]
    while True:
        try:
            transfer(url, part, timeout=TIMEOUT, **limits)
            break
        except requests.RequestException as error:
            status = 500 if error.response is None else error.response.status_code
            have = part.data.stat().st_size if part.data.exists() else 0
            failures = 1 if have >= best + CHUNK else failures + 1
            best = max(best, have)
            if failures >= ATTEMPTS or (status < 500 and status not in (408, 416, 429)):
                raise
            time.sleep(PAUSE * failures)
    name = part.path.name
    if problem := content_problem(part.data, name) or _wrong(part.data, name, hashes):
        part.delete()
        raise Refused(f"{problem}; what was sent has been deleted")
    part.data.chmod(0o644)
    move(part.data, part.path)
    part.note.unlink()
