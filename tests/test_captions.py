import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from qvim_kit import effects
from qvim_kit.datasets import (
    DatasetError,
    DatasetWarning,
    RetrievalDataset,
    open_dataset,
    read_captioned,
    read_qvim_dev,
)
from qvim_kit.datasets.audit import audit
from qvim_kit.datasets.captioned import build_captioned
from qvim_kit.datasets.captions import add_captions, caption, caption_queries
from qvim_kit.datasets.mini import build_mini
from qvim_kit.datasets.tables import Worded

NOUNS = {
    "Engine": "engine|motor", "Rain": "rain", "Bark": "dog", "Bell": "bell",
    "Laser": "laser|ray gun", "Footsteps": "step|walk", "Wind": "wind", "Whistle": "whistle",
    "Saw": "saw", "Clock": "clock", "Bubble": "bubbl", "Siren": "siren",
}  # fmt: skip
COUNTS = "no|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|many|once|twice"
VALUES = {word: n for n, word in enumerate(COUNTS.split("|")[:13])} | {"once": 1, "twice": 2}


@pytest.fixture(scope="module")
def drawn():
    """(class, parameters, all captions) of many effects; nothing is synthesised."""
    found = []
    for kind in effects.CLASSES:
        for seed in range(60):
            parameters = effects.draw_parameters(kind, np.random.default_rng([seed, 5]))
            texts = [caption(kind, parameters, n) for n in range(1, 11)]
            found.append((kind, parameters, texts))
    return found


def said(pattern: str, text: str) -> bool:
    return re.search(rf"\b({pattern})\b", text.lower()) is not None


def test_each_names_the_thing_and_nothing_else_of_the_twelve(drawn):
    for kind, _, texts in drawn:
        for text in texts:
            named = {k for k, nouns in NOUNS.items() if re.search(nouns, text.lower())}
            assert named == {kind}, text


def test_five_captions_differ_and_are_always_the_same(drawn):
    for kind, parameters, texts in drawn:
        assert len(set(texts[:5])) >= 4, texts  # where there is little to say
        assert [caption(kind, dict(parameters), n) for n in range(1, 11)] == texts
    full = [len(set(texts[:5])) == 5 for _, _, texts in drawn]
    assert np.mean(full) > 0.9


def test_how_often_is_true(drawn):
    counted = 0
    for kind, parameters, texts in drawn:
        count = parameters.get("rev_count" if kind == "Engine" else "count")
        for text in texts:
            words = re.findall(rf"\b({COUNTS})\b", re.sub("someone|two-tone", "", text.lower()))
            if count is None or (kind == "Engine" and not count):
                assert not words, text
            for word in words:
                counted += 1
                assert count > 12 if word == "many" else VALUES[word] == count, text
    assert counted > 3_000


def test_how_fast_is_true(drawn):
    seen = set()
    for kind, parameters, texts in drawn:
        if "rate_hz" not in parameters:
            continue
        slow, fast = parameters["rate_hz"] < 1.9, parameters["rate_hz"] > 3.6
        for text in texts:
            rest = re.sub(r"(slowing|speeding) \w+|getting faster", "", text)
            if said("slow|slowly", rest):
                assert slow and parameters["count"] > 1, text
            if said("fast|quick|quickly", rest):
                assert fast and parameters["count"] > 1, text
            seen |= {(kind, said("slowly|slow", rest), said("fast|quick|quickly", rest))}
        if (slow or fast) and parameters["count"] > 1:
            assert all(said("slow|slowly|fast|quick|quickly", t) for t in texts[:5]), texts
    assert {
        (k, *kind) for k in ("Bell", "Clock") for kind in ((True, False), (False, True))
    } <= seen


def test_how_loud_is_true(drawn):
    for _, parameters, texts in drawn:
        level = parameters["level_db"]
        loud, quiet = "loud|loudly", "quiet|quietly|soft|softly|faint|faintly"
        for text in texts:
            rest = re.sub("growing in loudness", "", text)
            assert level > -4.5 or not said(loud, rest), text
            assert level < -10 or not said(quiet, rest), text
        for text in (texts[0], texts[2], texts[4]):
            assert (level > -4.5) == said(loud, text) and (level < -10) == said(quiet, text)


