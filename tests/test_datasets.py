import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from published_layouts import make_vimsketch, make_vis, make_vocalsketch
from test_clotho import make_clotho

from qvim_kit.datasets import (
    DATASETS,
    DatasetError,
    RetrievalDataset,
    hash_file,
    load_mini,
    open_dataset,
    read_qvim_dev,
)
from qvim_kit.datasets.audit import audit
from qvim_kit.datasets.mini import build_mini
from qvim_kit.training.leakage import Leak, LeakageError

BANNER = "QVIM dev set,,,,,"
HEADER = "Label,Class,Items,Query 1,Query 2,Query 3"


def make(folder, rows, files, header=HEADER, banner=BANNER, ends="\n", start=""):
    """A data set in the challenge's layout; each file holds another sound."""
    for number, name in enumerate(files):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.full(100, number / 100), 8_000, format="WAV")
    for needed in ("Items", "Queries"):
        (folder / needed).mkdir(parents=True, exist_ok=True)
    content = start + ends.join([banner, header, *rows]) + ends
    (folder / "DEV Dataset.csv").write_bytes(content.encode())
    return folder


AWKWARD_ROWS = [
    '1,Dog,"bark, loud (1).wav",d1.wav,d2.WAV,',
    ",Dog,same.wav,d3.wav,,",  # a blank label
    ",,,d4.wav,,",  # continues the item above
    "2,Cat,same.wav,c1.wav,c2.wav,c3.wav",  # the file name of another class
    "2,Cat,same.wav,c4.wav,,",  # the item again, with more queries
    ",,,,,",
]
AWKWARD_FILES = [
    "Items/Dog/bark, loud (1).WAV",
    "Items/Dog/same.wav",
    "Items/Cat/same.wav",
    "Items/Cat/nobody imitates me.wav",
    *(f"Queries/Dog/d{n}.wav" for n in (1, 2, 3, 4)),
    *(f"Queries/Cat/c{n}.wav" for n in (1, 2, 3, 4)),
]


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("banner", [BANNER, "banner\nanother line"])
def test_reads_awkward_names_and_tables(tmp_path, ends, start, banner):
    folder = make(tmp_path, AWKWARD_ROWS, AWKWARD_FILES, ends=ends, start=start, banner=banner)
    dataset = read_qvim_dev(folder)
    assert set(dataset.items["item_id"]) == {
        "Dog/bark, loud (1).WAV", "Dog/same.wav", "Cat/same.wav", "Cat/nobody imitates me.wav",
    }  # fmt: skip
    pairs = dict(zip(dataset.queries["query_id"], dataset.queries["item_id"], strict=True))
    assert pairs == {
        "Dog/d1.wav": "Dog/bark, loud (1).WAV",
        "Dog/d2.wav": "Dog/bark, loud (1).WAV",
        "Dog/d3.wav": "Dog/same.wav",
        "Dog/d4.wav": "Dog/same.wav",
        **{f"Cat/c{n}.wav": "Cat/same.wav" for n in (1, 2, 3, 4)},
    }
    assert all(map(soundfile.info, [*dataset.item_paths.values(), *dataset.query_paths.values()]))
    assert dataset.name == folder.name and "8 queries, 4 items in 2 classes" in repr(dataset)


def test_all_missing_files_are_listed_at_once(tmp_path):
    folder = make(tmp_path, AWKWARD_ROWS, AWKWARD_FILES[2:-1])
    with pytest.raises(DatasetError) as caught:
        read_qvim_dev(folder)
    assert caught.value.problems == [
        "missing Items/Dog/bark, loud (1).wav",
        "missing Items/Dog/same.wav",
        "missing Queries/Cat/c4.wav",
    ]
    with pytest.warns(UserWarning, match="left out 3 files: Items/Dog/bark"):
        assert len(read_qvim_dev(folder, allow_missing=True).queries) == 3


