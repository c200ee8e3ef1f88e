"""What the doctor says of folders, and of the microphone where Python runs elsewhere."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from published_layouts import make_vimsketch, make_vocalsketch

from qvim_kit.doctor import folders, places

# What the names of variables begin with that tell where Python runs.
PLACES = ("COLAB_", "BINDER_", "JUPYTERHUB_", "SSH_CONNECTION", "KUBERNETES_", "WSL_DISTRO_")


@pytest.fixture
def here(monkeypatch):
    """A computer that somebody sits at, wherever the tests run."""
    for name in [name for name in os.environ if name.startswith(PLACES)]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(places, "CONTAINER", ())
    return monkeypatch


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Empty folders for data and cache."""
    monkeypatch.setenv("QVIM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("QVIM_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_a_folder_that_cannot_be_written_and_a_full_disk(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    finding = folders.check_folder("cache", tmp_path / "file" / "cache")
    assert not finding.ok and finding.fatal and "QVIM_CACHE" in finding.remedy
    assert f"{tmp_path / 'file'} (not a directory)" in finding.what or os.name == "nt"
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda path: SimpleNamespace(free=4e8))
    finding = folders.check_folder("data", tmp_path / "new" / "data")
    assert not finding.ok and not finding.fatal and "(0.4 GB free)" in finding.what
    assert "QVIM_DATA" in finding.remedy and "1 GB" in finding.remedy


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="there is no /proc")
def test_a_folder_that_nobody_can_make_is_no_full_disk():
    finding = folders.check_folder("cache", Path("/proc/nope"))
    assert not finding.ok and finding.fatal and "set QVIM_CACHE to" in finding.remedy
    assert "/proc/nope cannot be used: nothing can be made in /proc (" in finding.what


def test_looking_at_a_folder_leaves_nothing(tmp_path):
    assert folders.check_folder("data", tmp_path / "new" / "data").what.startswith("data folder")
    assert not list(tmp_path.iterdir())


def test_data_sets_of_every_layout_are_found_and_nothing_else(own):
    data = own / "data"
    assert "none yet" in folders.found_data()[0].what
    make_vimsketch(data / "vimsketch" / "Vim_Sketch_Dataset")
    make_vocalsketch(data / "mine")
    (data / "captioned").mkdir()
    (data / "captioned" / "captions.csv").write_text("file_name,caption\n")
    for name in ("feedback", ".qvim-mini-x/Items", ".qvim-mini-x/Queries", "clotho"):
        (data / name).mkdir(parents=True)
    (data / "README.md").write_text("")
    found, begun = folders.found_data()
    assert found.what == "data sets: captioned, mine, vimsketch"
    assert not begun.ok and "clotho is begun" in begun.what
    assert begun.remedy == "qvim data fetch clotho"


def test_without_pandas_the_other_findings_still_come(monkeypatch):
    monkeypatch.setitem(sys.modules, "qvim_kit.datasets", None)
    (finding,) = folders.found_data()
    assert not finding.ok and "cannot be looked for" in finding.what


def test_caches_are_measured_and_their_emptying_is_told(own):
    assert folders.check_caches() == []
    for name, size in (("embeddings/ab/cd.npy", 1), ("waveforms/32000/audio.int16", 3_000_000)):
        path = own / "cache" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(range(256)) * (size // 256 + 1))
    (finding,) = folders.check_caches()
    assert finding.ok and finding.what == "caches: embeddings 1 MB, waveforms 3 MB"
    assert (
        str(own / "cache") in finding.remedy and "while nothing of the kit runs" in finding.remedy
    )


def test_what_the_caches_are_called_is_where_the_kit_writes(own):
    """The doctor says that these may be deleted, so they must be these and no others."""
    from qvim_kit.models.graphs import graphs_folder
    from qvim_kit.search.library import Library
    from qvim_kit.search.storage import default_folder
    from qvim_kit.systems.cache import EmbeddingCache
    from qvim_kit.training.waveform_cache import WaveformCache

    written = (
        EmbeddingCache("x").folder.parent,
        graphs_folder(),
        default_folder(Library("x", None), "x").parent,
        WaveformCache().folder.parent,
    )
    assert tuple(folder.relative_to(own / "cache").as_posix() for folder in written) == (
        folders.CACHES
    )


def test_a_cache_of_many_files_is_not_counted_to_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "COUNTED", 2)
    for n in range(3):
        (tmp_path / f"{n}").mkdir()
        (tmp_path / f"{n}" / "a").write_bytes(b"a" * 3_000_000)
    assert folders.size_of(tmp_path) == "more than 6 MB"
    assert folders.size_of(tmp_path / "none") == ""


def test_checkpoints_are_named(own):
    assert "mn04_as_mAP_432.pt" in folders.found_weights().remedy
    (own / "cache").mkdir()
    for name in ("a.pt", "b.pth", "c.pt.123.part"):
        (own / "cache" / name).touch()
    assert folders.found_weights().what == "checkpoints: a.pt, b.pth"


@pytest.mark.parametrize(
    ("variables", "ok", "said"),
    [
        ({}, True, "here at http://localhost"),
        ({"WSL_DISTRO_NAME": "Ubuntu"}, True, "browser of Windows at http://localhost"),
        ({"COLAB_RELEASE_TAG": "r"}, True, "Colab"),
        ({"BINDER_LAUNCH_HOST": "h", "JUPYTERHUB_USER": "me"}, True, "Binder"),
        ({"JUPYTERHUB_USER": "me"}, False, "only if its address begins with https"),
        ({"KUBERNETES_SERVICE_HOST": "h"}, False, "docker run -p 127.0.0.1:8888:8888"),
        ({"SSH_CONNECTION": "a 1 10.0.0.5 22"}, False, ": ssh -L 8888:localhost:8888 me@10.0.0.5,"),
        ({"SSH_CONNECTION": "a 1 10.0.0.5 2222"}, False, "ssh -p 2222 -L 8888:"),
        ({"SSH_CONNECTION": "?"}, False, "@SERVER,"),
    ],
)
def test_where_the_recorder_gets_a_microphone(here, variables, ok, said):
    here.setattr(places.getpass, "getuser", lambda: "me")
    for name, value in variables.items():
        here.setenv(name, value)
    finding = places.check_microphone()
    assert finding.ok == ok and said in str(finding)
    assert ok or (not finding.fatal and "open a recording as a file" in finding.remedy)


def test_a_container_is_known_by_its_mark(here, tmp_path):
    assert not places.in_container()
    here.setattr(places, "CONTAINER", (str(tmp_path),))
    assert "published port" in places.check_microphone().what
