"""drive: the real gdown against a Drive of our own, whose every host is on this machine."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from qvim_kit.downloads import DownloadError, drive
from qvim_kit.downloads.drive import address_problem, fetch_from_drive, folder_problem

ID = "1AbCdEfGhIjKlMnOpQrStUvWxYz012345"
LINK = f"https://drive.google.com/file/d/{ID}/view?usp=sharing"
CONTENT = "https://drive.usercontent.google.com"
BODY = bytes(range(256)) * 8000
QUOTA = (
    "<!DOCTYPE html><title>Google Drive - Quota exceeded</title>"
    '<p class="uc-error-subcaption">Too many users have viewed or downloaded this file.</p>'
)
SCAN = (
    "<!DOCTYPE html><title>Google Drive - Virus scan warning</title>\n"
    '<form id="download-form" action="{0}" method="get">'
    '<input type="hidden" name="id" value="{1}"><input type="hidden" name="confirm" value="t">'
    "</form>"
)


class Handler(http.server.BaseHTTPRequestHandler):
    """Requests arrive as /HOST/path, and the test's scenario answers them."""

    def do_GET(self):
        parts = urlsplit(self.path)
        _, host, path = parts.path.split("/", 2)
        self.server.seen.append((f"{host}/{path}", dict(self.headers)))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.server.scenario(self, host, parse_qs(parts.query))

    def page(self, text, status=200):
        self.send(text.encode(), status, Content_Type="text/html; charset=utf-8")

    def redirect(self, place):
        self.send(b"", 303, Location=place, Content_Type="text/html")

    def file(self, body=BODY, **headers):
        kind = {"Content_Type": "application/octet-stream"}
        self.send(body, 200, Content_Disposition='attachment; filename="x.pt"', **kind, **headers)

    def send(self, body, status, **headers):
        self.send_response(status)
        headers = {"Content_Length": str(len(body)), **headers}
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def web(monkeypatch):
    """Whatever https address gdown asks for, our server answers; set its scenario."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.seen = []
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    plain = requests.adapters.HTTPAdapter.send

    def send(adapter, request, **options):
        url = request.url
        parts = urlsplit(url)
        query = f"?{parts.query}" if parts.query else ""
        request.url = (
            f"http://127.0.0.1:{server.server_port}/{parts.netloc}/{parts.path.lstrip('/')}{query}"
        )
        answer = plain(adapter, request, **options)
        answer.url = request.url = url
        return answer

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    monkeypatch.setattr("random.uniform", lambda low, high: 0)  # gdown's pause between attempts
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("QVIM_OFFLINE", raising=False)
    session = requests.session
    yield server
    assert requests.session is session
    server.shutdown()
    server.server_close()


def refused(tmp_path, *words, **options):
    with pytest.raises(DownloadError) as caught:
        fetch_from_drive(LINK, tmp_path, "a.pt", **options)
    for word in (*words, f"put a.pt into {tmp_path} and run again"):
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_by_way_of_another_host_of_googles(web, tmp_path):
    def scenario(handler, host, query):
        if host == "drive.google.com":
            assert query == {"id": [ID]}
            handler.redirect(f"{CONTENT}/download?id={ID}&export=download")
        else:
            handler.file()

    web.scenario = scenario
    for _ in range(2):
        path = fetch_from_drive(LINK, tmp_path, "a.pt")
        assert path.read_bytes() == BODY and [p.name for p in tmp_path.iterdir()] == ["a.pt"]
    assert [place for place, _ in web.seen] == [
        "drive.google.com/uc", "drive.usercontent.google.com/download",
    ]  # fmt: skip


def test_past_the_virus_scan_warning(web, tmp_path):
    def scenario(handler, host, query):
        if "confirm" in query:
            handler.file()
        else:
            handler.page(SCAN.format(f"{CONTENT}/download", ID))

    web.scenario = scenario
    assert fetch_from_drive(LINK, tmp_path, "a.pt").read_bytes() == BODY


def test_a_warning_that_leads_to_itself_ends(web, tmp_path, monkeypatch):
    monkeypatch.setattr(drive, "REQUESTS", 5)
    web.scenario = lambda handler, *_: handler.page(SCAN.format(f"{CONTENT}/download", ID))
    refused(tmp_path, "more than 5 times")
    assert len(web.seen) == 5


def test_a_used_up_quota_is_an_error(web, tmp_path):
    web.scenario = lambda handler, *_: handler.page(QUOTA)
    refused(tmp_path, "Too many users have viewed", "anyone with the link", "quota")


@pytest.mark.parametrize("page", ["<html>Sign in", "<!-- x --><html>", "Sorry", ""])
def test_any_other_page_is_an_error(web, tmp_path, page):
    web.scenario = lambda handler, *_: handler.page(page)
    refused(tmp_path, "web page instead of the file", "anyone with the link")


def test_a_page_that_calls_itself_the_file_is_an_error(web, tmp_path):
    web.scenario = lambda handler, *_: handler.file(QUOTA.encode())
    refused(tmp_path, "a web page was sent", "quota")


@pytest.mark.parametrize("status", [403, 404, 429])
def test_an_answer_of_no(web, tmp_path, status):
    web.scenario = lambda handler, *_: handler.page("no", status)
    refused(tmp_path)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("http://drive.usercontent.google.com/download", "expected https"),
        ("https://evil.example/a.pt", "not Google's"),
        ("https://drive.google.com.evil.example/a.pt", "not Google's"),
        ("https://evilgoogle.com/a.pt", "not Google's"),
        ("https://accounts.google.com/ServiceLogin?x=1", "asks for a log-in"),
        ("https://me:pw@drive.google.com/a", "user name"),
    ],
)
@pytest.mark.parametrize("by", ["redirect", "form"])
def test_gdown_is_led_nowhere_else(web, tmp_path, place, words, by):
    def scenario(handler, host, query):
        assert host == "drive.google.com"
        if by == "redirect":
            handler.redirect(place)
        else:
            handler.page(SCAN.format(place, ID))

    web.scenario = scenario
    refused(tmp_path, words)
    assert len(web.seen) == 1


def test_not_to_a_file_on_this_machine(web, tmp_path):
    web.scenario = lambda handler, *_: handler.redirect("file:///etc/passwd")
    refused(tmp_path)


@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_server_that_sends_byte_by_byte_is_given_up(web, tmp_path, monkeypatch, part):
    monkeypatch.setattr(drive, "SILENCE", 0.3)
    ended = threading.Event()

    def scenario(handler, host, query):
        begin = b"HTTP/1.1 200 OK\r\nX: "
        if part == "body":
            begin = b"HTTP/1.1 200 OK\r\nContent-Disposition: x\r\nContent-Type: x\r\n\r\n"
        try:
            handler.wfile.write(begin)
            while not ended.wait(0.02):
                handler.wfile.write(b"x")
        except OSError:
            ended.set()

    web.scenario = scenario
    refused(tmp_path, "timed out")
    assert ended.wait(10)  # and the connection was closed
    ended.set()


def test_a_server_that_says_nothing_is_given_up(web, tmp_path, monkeypatch):
    monkeypatch.setattr(drive, "TIMEOUT", 0.1)
    web.scenario = lambda handler, *_: time.sleep(0.5)
    refused(tmp_path, "timed out")


def test_a_connection_that_breaks_is_taken_up_again(web, tmp_path):
    half = len(BODY) // 2

    def scenario(handler, host, query):
        requested = handler.headers.get("Range")
        if not requested:
            return handler.file(BODY[:half], ETag='"v"', Content_Length=str(len(BODY)))
        begin = int(requested[6:-1])
        place = f"bytes {begin}-{len(BODY) - 1}/{len(BODY)}"
        handler.send(BODY[begin:], 206, ETag='"v"', Content_Range=place)

    web.scenario = scenario
    assert fetch_from_drive(LINK, tmp_path, "a.pt").read_bytes() == BODY
    assert [headers.get("If-Range") for _, headers in web.seen] == [None, '"v"']


def test_longer_than_allowed(web, tmp_path):
    web.scenario = lambda handler, *_: handler.file()
    refused(tmp_path, "1000 bytes allowed", max_bytes=1000)
    assert fetch_from_drive(LINK, tmp_path, "a.pt", max_bytes=len(BODY)).is_file()


def test_nobodys_password_is_sent(web, tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".netrc").write_text("default login me password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / ".netrc"))
    there = f"{CONTENT}/download"
    web.scenario = lambda handler, host, _: (
        handler.redirect(there) if host == "drive.google.com" else handler.file()
    )
    assert (
        "Authorization" in requests.Session().prepare_request(requests.Request("GET", LINK)).headers
    )
    fetch_from_drive(LINK, tmp_path, "a.pt")
    assert len(web.seen) == 2 and not any("Authorization" in headers for _, headers in web.seen)


@pytest.mark.parametrize("there", [b"", b"<!DOCTYPE html>quota"])
def test_what_is_no_file_is_replaced_once_the_file_is_whole(web, tmp_path, there):
    (tmp_path / "a.pt").write_bytes(there)
    web.scenario = lambda handler, *_: handler.page(QUOTA)
    with pytest.raises(DownloadError, match="it was kept"):
        fetch_from_drive(LINK, tmp_path, "a.pt")
    assert (tmp_path / "a.pt").read_bytes() == there
    web.scenario = lambda handler, *_: handler.file()
    assert fetch_from_drive(LINK, tmp_path, "a.pt").read_bytes() == BODY


def test_ctrl_c_leaves_nothing_and_undoes_the_session(web, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(drive, "space_problem", interrupted)
    web.scenario = lambda handler, *_: handler.file()
    with pytest.raises(KeyboardInterrupt):
        fetch_from_drive(LINK, tmp_path / "new", "a.pt")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told(web, tmp_path, monkeypatch):
    monkeypatch.setattr(drive, "space_problem", lambda folder, needed: f"{needed} bytes too many")
    web.scenario = lambda handler, *_: handler.file()
    refused(tmp_path, "bytes too many")


def test_an_older_gdown_gets_what_it_knows(tmp_path, monkeypatch):
    import gdown

    def download(url, output, use_cookies):
        Path(output).write_bytes(b"weights")

    monkeypatch.setattr(gdown, "download", download)
    monkeypatch.delenv("QVIM_OFFLINE", raising=False)
    assert fetch_from_drive(LINK, tmp_path, "a.pt").read_bytes() == b"weights"
    monkeypatch.setattr(gdown, "download", lambda url, output, **options: None)
    with pytest.raises(DownloadError, match="nothing was sent"):
        fetch_from_drive(LINK, tmp_path, "b.pt")


def test_other_threads_keep_their_sessions(web, tmp_path):
    seen = []

    def scenario(handler, *_):  # runs in the server's thread, in the midst of the download
        seen.append(type(requests.session()))
        handler.file()

    web.scenario = scenario
    fetch_from_drive(LINK, tmp_path, "a.pt")
    assert seen == [requests.Session]


def test_addresses():
    for host in ("drive.google.com", "doc-0s-a-docs.googleusercontent.com", "DRIVE.GOOGLE.COM"):
        assert address_problem(f"https://{host}/a?b=c") is None
    for url in ("https://google.com.evil/", "https://google.com./", "", "file:///x"):
        assert address_problem(url)
    assert folder_problem("https://drive.google.com/drive/u/0/folders/1AbC?usp=sharing")
    assert folder_problem(LINK) is None