def test_a_query_of_two_items_is_an_error(tmp_path):
    rows = ["1,Dog,a.wav,q.wav,,", "1,Dog,b.wav,q.wav,,"]
    folder = make(tmp_path, rows, ["Items/Dog/a.wav", "Items/Dog/b.wav", "Queries/Dog/q.wav"])
    with pytest.raises(
        DatasetError, match="Dog/q.wav is listed for two items: Dog/a.wav and Dog/b"
    ):
        read_qvim_dev(folder)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("Label,Class,Items,Query 1,Query 2", "no column 'Query 3'"),
        ("a,b,c", "(?s)no column 'Class'.*no column 'Items'"),
    ],
)
def test_missing_columns(tmp_path, header, message):
    with pytest.raises(DatasetError, match=message):
        read_qvim_dev(make(tmp_path, [], [], header=header))


def test_a_table_without_title_or_commas_is_told_what_its_lines_hold(tmp_path):
    wanted = "The first line is a title, the second the header Label, Class, Items, Query 1, Query"
    folder = make(tmp_path / "untitled", [",Dog,a.wav,q.wav,,"], [])
    table = folder / "DEV Dataset.csv"
    table.write_text(table.read_text().split("\n", 1)[1])
    with pytest.raises(DatasetError, match=f"(?s)no title above the header.*{wanted}"):
        read_qvim_dev(folder)
    told = str(audit(folder))
    assert "no title above the header" in told and wanted in told
    assert "unpack the data set again" not in told
    with pytest.raises(DatasetError, match=f"{wanted}.*Separate the columns by commas"):
        read_qvim_dev(make(tmp_path / "semicolons", [], [], header=HEADER.replace(",", ";")))


def test_several_problems_stay_apart_where_a_page_makes_one_line_of_them():
    error = DatasetError("own", ["a is not there", "b is empty"], "Mend it.")
    assert str(error).splitlines()[1:] == ["  a is not there;", "  b is empty.", "Mend it."]
    line = " ".join(str(error).split())
    assert line == "own: 2 problems: a is not there; b is empty. Mend it."
    many = " ".join(str(DatasetError("own", [f"no {n}" for n in range(60)])).split())
    assert "; no 49; … and 10 more" in many


def test_an_error_comes_whole_out_of_another_process():
    leak = LeakageError("own", [Leak("item", "a", "b")], "Leave it out.")
    for error in (DatasetError("own", [f"no {n}" for n in range(60)], "Mend it."), leak):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error) and str(again) == str(error)
        assert vars(again) == vars(error)


def test_wrong_folder_says_what_to_do(tmp_path):
    make(tmp_path / "qvim-dev", AWKWARD_ROWS, AWKWARD_FILES)
    with pytest.raises(
        DatasetError, match="(?s)no DEV Dataset.csv.*no Items.*Did you mean.*qvim-dev"
    ):
        read_qvim_dev(tmp_path)
    with pytest.raises(DatasetError, match="Expected a folder that holds Items"):
        read_qvim_dev(tmp_path / "absent")


def test_a_table_that_is_no_text(tmp_path):
    folder = make(tmp_path, AWKWARD_ROWS, AWKWARD_FILES)
    (folder / "DEV Dataset.csv").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(DatasetError, match="not a UTF-8 CSV"):
        read_qvim_dev(folder)


def test_dataset_reports_all_problems(dataset):
    queries = dataset.queries.copy()
    queries.loc[0, "item_id"] = "A/unknown.wav"
    queries.loc[1, "class"] = "B"
    queries.loc[3, "query_id"] = queries.loc[2, "query_id"]
    with pytest.raises(DatasetError) as caught:
        RetrievalDataset(dataset.items, queries)
    assert len(caught.value.problems) == 3
    with pytest.raises(DatasetError, match="no column 'class'"):
        RetrievalDataset(dataset.items.drop(columns="class"), dataset.queries)
    with pytest.raises(DatasetError, match="there are no queries"):
        RetrievalDataset(dataset.items, dataset.queries[:0])


