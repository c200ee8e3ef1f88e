"""Any folder of sounds becomes a data set, the same each time, and nothing is lost."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import soundfile

from qvim_kit.audio import prepare
from qvim_kit.cli import main
from qvim_kit.datasets import DatasetError, open_dataset
from qvim_kit.datasets.imitated import SAMPLE_RATE, imitate_sounds
from qvim_kit.datasets.versions import SHORTEST_S, changed


def tone(path, hz=440.0, seconds=0.4, rate=22_050):
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * rate)) / rate
    soundfile.write(path, 0.1 * np.sin(2 * np.pi * hz * time), rate)


@pytest.fixture
def library(tmp_path):
    tone(tmp_path / "sounds" / "birds" / "lark.wav", 2_000)
    tone(tmp_path / "sounds" / "birds" / "lark.flac", 2_000)  # the same sound again
    tone(tmp_path / "sounds" / "cars" / "old" / "horn.ogg", 300)
    tone(tmp_path / "sounds" / "cars" / "tick.wav", 300, seconds=0.02)
    tone(tmp_path / "sounds" / ".hidden.wav")
    tone(tmp_path / "sounds" / ".trash" / "hidden.wav")
    soundfile.write(tmp_path / "sounds" / "cars" / "empty.wav", np.zeros(8000), 16_000)
    (tmp_path / "sounds" / "cars" / "broken.wav").write_bytes(b"RIFF")
    (tmp_path / "sounds" / "README.txt").write_text("sounds")
    return tmp_path / "sounds"


def test_every_sound_that_can_be_imitated_is(library, tmp_path):
    dataset = imitate_sounds(library, tmp_path / "out", takes=4)
    assert sorted(dataset.items["item_id"]) == ["birds/lark.flac", "cars/old__horn.flac"]
    assert dataset.queries["item_id"].value_counts().tolist() == [4, 4]
    assert set(dataset.queries["class"]) == {"birds", "cars"}
    for path in [*dataset.items["path"], *dataset.queries["path"]]:
        wave, rate = soundfile.read(path)
        assert rate == SAMPLE_RATE and wave.ndim == 1 and 0.05 < np.abs(wave).max() <= 1
    record = json.loads((tmp_path / "out" / "sources.json").read_text())
    assert set(record["items"]) == set(dataset.items["item_id"])
    reasons = "\n".join(record["left_out"])
    assert len(record["left_out"]) == 4 and "lark.wav: differs from another file in" in reasons
    assert "empty.wav: silent" in reasons and "tick.wav: 0.020 s of sound, expected" in reasons
    assert "broken.wav" in reasons
    assert open_dataset(tmp_path / "out").fingerprint() == dataset.fingerprint()


def test_takes_are_of_different_speakers_and_come_again_with_the_seed(library, tmp_path):
    one = imitate_sounds(library, tmp_path / "one", takes=2)
    again = imitate_sounds(library, tmp_path / "again", takes=2)
    other = imitate_sounds(library, tmp_path / "other", takes=2, seed=1)

    def waves(dataset):
        return [soundfile.read(path)[0] for path in dataset.queries["path"]]

    for first, second in zip(waves(one), waves(again), strict=True):
        np.testing.assert_array_equal(first, second)
    assert all(
        len(a) != len(b) or not np.allclose(a, b)
        for a, b in zip(waves(one), waves(other), strict=True)
    )
    first, second = waves(one)[:2]
    assert len(first) != len(second) or not np.allclose(first, second)


def test_versions_are_items_of_their_own_and_leave_the_sound_as_it_is(library, tmp_path):
    plain = imitate_sounds(library, tmp_path / "plain", takes=2)
    more = imitate_sounds(library, tmp_path / "more", takes=2, versions=3)
    assert len(more.items) == 6 and more.queries["item_id"].value_counts().tolist() == [2] * 6
    assert set(plain.items["item_id"]) < set(more.items["item_id"])
    for name in plain.items["item_id"]:
        first, again = (soundfile.read(one.item_paths[name])[0] for one in (plain, more))
        np.testing.assert_array_equal(first, again)
        other = soundfile.read(more.item_paths[name.replace(".flac", "~1.flac")])[0]
        assert len(other) != len(first)


@pytest.mark.parametrize("seed", range(5))
def test_a_version_is_another_sound_at_the_same_level(seed):
    rng = np.random.default_rng(seed)
    sound = prepare(np.sin(np.arange(48_000) / 20).astype(np.float32), SAMPLE_RATE)
    silent_after = np.pad(sound[:6_000], (0, 90_000))
    for one in (sound, silent_after):
        found = changed(one, rng)
        assert found.dtype == np.float32 and len(found) >= SHORTEST_S * SAMPLE_RATE
        assert np.isfinite(found).all() and 0.05 < np.abs(found).max() <= 1
        assert len(found) != len(one) or not np.allclose(found, one)


def test_what_is_there_is_used_again_and_never_overwritten(library, tmp_path):
    imitate_sounds(library, tmp_path / "out", takes=1)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")}
    imitate_sounds(library, tmp_path / "out", takes=1)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")}
    with pytest.raises(DatasetError, match="holds imitations made otherwise"):
        imitate_sounds(library, tmp_path / "out", takes=2)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(DatasetError, match="holds something else"):
        imitate_sounds(library, tmp_path / "mine", takes=1)


def test_recorded_voices_take_their_share(library, tmp_path):
    for speaker in ("anna", "ben"):
        tone(tmp_path / "voices" / speaker / "ah.wav", 220, seconds=1.0)
    sung = imitate_sounds(library, tmp_path / "sung", takes=2)
    pieced = imitate_sounds(
        library, tmp_path / "pieced", takes=2, voices=tmp_path / "voices", mosaic=1.0
    )
    for one, other in zip(sung.queries["path"], pieced.queries["path"], strict=True):
        one, other = soundfile.read(one)[0], soundfile.read(other)[0]
        assert len(one) != len(other) or not np.allclose(one, other, atol=0.01)


def test_names_of_one_source_do_not_swallow_anothers(tmp_path):
    for source, hz in (("A", 400), ("B", 900)):
        tone(tmp_path / source / "dog" / "1.wav", hz)
    tone(tmp_path / "B" / "dog" / "2.wav", 500)
    sources = [tmp_path / "A", tmp_path / "B", tmp_path / "B" / "dog"]  # and none of them twice
    dataset = imitate_sounds(sources, tmp_path / "out", takes=1)
    made = json.loads((tmp_path / "out" / "sources.json").read_text())["items"]
    assert made == {
        "dog/1.flac": str(tmp_path / "A" / "dog" / "1.wav"),
        "dog/1__2.flac": str(tmp_path / "B" / "dog" / "1.wav"),
        "dog/2.flac": str(tmp_path / "B" / "dog" / "2.wav"),
    }
    assert set(dataset.items["item_id"]) == set(made) and len(dataset.queries) == 3


@pytest.mark.parametrize("where", [".", "..", "deeper/.."])
def test_sounds_beside_each_other_are_of_their_folders_class(tmp_path, monkeypatch, where):
    tone(tmp_path / "mine" / "x.wav")
    (tmp_path / "mine" / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "mine" / ("deeper" if where == ".." else ""))
    dataset = imitate_sounds(where, tmp_path / "out", takes=1)
    assert list(dataset.items["item_id"]) == ["mine/x.flac"]


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
def test_names_that_a_table_cannot_hold_are_made_such_as_it_can(tmp_path):
    for name in ("dogs /x.wav", "dogs/ x.wav", " /y.wav", "dogs/ .z.wav"):
        tone(tmp_path / "sounds" / name)
    dataset = imitate_sounds(tmp_path / "sounds", tmp_path / "out", takes=1)
    expected = {"dogs/x.flac", "dogs/x__2.flac", "_/y.flac", "dogs/z.flac"}
    assert set(dataset.items["item_id"]) == expected


def test_a_sound_that_was_edited_is_not_taken_for_what_was_imitated(library, tmp_path):
    imitate_sounds(library, tmp_path / "out", takes=1)
    lark = library / "birds" / "lark.flac"
    size, before = lark.stat().st_size, lark.stat().st_mtime_ns
    os.utime(lark, ns=(before, before + 1_000_000_000))
    assert lark.stat().st_size == size
    with pytest.raises(DatasetError, match="holds imitations made otherwise"):
        imitate_sounds(library, tmp_path / "out", takes=1)


def test_somebodys_own_sources_are_not_taken_for_ours(library, tmp_path):
    for number, text in enumerate(("{", "[]", '{"recipes": 1}')):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "sources.json").write_text(text)
        with pytest.raises(DatasetError, match="holds something else"):
            imitate_sounds(library, tmp_path / f"{number}", takes=1)


@pytest.mark.parametrize("wrong", [{"takes": 0}, {"workers": 0}, {"mosaic": 1.5}, {"seed": -1}])
def test_arguments_that_cannot_be_are_named_before_any_work(library, tmp_path, wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"^{name}: found {value}, expected [^;]*$"):
        imitate_sounds(library, tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_linked_folders_are_imitated_and_what_cannot_be_listed_is_recorded(library, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "linked").symlink_to(library / "birds")
    (tmp_path / "mine" / "loop.wav").symlink_to("loop.wav")
    dataset = imitate_sounds(tmp_path / "mine", tmp_path / "out", takes=1)
    assert list(dataset.items["item_id"]) == ["linked/lark.flac"]
    loop, copy = json.loads((tmp_path / "out" / "sources.json").read_text())["left_out"]
    assert "loop.wav: cannot be read" in loop and "lark.wav: differs" in copy


def test_what_was_made_otherwise_is_said(library, tmp_path):
    imitate_sounds(library, tmp_path / "out", takes=1)
    with pytest.raises(DatasetError, match="with takes 1, asked for are 2") as error:
        imitate_sounds(library, tmp_path / "out", takes=2)
    assert len(error.value.problems) == 1
    tone(library / "more.wav")
    with pytest.raises(DatasetError, match="of other sounds, or by another version"):
        imitate_sounds(library, tmp_path / "out", takes=1)


def test_imitations_are_not_put_among_the_sounds(library, tmp_path):
    with pytest.raises(DatasetError, match="would be taken for sounds of it"):
        imitate_sounds(library, library / "birds" / "out", takes=1)
    assert not (library / "birds" / "out").exists()


def test_a_share_of_voices_without_voices_is_refused(library, capsys, tmp_path):
    command = ["data", "imitate", str(library), "-o", str(tmp_path / "out"), "--mosaic", "0.7"]
    assert main(command) == 1
    assert "mosaic: found 0.7 without voices, expected" in capsys.readouterr().err
    with pytest.raises(ValueError, match="without voices"):
        imitate_sounds(library, tmp_path / "out", mosaic=0.7)


def test_excluded_sounds_are_not_imitated(library, tmp_path):
    dataset = imitate_sounds(library, tmp_path / "out", takes=1, exclude="*Lark*")
    assert list(dataset.items["item_id"]) == ["cars/old__horn.flac"]
    with pytest.raises(DatasetError, match="made otherwise"):
        imitate_sounds(library, tmp_path / "out", takes=1)


def test_the_command_leaves_out_what_is_excluded_and_says_what_it_could_not_read(
    library, capsys, tmp_path
):
    command = ["data", "imitate", str(library), "--takes", "1", "--workers", "1", "-o"]
    assert main([*command, str(tmp_path / "made"), "--exclude", "*Lark*"]) == 0
    told = capsys.readouterr()
    assert "1 query, 1 item in 1 class" in told.out and "broken.wav" in told.err
    assert main([*command, str(tmp_path / "other"), "--exclude", "*siren*"]) == 1
    assert "no sound matches '*siren*'" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_no_sound_and_no_folder_are_told(tmp_path):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DatasetError, match="no sounds in it"):
        imitate_sounds(tmp_path / "nothing", tmp_path / "out")
    with pytest.raises(DatasetError, match="no such folder"):
        imitate_sounds(tmp_path / "absent", tmp_path / "out")
    soundfile.write(tmp_path / "nothing" / "a.wav", np.zeros(8000), 16_000)
    with pytest.raises(DatasetError, match="None of its sounds can be imitated"):
        imitate_sounds(tmp_path / "nothing", tmp_path / "out")
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out-*"))


@pytest.mark.parametrize("workers", [1, 2])
def test_voices_that_are_none_are_told_with_their_folder(library, tmp_path, workers):
    tone(tmp_path / "voices" / "anna" / "ah.wav", 220, seconds=0.1)
    for folder, problem in (
        ("voices", "no recording of 0.3 s or longer"),
        ("no", "no such folder"),
    ):
        with pytest.raises(DatasetError, match=rf"{folder}: 1 problem(?s:.*){problem}"):
            options = {"voices": tmp_path / folder, "workers": workers}
            imitate_sounds(library, tmp_path / "out", takes=1, **options)
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out-*"))
