"""Which files a Zenodo record holds, by its public API (https://developers.zenodo.org, Records).

It answers with JSON: ``files``, each with ``key``, ``size``, ``checksum`` (md5) and ``links.self``.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from qvim_kit.downloads import DownloadError, fetch
from qvim_kit.downloads.safety import filename_problem, url_problem

ZENODO = "https://zenodo.org"


@dataclass(frozen=True)
class Remote:
    """A file of a Zenodo record: its name, addresses, bytes and MD5 where known."""

    name: str
    urls: tuple[str, ...]
    size: int | None = None
    md5: str | None = None


def record_files(record: int) -> list[Remote]:
    """The files of a record. Raises `DownloadError` if the list cannot be had or read."""
    with tempfile.TemporaryDirectory(prefix="qvim-") as folder:
        url = f"{ZENODO}/api/records/{record}"
        path = fetch(url, folder, "record.json", max_bytes=10_000_000)
        try:
            files = json.loads(path.read_text(encoding="utf-8"))["files"]
            return [remote for entry in files if (remote := _remote(record, entry))]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            problem = DownloadError(f"{url}: not a list of files ({error!r})")
            problem.reason = str(problem)
            raise problem from error


def _remote(record: int, entry: dict) -> Remote | None:
    """One entry of the API's list, or None for one that is not to be trusted."""
    key, link = str(entry["key"]), str(entry.get("links", {}).get("self", ""))
    name = key.rsplit("/", 1)[-1]  # records made from GitHub have owner/file as the key
    if filename_problem(name):
        return None
    same_host = urlsplit(link).netloc == urlsplit(ZENODO).netloc and not url_problem(link)
    urls = ([link] if same_host else []) + [address(record, key)]
    kind, _, digits = str(entry.get("checksum", "")).partition(":")
    md5 = digits if kind == "md5" and len(digits) == 32 else None
    size = entry.get("size")
    return Remote(name, tuple(urls), size if isinstance(size, int) else None, md5)


def address(record: int, key: str) -> str:
    """Where Zenodo's pages link a file of a record to."""
    return f"{ZENODO}/records/{record}/files/{quote(key)}?download=1"