def test_fingerprint_follows_content_not_place_or_order(tmp_path):
    first = read_qvim_dev(make(tmp_path / "a", AWKWARD_ROWS, AWKWARD_FILES))
    again = read_qvim_dev(make(tmp_path / "b" / "a", AWKWARD_ROWS, AWKWARD_FILES))
    assert first.fingerprint() == again.fingerprint()
    turned = RetrievalDataset(first.items[::-1], first.queries[::-1])
    assert turned.fingerprint() == first.fingerprint()
    soundfile.write(again.items["path"][0], np.ones(10), 8_000)
    assert read_qvim_dev(tmp_path / "b" / "a").fingerprint() != first.fingerprint()
    fewer = RetrievalDataset(first.items, first.queries[1:])
    assert fewer.fingerprint() != first.fingerprint()


def test_tables_of_another_kind_are_named(dataset):
    with pytest.raises(TypeError, match="items: found list, expected a pandas DataFrame"):
        RetrievalDataset(list(dataset.items["item_id"]), dataset.queries)
    for column, value in (("item_id", 7), ("class", float("nan")), ("path", None)):
        items = dataset.items.astype(object)
        items.loc[2, column] = value
        with pytest.raises(DatasetError, match=f"items: {column} in row 2 is .*expected text"):
            RetrievalDataset(items, dataset.queries)


def test_a_folder_in_place_of_a_file_counts_as_missing(dataset, tmp_path):
    items = dataset.items.assign(path=str(tmp_path))
    assert RetrievalDataset(items, dataset.queries).fingerprint() == dataset.fingerprint()


def test_a_query_in_words_has_no_file(dataset, monkeypatch):
    queries = dataset.queries.assign(path="", text="words")
    words = RetrievalDataset(dataset.items, queries)
    read = Path.read_bytes

    def on_windows(path):
        if path.is_dir():
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", on_windows)
    assert len(words.fingerprint()) == 16 and hash_file("") == hash_file(Path.cwd()) == "missing"


def test_tables_are_copies(dataset):
    items = dataset.items.copy()
    own = RetrievalDataset(items, dataset.queries)
    items.loc[0, "item_id"] = "changed"
    assert "changed" not in set(own.items["item_id"])


def test_mini_has_its_published_shape():
    dataset = load_mini()
    assert (len(dataset.items), len(dataset.queries)) == (96, 192)
    assert set(dataset.items["class"].value_counts()) == {8}
    assert set(dataset.queries["item_id"].value_counts()) == {2}
    names = [*dataset.items["item_id"], *dataset.queries["query_id"]]
    assert len({name.split("/")[1] for name in names}) == len(names)  # base names are ids, too


def test_mini_is_deterministic_and_built_once(tmp_path):
    small = {"classes": ["Bell", "Rain"], "effects_per_class": 2}
    first = build_mini(tmp_path / "first", **small)
    second = build_mini(tmp_path / "second", **small)
    assert read_qvim_dev(first).fingerprint() == read_qvim_dev(second).fingerprint()
    before = (first / "DEV Dataset.csv").stat().st_mtime_ns
    assert build_mini(first, **small) == first
    assert (first / "DEV Dataset.csv").stat().st_mtime_ns == before
    digest = (first / "recipe.txt").read_text().split("\n")[1]
    (first / "recipe.txt").write_text(digest)  # as before the builder was named
    build_mini(first, **small)
    assert (first / "DEV Dataset.csv").stat().st_mtime_ns > before
    (first / "Items" / "Bell" / "Bell_1.wav").unlink()  # an accident
    build_mini(first, **small)
    assert read_qvim_dev(first).fingerprint() == read_qvim_dev(second).fingerprint()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]


