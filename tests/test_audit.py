import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from published_layouts import make_vimsketch, make_vis, make_vocalsketch, write_list, write_sound

from qvim_kit.datasets import (
    DatasetError,
    DatasetWarning,
    RetrievalDataset,
    load_mini,
    read_vimsketch,
)
from qvim_kit.datasets.audit import PUBLISHED, audit
from qvim_kit.datasets.audit_report import PROBLEMS
from qvim_kit.datasets.listening import clipped_share, listen, listen_to

RATE = 8_000


@pytest.fixture
def folder(tmp_path):
    """Data of one's own in the challenge's layout: four items, a query each, nothing wrong."""
    rows = [f",Dog,item {n}.wav,query {n}.wav,," for n in range(4)]
    for n in range(4):
        write_sound(tmp_path / "own" / "Items" / "Dog" / f"item {n}.wav", n)
        write_sound(tmp_path / "own" / "Queries" / "Dog" / f"query {n}.wav", 10 + n)
    table = ["banner", "Label,Class,Items,Query 1,Query 2,Query 3", *rows]
    (tmp_path / "own" / "DEV Dataset.csv").write_text("\n".join(table))
    return tmp_path / "own"


def found(result):
    return sorted((row.problem, row.file) for row in result.table.itertuples())


def test_nothing_wrong_is_ok(folder):
    result = audit(folder)
    assert result.ok and result.whole and found(result) == []
    assert result.counts == {
        "files": 8, "queries": 4, "items": 4, "classes": 1, "seconds": pytest.approx(1.6),
    }  # fmt: skip
    assert str(result) == "own: 8 files, 4 queries, 4 items, 1 class, 0.0 min of sound: no problems"
    assert list(result.table.columns) == ["problem", "file", "detail"]


def test_the_mini_data_set_is_whole():
    result = audit("qvim-mini")
    assert result.whole and result.counts["files"] == 288
    assert not {"silent", "short", "long", "duplicate", "leak"} & set(result.table["problem"])
    assert audit(load_mini()).table["problem"].tolist() == result.table["problem"].tolist()


def plant(folder):
    """One fault of each kind; returns what the audit must find, and nothing else."""
    items, queries = folder / "Items" / "Dog", folder / "Queries" / "Dog"

    def sound(name, waveform, rate=RATE, **options):
        soundfile.write(items / name, waveform, rate, **options)
        return f"Items/Dog/{name}"

    noise = np.random.default_rng(99).uniform(-0.5, 0.5, RATE)
    expected = [
        ("silent", sound("silent.wav", np.full(RATE, 0.0009))),
        ("silent", sound("zeros.wav", np.zeros(RATE))),
        ("clipped", sound("clipped.wav", np.clip(noise * 4, -1, 1))),
        ("clipped", sound("left.wav", np.stack([np.clip(noise * 3, -1, 1), noise], axis=1))),
        ("short", sound("short.wav", noise[:700])),
        ("long", sound("long.wav", np.resize(noise, 61 * RATE))),
        ("unreadable", sound("cut.wav", noise)),
        ("unreadable", "Items/Dog/text.wav"),
        ("unreadable", "Items/Dog/nothing.wav"),
        ("sample rates", ""),
        ("missing", "Queries/Dog/query 3.wav"),
        ("unlisted", "Queries/Dog/stranger.wav"),
        ("duplicate", "Items/Dog/item 0 copy.wav"),
        ("leak", "Queries/Dog/query 1.wav"),
    ]
    (items / "cut.wav").write_bytes((items / "cut.wav").read_bytes()[:-500])
    (items / "text.wav").write_text("not a sound")
    (items / "nothing.wav").write_bytes(b"")
    sound("other rate.wav", noise, 2 * RATE)
    (queries / "query 3.wav").unlink()
    write_sound(queries / "stranger.wav", 98)
    samples, _ = soundfile.read(items / "item 0.wav", dtype="int16")
    sound("item 0 copy.wav", samples, format="FLAC", subtype="PCM_16")  # another container
    samples, _ = soundfile.read(items / "item 1.wav", dtype="float32")
    soundfile.write(queries / "query 1.wav", samples, RATE, subtype="FLOAT")
    return sorted(expected)


def test_finds_exactly_the_planted_faults(folder):
    expected = plant(folder)
    result = audit(folder)
    assert found(result) == expected
    assert not result.ok and not result.whole
    details = dict(zip(result.table["file"], result.table["detail"], strict=True))
    assert details["Queries/Dog/query 1.wav"] == "the same sound as the item Items/Dog/item 1.wav"
    assert details["Items/Dog/item 0 copy.wav"] == "the same sound as Items/Dog/item 0.wav"
    assert details["Items/Dog/cut.wav"].startswith("is truncated: 500 bytes")
    assert details["Items/Dog/silent.wav"] == "peak -61 dBFS, expected above -60 dBFS"
    assert "16000 Hz: 1 file, such as Items/Dog/other rate.wav" in details[""]