def test_changes_are_true(drawn):
    falls, rises = "falling in pitch|getting lower|sweeping downwards", (
        "rising in pitch|getting higher|sweeping upwards"
    )  # fmt: skip
    checked = 0
    for kind, parameters, texts in drawn:
        pitch = "sweep_octaves" if kind in ("Laser", "Whistle") else "glide_octaves"
        pitch, swell = parameters.get(pitch, 0), parameters.get("swell_db", 0)
        tempo = parameters.get("tempo_octaves", parameters.get("glide_octaves", 0))
        for text in texts:
            assert pitch < 0 or not said(falls, text), text
            assert pitch > 0 or not said(rises, text), text
            assert swell > 0 or not said("getting louder|growing in loudness", text), text
            assert swell < 0 or not said("getting quieter|fading away", text), text
            assert tempo > 0 or not said("speeding up|getting faster", text), text
            assert tempo < 0 or not said("slowing down", text), text
        if kind in ("Laser", "Whistle", "Bark", "Bubble") and pitch:
            checked += 1
            assert all(said(falls if pitch < 0 else rises, text) for text in texts), texts
    assert checked > 80


@pytest.mark.parametrize("sign", [-1, 1])
def test_what_is_said_of_changes_can_be_heard(sign):
    """The sound itself, not its parameters: pitch and level at its beginning and end."""
    from scipy.signal import spectrogram

    def synthesised(kind, **changes):
        rng = np.random.default_rng(3)
        parameters = effects.draw_parameters(kind, rng) | changes
        return parameters, effects.synthesise(kind, parameters, rng)

    parameters, wind = synthesised("Wind", swell_db=sign * 15.0, gust_hz=2.0, duration_s=3.0)
    level = [np.std(half) for half in np.array_split(wind, 2)]
    assert (level[1] > level[0]) == said("louder|loudness", caption("Wind", parameters, 1))
    one = {"count": 1.0, "rate_hz": 1.5, "shot_s": 0.6, "buzz": 0.0, "duration_s": 1.5}
    parameters, shot = synthesised("Laser", sweep_octaves=sign * 2.0, pitch_hz=1000.0, **one)
    hz, times, power = spectrogram(shot, 32_000, nperseg=2048)
    early, late = (hz[power[:, np.searchsorted(times, t)].argmax()] for t in (0.1, 0.45))
    assert (late > early) == said("rising|upwards", caption("Laser", parameters, 1))


def test_grammar(drawn):
    for _, _, texts in drawn:
        for text in texts:
            assert re.fullmatch(r"[A-Z][^.]*\.", text) and "  " not in text, text
            assert not re.search(r"\ba [aeiou]|\ban [^aeiou]|, ,|,\.|;\.|\{|\bone \w*s\b", text), (
                text
            )


def test_mistakes_are_named():
    parameters = effects.draw_parameters("Bell", np.random.default_rng(0))
    with pytest.raises(ValueError, match="class 'Gong', expected one of Engine, Rain"):
        caption("Gong", parameters, 1)
    for number in (0, 1.0, True):
        with pytest.raises(ValueError, match="expected a whole number from 1 up"):
            caption("Bell", parameters, number)
    del parameters["pitch_hz"], parameters["count"]
    with pytest.raises(ValueError, match="Bell lacks the parameters count, pitch_hz"):
        caption("Bell", parameters, 1)


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    return read_qvim_dev(build_mini(tmp_path_factory.mktemp("mini") / "m", ["Bell", "Rain"], 2))


def test_five_queries_in_words_for_each_item(mini):
    words = caption_queries(mini)
    assert len(words.queries) == 5 * len(mini.items) and words.items.equals(mini.items)
    assert words.queries["query_id"][1] == "Bell/Bell_1.wav#2" and not any(words.queries["path"])
    path = words.query_paths["Bell/Bell_1.wav#2"]
    assert isinstance(path, Worded) and path == path.text == words.queries["text"][1]
    assert words.fingerprint() != mini.fingerprint()


def test_words_beside_imitations(mini):
    both = add_captions(mini)
    assert both.queries["path"].equals(mini.queries["path"])
    texts = both.queries.groupby("item_id")["text"].nunique()
    assert (texts == 2).all()
    query = both.query_paths["Bell/Bell_1_imitation_1.wav"]
    assert query == mini.query_paths["Bell/Bell_1_imitation_1.wav"] and "bell" in query.text.lower()


def test_items_of_unknown_making_are_all_named(mini, dataset):
    with pytest.raises(DatasetError, match="give others a column 'text'"):
        caption_queries(dataset)
    more = pd.concat([mini.items, mini.items.assign(item_id=lambda t: "x" + t["item_id"])])
    path = more["path"].iloc[0].replace("Bell_1", "Bell_77")
    more = more.assign(path=[path, *more["path"][1:]])
    with pytest.raises(DatasetError, match="does not know Bell/Bell_77.wav"):
        caption_queries(RetrievalDataset(more, mini.queries, "more"))


