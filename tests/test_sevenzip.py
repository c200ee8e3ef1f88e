"""sevenzip: good 7z archives, each rule broken once, and random damage."""

from __future__ import annotations

import io
import os
import shutil
import stat
import sys

import numpy as np
import pytest

from qvim_kit.downloads.archives import ArchiveError, unpack
from qvim_kit.downloads.sevenzip import SevenZip

FILES = {"development/a b, ü.wav": b"RIFF" * 999, "development/e.wav": b"", "top.csv": b"x\n"}


@pytest.fixture
def py7zr():
    return pytest.importorskip("py7zr", reason="7z archives need the optional package py7zr")


def make(py7zr, path, files, **options):
    with py7zr.SevenZipFile(path, "w", **options) as container:
        for name, body in files.items():
            container.writestr(body, "placeholder")
            # writestr would tidy the name
            container.header.files_info.files[-1]["filename"] = name
    return path


def content(folder):
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def refuse(archive, *words, **limits):
    out = archive.parent / "out" / "deep"
    with pytest.raises(ArchiveError) as caught:
        unpack(archive, out, **limits)
    for word in (str(archive), *words):
        assert word in str(caught.value)
    assert not out.parent.exists() and not list(archive.parent.glob(".qvim-*"))


def test_unpack_twice(py7zr, tmp_path):
    archive = make(py7zr, tmp_path / "a.7z", FILES)
    for _ in range(2):
        assert content(unpack(archive, tmp_path / "out")) == FILES
    if os.name == "posix":
        assert all(path.stat().st_mode & stat.S_IRUSR for path in (tmp_path / "out").rglob("*"))


def test_folders_and_several_blocks(py7zr, tmp_path):
    (tmp_path / "empty").mkdir()
    archive = make(py7zr, tmp_path / "a.7z", FILES)
    with py7zr.SevenZipFile(archive, "a") as container:  # a second block of compressed data
        container.write(tmp_path / "empty", "empty")
        container.writef(io.BytesIO(b"later"), "later.txt")
    assert content(unpack(archive, tmp_path / "out")) == FILES | {"later.txt": b"later"}
    assert (tmp_path / "out" / "empty").is_dir()


@pytest.mark.parametrize(
    "name, reason",
    [
        ("../x", "leads out"),
        ("a/../../x", "leads out"),
        ("/abs", "absolute"),
        ("C:x", "drive letter"),
        ("nul.wav", "reserved"),
        ("TOP.csv", "same name"),
        ("top.csv/x", "same name"),
    ],
)
def test_refuse_names(py7zr, tmp_path, name, reason):
    archive = make(py7zr, tmp_path / "a.7z", {"top.csv": b"ok", name: b"x"})
    refuse(archive, repr(name), reason)


def test_refuse_duplicates(py7zr, tmp_path):
    archive = make(py7zr, tmp_path / "a.7z", FILES)
    with py7zr.SevenZipFile(archive, "a") as container:
        container.writestr(b"again", "top.csv")
    refuse(archive, "same name as 'top.csv'")


def test_refuse_links(py7zr, tmp_path):
    (tmp_path / "link").symlink_to("/etc/passwd")
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w") as container:
        container.write(tmp_path / "link", "link")
    refuse(tmp_path / "a.7z", "'link'", "link or device")


def test_refuse_encrypted(py7zr, tmp_path):
    refuse(make(py7zr, tmp_path / "a.7z", FILES, password="x"), "encrypted")
    names = {"password": "x", "header_encryption": True}
    refuse(make(py7zr, tmp_path / "b.7z", FILES, **names), "Password")


def test_refuse_bombs(py7zr, tmp_path):
    archive = make(py7zr, tmp_path / "a.7z", {"zeros": bytes(10**7)})
    assert archive.stat().st_size < 10**5
    refuse(archive, "more than", max_bytes=10**6)
    refuse(make(py7zr, tmp_path / "b.7z", FILES), "more than", max_members=2)


def test_bytes_are_counted_while_writing(py7zr, tmp_path):
    archive = make(py7zr, tmp_path / "a.7z", FILES)
    (tmp_path / "out").mkdir()
    with SevenZip(archive) as container, pytest.raises(OSError, match="more bytes than"):
        container.write(list(container.members()), tmp_path / "out", 1000)


def test_damage_never_leaves_half_an_archive(py7zr, tmp_path):
    random, out = np.random.default_rng(0), tmp_path / "out"
    noise = {f"d/{i}.wav": random.bytes(700) for i in range(4)}
    body = make(py7zr, tmp_path / "a.7z", noise).read_bytes()
    archive, refused = tmp_path / "b.7z", 0
    for cut in random.integers(0, len(body), 30):
        archive.write_bytes(body[:cut])
        refuse(archive)
    for at in random.integers(0, len(body), 100):
        changed = bytearray(body)
        changed[at] ^= 1 << random.integers(8)
        archive.write_bytes(changed)
        try:
            unpack(archive, out)
        except ArchiveError:
            refused += 1
            assert not out.exists()
        else:
            assert content(out) == noise
            shutil.rmtree(out)
    assert refused > 50


def test_without_py7zr(tmp_path, monkeypatch):
    (tmp_path / "a.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(100))
    monkeypatch.setitem(sys.modules, "py7zr", None)
    refuse(tmp_path / "a.7z", "pip install py7zr")


def test_suffix_and_content_must_agree(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(100))
    refuse(tmp_path / "a.zip", "the content is 7z, the suffix '.zip'")
    (tmp_path / "b.7z").write_bytes(b"PK\3\4" + bytes(100))
    refuse(tmp_path / "b.7z", "the content is zip, the suffix '.7z'")
