"""downloads: a local server that misbehaves in every way a server can."""

from __future__ import annotations

import hashlib
import http.server
import io
import socket
import stat
import sys
import threading
import time

import pytest

from qvim_kit import downloads
from qvim_kit.downloads import DownloadError, fetch

BODY = bytes(range(256)) * 2000  # several chunks
SHA256 = hashlib.sha256(BODY).hexdigest()
MD5 = hashlib.md5(BODY).hexdigest()
PAGE = b"\n<!DOCTYPE html><html><body>Quota exceeded</body></html>"


class Handler(http.server.BaseHTTPRequestHandler):
    requests: list[str] = []
    failures = 0

    def do_GET(self):
        Handler.requests.append(self.path)
        getattr(self, "serve_" + self.path.strip("/").split("?")[0])()

    def answer(self, body, status=200, length=None, **headers):
        self.send_response(status)
        if length != "none":
            self.send_header("Content-Length", str(length or len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def serve_good(self):
        self.answer(BODY)

    def serve_unmeasured(self):
        self.answer(BODY, length="none")

    def serve_missing(self):
        self.answer(b"gone", 404)

    def serve_cut(self):
        self.answer(BODY, length=len(BODY) + 1000)

    def serve_short(self):
        self.answer(BODY, length=len(BODY) - 1000)
        self.close_connection = True

    def serve_reset(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY[:1000])
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.connection.close()

    def serve_stall(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.flush()
        time.sleep(0.5)

    def serve_empty(self):
        self.answer(b"")

    def serve_typed_page(self):
        self.answer(b"sorry", Content_Type="text/html; charset=utf-8")

    def serve_untyped_page(self):
        self.answer(PAGE, Content_Type="application/octet-stream")

    def serve_moved(self):
        self.answer(b"", 302, Location="/good")

    def serve_loop(self):
        self.answer(b"", 302, Location="/loop")

    def serve_elsewhere(self):
        self.answer(b"", 302, Location="http://downloads.example/good")

    def serve_flaky(self):
        if Handler.failures > 0:
            Handler.failures -= 1
            self.answer(b"busy", 503)
        else:
            self.answer(BODY)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def address():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(downloads, "PAUSE", 0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.delenv("QVIM_OFFLINE", raising=False)
    Handler.requests, Handler.failures = [], 0


@pytest.mark.parametrize("page", ["good", "unmeasured", "moved"])
@pytest.mark.parametrize("sha256", [None, SHA256, SHA256.upper()])
def test_fetch_downloads_once(address, tmp_path, page, sha256, monkeypatch, capfd):
    path = fetch(address + page, tmp_path / "new" / "folder", "a.bin", sha256)
    assert path == tmp_path / "new" / "folder" / "a.bin"
    assert path.read_bytes() == BODY
    assert [p.name for p in path.parent.iterdir()] == ["a.bin"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444 or sys.platform == "win32"
    output = capfd.readouterr()
    assert f"to {path}" in output.err and "B/s" in output.err and not output.out
    before = len(Handler.requests)
    monkeypatch.setenv("QVIM_OFFLINE", "1")  # the second time needs no network
    assert fetch(address + page, path.parent, "a.bin", sha256) == path
    assert len(Handler.requests) == before


FAILURES = {
    "missing": ("404", 1),
    "cut": ("", 3),
    "reset": ("", 3),
    "empty": ("empty file", 1),
    "typed_page": ("web page", 1),
    "untyped_page": ("web page", 1),
    "elsewhere": ("redirects to http://downloads.example/good", 1),
}


@pytest.mark.parametrize("page", FAILURES)
@pytest.mark.parametrize("existing", [False, True])
def test_fetch_failure_says_what_to_do_and_leaves_nothing(address, tmp_path, page, existing):
    reason, attempts = FAILURES[page]
    if existing:  # a file with the wrong hash, which may still be somebody's only copy
        (tmp_path / "a.bin").write_bytes(b"older")
    with pytest.raises(DownloadError) as caught:
        fetch(address + page, tmp_path, "a.bin", SHA256)
    message = str(caught.value)
    assert address + page in message and reason in message
    assert f"put a.bin (SHA-256 {SHA256}) into {tmp_path} and run again" in message
    assert len(Handler.requests) == attempts
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [
        ("a.bin", b"older")
    ] * existing
    assert ("it was kept" in message) == existing


def test_fetch_wrong_hash_names_both(address, tmp_path):
    with pytest.raises(DownloadError) as caught:
        fetch(address + "good", tmp_path, "a.bin", "0" * 64)
    assert "0" * 64 in str(caught.value) and SHA256 in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_fetch_replaces_a_wrong_file_once_verified(address, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"older")
    assert fetch(address + "good", tmp_path, "a.bin", SHA256).read_bytes() == BODY


def test_fetch_stall_and_redirect_loop(address, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT", 0.1)
    with pytest.raises(DownloadError, match="timed out"):
        fetch(address + "stall", tmp_path, "a.bin")
    monkeypatch.setattr(downloads, "TIMEOUT", 30)
    with pytest.raises(DownloadError, match="redirects"):
        fetch(address + "loop", tmp_path, "a.bin")
    assert list(tmp_path.iterdir()) == []


def test_cut_is_noticed_where_the_http_library_does_not(tmp_path, monkeypatch):
    """urllib3 before 2 hands over what arrived and says nothing."""
    import requests

    def careless(session, url, **options):
        answer = requests.Response()
        answer.status_code, answer.headers["Content-Length"] = 200, "10"
        answer.url, answer.raw = url, io.BytesIO(b"12345")
        return answer

    monkeypatch.setattr(requests.Session, "get", careless)
    with pytest.raises(DownloadError, match="5 of 10 bytes"):
        fetch("https://example.org/a", tmp_path, "a.bin")
    assert list(tmp_path.iterdir()) == []


def test_fetch_recovers(address, tmp_path):
    Handler.failures = 3
    with pytest.raises(DownloadError, match="503"):
        fetch(address + "flaky", tmp_path, "a.bin", SHA256)
    assert len(Handler.requests) == 3
    Handler.failures = 2  # and here within one call
    assert fetch(address + "flaky", tmp_path, "a.bin", SHA256).read_bytes() == BODY


def test_fetch_web_page_on_purpose(address, tmp_path):
    assert fetch(address + "untyped_page", tmp_path, "a.html").read_bytes() == PAGE
    assert fetch(address + "typed_page", tmp_path, "b.HTM").read_bytes() == b"sorry"


def test_offline_is_read_at_call_time(address, tmp_path, monkeypatch):
    monkeypatch.setenv("QVIM_OFFLINE", "1")
    with pytest.raises(DownloadError, match="QVIM_OFFLINE.*put a.bin into"):
        fetch(address + "good", tmp_path / "new", "a.bin")
    assert not (tmp_path / "new").exists() and Handler.requests == []
    monkeypatch.setenv("QVIM_OFFLINE", "0")
    fetch(address + "good", tmp_path / "new", "a.bin")


def test_fetch_refuses_bad_arguments_at_once(tmp_path):
    with pytest.raises(ValueError) as caught:
        fetch("http://example.org/a", tmp_path, "../a.bin", "abc")
    for word in ("expected https", "slash", "64 hexadecimal"):
        assert word in str(caught.value)
    (tmp_path / "a.bin").mkdir()
    with pytest.raises(DownloadError, match="is a folder"):
        fetch("https://example.org/a", tmp_path, "a.bin")


def test_mirrors_are_tried_in_order_and_each_failure_is_told(address, tmp_path):
    places = [address + page for page in ("missing", "typed_page", "good", "unmeasured")]
    assert fetch(places, tmp_path, "a.bin", SHA256).read_bytes() == BODY
    assert Handler.requests == ["/missing", "/typed_page", "/good"]
    with pytest.raises(DownloadError) as caught:
        fetch(places[:2], tmp_path, "b.bin")
    message = str(caught.value)
    for words in (f"{places[0]}: 404", f"{places[1]}: a web page", f"put b.bin into {tmp_path}"):
        assert words in message
    with pytest.raises(ValueError, match="no URL"):
        fetch([], tmp_path, "a.bin")
    with pytest.raises(ValueError, match="http://example.org/b.*expected https"):
        fetch([places[0], "http://example.org/b"], tmp_path, "a.bin")


def test_md5(address, tmp_path):
    with pytest.raises(DownloadError, match=f"MD5 is {MD5}, expected {'0' * 32}"):
        fetch(address + "good", tmp_path, "a.bin", md5="0" * 32)
    assert list(tmp_path.iterdir()) == []
    assert fetch(address + "good", tmp_path, "a.bin", SHA256, md5=MD5.upper()).is_file()
    with pytest.raises(ValueError, match="expected 32 hexadecimal"):
        fetch(address + "good", tmp_path, "a.bin", md5="abc")


def test_longer_than_allowed(address, tmp_path):
    for page in ("good", "unmeasured"):
        with pytest.raises(DownloadError, match="1000"):
            fetch(address + page, tmp_path, "a.bin", max_bytes=1000)
        assert list(tmp_path.iterdir()) == []
        assert fetch(address + page, tmp_path, page, max_bytes=len(BODY)).is_file()
        (tmp_path / page).unlink()


def test_length_declared_too_short_is_caught_by_the_hash(address, tmp_path):
    with pytest.raises(DownloadError, match="SHA-256"):
        fetch(address + "short", tmp_path, "a.bin", SHA256)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_download_leaves_no_folder(address, tmp_path):
    with pytest.raises(DownloadError, match="404"):
        fetch(address + "missing", tmp_path / "new" / "folder", "a.bin")
    assert list(tmp_path.iterdir()) == []


def test_the_longest_file_name(address, tmp_path):
    assert fetch(address + "good", tmp_path, "a" * 251 + ".bin", SHA256).read_bytes() == BODY
    assert len(list(tmp_path.iterdir())) == 1


def test_no_network_is_said_in_words(tmp_path, monkeypatch):
    def unreachable(url, part, **options):
        raise OSError("HTTPSConnectionPool(...): Max retries (... Failed to resolve 'example.org')")

    monkeypatch.delenv("QVIM_OFFLINE", raising=False)
    monkeypatch.setattr(downloads, "transfer", unreachable)
    with pytest.raises(DownloadError, match="example.org was not found .no network") as caught:
        fetch("https://example.org/a.pt", tmp_path, "a.pt")
    assert "Pool" not in str(caught.value) and f"put a.pt into {tmp_path}" in str(caught.value)