def test_more_effects_with_captions(tmp_path):
    options = {"first": 9, "classes": ["Bell", "Clock"]}
    words = build_captioned(tmp_path / "a", 2, **options)
    assert len(words.items) == 4 and len(words.queries) == 20 and not any(words.queries["path"])
    assert set(words.items["item_id"]) == {
        f"{c}/{c}_{n}.wav" for c in ("Bell", "Clock") for n in (9, 10)
    }
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "a").rglob("*.wav")}
    again = build_captioned(tmp_path / "a", 2, **options)
    assert again.fingerprint() == words.fingerprint()
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "a").rglob("*.wav")} == before
    longer = build_captioned(tmp_path / "a", 1, imitations=1, first=9, classes=["Bell"])
    assert len(longer.queries) == 1 and longer.queries["text"][0] and longer.queries["path"][0]
    assert open_dataset(tmp_path / "a").fingerprint() == longer.fingerprint()
    assert list(longer.queries["query_id"]) == ["Bell/Bell_9_imitation_1.wav"]
    assert words.query_paths["Bell/Bell_9.wav#1"] == longer.queries["text"][0]
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.txt").write_text("mine")
    with pytest.raises(DatasetError, match="holds something else"):
        build_captioned(tmp_path / "b", 1)
    assert (tmp_path / "b" / "thesis.txt").exists()


def captioned(folder, rows, files, header="file_name,caption", encoding="utf-8"):
    """A folder of someone's own: sounds, none of them the same, and captions.csv."""
    for number, name in enumerate(files):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, np.full(400, (number + 1) / 50), 8_000, format="WAV")
    (folder / "captions.csv").write_bytes("\n".join([header, *rows]).encode(encoding))
    return folder


def test_a_folder_of_ones_own_with_captions(tmp_path):
    long = "and then a bell rings " * 20_000  # more than the csv module takes by itself
    rows = [
        "dogs/rex.wav,a dog",
        'dogs/rex.wav,"日本語, 🔔"',
        "DOGS/Büro,a dog",
        f"solo.wav,{long}",
    ]
    captioned(tmp_path, rows, ["dogs/rex.wav", "dogs/Bu\u0308ro.wav", "solo.wav"])
    dataset = open_dataset(tmp_path)
    assert dataset.items["class"].tolist() == ["dogs", "dogs", "solo.wav"]
    assert dataset.queries["query_id"].tolist()[:2] == ["dogs/rex.wav#1", "dogs/rex.wav#2"]
    assert dataset.queries["text"].tolist() == ["a dog", "日本語, 🔔", "a dog", long.strip()]
    captioned(tmp_path, ["solo.wav,,one,"], [], "file_name,caption_1,caption_2,caption_3")
    with pytest.warns(DatasetWarning, match="left out 2 files in no list: dogs/"):
        assert read_captioned(tmp_path).queries["text"].tolist() == ["one"]


def test_what_is_wrong_with_a_table_of_captions_is_named_with_its_line(tmp_path):
    rows = ["a.wav,a dog", "gone.wav,a cat", "a.wav,  ", ",a bird"]
    captioned(tmp_path, rows, ["a.wav"])
    with pytest.raises(DatasetError) as error:
        open_dataset(tmp_path)
    assert error.value.problems == [
        "captions.csv, line 4 (a.wav): there is no caption",
        "captions.csv, line 5: file_name is empty",
        "captions.csv, line 3 (gone.wav): there is no gone.wav",
    ]
    captioned(tmp_path, rows[:2], ["a.wav"])
    with pytest.warns(DatasetWarning, match="left out 1 file: gone.wav"):
        assert len(open_dataset(tmp_path, allow_missing=True).queries) == 1
    for header, line, problem in (
        ("file,caption", "a.wav,x", "there is no column 'file_name', found"),
        ("file_name,text", "a.wav,x", "there is no column 'caption', found"),
        ("file_name,caption", "", "there are no captions of sounds"),
        ("file_name,caption", "a.wav,caf\u00e9", "line 2 .a.wav.: caption is not UTF-8"),
    ):
        captioned(tmp_path, [line], [], header, "latin-1")
        with pytest.raises(DatasetError, match=problem):
            open_dataset(tmp_path)


def test_captions_that_a_comma_cuts_are_all_named(tmp_path):
    rows = [
        'a.wav,"first, and in quotes"',
        "",
        "a.wav,a dog, barking, twice",
        "a.wav,a dog,",
        "b.wav,rain, on a roof",
    ]
    captioned(tmp_path, rows, ["a.wav", "b.wav"])
    with pytest.raises(DatasetError) as error:
        open_dataset(tmp_path)
    remedy = "put captions with commas in quotes"
    assert error.value.problems == [
        f"captions.csv, line 4 (a.wav): found 4 columns, expected 2; {remedy}",
        f"captions.csv, line 6 (b.wav): found 3 columns, expected 2; {remedy}",
    ]
    result = audit(tmp_path)
    assert not result.whole and str(result).count(remedy) == 2
    captioned(tmp_path, [rows[2]], ["Queries/v.wav"], "file_name,caption,imitation")
    with pytest.raises(DatasetError) as error:  # nor is the rest of a caption a file
        open_dataset(tmp_path)
    assert len(error.value.problems) == 1


