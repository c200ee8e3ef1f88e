"""A file that somebody shares on Google Drive; gdown knows which pages stand before it.

gdown follows any redirect and waits as long as it is told to wait for a single byte. So its
session is one that talks to Google over https only, and it is cancelled where nothing comes.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from qvim_kit.downloads.asking import Refused
from qvim_kit.downloads.failures import by_hand, offline
from qvim_kit.downloads.fetching import space_problem
from qvim_kit.downloads.safety import content_problem, move, staging, url_problem

TIMEOUT = 30.0  # seconds to connect, and at most between two bytes
SILENCE = 300.0  # seconds in which gdown's next piece, of half a megabyte, must have come
REQUESTS = 30  # to Google for one file; a page that leads to itself would go on for ever
LOGIN = "accounts.google.com"
HOSTS = (".google.com", ".googleusercontent.com")
SHARE = "share it with 'anyone with the link', or, if it is, its quota is used up: try tomorrow"
_ONE_AT_A_TIME = threading.Lock()


def fetch_from_drive(url: str, folder: Path, filename: str, max_bytes: int | None = None) -> Path:
    """The path of a file in ``folder``, downloaded from Google Drive if it is not there yet.

    A file that exists is returned without any network, unless it is empty or a web page. What is
    downloaded is checked beside its place, then moved. A connection that breaks is taken up again
    where it stopped, but not in a later run: Drive does not say whether the file is still the same.

    Raises `DownloadError`, also for Drive's pages in place of the file (quota, log-in).
    """
    path = folder / filename
    kept = ""
    try:
        if path.is_file():
            if not (problem := content_problem(path, filename)):
                return path
            kept = f" (of the file that was there, {problem}; it was kept)"
        elif path.exists():
            raise OSError(f"{path} is a folder, or no file at all")
        if offline():
            raise OSError("QVIM_OFFLINE is set")
        with staging(folder) as stage:
            _download(url, stage / filename, max_bytes)
            if problem := content_problem(stage / filename, filename):
                raise OSError(f"{problem}: {SHARE}")
            move(stage / filename, path)
    except Exception as error:
        raise by_hand(url, f"{_in_words(error)}{kept}", path) from error
    return path


def _in_words(error: Exception) -> str:
    told = " ".join(str(error).split())
    if type(error).__name__ == "FileURLRetrievalError":  # gdown's, for a page it cannot get past
        told = f"Drive sent a web page instead of the file ({told}): {SHARE}"
    return told


def _download(url: str, path: Path, max_bytes: int | None) -> None:
    import gdown

    cancel, arrived = threading.Event(), [time.monotonic()]

    def progress(have: int, total: int | None) -> None:
        arrived[0] = time.monotonic()
        if max_bytes is not None and max(have, total or 0) > max_bytes:
            raise Refused(f"the file has more than the {max_bytes} bytes allowed")
        if problem := space_problem(path.parent, max(total or 0, have) - have):
            raise Refused(problem)

    # Some came to gdown 6 one by one; without `cancel` the time-out between two bytes is left.
    options: dict[str, Any] = {"use_cookies": False, "timeout": TIMEOUT, "retries": 2}
    options |= {"progress": progress, "cancel": cancel}
    known = inspect.signature(gdown.download).parameters.values()
    if not any(one.kind is one.VAR_KEYWORD for one in known):
        options = {one.name: options[one.name] for one in known if one.name in options}
    with _cancelled(cancel, arrived), _google_only():
        gdown.download(url, str(path), **options)
    if not path.is_file():
        raise OSError(f"nothing was sent: {SHARE}")


@contextmanager
def _cancelled(cancel: threading.Event, arrived: list[float]) -> Iterator[None]:
    """Set ``cancel`` when ``arrived`` is long ago."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(min(1.0, SILENCE / 10)):
            if time.monotonic() - arrived[0] > SILENCE:
                cancel.set()

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    except Exception as error:
        if cancel.is_set():
            raise Refused(f"timed out: nothing, or too little, came in {SILENCE:g} s") from error
        raise
    finally:
        done.set()


@contextmanager
def _google_only() -> Iterator[None]:
    """In this thread `requests.session`, by which gdown begins, gives one for Google only."""
    import requests

    class Session(requests.Session):
        count = 0

        def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
            self.count += 1
            if self.count > REQUESTS:
                raise Refused(f"Drive sent from page to page more than {REQUESTS} times: {SHARE}")
            if problem := address_problem(request.url or ""):
                raise Refused(problem)
            return super().send(request, **options)

        def rebuild_auth(self, *_: Any) -> None:
            """Nobody's password, also not that in ``~/.netrc``, goes anywhere."""

    def session() -> requests.Session:
        if threading.get_ident() != here:
            return plain()
        made = Session()
        made.auth = lambda request: request
        return made

    with _ONE_AT_A_TIME:
        here, plain = threading.get_ident(), requests.session
        requests.session = session
        try:
            yield
        finally:
            requests.session = plain


def address_problem(url: str) -> str | None:
    """Why a file of Drive is not looked for at this address, or None.

    >>> address_problem("https://drive.usercontent.google.com/download?id=1AbC")
    >>> address_problem("https://accounts.google.com/ServiceLogin")[:28]
    'Drive asks for a log-in: sha'
    """
    host = (urlsplit(url).hostname or "").lower()
    if host == LOGIN:
        return f"Drive asks for a log-in: {SHARE}"
    if problem := url_problem(url, local=False):
        return f"Drive leads to {url}: {problem}"
    return None if host.endswith(HOSTS) else f"Drive leads to {url}, which is not Google's"


def folder_problem(url: str) -> str | None:
    """Why a link to Drive cannot be one to a file, or None.

    >>> folder_problem("https://drive.google.com/drive/folders/1AbC") is None
    False
    """
    if "/folders/" in urlsplit(url).path:
        return f"the URL {url!r} is that of a folder; share one file (an archive) instead"
    return None