def test_each_fault_is_said_in_print_and_in_notebooks(folder):
    expected = plant(folder)
    result = audit(folder)
    text, page = str(result), result._repr_html_()
    for problem, file in expected:
        assert problem in text and file in text and problem in page and file in page
    assert set(result.summary.index) == {problem for problem, _ in expected}
    assert result.summary["unreadable"] == 3 and f"{len(expected)} problems" in text


def test_markup_in_file_names_stays_text(folder):
    write_sound(folder / "Items" / "Dog" / "<img src=x>.wav", 1, seconds=0.05)
    page = audit(folder)._repr_html_()
    assert "<img" not in page and "&lt;img" in page


def test_many_problems_are_cut_in_print_only(folder):
    for n in range(30):
        write_sound(folder / "Items" / "Dog" / f"short {n:02d}.wav", 50 + n, seconds=0.05)
    result = audit(folder)
    assert len(result.table) == 30 and "… and 20 more" in str(result)
    assert "short 29.wav" not in str(result) and "short 29.wav" in result.table["file"].to_string()


def test_a_data_set_already_read(dataset):
    result = audit(dataset)  # its files do not exist
    assert result.summary.to_dict() == {"missing": 36}
    paths = [*dataset.items["path"], *dataset.queries["path"]]
    assert set(result.table["file"]) == {Path(path).name for path in paths}
    assert result.name == "toy"


LAYOUTS = [
    (make_vimsketch, ["5 items, published 542", "20 queries, published 12543"]),
    (make_vis, ["5 classes, published 302"]),
    (make_vocalsketch, []),
]
NAMES = ["vimsketch", "Vim_Sketch_Dataset", "vimsketch/inner", "VocalImitationSet_v1.1.3"]
NAMES += ["vocal-imitation-set", "Vocal Imitation Set", "vocal-imitation-set/data"]


@pytest.mark.parametrize(("make", "expected"), LAYOUTS)
def test_counts_are_compared_where_the_name_says_it_is_the_published_set(tmp_path, make, expected):
    for name in NAMES:
        make(tmp_path / name)
        result = audit(tmp_path / name)
        right = ("vim" in name.lower()) == (make is make_vimsketch)
        counts = result.table[result.table["problem"] == "count"]
        assert sorted(counts["detail"]) == (sorted(expected) if right else []), name
        assert result.whole == (not expected or not right), name
        shutil.rmtree(tmp_path / name)


@pytest.mark.parametrize("name", ["mine", "vimsketch-part", "my vimsketch", "voices"])
@pytest.mark.parametrize(("make", "expected"), LAYOUTS)
def test_data_of_ones_own_in_a_published_layout_are_whole(tmp_path, make, expected, name):
    make(tmp_path / name)
    result = audit(tmp_path / name)
    assert result.whole and sorted(result.table["detail"]) == sorted(expected)
    assert set(result.table["problem"]) <= {"size"}
    assert not expected or "data of your own" in str(result)


def test_counts_of_qvim_dev_go_by_the_name_of_the_folder(folder):
    renamed = folder.rename(folder.with_name("qvim-dev"))
    details = audit(renamed).table["detail"].tolist()
    assert details == [
        "4 imitated items, published 121",
        "4 items, published 125",
        "4 queries, published 985",
    ]


def test_complete_counts_are_no_problem():
    items = [(f"c/{n}.wav", f"/nowhere/i{n}.wav", "c") for n in range(125)]
    queries = [(f"c/q{n}.wav", f"/nowhere/q{n}.wav", "c", f"c/{n % 121}.wav") for n in range(985)]
    dataset = RetrievalDataset(
        pd.DataFrame(items, columns=["item_id", "path", "class"]),
        pd.DataFrame(queries, columns=["query_id", "path", "class", "item_id"]),
        "qvim-dev",
    )
    assert set(audit(dataset).table["problem"]) == {"missing"}
    assert set(PUBLISHED) == {"VimSketch", "qvim-dev", "Vocal Imitation Set"}


def test_files_are_listened_to_where_the_reader_fails(tmp_path):
    """Two references of one key: no option helps the reader, yet every file is heard."""
    references, queries = make_vimsketch(tmp_path)
    twin = "777_" + references[0][4:]
    write_sound(tmp_path / "references" / twin, 4_000, seconds=0.05)
    write_list(tmp_path / "reference_file_names.csv", [*references, twin, "888_Nobody.wav"])
    shutil.copy(tmp_path / "references" / references[2], tmp_path / "vocal_imitations" / queries[0])
    with pytest.warns(DatasetWarning), pytest.raises(DatasetError):
        read_vimsketch(tmp_path, allow_missing=True)
    result = audit(tmp_path)
    assert found(result) == sorted(
        [
            ("layout", ""),
            ("missing", "references/888_Nobody.wav"),
            ("short", f"references/{twin}"),
            ("leak", f"vocal_imitations/{queries[0]}"),
        ]
    )
    assert result.counts["files"] == 26


