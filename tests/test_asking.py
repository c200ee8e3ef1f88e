"""asking: servers that never end, lead elsewhere or want a password; and what counts as a file."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import os
import threading
import time

import pytest
import requests

from qvim_kit import downloads
from qvim_kit.downloads import DownloadError, asking, fetch
from qvim_kit.downloads.asking import CHUNK, Refused, Stopped, answer_problem, ask

BODY = os.urandom(3 * CHUNK + 7)
LENGTH = len(BODY)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers)))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, self.path.strip("/").split("?")[0].split(".")[0])()

    def begin(self, status=200, length=LENGTH, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def good(self):
        self.begin(self.server.status)
        self.wfile.write(BODY)

    def packed(self):
        body = gzip.compress(BODY)
        self.begin(200, len(body), Content_Encoding="x-gzip", ETag='"1"')
        self.wfile.write(body)

    def slow_body(self):
        self.begin()
        self.wfile.write(BODY[:100])
        self.drip()

    def slow_headers(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Padding: ")
        self.drip()

    def slow_chunks(self):
        """The line that tells a chunk's length never ends."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;")
        self.drip()

    def endless_redirect(self):
        self.begin(302, 10**15, Location="/good")
        self.drip()

    def silent(self):
        self.server.over.wait(10)

    def drip(self):
        while not self.server.over.wait(0.01):
            self.wfile.write(b"x")
            self.wfile.flush()

    def circle(self):
        self.begin(302, 0, Location="/circle")

    def cookie(self):
        self.begin(302, 0, Location="/wants_cookie", Set_Cookie="seen=yes")

    def wants_cookie(self):
        (self.good if "seen=yes" in self.headers.get("Cookie", "") else self.missing)()

    def missing(self):
        self.begin(404, 0)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def web(monkeypatch):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.seen, server.status, server.over = [], 200, threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}/"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setattr(downloads, "PAUSE", 0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("QVIM_OFFLINE", raising=False)
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()


def received(web, page, **options):
    answer, *pieces = ask(web.url + page, {}, **{"timeout": 5, "page": False, **options})
    return answer, pieces


def test_the_answer_then_its_body(web):
    answer, pieces = received(web, "good")
    assert answer.status_code == 200 and b"".join(pieces) == BODY
    assert len(pieces) == 4 and max(map(len, pieces)) == CHUNK  # large pieces: few turns of a loop


@pytest.mark.parametrize("name", ["packed.tar.gz", "packed.TGZ?download=1", "packed.txt"])
def test_a_packed_file_stays_packed_whatever_the_server_calls_it(web, tmp_path, name):
    arrived = fetch(web.url + name, tmp_path, "here").read_bytes()
    assert arrived == BODY if name.endswith(".txt") else gzip.decompress(arrived) == BODY


@pytest.mark.parametrize("page", ["slow_body", "slow_headers", "slow_chunks", "silent"])
def test_a_server_that_hangs_is_given_up(web, tmp_path, monkeypatch, page):
    """Bytes that come one by one never meet a socket's own time-out."""
    monkeypatch.setattr(downloads, "TIMEOUT", 0.1)
    with pytest.raises(DownloadError, match="timed out"):
        fetch(web.url + page, tmp_path, "a.bin")
    assert len(web.seen) == downloads.ATTEMPTS and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("page", ["slow_body", "slow_headers"])
def test_the_time_for_all_attempts_ends_them(web, tmp_path, page):
    with pytest.raises(DownloadError, match="longer than the time allowed"):
        fetch([web.url + page, web.url + "good"], tmp_path, "a.bin", max_seconds=0.3)
    assert [path for path, _ in web.seen] == [f"/{page}"]


def test_no_time_at_all(web):
    with pytest.raises(Stopped):
        received(web, "good", deadline=time.monotonic() - 1)


def test_the_body_of_a_redirect_is_not_waited_for(web, tmp_path):
    assert fetch(web.url + "endless_redirect", tmp_path, "a.bin").read_bytes() == BODY
    assert [path for path, _ in web.seen] == ["/endless_redirect", "/good"]


def test_redirects_have_an_end(web):
    with pytest.raises(Refused, match=f"more than {asking.REDIRECTS} redirects"):
        received(web, "circle")
    assert len(web.seen) == asking.REDIRECTS + 1


def test_cookies_go_from_one_redirect_to_the_next(web):
    assert b"".join(received(web, "cookie")[1]) == BODY


def test_nobodys_password_is_sent(web, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    requests.get(web.url + "good")
    received(web, "cookie")
    sent = ["Authorization" in headers for _, headers in web.seen]
    assert sent == [True, False, False]  # the trap was laid


@pytest.mark.parametrize("status", [201, 202, 204, 205, 300, 304])
def test_an_answer_that_is_no_file(web, tmp_path, status):
    web.status = status
    with pytest.raises(DownloadError, match=f"answers {status}"):
        fetch(web.url + "good", tmp_path, "a.bin")
    assert list(tmp_path.iterdir()) == [] and len(web.seen) == 1


def test_what_a_server_says_gives_a_terminal_no_orders(web, tmp_path, monkeypatch):
    place = "http://evil.example/\x1b[2J\x07"
    monkeypatch.setattr(Handler, "good", lambda self: self.begin(302, 0, Location=place))
    with pytest.raises(DownloadError, match="redirects to http://evil") as caught:
        fetch(web.url + "good", tmp_path, "a.bin")
    assert str(caught.value).isprintable()


def test_redirects_are_https_to_the_end():
    answer = requests.Response()
    answer.status_code, answer.url = 302, "https://zenodo.org/a.pt"
    for place in ("//zenodo.org/b.pt", "/b.pt", "https://cdn.example/b.pt", "HTTPS://x.org"):
        assert answer_problem(answer, False, place) is None
    for place in (
        *("http://zenodo.org/a.pt", "http://127.0.0.1/a.pt", "file:///etc/passwd", "//me:pw@x.org"),
        *("ftp://x.org/a", "data:,x", "https://x.org\\@evil.example/", "https://[x/", "//x.org./"),
    ):
        assert "refused (only https is followed)" in answer_problem(answer, False, place)


def test_a_thread_that_is_left_behind_ends(web):
    before = threading.active_count()
    coming = ask(web.url + "slow_body", {}, timeout=5, page=False)
    next(coming)
    coming.close()
    web.over.set()
    for thread in threading.enumerate():
        if "_work" in thread.name:
            thread.join(10)
    assert not any("_work" in thread.name for thread in threading.enumerate())
    assert threading.active_count() <= before + 1  # the server may still be writing


def test_what_goes_wrong_in_the_thread_is_raised_here(monkeypatch):
    def broken(*arguments, **options):
        raise KeyError("whatever")

    monkeypatch.setattr(requests.Session, "get", broken)
    with pytest.raises(KeyError, match="whatever"):
        next(ask("https://example.org/", {}, timeout=1, page=False))
