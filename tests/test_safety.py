"""safety: names, addresses and branches that must and must not pass; staging cleans up."""

from __future__ import annotations

import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from qvim_kit.downloads.safety import (
    branch_problem,
    content_problem,
    filename_problem,
    move,
    move_into,
    staging,
    url_problem,
)
from qvim_kit.paths import beside


@pytest.mark.parametrize("name", ["a", "a.pt", ".hidden", "Röhre, 2 (x).wav", "console.txt", "-a"])
def test_good_file_names(name):
    assert filename_problem(name) is None


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "a\\b", "/a", "C:a", "x:y", "a\0b", "CON", "con.wav", "Lpt1.tar.gz"]
    + ["COM¹", "nul .txt", "a" * 256, "é" * 128, "a\udcff"],
)
def test_bad_file_names_everywhere(name):
    assert filename_problem(name) and filename_problem(name, portable=False)


@pytest.mark.parametrize("name", ["a.", "a ", "a?", 'a"', "a|b", "a*", "a\n", "a<b>"])
def test_bad_file_names_on_windows(name):
    assert filename_problem(name)
    assert filename_problem(name, portable=False) is None


@pytest.mark.parametrize(
    "url",
    ["https://zenodo.org/records/1/files/a%20b.zip?download=1", "https://x.org:8443/a#b"]
    + ["https://x.org/Röhre.wav", "HTTPS://X.org", "https://[2001:db8::1]/a"]
    + ["http://127.0.0.1:8000/a", "http://localhost/a", "http://[::1]:8000/a"],
)
def test_good_urls(url):
    assert url_problem(url) is None
    assert bool(url_problem(url, local=False)) == url.startswith("http:")


@pytest.mark.parametrize(
    "url",
    ["", " ", "zenodo.org/a", "//zenodo.org/a", "http://zenodo.org/a", "ftp://x.org/a", "file:///a"]
    + ["https://", "https:///a", "https://a b", "https://x.org/a\n", "https://x.org/\x00a"]
    + ["https://drive.google.com@evil/", "https://me:pw@x.org/", "https://x.org\\@evil/"]
    + ["https://gооgle.com/", "https://x.org:port/", "https://x.org:99999/", "https://[x/"]
    + ["https://x.org/" + "a" * 10_000, "http://127.0.0.1.evil.example/", "http://localhost@x/"]
    + ["https://x.org./a", "https://.x.org/", "https://x.org%2eevil.example/", "https://x.org:/a"]
    + ["https://x.org;evil.example/", "https://ｘ.org/", "https://x。org/", "https://x.org%00/"]
    + ["https://x.org\u200b/", "\thttps://x.org/", "https://x.org:٤٤٣/", "https://x.org:+1/"]
    + ["https://[::1]evil.example/", "https:x.org/a", "https:///x.org/a", "javascript:alert(1)"]
    + ["data:text/plain,x", "ext::sh -c true", "--upload-pack=x", "https://-x.org/"],
)
def test_bad_urls(url):
    assert url_problem(url)


NAMES = ["main", "feature/x", "v1.0", "a-b_c", "HEAD", "@", "a@b", "a@{b", "-x", "--upload-pack=x"]
NAMES += ["", "/a", "a/", "a//b", "a..b", "a.", ".a", "a/.b", "a.lock", "a.lock/b", "a b", "a~b"]
NAMES += ["a^", "a:b", "a?", "a*", "[a", "a\\b", "a\tb", "ü", "a]b", "lock", "a.locks"]


@pytest.mark.parametrize("name", NAMES)
def test_branch_names_agree_with_git(name):
    git = subprocess.run(["git", "check-ref-format", "--branch", name], capture_output=True)
    assert (branch_problem(name) is None) == (git.returncode == 0)


def test_threads_that_write_one_file_do_not_disturb_each_other(tmp_path):
    target = tmp_path / "one.txt"

    def write(number):
        with beside(target) as part:
            part.write_text(str(number))
            barrier.wait()

    barrier = threading.Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert target.read_text() in set("01234567") and list(tmp_path.iterdir()) == [target]


def test_content(tmp_path):
    path = tmp_path / "part"
    path.write_bytes(b"")
    assert "empty" in content_problem(path, "a.html")
    path.write_bytes(b"\xef\xbb\xbf\r\n <HTML lang=en>")
    assert "web page" in content_problem(path, "a.pt")
    assert content_problem(path, "a.HTML") is None
    for page in (
        b"<!-- x -->\n<html>",
        b'<?xml version="1.0"?><html xmlns="x">',
        b"<script>x",
        b"<head>",
    ):
        path.write_bytes(page)
        assert "web page" in content_problem(path, "a.pt"), page
    path.write_bytes(b"PK\3\4<html>")
    assert content_problem(path, "a.zip") is None


def test_staging_leaves_only_what_was_moved(tmp_path):
    folder = tmp_path / "a" / "b"
    with pytest.raises(KeyboardInterrupt), staging(folder) as stage:
        (stage / "x").write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with staging(folder) as stage:
        (stage / "x").write_text("whole")
        (stage / "x").replace(folder / "x")
    assert [path.name for path in folder.iterdir()] == ["x"]


def test_a_folder_that_was_exchanged_for_a_link_is_noticed(tmp_path):
    """Between the check of a path and the move to it."""
    (tmp_path / "models").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a.pt").write_text("x")
    (tmp_path / "stage" / "b").mkdir(parents=True)
    (tmp_path / "models").rename(tmp_path / "gone")
    (tmp_path / "models").symlink_to(tmp_path / "elsewhere")
    for call in (
        lambda: move(tmp_path / "a.pt", tmp_path / "models" / "a.pt"),
        lambda: move_into(tmp_path / "stage", tmp_path / "models" / "new"),
        lambda: move_into(tmp_path / "stage", tmp_path / "models"),
    ):
        with pytest.raises(OSError, match="was exchanged meanwhile and now leads to .*elsewhere"):
            call()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_move_into_replaces_no_file(tmp_path):
    for name in ("stage", "folder"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(name)
    with pytest.raises(FileExistsError):
        move_into(tmp_path / "stage", tmp_path / "folder")
    assert (tmp_path / "folder" / "a").read_text() == "folder"


def test_move_into_is_undone_if_one_move_fails(tmp_path):
    stage, folder = tmp_path / "stage", tmp_path / "folder"
    for name in ("a", "b", "c"):
        (stage / name).mkdir(parents=True)
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "mine").write_text("keep me")  # a folder that holds something stays
    with pytest.raises(OSError):
        move_into(stage, folder)
    assert [path.name for path in folder.iterdir()] == ["b"]
    assert sorted(path.name for path in stage.iterdir()) == ["a", "b", "c"]
    move_into(stage, tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a", "b", "c"]
