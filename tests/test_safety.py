"""safety: names, addresses and branches that must and must not pass; staging cleans up."""

from __future__ import annotations

import subprocess

import pytest

from qvim_kit.downloads.safety import (
    branch_problem,
    content_problem,
    filename_problem,
    move_into,
    staging,
    url_problem,
)


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
    + ["https://x.org/" + "a" * 10_000, "http://127.0.0.1.evil.example/", "http://localhost@x/"],
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


def test_content(tmp_path):
    path = tmp_path / "part"
    path.write_bytes(b"")
    assert "empty" in content_problem(path, "a.html")
    path.write_bytes(b"\xef\xbb\xbf\r\n <HTML lang=en>")
    assert "web page" in content_problem(path, "a.pt")
    assert content_problem(path, "a.HTML") is None
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
