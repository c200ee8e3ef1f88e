import csv
import io
import warnings

import numpy as np
import py7zr
import pytest
import soundfile

from qvim_kit.datasets import DatasetError, DatasetWarning, open_dataset, read_clotho
from qvim_kit.datasets.clotho import CAPTION_COLUMNS, clotho_split
from qvim_kit.datasets.tables import Worded
from qvim_kit.downloads.catalogue import SOURCES, SPLITS
from qvim_kit.downloads.sources import fetch_dataset

HEADER = ["file_name", *CAPTION_COLUMNS]


def five(about: str) -> list[str]:
    return [f"{about}, said {how}" for how in ("once", "again", "slowly", "fast", "at last")]


def make_split(folder, split, rows, files=None, header=HEADER):
    """A split in Clotho's layout; each file holds another sound."""
    (folder / split).mkdir(parents=True, exist_ok=True)
    for number, name in enumerate([row[0] for row in rows] if files is None else files):
        wave = np.full(200, (number + 1) / 50)
        soundfile.write(folder / split / name, wave, 8_000, format="WAV")
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows])
    table = folder / f"clotho_captions_{split}.csv"
    table.write_text(text.getvalue(), encoding="utf-8")
    return folder


@pytest.fixture
def quiet():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*differ from Clotho 2.1.*", DatasetWarning)
        yield


def make_clotho(folder):
    """All three splits, of three clips each."""
    for split in SPLITS:
        make_split(folder, split, [[f"{split} {n}.wav", *five(f"dog {n}")] for n in range(3)])
    return folder


@pytest.fixture
def clotho(tmp_path):
    return make_clotho(tmp_path)


def test_three_splits_with_five_captions_each(clotho, quiet):
    dataset = open_dataset(clotho)
    assert len(dataset.items) == 9 and len(dataset.queries) == 45
    part = clotho_split(dataset, "evaluation")
    assert part.name == "Clotho, evaluation" and len(part.queries) == 15
    assert set(part.items["item_id"]) == {f"evaluation/evaluation {n}.wav" for n in range(3)}
    first = part.queries.iloc[0]
    assert first["query_id"] == "evaluation/evaluation 0.wav#1"
    assert first["text"] == "dog 0, said once" and first["path"] == ""
    assert isinstance(part.query_paths[first["query_id"]], Worded)
    with pytest.raises(DatasetError, match="no split 'test', found development, evaluation, val"):
        clotho_split(dataset, "test")


def test_captions_count_in_the_fingerprint(clotho, quiet):
    before = read_clotho(clotho).fingerprint()
    table = clotho / "clotho_captions_validation.csv"
    table.write_text(table.read_text().replace("dog 1, said fast", "dog 1, said faster"))
    assert read_clotho(clotho).fingerprint() != before


def test_sizes_other_than_the_published_are_warned_of(clotho):
    with pytest.warns(DatasetWarning, match="3 splits of another size") as caught:
        read_clotho(clotho)
    assert caught[0].message.names[0] == "development has 3 clips, published are 3839"


def test_a_split_alone_is_enough(tmp_path, quiet):
    make_split(tmp_path, "evaluation", [["a.wav", *five("rain")]])
    assert len(open_dataset(tmp_path).queries) == 5
    (tmp_path / "validation").mkdir()
    with pytest.raises(DatasetError, match="no clotho_captions_validation.csv"):
        read_clotho(tmp_path)


def test_awkward_names_and_captions_are_taken(tmp_path, quiet):
    captions = ["日本語の説明", "бьют часы 🔔", 'a "quoted", caption', " two\n lines ", "x" * 9_000]
    rows = [["Büro, früh.wav", *captions], ["end .wav", *five("door")], ["UPPER.WAV", *five("cat")]]
    files = ["Bu\u0308ro, fru\u0308h.wav", " end .wav", "upper.wav"]
    make_split(tmp_path, "evaluation", rows, files)
    dataset = read_clotho(tmp_path)
    texts = dataset.queries["text"].tolist()
    assert texts[:4] == [*captions[:3], "two lines"] and len(texts[4]) == 9_000
    assert len(dataset.items) == 3


