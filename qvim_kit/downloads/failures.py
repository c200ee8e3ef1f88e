"""What a download that failed says, and whether the network may be used at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


class DownloadError(RuntimeError):
    """A file or repository that could not be had, with what to do about it by hand.

    ``reason`` is the cause alone, for a caller that has another remedy.
    """

    reason: str = ""


def offline() -> bool:
    """Whether the environment variable ``QVIM_OFFLINE`` forbids the network, at this moment."""
    return os.environ.get("QVIM_OFFLINE", "") not in ("", "0")


def by_hand(url: str, reason: Any, path: Path, sha256: str | None = None) -> DownloadError:
    """The error of a failed download, which says where to put the file instead."""
    check = f" (SHA-256 {sha256})" if sha256 else ""
    reason = in_words(reason, url)
    error = DownloadError(
        f"{url} could not be downloaded: {reason.strip().rstrip('.')}. "
        f"Get the file another way, put {path.name}{check} into {path.parent} and run again"
    )
    error.reason = reason
    return error


def in_words(error: Exception | str, url: str) -> str:
    """The commonest failures without the library's class names; one line, of letters only.

    Part of it is what a server said, which a terminal might take for orders.
    """
    if "Failed to resolve" in str(error) or "NameResolutionError" in str(error):
        return f"{urlsplit(url).hostname} was not found (no network?)"
    line = " ".join(str(error).split())
    return "".join(letter if letter.isprintable() else "?" for letter in line)
