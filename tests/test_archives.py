"""archives: good ones of each kind, one bad one for each rule, and random damage."""

from __future__ import annotations

import dataclasses
import gzip
import io
import shutil
import tarfile
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest

from qvim_kit.downloads import archives, safety, zipped
from qvim_kit.downloads.archives import ArchiveError, unpack

FILES = {"Items/Dog/a b, c.wav": b"RIFF" * 99, "Items/Röhre.wav": b"", "top.csv": b"x\n"}
NFC, NFD = (unicodedata.normalize(form, "é.wav") for form in ("NFC", "NFD"))
MODES = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.xz": "w:xz"}


def make_zip(path: Path, files: dict[str, bytes], **attributes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as container:
        for name, body in files.items():
            info = zipfile.ZipInfo("placeholder")
            info.filename = name  # the constructor would tidy the name
            for key, value in attributes.items():
                setattr(info, key, value)
            container.writestr(info, body, zipfile.ZIP_DEFLATED)
    return path


def make_tar(path: Path, files: dict[str, bytes], mode: str = "w", **attributes) -> Path:
    with tarfile.open(path, mode) as container:
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            for key, value in attributes.items():
                setattr(info, key, value)
            container.addfile(info, io.BytesIO(body))
    return path


def make(path: Path, files: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        return make_zip(path, files)
    mode = next(mode for suffix, mode in MODES.items() if path.name.lower().endswith(suffix))
    return make_tar(path, files, mode)


def content(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def refuse(archive: Path, *words: str, **limits) -> None:
    """The archive is refused with these words, and its surroundings are as before."""
    around, outer = archive.parent, archive.parent.parent
    before = content(outer)
    for folder in (around / "out", around):
        with pytest.raises(ArchiveError) as caught:
            unpack(archive, folder, **limits)
        for word in (str(archive), *words):
            assert word in str(caught.value)
        assert content(outer) == before
        assert not (around / "out").exists() and not list(around.glob(".qvim-*"))


@pytest.fixture
def place(tmp_path):
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


@pytest.mark.parametrize(
    "suffix", [".zip", ".ZIP", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".Tar.XZ"]
)
def test_unpack_every_kind_twice(place, suffix):
    archive = place / f"data{suffix}"
    if suffix == ".ZIP":
        make_zip(archive, FILES)
    else:
        make(archive, FILES)
    for _ in range(2):
        assert unpack(archive, place / "new" / "out") == place / "new" / "out"
        assert content(place / "new" / "out") == FILES
    if suffix.lower() != ".zip":  # and as the standard library unpacks it
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # before 3.11.4
        with tarfile.open(archive) as container:
            container.extractall(place / "reference", **safely)
        assert content(place / "reference") == FILES


def test_unpack_what_tar_and_zip_programs_write(place):
    (place / "tree" / "empty").mkdir(parents=True)
    (place / "tree" / "a.wav").write_bytes(b"a")
    for kind in ("zip", "gztar", "xztar", "tar"):
        archive = Path(shutil.make_archive(str(place / "made"), kind, place / "tree"))
        out = unpack(archive, place / kind)
        assert content(out) == {"a.wav": b"a"} and (out / "empty").is_dir()


def test_unpack_beside_other_files(place):
    archive = make(place / "data.zip", FILES)
    (place / "mine.txt").write_text("keep me")
    unpack(archive, place)  # into the folder that holds the archive
    mine = {"mine.txt": b"keep me", "data.zip": archive.read_bytes()}
    assert content(place) == FILES | mine
    (place / "more.txt").write_text("added")
    unpack(archive, place)  # everything is there: nothing to do
    (place / "top.csv").write_text("changed")
    with pytest.raises(ArchiveError, match=r"2 member(?s:.)*'Items': differs(?s:.)*'top.csv'"):
        unpack(archive, place)
    assert (place / "top.csv").read_text() == "changed"
    assert not list(place.glob(".qvim-*"))


def test_unpack_never_writes_through_a_link(place):
    archive = make(place / "data.tar", FILES)
    (place / "elsewhere").mkdir()
    (place / "out").mkdir()
    (place / "out" / "Items").symlink_to(place / "elsewhere")
    with pytest.raises(ArchiveError, match="'Items': differs"):
        unpack(archive, place / "out")
    assert content(place / "elsewhere") == {}


def test_unpack_keeps_out(place):
    archive = make(place / "data.zip", {"Output/similarities.json": b"{}", "a.txt": b"a"})
    with pytest.raises(ArchiveError, match="refused for 1 member.*\n.*similarities.json.*nothing"):
        unpack(archive, place, keep_out=place / "output")
    assert list(place.iterdir()) == [archive]
    unpack(archive, place / "sub", keep_out=place / "output")


BAD_NAMES = {
    "../escaped.wav": "'..'",
    "a/../../escaped.wav": "'..'",
    "/tmp/escaped.wav": "absolute",
    "..\\escaped.wav": "backslash",
    "C:escaped.wav": "drive letter",
    "C:/escaped.wav": "drive letter",
    "a/nul.wav": "reserved",
    "COM1": "reserved",
    "": "empty name",
    "a/" + "x" * 256: "255 bytes",
    "d/" * 51 + "x": "more than 50 folders deep",
    ("d" * 99 + "/") * 11: "more than 1000 bytes",
}


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tar.xz"])
def test_refuse_names(place, name, suffix):
    archive = make(place / f"bad{suffix}", {"good.wav": b"g", name: b"bad"})
    refuse(archive, repr(name)[1:20], BAD_NAMES[name], "1 member")


@pytest.mark.parametrize(
    "name", ["what?.wav", "a.", "a ", "d./a", 'a"b', "a|b", "a\n", "a*", "<a>"]
)
@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_names_that_windows_cannot_write(place, name, suffix):
    """Published data sets have such names; a submission must not."""
    archive = make(place / f"a{suffix}", {name: b"x"})
    refuse(archive, "1 member", portable=True)
    assert content(unpack(archive, place / "out", portable=False)) == {name: b"x"}


def test_refuse_nul(place):
    archive = make_zip(place / "bad.zip", {"a.wavX.txt": b"g"})
    archive.write_bytes(archive.read_bytes().replace(b"wavX", b"wav\0"))
    refuse(archive, r"a.wav\x00.txt", "NUL")
    path = place / "bad.tar"
    make_tar(path, {"a": b"g"}, pax_headers={"path": "a.wav\0.txt"})
    refuse(path, r"a.wav\x00.txt", "NUL")


CLASHES = [("a.wav", "A.wav"), (NFC, NFD), ("x/a", "X/b"), ("x", "x/b"), ("x/b", "x"), ("x.", "x")]


@pytest.mark.parametrize("pair", CLASHES)
@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_refuse_clashes(place, pair, suffix):
    files = dict.fromkeys(pair, b"")
    refuse(make(place / f"bad{suffix}", files), "1 member", "same name as")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_refuse_duplicates(place):
    for suffix in (".zip", ".tar"):
        archive = make(place / f"bad{suffix}", {"a": b"1"})
        if suffix == ".zip":
            with zipfile.ZipFile(archive, "a") as container:
                container.writestr("a", b"2")
        else:
            with tarfile.open(archive, "a") as container:
                container.addfile(tarfile.TarInfo("a"))
        refuse(archive, "same name as 'a'")


TYPES = ("SYMTYPE", "LNKTYPE", "CHRTYPE", "BLKTYPE", "FIFOTYPE")


@pytest.mark.parametrize("kind", TYPES)
def test_refuse_links_and_devices(place, kind):
    kind = getattr(tarfile, kind)
    refuse(make_tar(place / "bad.tar", {"x": b""}, type=kind, linkname="/etc"), "link or device")
    link = make_zip(place / "bad.zip", {"x": b"/etc"}, external_attr=0o120777 << 16)
    refuse(link, "'x': link or device")


def test_refuse_encrypted(place):
    archive = make_zip(place / "bad.zip", {"x": b"secret"})
    body = bytearray(archive.read_bytes())
    body[6] |= 1  # the local header's flags, and the directory's
    body[body.index(b"PK\1\2") + 8] |= 1
    archive.write_bytes(body)
    refuse(archive, "'x': encrypted")


def test_refuse_names_ten_and_counts(place):
    archive = make(place / "bad.zip", {f"../{i:02}": b"" for i in range(13)} | {"ok": b""})
    refuse(archive, "13 member", "'../09'", "… and 3 more")
    with pytest.raises(ArchiveError) as caught:
        unpack(archive, place / "out")
    assert "'../10'" not in str(caught.value) and isinstance(caught.value, ValueError)


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".tar.xz"])
def test_refuse_bombs(place, suffix):
    archive = make(place / f"bomb{suffix}", {"zeros": bytes(5_000_000), "b": b"", "c": b""})
    assert archive.stat().st_size < 20_000
    refuse(archive, "4999999 bytes", "'zeros'", max_bytes=4_999_999)
    refuse(archive, "2 members", "'c'", max_members=2)
    unpack(archive, place / "out", max_bytes=5_000_000, max_members=3)


def test_refuse_headers_that_would_fill_the_memory(place):
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE):
        header = tarfile.TarInfo("a")
        header.type, header.size = kind, 2 << 20  # a name of 2 MiB
        archive = place / "bad.tar"
        archive.write_bytes(header.tobuf(tarfile.USTAR_FORMAT) + b"a" * (2 << 20) + bytes(10240))
        refuse(archive, "declares 2097152 bytes")
        archive.unlink()
    header = tarfile.TarInfo("a")
    header.size = -512
    archive.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    refuse(archive, "declares -512 bytes")