def test_duplicate_captions_stay_apart(tmp_path, quiet):
    same = ["a dog barks"] * 5
    make_split(tmp_path, "evaluation", [["a.wav", *same], ["b.wav", *same]])
    dataset = read_clotho(tmp_path)
    assert len(dataset.queries) == 10 and dataset.queries["query_id"].is_unique


def test_everything_that_is_wrong_is_named_with_its_line(tmp_path, quiet):
    rows = [
        ["a.wav", *five("rain")],
        ["gone.wav", *five("wind")],
        ["b.wav", "one", "", "three", "  ", "five"],
        ["a.wav", *five("rain again")],
        ["", *five("nothing")],
        ["short.wav", "one", "two"],
    ]
    make_split(tmp_path, "evaluation", rows, ["a.wav", "b.wav", "short.wav"])
    with pytest.raises(DatasetError) as error:
        read_clotho(tmp_path)
    table = "clotho_captions_evaluation.csv"
    assert error.value.problems == [
        f"{table}, line 4 (b.wav): caption_2 is empty",
        f"{table}, line 4 (b.wav): caption_4 is empty",
        f"{table}, line 5 (a.wav): a.wav stands in line 2, too",
        f"{table}, line 6: file_name is empty",
        *(f"{table}, line 7 (short.wav): caption_{n} is empty" for n in (3, 4, 5)),
        f"{table}, line 3 (gone.wav): there is no evaluation/gone.wav",
    ]


def test_a_caption_without_file_may_be_left_out(tmp_path, quiet):
    rows = [["a.wav", *five("rain")], ["gone.wav", *five("wind")]]
    make_split(tmp_path, "evaluation", rows, ["a.wav"])
    with pytest.warns(DatasetWarning, match="left out 1 file: evaluation/gone.wav"):
        dataset = read_clotho(tmp_path, allow_missing=True)
    assert len(dataset.items) == 1 and len(dataset.queries) == 5


def test_a_file_without_caption_is_left_out_with_a_warning(tmp_path, quiet):
    make_split(tmp_path, "evaluation", [["a.wav", *five("rain")]], ["a.wav", "mute.wav"])
    with pytest.warns(DatasetWarning, match="left out 1 file in no list: evaluation/mute.wav"):
        assert len(read_clotho(tmp_path).items) == 1


def test_tables_of_another_kind(tmp_path, quiet):
    make_split(tmp_path, "evaluation", [["a.wav", "one"]], header=["file_name", "caption_1"])
    with pytest.raises(DatasetError, match="no column 'caption_2'"):
        read_clotho(tmp_path)
    make_split(tmp_path, "evaluation", [["a.wav", *five("café")]])
    table = tmp_path / "clotho_captions_evaluation.csv"
    table.write_bytes(table.read_text().encode("latin-1"))
    with pytest.raises(DatasetError, match="caption_1 is not UTF-8"):
        read_clotho(tmp_path)
    with pytest.raises(DatasetError, match="no clotho_captions_development.csv"):
        read_clotho(tmp_path / "evaluation")


def test_the_catalogue_holds_the_published_counts():
    assert SPLITS == {"development": 3839, "validation": 1045, "evaluation": 1045}
    source = SOURCES["clotho"]
    assert source.record == 4783391
    assert {(pattern, n) for _, pattern, n in source.counts} == {
        (f"{split}/*.wav", n) for split, n in SPLITS.items()
    }
    with pytest.raises(DatasetError, match="Run `qvim data fetch clotho`"):
        open_dataset("clotho")


def test_archives_put_there_by_hand_become_the_data_set(clotho, tmp_path, quiet):
    """Fetched without a network: what Zenodo offers, laid into the folder."""
    place = tmp_path / "data" / "clotho"
    place.mkdir(parents=True)
    for split in SPLITS:
        with py7zr.SevenZipFile(place / f"clotho_audio_{split}.7z", "w") as archive:
            archive.writeall(clotho / split, split)
        (clotho / f"clotho_captions_{split}.csv").rename(place / f"clotho_captions_{split}.csv")
    with pytest.warns(UserWarning, match="3 development clips, expected 3839"):
        folder = fetch_dataset("clotho", place)
    assert len(read_clotho(folder).items) == 9
