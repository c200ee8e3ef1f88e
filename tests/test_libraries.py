"""The sounds of a library have unique names, and those to be tested on can be left out."""

from __future__ import annotations

import pytest

from qvim_kit.datasets import DatasetError
from qvim_kit.datasets.libraries import library_sounds


@pytest.fixture
def library(tmp_path):
    for name in (
        "rain/train/Bell_1.wav", "rain/train/door.ogg", "rain/Doorbell.flac",
        "rain/trains/slow.wav", "rain/knock.wav",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "rain"


def test_the_class_is_the_first_folder_below_the_source_or_the_source(library):
    names, errors = library_sounds([library])
    assert list(names.values()) == [
        "rain/Doorbell", "rain/knock", "train/Bell_1", "train/door", "trains/slow",
    ] and not errors  # fmt: skip


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["*bell*"], ["rain/knock", "train/door", "trains/slow"]),
        (["*BELL_?.wav"], ["rain/Doorbell", "rain/knock", "train/door", "trains/slow"]),
        (["train/*"], ["rain/Doorbell", "rain/knock", "trains/slow"]),
        (["*/Train/*"], ["rain/Doorbell", "rain/knock", "trains/slow"]),
        (["rain/*", "*slow*"], ["train/Bell_1", "train/door"]),
        # A sound that two patterns match has been matched by both.
        (["*bell*", "*bell_1*", "*door*"], ["rain/knock", "trains/slow"]),
    ],
)
def test_sounds_are_left_out_by_patterns_of_their_paths(library, patterns, left):
    assert list(library_sounds([library], patterns)[0].values()) == left


def test_where_every_sound_is_left_out_that_is_told(library):
    with pytest.raises(DatasetError, match="every sound in it is excluded"):
        library_sounds([library], ["*door*", "*.wav"])


def test_patterns_that_match_nothing_are_told_all_at_once(library):
    with pytest.raises(DatasetError, match="2 problem") as error:
        library_sounds([library], ["*bell*", "*siren*", "*drum*"])
    assert "no sound matches '*siren*'" in str(error.value) and "'*drum*'" in str(error.value)
    assert "'*bell*';" not in str(error.value)


def test_a_source_in_another_is_no_second_sound_and_a_file_is_no_folder(library):
    names, errors = library_sounds([library / "train", library])
    assert len(names) == 5 and not errors
    assert library_sounds([library / "train", library], ["*bell*"])[1] == []
    with pytest.raises(DatasetError, match="is a file, expected a folder"):
        library_sounds([library / "knock.wav"])