def record(key: str, value: str) -> bytes:
    """One record of an extended header, which begins with its own length."""
    rest = f" {key}={value}\n".encode()
    length = next(n for n in range(10**6) if n == len(str(n)) + len(rest))
    return str(length).encode() + rest


EXTENDED = {
    "a size that leads back for ever": (record("size", "-1536"), "declares -1536 bytes"),
    "a size that leads back to itself": (record("size", "-512"), "declares -512 bytes"),
    "a number that takes hours to read": (b"1" * (1 << 20), "more than 256 digits"),
    "a size beyond all bounds": (record("size", "9" * 30), "bytes unpacked"),
    "a map of holes": (
        record("GNU.sparse.map", "0,1") + record("GNU.sparse.size", "99"),
        "sparse",
    ),
}


@pytest.mark.parametrize("kind", EXTENDED)
def test_refuse_extended_headers(place, kind):
    """CVE-2025-8194, CVE-2024-6232 and their relatives; Python 3.11.7 itself hangs with two."""
    content, words = EXTENDED[kind]
    header, file = tarfile.TarInfo("pax"), tarfile.TarInfo("a")
    header.type, header.size, file.size = tarfile.XHDTYPE, len(content), 1
    blocks = [header.tobuf(tarfile.USTAR_FORMAT), content, bytes(-len(content) % 512)]
    blocks += [file.tobuf(tarfile.USTAR_FORMAT), b"x" + bytes(511), bytes(1024)]
    (place / "bad.tar").write_bytes(b"".join(blocks))
    refuse(place / "bad.tar", words)