def test_a_quote_that_is_not_closed_is_told_with_its_line(tmp_path):
    rows = ["a.wav,a dog", 'a.wav,"a cat', "b.wav,a bird", "b.wav,a frog"]
    captioned(tmp_path, rows, ["a.wav", "b.wav"])
    with pytest.warns(DatasetWarning, match="b.wav"), pytest.raises(DatasetError) as error:
        read_captioned(tmp_path)
    (problem,) = error.value.problems
    assert problem.startswith("captions.csv, line 3 (a.wav): a caption goes on over several lines")


def test_a_row_that_ends_early_is_told_with_its_line(tmp_path):
    captioned(tmp_path, ["a dog", "a cat,a.wav"], ["a.wav"], "caption,file_name")
    with pytest.raises(DatasetError, match="captions.csv, line 2: file_name is empty"):
        read_captioned(tmp_path)


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("file_name,imitation,caption_1,caption_2", ["a.wav,v.wav,a dog,two barks"]),
        ("file_name,imitation,caption", ["a.wav,v.wav,a dog", "a.wav,v.wav,two barks"]),
    ],
)
def test_an_imitation_with_several_captions(tmp_path, header, rows):
    captioned(tmp_path, rows, ["a.wav", "b.wav", "Queries/v.wav"], header)
    with pytest.warns(DatasetWarning, match="left out 1 file in no list: b.wav$"):
        dataset = read_captioned(tmp_path)
    assert dataset.queries["query_id"].tolist() == ["v.wav", "v.wav#2"]
    assert [path.text for path in dataset.query_paths.values()] == ["a dog", "two barks"]
    assert dataset.queries["path"].nunique() == 1
    captioned(tmp_path, [*rows, rows[0].replace("a.wav", "b.wav")], [], header)
    with pytest.raises(DatasetError, match="line .*b.wav.: Queries/v.wav imitates a.wav, too"):
        read_captioned(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_sounds_in_linked_folders_are_found(tmp_path):
    rows = ["cats/deep/a.wav,a cat", "b.wav,a dog"]
    folder = captioned(tmp_path / "own", rows, ["b.wav"])
    captioned(tmp_path / "elsewhere", [], ["deep/a.wav"])
    (folder / "cats").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(folder)
    (tmp_path / "elsewhere" / "itself").symlink_to("itself")
    assert read_captioned(folder).items["item_id"].tolist() == ["cats/deep/a.wav", "b.wav"]


def test_two_people_may_say_the_same_of_a_sound(tmp_path):
    rows = ["a.wav,a dog", "b.wav,a cat", "a.wav,a dog"]
    captioned(tmp_path, rows, ["a.wav", "b.wav"], "file_name,caption")
    assert len(open_dataset(tmp_path).queries) == 3


@pytest.mark.parametrize(("sign", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_columns_that_no_comma_separates(tmp_path, sign, name):
    rows = [f"a.wav{sign}a dog, twice"]
    captioned(tmp_path, rows, ["a.wav"], f"file_name{sign}caption")
    with pytest.raises(DatasetError, match="Separate the columns by commas") as error:
        open_dataset(tmp_path)
    assert f"here {name} do it" in str(error.value)
    told = str(audit(tmp_path))
    assert "Separate the columns by commas" in told and "unpack the data set again" not in told


@pytest.mark.parametrize("items", ["", "Items"])
def test_whole_paths_in_a_table_of_captions(tmp_path, items):
    names = [(tmp_path / items / "a.wav").as_posix(), "C:\\sounds\\b.wav"]
    captioned(tmp_path, [f"{name},a dog" for name in names], [Path(items) / "a.wav"])
    with pytest.raises(DatasetError) as error:
        open_dataset(tmp_path)
    end = "; file names are relative to the folder of captions.csv" + (items and "/Items")
    for name, problem in zip(names, error.value.problems, strict=True):
        assert problem.endswith(f"): found the whole path {name}{end}")


def test_the_challenges_table_goes_before_captions(mini, tmp_path):
    import shutil

    folder = shutil.copytree(Path(*Path(mini.items["path"][0]).parts[:-3]), tmp_path / "both")
    (folder / "captions.csv").write_text("file_name,caption\nBell/Bell_1.wav,a bell")
    assert len(open_dataset(folder).queries) == len(mini.queries)
    (folder / "DEV Dataset.csv").unlink()
    with pytest.warns(DatasetWarning):
        assert open_dataset(folder).queries["text"].tolist() == ["a bell"]