def test_mini_does_not_overwrite_what_is_not_its_own(tmp_path):
    (tmp_path / "mini").mkdir()
    (tmp_path / "mini" / "thesis.txt").write_text("mine")
    with pytest.raises(DatasetError, match="move it away"):
        build_mini(tmp_path / "mini", ["Bell"], 1)
    assert (tmp_path / "mini" / "thesis.txt").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1
    for place in (tmp_path / "mini" / "thesis.txt", tmp_path / "mini" / "thesis.txt" / "mini"):
        with pytest.raises(
            (DatasetError, OSError), match=r"thesis.txt(?s:.*)(move it away|QVIM_DATA)"
        ):
            build_mini(place, ["Bell"], 1)
    assert (tmp_path / "mini" / "thesis.txt").read_text() == "mine"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no /proc")
def test_a_place_where_no_mini_can_be_made_is_named_with_a_remedy():
    with pytest.raises(OSError, match="/proc/mini: cannot be made .*QVIM_DATA"):
        build_mini("/proc/mini", ["Bell"], 1)


def test_frames_with_other_index_are_accepted(dataset):
    frame = dataset.items.set_index(pd.Index(range(100, 112)))
    assert RetrievalDataset(frame, dataset.queries).items.index[0] == 0


PLACES = {
    "qvim-dev": lambda folder: make(folder, AWKWARD_ROWS, AWKWARD_FILES),
    "vimsketch": make_vimsketch,
    "vocal-imitation-set": make_vis,
    "vocalsketch": make_vocalsketch,
    "clotho": make_clotho,
}


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder of its own."""
    monkeypatch.setenv("QVIM_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.mark.filterwarnings("ignore:.*differ from Clotho:UserWarning")
@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("deeper", ["", "Vim_Sketch_Dataset"])
def test_open_by_name_or_by_folder(data, tmp_path, name, deeper):
    PLACES[name](data / name / deeper)
    (data / name / "__MACOSX").mkdir()
    fingerprint = open_dataset(name).fingerprint()
    (data / name).rename(tmp_path / "elsewhere")
    for folder in (tmp_path / "elsewhere", str(tmp_path / "elsewhere" / deeper)):
        assert open_dataset(folder).fingerprint() == fingerprint
    with pytest.raises(DatasetError, match=f"(?s)is not in .*qvim data fetch {name}"):
        open_dataset(name)


def test_every_name_is_tested_and_mini_is_built(monkeypatch):
    assert {*PLACES, "qvim-mini"} == set(DATASETS)
    assert len(open_dataset("qvim-mini").items) == 96


def test_an_incomplete_data_set_says_what_it_lacks(data):
    (data / "vimsketch" / "references").mkdir(parents=True)
    with pytest.raises(DatasetError, match="(?s)no reference_file_names.csv.*no vocal_imitations"):
        open_dataset("vimsketch")


def test_open_passes_allow_missing_on(tmp_path):
    folder = make(tmp_path, AWKWARD_ROWS, AWKWARD_FILES[2:-1])
    with pytest.warns(UserWarning, match="left out 3"):
        assert len(open_dataset(folder, allow_missing=True).queries) == 3


def test_open_says_what_it_expects(tmp_path):
    with pytest.raises(DatasetError, match="(?s)no such folder.*qvim-mini, qvim-dev, vimsketch"):
        open_dataset(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="(?s)no data set of a known.*original_recordings"):
        open_dataset(tmp_path / "empty")
    for name in ("a", "b"):
        make(tmp_path / name, AWKWARD_ROWS, AWKWARD_FILES)
    with pytest.raises(DatasetError, match="(?s)a is one.*b is one.*open one of them"):
        open_dataset(tmp_path)


def test_other_formats_than_wav_are_read(tmp_path):
    rows = ["1,Dog,bark.flac,hum.ogg,woof,"]
    folder = make(tmp_path, rows, [])
    for kind, name in (("Items", "bark.flac"), ("Queries", "hum.ogg"), ("Queries", "woof.flac")):
        (folder / kind / "Dog").mkdir(exist_ok=True)
        soundfile.write(folder / kind / "Dog" / name, np.zeros(800), 8_000)
    assert set(read_qvim_dev(folder).query_paths) == {"Dog/hum.ogg", "Dog/woof.flac"}
