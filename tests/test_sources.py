"""sources, zenodo, manifests: every data set in small, from a server that imitates Zenodo."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import io
import json
import os
import sys
import threading
import warnings
import zipfile
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest

from qvim_kit import downloads
from qvim_kit.downloads import DownloadError, archives, manifests, zenodo
from qvim_kit.downloads.archives import ArchiveError
from qvim_kit.downloads.catalogue import SOURCES, Archive
from qvim_kit.downloads.manifests import MANIFEST, check_folder
from qvim_kit.downloads.sources import fetch_dataset

WAV = b"RIFF" + bytes(40)
QVIM = {
    "DEV Dataset.csv": b"banner\nLabel,Class,Items,Query 1,Query 2,Query 3\n",
    "Items/Dog/a, b.wav": WAV,
    "Items/Dog/c.WAV": WAV + b"c",
    "Queries/Dog/q.wav": WAV + b"q",
    "__MACOSX/Items/Dog/._a, b.wav": b"x",
}
VIM = {
    "references/001_000Dog bark.wav": WAV,
    "vocal_imitations/00001_000Dog bark.wav": WAV + b"1",
    "vocal_imitations/00002_000Dog bark.wav": WAV + b"2",
    "reference_file_names.csv": b"001_000Dog bark.wav\n",
    "vocal_imitation_file_names.csv": b"00001_000Dog bark.wav\n00002_000Dog bark.wav\n",
}
VIS = {
    "original_recordings/reference/000Dog.wav": WAV,
    "original_recordings/non_reference/000Dog2.wav": WAV,
    "vocal_imitations/included/000Dog - 1.wav": WAV,
}
SKETCH = {
    "sound_recordings/dog.wav": WAV,
    "sound_recordings.csv": b"filename,sound_label\ndog.wav,dog\n",
    "vocal_imitations/included/dog - 1.wav": WAV,
    "vocal_imitaitons_set2.csv": b"filename,sound_label\n",
}
CAPTIONS = b"file_name,caption_1\na.wav,a dog\n"
COUNTS = {
    "qvim-dev": (2, 1),
    "vimsketch": (1, 2),
    "vocal-imitation-set": (1,),
    "vocalsketch": (1,),
    "clotho": (1, 1, 1),
}


def pack(files, top=""):
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as container:
        for name, data in files.items():
            container.writestr(top + name, data)
    return body.getvalue()


def pack_7z(files):
    py7zr = pytest.importorskip("py7zr", reason="Clotho needs py7zr")
    body = io.BytesIO()
    with py7zr.SevenZipFile(body, "w") as container:
        for name, data in files.items():
            container.writestr(data, name)
    return body.getvalue()


def published(name):
    """The files of each record under the keys Zenodo has for them."""
    if name == "clotho":
        files = {f"clotho_captions_{split}.csv": CAPTIONS for split in sources_splits()}
        for split in sources_splits():
            files[f"clotho_audio_{split}.7z"] = pack_7z({f"{split}/a, 1.wav": WAV + split.encode()})
        return files | {"LICENSE": b"words"}
    return {
        "qvim-dev": {"QVIM-DEV.zip": pack(QVIM)},
        "vimsketch": {"Vim_Sketch_Dataset.zip": pack(VIM, "Vim_Sketch_Dataset/")},
        "vocal-imitation-set": {"VocalImitationSet_v1.1.3.zip": pack(VIS, "VocalImitationSet/")},
        "vocalsketch": {"owner/VocalSketchDataSet-v1.1.2.zip": pack(SKETCH, "owner-Sketch-6c9/")},
    }[name]


def sources_splits():
    return ("development", "validation", "evaluation")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        web, path = self.server.state, unquote(urlsplit(self.path).path)
        web.requests.append(path)
        parts = path.strip("/").split("/")
        if path.startswith("/api/records/") and web.api:
            if len(parts) == 3:
                return self.answer(json.dumps({"files": self.listing(int(parts[2]))}).encode())
            return self.answer(web.records[int(parts[2])]["/".join(parts[4:-1])])
        if parts[0] == "records" and web.pages:
            return self.answer(web.records[int(parts[1])].get("/".join(parts[3:])))
        return self.answer(web.other.get(path))

    def listing(self, record):
        base = f"http://{self.headers['Host']}/api/records/{record}/files"
        return [
            {
                "key": key,
                "size": len(body),
                "checksum": "md5:" + (self.server.state.md5 or hashlib.md5(body).hexdigest()),
                "links": {"self": f"{base}/{key}/content"},
            }
            for key, body in self.server.state.records[record].items()
        ]

    def answer(self, body):
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def address():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.state = SimpleNamespace()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", server.state
    server.shutdown()
    server.server_close()


@pytest.fixture
def web(address, tmp_path, monkeypatch):
    """Zenodo and JKU's cloud for one test; the data folder is ``tmp_path / "data"``."""
    base, state = address
    vars(state).update(records={}, other={}, requests=[], api=True, pages=True, md5=None)
    monkeypatch.setattr(zenodo, "ZENODO", base)
    monkeypatch.setattr(downloads, "PAUSE", 0)
    monkeypatch.setenv("QVIM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("QVIM_OFFLINE", raising=False)
    for name, source in list(SOURCES.items()):
        counts = tuple(
            (what, pattern, number)
            for (what, pattern, _), number in zip(source.counts, COUNTS[name], strict=True)
        )
        mirrors = [dataclasses.replace(a, mirrors=()) for a in source.archives]
        if name == "qvim-dev":
            mirrors = [dataclasses.replace(mirrors[0], mirrors=(base + "/cloud/qvim-dev.zip",))]
        small = dataclasses.replace(source, counts=counts, archives=tuple(mirrors))
        monkeypatch.setitem(SOURCES, name, small)
    return state


def publish(web, name):
    web.records[SOURCES[name].record] = published(name)


def content(folder):
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


EXPECTED = {
    "qvim-dev": {name: body for name, body in QVIM.items() if "MACOSX" not in name},
    "vimsketch": {f"Vim_Sketch_Dataset/{name}": body for name, body in VIM.items()},
    "vocal-imitation-set": VIS,
    "vocalsketch": SKETCH,
    "clotho": {f"clotho_captions_{split}.csv": CAPTIONS for split in sources_splits()}
    | {f"{split}/a, 1.wav": WAV + split.encode() for split in sources_splits()},
}


def assert_complete(folder, name):
    found = content(folder)
    manifest = json.loads(found.pop(MANIFEST))["files"]
    found = {path: body for path, body in found.items() if not path.endswith((".zip", ".7z"))}
    assert found == EXPECTED[name]
    hashes = {path: [len(body), hashlib.sha256(body).hexdigest()] for path, body in found.items()}
    assert manifest == hashes
    assert [path.name for path in folder.parent.iterdir()] == [name]


@pytest.mark.parametrize("api", [True, False], ids=["api", "no api"])
@pytest.mark.parametrize("name", SOURCES)
def test_full_cycle(web, tmp_path, monkeypatch, capfd, name, api):
    publish(web, name)
    web.api = api
    if not api and name == "vocalsketch":  # what its archive is called stands only in the record
        with pytest.raises(DownloadError, match="the list of .*1251982 could not be had: 404"):
            fetch_dataset(name)
        return
    if not api and name == "qvim-dev":  # not under this name on Zenodo: the mirror serves
        web.other["/cloud/qvim-dev.zip"] = pack(QVIM, "qvim-dev/")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folder = fetch_dataset(name)
    assert folder == tmp_path / "data" / name
    assert_complete(folder, name)
    told = capfd.readouterr().err
    assert SOURCES[name].title in told and f"licence: {SOURCES[name].licence}" in told
    assert told.index("licence") < told.rindex("Downloading http")
    asked = len(web.requests)
    monkeypatch.setenv("QVIM_OFFLINE", "1")  # a second run needs no network
    assert fetch_dataset(name) == fetch_dataset(name, verify=True) == folder
    assert len(web.requests) == asked


@pytest.mark.parametrize("name", SOURCES)
def test_archives_put_there_by_hand(web, tmp_path, monkeypatch, name):
    folder = tmp_path / "data" / name
    folder.mkdir(parents=True)
    for key, body in published(name).items():
        if key != "LICENSE":
            (folder / key.rsplit("/", 1)[-1]).write_bytes(body)
    before = sorted(path.name for path in folder.iterdir() if path.suffix != ".csv")
    monkeypatch.setenv("QVIM_OFFLINE", "1")
    assert fetch_dataset(name) == folder
    assert_complete(folder, name)
    assert set(before) <= {path.name for path in folder.iterdir()}  # nobody's file is deleted


@pytest.mark.parametrize("kept", [True, False], ids=["kept archive", "downloaded again"])
@pytest.mark.parametrize("name", ["qvim-dev", "clotho"])
def test_damage_is_noticed_and_mended(web, tmp_path, monkeypatch, name, kept):
    publish(web, name)
    folder = fetch_dataset(name, keep_archives=kept)
    names = sorted(EXPECTED[name])
    (folder / names[0]).unlink()
    (folder / names[1]).write_bytes(b"cut")
    (folder / "mine.txt").write_text("mine")
    assert len(check_folder(folder)) == 2
    if kept and name == "qvim-dev":
        monkeypatch.setenv("QVIM_OFFLINE", "1")
    assert fetch_dataset(name) == folder
    assert (folder / "mine.txt").read_text() == "mine"
    (folder / "mine.txt").unlink()
    assert_complete(folder, name)

    path = folder / names[-1]  # the same length: only verify sees it
    path.write_bytes(bytes(len(path.read_bytes())))
    fetch_dataset(name)
    assert not check_folder(folder) and len(check_folder(folder, verify=True)) == 1
    fetch_dataset(name, verify=True)
    assert_complete(folder, name)


def test_damage_offline_leaves_what_is_there(web, monkeypatch):
    publish(web, "qvim-dev")
    folder = fetch_dataset("qvim-dev")
    (folder / "DEV Dataset.csv").unlink()
    before = content(folder)
    monkeypatch.setenv("QVIM_OFFLINE", "1")
    with pytest.raises(DownloadError) as caught:
        fetch_dataset("qvim-dev")
    message = str(caught.value)
    assert "QVIM_OFFLINE is set" in message and "zenodo.org/records/17453307" in message
    assert f"Get qvim-dev.zip another way, from {SOURCES['qvim-dev'].page}" in message
    assert f"put what you got into {folder} and run again" in message
    assert content(folder) == before
    (folder / "qvim-dev.zip").write_bytes(pack(QVIM))  # as the message says
    fetch_dataset("qvim-dev")
    assert_complete(folder, "qvim-dev")


def test_a_new_revision_takes_the_place_of_the_old(web):
    publish(web, "vocalsketch")
    folder = fetch_dataset("vocalsketch")
    (folder / "sound_recordings.csv").unlink()
    renamed = {name.replace("dog.wav", "cat.wav"): body for name, body in SKETCH.items()}
    web.records[SOURCES["vocalsketch"].record] = {"VocalSketch.zip": pack(renamed)}
    fetch_dataset("vocalsketch")
    assert content(folder).keys() - {MANIFEST} == renamed.keys()


def test_what_was_unpacked_by_hand_is_adopted_if_it_is_all_there(web, tmp_path, monkeypatch, capfd):
    folder = tmp_path / "data" / "qvim-dev"
    for name, body in (EXPECTED["qvim-dev"] | {"mine.txt": b"mine"}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)
    (folder / "Items/Dog/c.WAV").unlink()
    monkeypatch.setenv("QVIM_OFFLINE", "1")
    with pytest.raises(DownloadError):
        fetch_dataset("qvim-dev")  # one item short
    had, expected = COUNTS["qvim-dev"][0] - 1, COUNTS["qvim-dev"][0]
    said = f"{folder}: found {had} items, expected {expected}; so it is fetched: "
    assert capfd.readouterr().err.startswith(said)
    (folder / "Items/Dog/c.WAV").write_bytes(QVIM["Items/Dog/c.WAV"])
    assert fetch_dataset("qvim-dev") == folder
    monkeypatch.delenv("QVIM_OFFLINE")
    publish(web, "qvim-dev")
    (folder / "Items/Dog/c.WAV").unlink()
    fetch_dataset("qvim-dev")  # now it is mended, and files that are not the data set's stay
    assert (folder / "mine.txt").read_bytes() == b"mine"
    (folder / "mine.txt").unlink()
    assert_complete(folder, "qvim-dev")


def test_mending_that_is_interrupted_is_still_damage(web, monkeypatch):
    publish(web, "qvim-dev")
    folder = fetch_dataset("qvim-dev")
    for name in ("Items/Dog/a, b.wav", "Queries/Dog/q.wav"):
        (folder / name).write_bytes(b"cut")
    plain, done = os.replace, []

    def replace(path, place):
        if str(place).endswith(".wav"):
            done.append(place)
            if len(done) == 2:
                raise KeyboardInterrupt
        plain(path, place)

    monkeypatch.setattr(manifests.os, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        fetch_dataset("qvim-dev")
    assert check_folder(folder) == [f"{folder / 'Queries/Dog/q.wav'} has 3 bytes, expected 45"]
    monkeypatch.setattr(manifests.os, "replace", plain)
    fetch_dataset("qvim-dev")
    assert_complete(folder, "qvim-dev")


def test_another_number_of_files_is_a_warning(web, monkeypatch):
    publish(web, "vimsketch")
    real = (("references", "Vim_Sketch_Dataset/references/*.wav", 542),)
    changed = dataclasses.replace(SOURCES["vimsketch"], counts=real)
    monkeypatch.setitem(SOURCES, "vimsketch", changed)
    with pytest.warns(UserWarning, match="has 1 references, expected 542") as caught:
        folder = fetch_dataset("vimsketch")
    assert caught[0].filename == __file__
    assert_complete(folder, "vimsketch")


BAD = {
    "escapes": (pack(QVIM | {"../escaped.txt": b"x"}), "leads out"),
    "damaged": (pack(QVIM)[:-30], "cannot be unpacked|content"),
    "something else": (pack(VIM), "not QVIM-dev.*expected DEV Dataset.csv.*found reference"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_refused_archive_leaves_nothing(web, tmp_path, kind):
    body, reason = BAD[kind]
    web.records[17453307] = {"qvim-dev.zip": body}
    with pytest.raises(ArchiveError, match=reason):
        fetch_dataset("qvim-dev")
    data = tmp_path / "data"
    assert not (data / "qvim-dev").exists() and not (data / "escaped.txt").exists()
    if kind != "something else":  # kept, and named in the message
        publish(web, "qvim-dev")
        assert_complete(fetch_dataset("qvim-dev"), "qvim-dev")


def test_a_full_disk_while_unpacking_keeps_the_download(web, tmp_path, monkeypatch):
    publish(web, "qvim-dev")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives, "_write", full)
    with pytest.raises(ArchiveError, match="No space left"):
        fetch_dataset("qvim-dev")
    assert [path.name for path in (tmp_path / "data").iterdir()] == [".qvim-dev-download"]
    monkeypatch.undo()
    monkeypatch.setenv("QVIM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("QVIM_OFFLINE", "1")
    monkeypatch.setitem(SOURCES, "qvim-dev", dataclasses.replace(SOURCES["qvim-dev"], counts=()))
    assert_complete(fetch_dataset("qvim-dev"), "qvim-dev")


def test_a_failed_move_puts_nothing_at_the_final_place(web, tmp_path, monkeypatch):
    publish(web, "qvim-dev")
    folder = tmp_path / "data" / "qvim-dev"
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("mine")
    plain = type(folder).rename
    moves = []

    def rename(path, place):
        if str(place).startswith(str(folder)):
            moves.append(place)
            if len(moves) == 3:
                raise OSError(5, "Input/output error")
        return plain(path, place)

    monkeypatch.setattr(type(folder), "rename", rename)
    with pytest.raises(OSError, match="Input/output"):
        fetch_dataset("qvim-dev")
    assert content(folder) == {"mine.txt": b"mine"} and len(moves) == 3
    fetch_dataset("qvim-dev")
    (folder / "mine.txt").unlink()
    assert_complete(folder, "qvim-dev")


def test_wrong_md5_then_the_mirror(web):
    publish(web, "qvim-dev")
    web.md5 = "0" * 32
    with pytest.raises(DownloadError, match=r"MD5 is .* expected 0{32}.*cloud/qvim-dev.zip: 404"):
        fetch_dataset("qvim-dev")
    web.other["/cloud/qvim-dev.zip"] = pack(QVIM)  # packed otherwise, so that no MD5 applies
    assert_complete(fetch_dataset("qvim-dev"), "qvim-dev")


def test_a_record_that_holds_something_else_says_what(web):
    web.records[1340763] = {"a.zip": b"", "b.zip": b"", "c.txt": b""}
    with pytest.raises(DownloadError, match="1340763 now lists a.zip, b.zip, c.txt"):
        fetch_dataset("vocal-imitation-set")


@pytest.mark.parametrize("answer", ["[]", "{}", '{"files": 3}', '{"files": [{}]}', "no json"])
def test_a_record_that_cannot_be_read(web, answer):
    web.api = False
    web.other["/api/records/5"] = answer.encode()
    with pytest.raises(DownloadError, match="api/records/5: not a list of files"):
        zenodo.record_files(5)


def test_links_and_names_of_a_record_are_not_trusted(web):
    entries = [
        {"key": "a.zip", "links": {"self": "https://evil.example/a.zip"}, "checksum": "sha1:00"},
        {"key": "x/../..", "links": {}},
        {"key": "b c.zip", "size": "big", "checksum": "md5:" + "0" * 32},
    ]
    web.api = False
    web.other["/api/records/5"] = json.dumps({"files": entries}).encode()
    first, second = zenodo.record_files(5)
    base = f"{zenodo.ZENODO}/records/5/files"
    assert first == zenodo.Remote("a.zip", (f"{base}/a.zip?download=1",))
    assert second.urls == (f"{base}/b%20c.zip?download=1",) and second.md5 == "0" * 32
    assert second.size is None


def test_without_py7zr_nothing_is_downloaded(web, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "py7zr", None)
    with pytest.raises(ArchiveError, match="pip install py7zr"):
        fetch_dataset("clotho")
    assert web.requests == [] and list((tmp_path / "data").iterdir()) == []


def test_a_broken_download_goes_on_in_the_next_run(web, tmp_path):
    web.records[4783391] = {key: CAPTIONS for key in ("clotho_captions_development.csv",)}
    pytest.importorskip("py7zr")
    with pytest.raises(DownloadError) as caught:
        fetch_dataset("clotho")
    message = str(caught.value)
    assert "Get clotho_captions_validation.csv and " in message
    assert "clotho_captions_development.csv" not in message.split("Get ")[1]  # that one is here
    assert f"is kept in {tmp_path / 'data' / '.clotho-download'}" in message
    assert not (tmp_path / "data" / "clotho").exists()
    publish(web, "clotho")
    web.requests.clear()
    assert_complete(fetch_dataset("clotho"), "clotho")
    assert not any("captions_development" in path for path in web.requests)


def test_another_folder_and_an_unknown_name(web, tmp_path):
    publish(web, "qvim-dev")
    assert_complete(fetch_dataset("qvim-dev", tmp_path / "else" / "qvim-dev"), "qvim-dev")
    assert not (tmp_path / "data").exists()
    with pytest.raises(ValueError, match="no data set 'qvim'; expected one of qvim-dev, vimsketch"):
        fetch_dataset("qvim")


def test_two_threads_fetch_once(web):
    publish(web, "vimsketch")
    folders = []
    threads = [
        threading.Thread(target=lambda: folders.append(fetch_dataset("vimsketch")))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders) == 3 and len(web.requests) == 2  # the record and its archive
    assert_complete(folders[0], "vimsketch")


@pytest.mark.parametrize(
    "manifest",
    ["", "[]", "{}", '{"files": {}}', '{"files": {"a": [1]}}', '{"files": {"../a": [1, "x"]}}'],
)
def test_a_useless_manifest_counts_as_none(tmp_path, manifest):
    (tmp_path / MANIFEST).write_text(manifest)
    assert manifests.read_manifest(tmp_path) is None
    assert check_folder(tmp_path) == [f"there is no readable {MANIFEST}"]


def test_an_archive_cannot_bring_its_own_manifest(web):
    lies = json.dumps({"files": {"Items/Dog/a, b.wav": [3, "0"]}}).encode()
    web.records[17453307] = {"qvim-dev.zip": pack(QVIM | {MANIFEST: lies})}
    assert_complete(fetch_dataset("qvim-dev"), "qvim-dev")


def test_the_catalogue_is_in_order():
    for name, source in SOURCES.items():
        assert source.page.startswith("https://zenodo.org/records/") and source.licence
        for archive in source.archives:
            assert archive.matches(archive.names[0].upper())
            assert all(url.startswith("https://") for url in archive.mirrors)
        assert all(number > 0 for _, _, number in source.counts), name
    facts = {what: number for _, source in SOURCES.items() for what, _, number in source.counts}
    assert facts["imitations"] == 12543 and facts["queries"] == 985 and facts["items"] == 125
    assert Archive(("*qvim*dev*.zip",)).matches("QVIM-DEV_v2.zip")