def test_any_folder_of_sounds(tmp_path):
    write_sound(tmp_path / "a" / "x.wav", 1)
    samples, _ = soundfile.read(tmp_path / "a" / "x.wav", dtype="int16")
    (tmp_path / "b").mkdir()
    soundfile.write(tmp_path / "b" / "why.flac", samples, RATE)
    write_sound(tmp_path / "excluded" / "z.wav", 2)
    (tmp_path / "notes.txt").write_text("not audio")
    result = audit(tmp_path)
    assert found(result) == [("duplicate", "b/why.flac")] and result.whole and result.library
    told = f"{tmp_path.name}, taken as a library of sounds (no queries): 3 files, 0.0 min of sound"
    assert result.headline == f"{told}: 1 problem"
    (tmp_path / "b" / "why.flac").write_bytes(b"")
    assert found(result := audit(tmp_path)) == [("unreadable", "b/why.flac")] and not result.whole


def test_a_folder_without_sounds_is_a_problem(tmp_path):
    (tmp_path / "sound.m4a").write_bytes(b"of a kind that is not read")
    result = audit(tmp_path)
    assert found(result) == [("empty", "")] and not result.whole
    assert result.headline == f"{tmp_path.name}: no sounds: 1 problem"
    assert "is it the right folder" in str(result) and "looked for .aif" in str(result)


@pytest.mark.parametrize("part", ["Items", "vocal_imitations", "in/references"])
@pytest.mark.parametrize("table", ["vocal_imitation_file_names.csv", ""])
def test_a_folder_with_part_of_a_layout_is_no_library(tmp_path, part, table):
    write_sound(tmp_path / part / "x.wav", 1)
    if table:
        (tmp_path / table).write_text("")
    result = audit(tmp_path)
    assert found(result) == [("layout", "")] and not result.whole and not result.library
    parts = ", ".join(sorted(filter(None, [table, part])))
    assert f"a known layout (found {parts}). Expected: " in str(result)


def test_a_table_without_its_sounds_is_no_library(folder):
    for place in ("Items", "Queries"):
        shutil.rmtree(folder / place)
    write_sound(folder / "x.wav", 1)
    result = audit(folder)
    assert not result.whole and not result.library


def test_several_data_sets_are_no_library(tmp_path):
    make_vis(tmp_path / "one")
    make_vocalsketch(tmp_path / "two")
    result = audit(tmp_path)
    assert not result.whole and not result.library and "open one of them" in str(result)


def test_what_is_not_there_is_an_error(tmp_path, monkeypatch):
    with pytest.raises(DatasetError, match="no such folder"):
        audit(tmp_path / "absent")
    monkeypatch.setenv("QVIM_DATA", str(tmp_path))
    with pytest.raises(DatasetError, match="qvim data fetch vimsketch"):
        audit("vimsketch")


def test_missing_files_do_not_hide_the_rest(folder):
    (folder / "Items" / "Dog" / "item 2.wav").unlink()
    result = audit(folder)
    assert found(result) == [("missing", "Items/Dog/item 2.wav")]
    assert result.counts["items"] == 3 and result.counts["queries"] == 3


def naive_clipped_share(channels):
    """The definition, value by value."""
    count = 0
    for channel in channels.T:
        for start in range(len(channel)):
            for sign in (1, -1):
                run = 0
                if start == 0 or sign * channel[start - 1] < 0.9999:
                    while start + run < len(channel) and sign * channel[start + run] >= 0.9999:
                        run += 1
                count += run if run >= 3 else 0
    return count / channels.size


@pytest.mark.parametrize("seed", range(5))
def test_clipped_share_equals_its_definition(seed):
    rng = np.random.default_rng(seed)
    channels = rng.choice([1.0, -1.0, 32767 / 32768, 0.9], size=(200, 2), p=[0.4, 0.3, 0.2, 0.1])
    assert clipped_share(channels) == naive_clipped_share(channels) > 0


def test_peaks_that_just_reach_full_scale_are_not_clipped():
    sine = np.sin(2 * np.pi * 997 / RATE * np.arange(RATE))[:, None]
    assert clipped_share(sine / np.abs(sine).max()) == 0
    assert clipped_share(np.array([[1.0, 1.0, 0.0, 1.0, -1.0, 1.0, 1.0]]).T) == 0
    assert clipped_share(np.array([[1.0, 1.0, 1.0, 0.0]]).T) == 0.75


def test_listening_keeps_the_order_and_survives_everything(tmp_path):
    write_sound(tmp_path / "a.wav", 1, rate=44_100)
    (tmp_path / "folder.wav").mkdir()
    paths = [tmp_path / "absent.wav", tmp_path / "a.wav", tmp_path / "folder.wav"] * 5
    heard = listen(paths)
    assert heard == [listen_to(path) for path in paths]
    assert [sound.sample_rate for sound in heard[:3]] == [0, 44_100, 0]
    assert heard[0].missing and "is a folder" in heard[2].error


def test_every_kind_of_problem_has_its_explanation(folder):
    plant(folder)
    kinds = set(audit(folder).table["problem"])
    assert kinds | {"layout", "empty", "count", "size"} == set(PROBLEMS)