def test_refuse_a_chain_of_extended_headers(place):
    content = record("comment", "x")
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, len(content)
    blocks = header.tobuf(tarfile.USTAR_FORMAT) + content + bytes(512 - len(content))
    (place / "bad.tar").write_bytes(blocks * 5000 + bytes(1024))
    refuse(place / "bad.tar", "cannot be unpacked")


def test_extended_headers_that_are_in_order(place):
    """Long and accented names, as pax writes them; numbers in a name may be long, too."""
    names = ["Röhre " + "x" * 150 + ".wav", "1" * 250]
    with tarfile.open(place / "a.tar", "w", format=tarfile.PAX_FORMAT) as container:
        for name in names:
            container.addfile(tarfile.TarInfo(name), io.BytesIO())
    assert content(unpack(place / "a.tar", place / "out")) == dict.fromkeys(names, b"")


def test_refuse_what_unpacks_to_far_more_than_it_is(place, monkeypatch):
    """Sounds and checkpoints are never packed to a 200th; above 1 GB that is looked at."""
    archive = make(place / "bomb.zip", {"zeros": bytes(3_000_000)})
    monkeypatch.setattr(archives, "SMALL", 1_000_000)
    refuse(archive, "1000000 bytes unpacked")
    monkeypatch.setattr(archives, "SMALL", 3_000_000)
    unpack(archive, place / "out")


def test_refuse_a_list_of_members_that_would_fill_the_memory(place, monkeypatch):
    files = {f"{n:03}": b"" for n in range(100)}
    archive = make(place / "a.zip", files)
    monkeypatch.setattr(zipped, "LONGEST_LIST", 100 * 49 - 1)  # a little less than it has
    refuse(archive, "list of members has 4900 bytes")
    monkeypatch.setattr(zipped, "LONGEST_LIST", 5000)
    assert content(unpack(archive, place / "out")) == files


def test_refuse_what_does_not_fit_on_the_disk(place, monkeypatch):
    archive = make(place / "a.zip", {"zeros": bytes(1000)})
    monkeypatch.setattr(archives, "space_problem", lambda folder, needed: f"{needed} too many")
    refuse(archive, "1000 too many")
    monkeypatch.setattr(archives, "space_problem", lambda folder, needed: None)
    unpack(archive, place / "out")


