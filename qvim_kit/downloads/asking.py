"""Ask a web server, and wait for no answer longer than it is worth.

Every address on the way must be https (or http to this machine, from this machine), nobody's
password is sent, and what the server does happens in a thread that is left behind where the
server hangs: a socket's own time-out begins anew with every byte that arrives.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Generator
from typing import Any
from urllib.parse import urljoin, urlsplit

from qvim_kit.downloads.safety import url_problem

Steps = Generator[Any, None, None]  # of an exchange: the answer, then its content in pieces
CHUNK = 1 << 16  # bytes; with 1 KiB, as some libraries have it, the loop is the bottleneck
AHEAD = 8  # pieces that may have arrived before they are written
PATIENCE = 4  # times the time-out, for an answer to begin and for each CHUNK of it
REDIRECTS = 10  # one after another
WEB_PAGES = ("text/html", "application/xhtml+xml")
OUT_OF_TIME = "it takes longer than the time allowed; a later run goes on from here"


class Refused(OSError):
    """An answer, or a disk, with which another attempt would fare no better."""


class Stopped(Refused):
    """The disk or the time is used up, so that no other mirror needs to be asked."""


def ask(
    url: str, headers: dict[str, str], *, timeout: float, page: bool, deadline: float | None = None
) -> Steps:
    """Yield the `requests.Response`, then its body in pieces of at most ``CHUNK`` bytes.

    Close the iterator to end the connection.

    Args:
        url: where to begin; redirects are followed.
        timeout: seconds to connect and between two bytes; `PATIENCE` times as long for the
            answer to begin, and again for each piece.
        page: whether a web page is what is wanted.
        deadline: moment of `time.monotonic` at which to give up.

    Raises `requests.RequestException` where another attempt may help; `Refused` for a redirect
    that must not be followed, a web page or an answer that is no file; `Stopped` at the deadline.
    """
    return _left_behind(_exchange(url, headers, timeout, page), PATIENCE * timeout, deadline)


def _exchange(url: str, headers: dict[str, str], timeout: float, page: bool) -> Steps:
    import requests

    class Session(requests.Session):
        """Follows no redirect by itself: it would read its body to the end, which may not come."""

        def get_redirect_target(self, answer: requests.Response) -> None:
            return None

    with Session() as session:  # keeps cookies from one redirect to the next
        for _ in range(REDIRECTS + 1):
            with session.get(
                url,
                headers=headers,
                auth=_nobody,
                timeout=timeout,
                stream=True,
                allow_redirects=False,
            ) as answer:
                there = requests.Session.get_redirect_target(session, answer)
                if problem := answer_problem(answer, page, there):
                    raise Refused(problem)
                if not there:
                    _leave_packed(answer)
                    yield answer
                    yield from answer.iter_content(CHUNK)
                    return
                url = urljoin(answer.url, there)
    raise Refused(f"more than {REDIRECTS} redirects, one after another")


def _leave_packed(answer: Any) -> None:
    """Take a packed file for what it is, where the server calls it an encoded one.

    Apache's usual settings do so (``AddEncoding x-gzip .gz .tgz``).
    """
    if urlsplit(answer.url).path.lower().endswith((".gz", ".tgz")):
        for headers in (answer.headers, answer.raw.headers):
            headers.pop("Content-Encoding", None)


def _nobody(request: Any) -> Any:
    """In place of a name and password from ``~/.netrc``, which are for other purposes."""
    return request


def answer_problem(answer: Any, page: bool, redirect: str | None = None) -> str | None:
    """Why a `requests.Response` is not to be followed or kept, or None; ``page``: HTML is meant."""
    if redirect:
        try:
            there = urljoin(answer.url, redirect)
            down = urlsplit(answer.url).scheme == "https" != urlsplit(there).scheme
        except ValueError:
            there, down = redirect, True
        if down or url_problem(there):
            return f"the server redirects to {there}, which is refused (only https is followed)"
    elif answer.ok and answer.status_code not in (200, 203, 206):
        return f"the server answers {answer.status_code} {answer.reason}, which is not the file"
    elif answer.ok and not page:
        kind = answer.headers.get("Content-Type", "").split(";")[0].strip().lower()
        if kind in WEB_PAGES:
            return f"a web page ({kind}) was sent instead of the file"
    return None


def _left_behind(steps: Steps, seconds: float, deadline: float | None) -> Steps:
    """What ``steps`` yields, from a thread of its own, waiting at most ``seconds`` for each."""
    import requests

    box: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(AHEAD)
    wanted = threading.Event()
    wanted.set()
    threading.Thread(target=_work, args=(steps, box, wanted), daemon=True).start()
    try:
        while True:
            left = seconds if deadline is None else min(seconds, deadline - time.monotonic())
            try:
                step, error = box.get(timeout=left) if left > 0 else (None, Stopped(OUT_OF_TIME))
            except queue.Empty:
                if left < seconds:
                    raise Stopped(OUT_OF_TIME) from None
                message = f"timed out: nothing, or less than {CHUNK} bytes, in {seconds:g} s"
                raise requests.Timeout(message) from None
            if isinstance(error, StopIteration):
                return
            if error:
                raise error
            yield step
    finally:
        wanted.clear()


def _work(steps: Steps, box: queue.Queue, wanted: threading.Event) -> None:
    def put(step: Any, error: BaseException | None = None) -> None:
        while wanted.is_set():
            with contextlib.suppress(queue.Full):
                return box.put((step, error), timeout=0.2)

    try:
        with contextlib.closing(steps):
            for step in steps:
                put(step)
                if not wanted.is_set():
                    return
    except BaseException as error:
        put(None, error)
    else:
        put(None, StopIteration())
