"""fetching and locks: downloads that break off and go on, with servers of every kind of memory."""

from __future__ import annotations

import errno
import hashlib
import http.server
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from qvim_kit import downloads
from qvim_kit.downloads import DownloadError, fetch, fetching, locks
from qvim_kit.downloads.asking import CHUNK
from qvim_kit.downloads.fetching import Part

BODY = random.Random(0).randbytes(10 * CHUNK + 77)
SHA256 = hashlib.sha256(BODY).hexdigest()
DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


class Handler(http.server.BaseHTTPRequestHandler):
    """Sends ``body``; ``cuts`` says after how many bytes of it each answer breaks off."""

    def do_GET(self):
        kit = self.server.kit
        requested, condition = self.headers.get("Range"), self.headers.get("If-Range")
        begin = int(requested[6:].rstrip("-")) if requested and kit.ranges else 0
        if condition not in (None, kit.etag, kit.date):
            begin = 0
        kit.seen.append((self.path, requested, condition))
        if kit.ranges and begin >= len(kit.body):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        rest = kit.body[begin:]
        self.send_response(206 if begin else 200)
        if begin:
            shift = kit.shift
            self.send_header(
                "Content-Range", f"bytes {begin + shift}-{len(kit.body) - 1}/{len(kit.body)}"
            )
        self.send_header("Content-Length", str(len(rest)))
        for name, value in (("ETag", kit.etag), ("Last-Modified", kit.date)):
            if value:
                self.send_header(name, value)
        self.end_headers()
        end = kit.cuts.pop(0) if kit.cuts else len(rest)
        kit.sent.append(min(end, len(rest)))
        self.wfile.write(rest[:end])
        if end < len(rest) and kit.stall:
            self.wfile.flush()
            time.sleep(kit.stall)
        self.close_connection = True

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    """A server for one test; set what it has and how it behaves on it."""
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.kit = SimpleNamespace(
        body=BODY, etag='"one"', date=None, ranges=True, shift=0, stall=0, cuts=[], seen=[], sent=[]
    )
    web.kit.url = f"http://127.0.0.1:{web.server_port}/a"
    threading.Thread(target=web.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setattr(downloads, "PAUSE", 0)
    monkeypatch.setattr(locks, "PAUSE", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("QVIM_OFFLINE", raising=False)
    yield web.kit
    web.shutdown()
    web.server_close()


def break_off(server, folder, cut=5 * CHUNK, **options):
    """A first run that ends with only part of the file; how much of it."""
    server.cuts = [cut, 0, 0]
    with pytest.raises(DownloadError):
        fetch(server.url, folder, "a.bin", **options)
    server.cuts, server.sent, server.seen = [], [], []
    part = Part(folder / "a.bin")
    assert sorted(path.name for path in folder.iterdir()) == ["a.bin.part", "a.bin.part.json"]
    have = part.data.stat().st_size
    assert 0 < have <= cut and part.data.read_bytes() == BODY[:have]
    return have


@pytest.mark.parametrize("version", [{"etag": '"one"'}, {"etag": 'W/"weak"', "date": DATE}])
def test_a_later_run_asks_only_for_what_is_missing(server, tmp_path, version, capfd):
    vars(server).update(version)
    have = break_off(server, tmp_path)
    capfd.readouterr()
    assert fetch(server.url, tmp_path, "a.bin", SHA256).read_bytes() == BODY
    assert server.seen == [("/a", f"bytes={have}-", version.get("date") or version["etag"])]
    assert server.sent == [len(BODY) - have]
    assert os.listdir(tmp_path) == ["a.bin"]
    output = capfd.readouterr().err  # the bar starts where the first run stopped
    assert f"{len(BODY) / 1024:.0f}k/{len(BODY) / 1024:.0f}k" in output and "B/s" in output


def test_one_run_goes_on_as_long_as_something_new_arrives(server, tmp_path):
    server.cuts = [2 * CHUNK] * 4  # more breaks than ATTEMPTS
    assert fetch(server.url, tmp_path, "a.bin").read_bytes() == BODY
    assert len(server.seen) == 5 > downloads.ATTEMPTS
    assert sum(server.sent) < 1.5 * len(BODY)


def test_a_stalled_connection_is_taken_up_again(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT", 0.5)
    server.stall, server.cuts = 1.5, [3 * CHUNK]
    assert fetch(server.url, tmp_path, "a.bin", SHA256).read_bytes() == BODY
    assert server.seen[0][1] is None and server.seen[-1][1].startswith("bytes=")


@pytest.mark.parametrize(
    "change",
    [
        {"ranges": False},
        {"etag": '"two"', "body": BODY[::-1]},
        {"shift": 5},  # answers with other bytes than were asked for
        {"body": BODY[:CHUNK]},  # now shorter than the part, under the same ETag: 416
        {"body": BODY + b"more"},  # longer, under the same ETag
    ],
    ids=["no ranges", "new version", "other bytes", "shorter", "longer"],
)
def test_starts_over_where_the_part_no_longer_fits(server, tmp_path, change):
    break_off(server, tmp_path)
    vars(server).update(change)
    assert fetch(server.url, tmp_path, "a.bin").read_bytes() == server.body
    assert server.sent[-1] == len(server.body) and os.listdir(tmp_path) == ["a.bin"]


def test_without_a_version_nothing_is_kept(server, tmp_path):
    server.etag = None
    server.cuts = [CHUNK, CHUNK, CHUNK]
    with pytest.raises(DownloadError):
        fetch(server.url, tmp_path, "a.bin")
    assert os.listdir(tmp_path) == [] and all(seen[1] is None for seen in server.seen)


@pytest.mark.parametrize("version", ['"a\nb"', " x", "Röhre", 5, None, "", ["x"]])
def test_a_version_that_no_header_can_hold_is_not_asked_for(server, tmp_path, version):
    part = Part(tmp_path / "a.bin")
    part.begin(server.url, version, len(BODY))
    part.data.write_bytes(b"rubbish")
    assert part.state(server.url) == (0, None, None)
    assert fetch(server.url, tmp_path, "a.bin").read_bytes() == BODY
    assert server.seen == [("/a", None, None)] and os.listdir(tmp_path) == ["a.bin"]


def test_nothing_is_written_through_a_link(server, tmp_path):
    """Somebody's archive or repository may have put links where a download writes."""
    folder, outside = tmp_path / "models", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (outside / "precious").write_bytes(BODY[:1000])
    part = Part(folder / "a.bin")
    part.begin(server.url, server.etag, len(BODY))
    for link in (part.data, part.note):
        before = link.read_bytes()
        link.unlink()
        (outside / link.name).write_bytes(before)
        target = outside / ("precious" if link == part.data else link.name)
        link.symlink_to(target)
    assert fetch(server.url, folder, "a.bin").read_bytes() == BODY
    assert server.seen[0][1] is None  # the link's bytes were not taken for ours
    assert (outside / "precious").read_bytes() == BODY[:1000]
    assert os.listdir(folder) == ["a.bin"]
    lock = f".{hashlib.sha256(b'b.bin').hexdigest()[:16]}.lock"
    (folder / lock).symlink_to(outside / "made")
    with pytest.raises(DownloadError, match=lock):
        fetch(server.url, folder, "b.bin")
    assert not (outside / "made").exists()


def test_the_bar_is_drawn_no_oftener_than_its_clock_allows(server, tmp_path, monkeypatch):
    """However many pieces come; drawing for each of them would cost more than to fetch them."""
    import tqdm.auto

    drawn, told = [], []

    class Bar(tqdm.std.tqdm):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            assert self.mininterval >= 0.1
            self._time = lambda: self.start_t  # time stands still

        def update(self, n=1):
            told.append(n)
            return super().update(n)

        def display(self, *arguments, **options):
            drawn.append(self.n)

    monkeypatch.setattr(tqdm.auto, "tqdm", Bar)
    server.body = BODY * 8
    fetch(server.url, tmp_path, "a.bin")
    assert sum(told) == len(server.body) and drawn == [0, len(server.body)]
    assert len(told) == -(-len(server.body) // CHUNK)  # large pieces: few turns of the loop


@pytest.mark.parametrize("there", [b"", b"<!DOCTYPE html>Quota exceeded"])
def test_what_cannot_be_the_file_is_replaced_once_that_has_come(server, tmp_path, there):
    """As an older helper leaves it behind after a failed download."""
    (tmp_path / "a.bin").write_bytes(there)
    server.cuts = [CHUNK, 0, 0]
    with pytest.raises(DownloadError, match="file that was there, .*it was kept"):
        fetch(server.url, tmp_path, "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == there
    assert fetch(server.url, tmp_path, "a.bin").read_bytes() == BODY
    digest = hashlib.sha256(there).hexdigest()
    (tmp_path / "b.bin").write_bytes(there)
    assert (
        fetch(server.url, tmp_path, "b.bin", digest).read_bytes() == there
    )  # it is what is wanted


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"url": 1, "version": "x", "total": "y"}', None])
def test_a_part_with_a_useless_note_is_not_trusted(server, tmp_path, note):
    (tmp_path / "a.bin.part").write_bytes(b"rubbish")
    if note is not None:
        (tmp_path / "a.bin.part.json").write_text(note)
    assert fetch(server.url, tmp_path, "a.bin").read_bytes() == BODY


def test_a_complete_part_is_verified_not_fetched(server, tmp_path, monkeypatch):
    part = Part(tmp_path / "a.bin")
    for body in (BODY, BODY[::-1]):
        part.begin(server.url, server.etag, len(BODY))
        part.data.write_bytes(body)
        monkeypatch.setenv("QVIM_OFFLINE", "1")
        if body == BODY:
            assert fetch([server.url + "x", server.url], tmp_path, "a.bin", SHA256).is_file()
            part.path.unlink()
        else:
            with pytest.raises(DownloadError, match="SHA-256 is .* expected .* deleted"):
                fetch(server.url, tmp_path, "a.bin", SHA256)
    assert server.seen == [] and os.listdir(tmp_path) == []
    monkeypatch.delenv("QVIM_OFFLINE")
    assert fetch(server.url, tmp_path, "a.bin", SHA256).read_bytes() == BODY


def test_another_mirror_does_not_cost_the_part(server, tmp_path):
    have = break_off(server, tmp_path)
    base = server.url[:-1]
    server.cuts = [0, 0, 0, 0, 0, 0]
    with pytest.raises(DownloadError, match=f"{base}b: .*{base}a: |{base}a: .*{base}b: "):
        fetch([base + "b", base + "a"], tmp_path, "a.bin")
    assert server.seen[0][:2] == ("/a", f"bytes={have}-")  # first the one that is under way


def test_interruption_keeps_the_part(server, tmp_path, monkeypatch):
    calls = []

    def interrupted(file, chunk, part, missing):
        calls.append(len(chunk))
        if len(calls) == 4:
            raise KeyboardInterrupt
        file.write(chunk)

    monkeypatch.setattr(fetching, "_append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(server.url, tmp_path, "a.bin")
    assert Part(tmp_path / "a.bin").state(server.url) == (3 * CHUNK, '"one"', len(BODY))
    assert not list(tmp_path.glob("*.lock"))
    fetch(server.url, tmp_path, "a.bin", SHA256)
    assert server.seen[-1][1] == f"bytes={3 * CHUNK}-"


def test_the_old_file_stays_until_the_new_one_is_verified(server, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"older")
    server.cuts = [CHUNK * 2, 0, 0]
    with pytest.raises(DownloadError, match="it was kept"):
        fetch(server.url, tmp_path, "a.bin", SHA256)
    assert (tmp_path / "a.bin").read_bytes() == b"older"
    assert fetch(server.url, tmp_path, "a.bin", SHA256).read_bytes() == BODY


def test_a_full_disk_is_told_before_and_during(server, tmp_path, monkeypatch):
    usage = SimpleNamespace(free=len(BODY) + fetching.MARGIN - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    urls = [server.url, server.url + "b"]
    with pytest.raises(DownloadError, match=rf"{len(BODY)} bytes .* {usage.free} are free"):
        fetch(urls, tmp_path, "a.bin")
    assert server.sent[1:] == [] and os.listdir(tmp_path) == []  # no other mirror was asked

    usage.free += 1

    def write(file, chunk):
        if file.tell() >= 2 * CHUNK:
            raise OSError(errno.ENOSPC, "No space left on device")
        file.write(chunk)

    plain = fetching._append

    def append(file, chunk, part, missing):
        full = SimpleNamespace(write=lambda chunk: write(file, chunk), flush=file.flush)
        plain(full, chunk, part, missing)

    monkeypatch.setattr(fetching, "_append", append)
    with pytest.raises(DownloadError, match=f"{len(BODY) - 2 * CHUNK} bytes .*make room"):
        fetch(urls, tmp_path, "a.bin")
    monkeypatch.setattr(fetching, "_append", plain)
    fetch(urls, tmp_path, "a.bin", SHA256)
    assert server.seen[-1][1] == f"bytes={2 * CHUNK}-"


def test_no_more_time(server, tmp_path, monkeypatch):
    clock = iter(range(10**6))
    monkeypatch.setattr(fetching, "time", SimpleNamespace(monotonic=lambda: next(clock) + 1e9))
    with pytest.raises(DownloadError, match="longer than the time allowed"):
        fetch([server.url, server.url + "b"], tmp_path, "a.bin", max_seconds=3)
    assert server.seen == []
    monkeypatch.undo()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("QVIM_OFFLINE", raising=False)
    assert fetch(server.url, tmp_path, "a.bin", max_seconds=600).read_bytes() == BODY


SCRIPT = """
import sys
from qvim_kit import downloads
from qvim_kit.downloads import fetching
from qvim_kit.downloads import locks
locks.PAUSE = 0.01
plain = fetching._append
def slow(*arguments):
    plain(*arguments)
    import time
    time.sleep(0.01)
fetching._append = slow
print(downloads.fetch(sys.argv[1], sys.argv[2], "a.bin", sys.argv[3]))
"""


def test_two_processes_take_turns(server, tmp_path):
    command = [sys.executable, "-c", SCRIPT, server.url, str(tmp_path), SHA256]
    environment = {k: v for k, v in os.environ.items() if k != "QVIM_OFFLINE"}
    runs = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) for _ in range(3)]
    errors = [run.communicate(timeout=60)[1].decode() for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], errors
    assert (tmp_path / "a.bin").read_bytes() == BODY and os.listdir(tmp_path) == ["a.bin"]
    assert len(server.seen) == 1  # the others found it there


def test_lock_excludes_and_waits(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "PAUSE", 0.001)
    inside, most, order = [], [], []

    def work(number):
        for _ in range(20):
            with locks.locked(tmp_path / "a"):
                inside.append(number)
                most.append(len(inside))
                time.sleep(0.0005)
                inside.remove(number)
        order.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1 and len(most) == 80 and sorted(order) == [0, 1, 2, 3]
    assert os.listdir(tmp_path) == []


def test_lock_does_nothing_where_there_are_none(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def none(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with locks.locked(tmp_path / "a"):
        pass
    assert os.listdir(tmp_path) == []


def test_note_is_json_that_says_what_the_part_is(tmp_path):
    part = Part(tmp_path / "a.bin")
    part.begin("https://example.org/a", '"one"', 5)
    expected = {"url": "https://example.org/a", "version": '"one"', "total": 5}
    assert json.loads(part.note.read_text()) == expected
    part.tidy()  # no bytes: not worth keeping
    assert os.listdir(tmp_path) == []


def test_a_lock_that_was_removed_meanwhile_does_not_count(tmp_path):
    with (tmp_path / "lock").open("wb") as file:
        assert locks._is_at(file, tmp_path / "lock")
        (tmp_path / "lock").rename(tmp_path / "gone")
        assert not locks._is_at(file, tmp_path / "lock")
        (tmp_path / "lock").touch()
        assert not locks._is_at(file, tmp_path / "lock")