def test_interruption_leaves_nothing(place, monkeypatch):
    archive = make(place / "a.tar.gz", FILES)

    def interrupted(stage, folder):
        assert content(stage) == FILES
        raise KeyboardInterrupt

    monkeypatch.setattr(archives, "move_into", interrupted)
    for folder in (place, place / "new" / "out"):
        with pytest.raises(KeyboardInterrupt):
            unpack(archive, folder)
        assert list(place.iterdir()) == [archive]


def test_bytes_are_counted_while_writing(place, monkeypatch):
    archive = make(place / "lies.zip", {"a": b"x" * 1000})
    body = archive.read_bytes().replace((1000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    archive.write_bytes(body)
    refuse(archive, "cannot be unpacked")
    honest = make(place / "honest.zip", {"a": b"x" * 1000})
    members = archives._members
    for size, words in ((10, "more bytes than it declares"), (2000, "holds 1000 bytes")):

        def lying(container, size=size):
            return (dataclasses.replace(member, size=size) for member in members(container))

        monkeypatch.setattr(archives, "_members", lying)
        refuse(honest, words)


WRONG = {
    "page.zip": b"<!doctype html><p>quota</p>",
    "empty.zip": b"",
    "empty.tar": b"",
    "empty.tar.gz": gzip.compress(b""),
    "text.tar.gz": gzip.compress(b"hello" * 1000),
    "a.rar": b"Rar!\x1a\x07\0",
    "none": b"PK\3\4",
    "nothing.zip": b"PK\5\6" + bytes(18),
    "nothing.tar": bytes(10240),
}


@pytest.mark.parametrize("name", WRONG)
def test_refuse_other_content(place, name):
    (place / name).write_bytes(WRONG[name])
    refuse(place / name)


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tar.xz"])
def test_suffix_and_content_must_agree(place, suffix):
    archive = make(place / f"a{suffix}", FILES)
    for other in (".zip", ".tar", ".tgz", ".tar.xz", ".npz", ""):
        if archives.SUFFIXES.get(other) != archives.SUFFIXES[suffix]:
            refuse(archive.rename(place / f"b{other}"), "suffix")
            (place / f"b{other}").rename(archive)


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tar.xz"])
def test_damage_never_leaves_half_an_archive(place, suffix):
    """Cut at 40 places and changed at 120: refused, or every byte is as it was."""
    random = np.random.default_rng(0)
    noise = {f"d/{i}.wav": random.bytes(700) for i in range(4)}
    body = make(place / f"a{suffix}", noise).read_bytes()
    archive, refused = place / f"b{suffix}", 0
    end = body.rstrip(b"\0") if suffix == ".tar" else body
    for cut in random.integers(0, len(end), 40):
        archive.write_bytes(body[:cut])
        refuse(archive)
    for at in random.integers(0, len(body), 120):
        changed = bytearray(body)
        changed[at] ^= 1 << random.integers(8)
        archive.write_bytes(changed)
        try:
            unpack(archive, place / "out")
        except ArchiveError:
            refused += 1
            assert not (place / "out").exists()
        else:
            found = content(place / "out")
            assert found.keys() == noise.keys()
            # A plain tar has no checksum over its data, so there bytes may differ.
            assert {len(data) for data in found.values()} == {700}
            assert suffix == ".tar" or found == noise
            shutil.rmtree(place / "out")
        assert not list(place.glob(".qvim-*"))
    assert refused > 20


def test_cut_between_two_members(place):
    archive = make(place / "a.tar", {"a": b"a" * 512, "b": b"b" * 512})
    archive.write_bytes(archive.read_bytes()[:1024])  # tarfile itself lists "a" and is content
    with tarfile.open(archive) as container:
        assert container.getnames() == ["a"]
    refuse(archive, "cut short")


def test_failed_move_is_undone(place, monkeypatch):
    archive = make(place / "a.zip", FILES)

    def full(stage, folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives, "move_into", full)
    refuse(archive, "No space left")
    monkeypatch.setattr(archives, "move_into", safety.move_into)
    unpack(archive, place / "out")
    with pytest.raises(ArchiveError, match="which is a file"):
        unpack(archive, place / "out" / "top.csv")
    with pytest.raises(ArchiveError, match="absent.zip"):
        unpack(place / "absent.zip", place / "out")
