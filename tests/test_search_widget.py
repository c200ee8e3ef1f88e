"""Search by voice and the rating panel without a browser: messages in, what the page shows out."""

import io
import json
import os
import threading
import time

import numpy as np
import pandas as pd
import pytest
import soundfile
from published_layouts import make_vimsketch
from stand_ins import WIDE, Spectrum, ask, hum, names, write_hums

from qvim_kit.datasets import RetrievalDataset
from qvim_kit.datasets.listings import DatasetWarning
from qvim_kit.downloads import DownloadError
from qvim_kit.search.listening_test import ListeningTest
from qvim_kit.systems import TwoDFT
from qvim_kit.widgets import RatingPanel, SearchByVoice, building, choices, finder, panels
from qvim_kit.widgets.choices import Systems, open_library
from qvim_kit.widgets.pictures import picture_of, spectrogram, wav_of

PITCHES = {"Hum": 150, "Tone": 500, "Whistle": 1_500}
WAIT = 30.0


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return write_hums(tmp_path_factory.mktemp("library"), PITCHES, 6)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "marks.jsonl"


@pytest.fixture
def widget(library, log):
    return SearchByVoice(library, Spectrum(), feedback=log, examples={}).wait(WAIT)


@pytest.fixture
def two(library, log):
    systems = [Spectrum("fine"), Spectrum("coarse", 40)]
    return SearchByVoice(library, systems, feedback=log, examples={}).wait(WAIT)


def events(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_a_recording_is_searched_at_once(widget):
    assert widget._results["text"] == panels.START and widget._results["panels"] == []
    widget.add(hum(PITCHES["Tone"] * (1 + 3 / 8)), WIDE, name="take 1")
    (panel,) = widget._results["panels"]
    first = panel["rows"][0]
    assert (panel["label"], panel["system"]) == ("", "spectrum")
    assert (first["rank"], first["name"], first["file"]) == (1, "Tone/Tone_3.wav", "Tone_3.wav")
    assert (first["class"], first["seconds"], first["mark"]) == ("Tone", 1.0, None)
    assert first["score"] == pytest.approx(1.0, abs=0.01) and first["path"].endswith(first["name"])
    assert widget._results["query"] == {"kind": "take", "name": "take 1"}
    assert widget._results["text"].startswith("The first 10 of 18 sounds for take 1, found in ")
    json.dumps(widget._results)  # plain numbers only
    table = widget.results["spectrum"]
    assert list(table["name"]) == names(widget) and (np.diff(table["score"]) <= 0).all()


def test_a_recording_waits_for_the_library(library, log):
    go = threading.Event()

    class Slow(Spectrum):
        def embed_batch(self, waveforms, side):
            go.wait(WAIT)
            return super().embed_batch(waveforms, side)

    widget = SearchByVoice(library, Slow(), feedback=log, examples={})
    widget.add(hum(200), WIDE)
    assert widget._results["text"] == panels.SOON and widget._index["phase"] == "indexing"
    go.set()
    widget.wait(WAIT)
    assert names(widget)[0].startswith("Hum/") and widget._index["phase"] == "ready"


def test_indexing_begins_when_the_page_is_there(library, log):
    widget = SearchByVoice(library, Spectrum(), feedback=log, examples={})
    assert widget._finder._thread is None and widget._index["phase"] == "indexing"
    ask(widget, "hello")
    thread = widget._finder._thread
    thread.join(WAIT)
    assert widget._index["phase"] == "ready"
    ask(widget, "hello")  # a second view
    assert widget._finder._thread is thread


def test_progress_is_shown_and_the_state_at_the_end(library, log, monkeypatch):
    monkeypatch.setattr(finder, "SELDOM", 0)
    widget = SearchByVoice(library, Spectrum(), feedback=log, examples={})
    seen = []
    widget.observe(lambda change: seen.append(change["new"]), "_index")
    widget._finder.index()
    widget.wait(WAIT)
    done = [(state["done"], state["total"]) for state in seen if state["total"]]
    assert done and done[-1] == (18, 18) and done == sorted(done)
    last = widget._index
    assert last["text"] == "18 sounds in 3 classes, indexed with spectrum"
    assert last["classes"] == [("Hum", 6), ("Tone", 6), ("Whistle", 6)] and not last["warning"]


def test_the_filter_comes_before_the_ranking(widget):
    widget.add(hum(200), WIDE, name="a hum")
    ask(widget, "filter", text="", classes=["Whistle"])
    assert len(names(widget)) == 6 and all(name.startswith("Whistle/") for name in names(widget))
    assert "The first 6 of 6 sounds that pass the filter for a hum" in widget._results["text"]
    ask(widget, "filter", text="_3 TONE", classes=[])
    assert names(widget) == ["Tone/Tone_3.wav"]
    ask(widget, "filter", text="_3", classes=["Hum", "Tone"])
    assert set(names(widget)) == {"Hum/Hum_3.wav", "Tone/Tone_3.wav"}
    ask(widget, "filter", text="nothing like it", classes=[])
    assert names(widget) == []
    assert widget._results["text"] == "No name holds “nothing like it”: clear the name filter."
    ask(widget, "filter", text="hum_1", classes=["Tone"])
    assert "the class Tone holds “hum_1”: clear the name filter, or" in widget._results["text"]
    ask(widget, "filter", text="", classes=["Gone", "Lost"])
    assert widget._results["text"].endswith("in these classes: press “All classes”.")
    ask(widget, "filter", text="", classes=[])
    assert len(names(widget)) == 10


def test_more_results_on_request(widget):
    widget.add(hum(200), WIDE)
    assert widget._results["more"]
    ask(widget, "more")
    assert len(set(names(widget))) == 18 and not widget._results["more"]
    widget.add(hum(300), WIDE)
    assert len(names(widget)) == 10  # anew for each query


def test_filters_and_more_do_not_embed_the_recording_again(widget):
    system = widget.indexes["spectrum"].system
    widget.add(hum(200), WIDE)
    before = system.embedded
    ask(widget, "filter", text="3", classes=[])
    ask(widget, "more")
    assert system.embedded == before


def test_more_like_this_searches_with_a_result(widget, log):
    widget.add(hum(200), WIDE)
    ask(widget, "similar", name="Whistle/Whistle_2.wav")
    assert widget._results["query"] == {"kind": "sound", "name": "Whistle_2.wav"}
    assert "like Whistle_2.wav" in widget._results["text"]
    assert names(widget)[0] in ("Whistle/Whistle_1.wav", "Whistle/Whistle_3.wav")
    assert "Whistle/Whistle_2.wav" not in names(widget)
    ask(widget, "mark", panel="", name=names(widget)[0], verdict="right")
    assert events(log)[0]["query"] == "sound Whistle/Whistle_2.wav"
    with pytest.raises(RuntimeError, match="not in the library any more"):
        ask(widget, "similar", name="../../etc/passwd")


def test_marks_are_stored_and_rank_again_at_once(widget, log):
    take = widget.add(hum(420), WIDE)
    before, last = names(widget), names(widget)[5]
    ask(widget, "mark", panel="", name=last, verdict="right")
    after = names(widget)
    assert after.index(last) < before.index(last)
    marks = {row["name"]: row["mark"] for row in widget._results["panels"][0]["rows"]}
    assert marks[last] == "right" and set(marks.values()) == {"right", None}
    ask(widget, "mark", panel="", name=after[0], verdict="wrong")
    assert names(widget)[-1] == after[0]  # out of the way, but in sight
    assert [row["rank"] for row in widget._results["panels"][0]["rows"]] == list(range(1, 12))
    first, second = events(log)
    assert (first["ranking"], first["chosen"], first["verdict"]) == (before, last, "right")
    assert (second["ranking"], second["chosen"], second["verdict"]) == (after, after[0], "wrong")
    assert first["query"] == second["query"] and first["audio"] is None
    assert first["system"] == "spectrum" and first["panel"] is None
    assert not list(log.parent.glob("*.flac")) and not widget.feedback.audio_folder.exists()
    widget._do_use({"id": take.id}, [])
    assert names(widget) == before  # a new search forgets the marks, the file does not


def test_what_is_marked_wrong_stays_in_sight_and_gives_way_to_others(widget):
    widget.add(hum(420), WIDE)
    before = names(widget)
    for sound in before:
        ask(widget, "mark", panel="", name=sound, verdict="wrong")
    after = names(widget)
    assert len(after) == 18 and set(after[-10:]) == set(before)  # all that the library has
    assert not widget._results["more"]
    for sound in before:
        ask(widget, "mark", panel="", name=sound, verdict="wrong")
    assert names(widget) == before and widget._results["more"]


def test_recordings_are_kept_only_where_the_box_is_ticked(widget, log):
    take = widget.add(hum(200), WIDE)
    ask(widget, "keep", keep=True)
    ask(widget, "mark", panel="", name=names(widget)[0], verdict="right")
    ask(widget, "keep", keep=False)
    ask(widget, "mark", panel="", name=names(widget)[1], verdict="wrong")
    kept, not_kept = events(log)
    kept_audio, rate = soundfile.read(widget.feedback.audio_folder / kept["audio"])
    np.testing.assert_allclose(kept_audio, take.waveform, atol=1e-6)
    assert rate == WIDE and not_kept["audio"] is None


def test_none_of_these_is_stored(widget, log):
    with pytest.raises(RuntimeError, match="no results"):
        ask(widget, "none_right")
    widget.add(hum(200), WIDE)
    ask(widget, "none_right")
    (event,) = events(log)
    assert (event["chosen"], event["verdict"]) == (None, "wrong")


def test_a_mark_pressed_again_is_taken_back(widget, log):
    widget.add(hum(420), WIDE)
    before, sound = names(widget), names(widget)[5]
    for _ in range(2):
        ask(widget, "mark", panel="", name=sound, verdict="right")
    assert names(widget) == before and not widget._query.marks
    assert [(e["chosen"], e["verdict"]) for e in events(log)] == [
        (sound, "right"),
        (sound, "taken back"),
    ]
    numbers = widget.feedback.numbers()
    assert numbers.counts["queries"] == 0 and numbers.systems.empty
    sound = before[0]
    ask(widget, "mark", panel="", name=sound, verdict="right")
    ask(widget, "mark", panel="", name=sound, verdict="wrong")  # another word, not the same again
    assert widget._query.marks == {sound: "wrong"} and events(log)[-1]["verdict"] == "wrong"


def test_none_of_these_replaces_a_mark_and_is_taken_back(widget, log):
    widget.add(hum(420), WIDE)
    before, right = names(widget), names(widget)[2]
    ask(widget, "mark", panel="", name=right, verdict="right")
    wrong = names(widget)[5]
    ask(widget, "mark", panel="", name=wrong, verdict="wrong")
    ask(widget, "none_right")
    assert widget._results["none"] and "None of these: stored" in widget._results["judge"]
    assert widget._query.marks == {wrong: "wrong"}
    ask(widget, "mark", panel="", name=right, verdict="right")
    assert not widget._results["none"]  # one of these, after all
    for pressed in (True, False, True):
        ask(widget, "none_right")
        assert widget._results["none"] == pressed
    said = [(e["chosen"], e["verdict"]) for e in events(log)]
    back, none = (right, "taken back"), (None, "wrong")
    assert said == [
        *[(right, "right"), (wrong, "wrong"), back, none],
        *[(None, "taken back"), (right, "right"), back, none, (None, "taken back"), none],
    ]
    assert widget.feedback.numbers().counts["without a right sound"] == 1
    widget.add(hum(420), WIDE)
    assert not widget._results["none"] and names(widget) == before


def test_none_of_these_is_not_left_over_from_marks_that_were_taken_back(widget, log):
    widget.add(hum(420), WIDE)
    ask(widget, "none_right")
    for _ in range(2):
        ask(widget, "mark", panel="", name=names(widget)[0], verdict="right")
    assert not widget._results["none"] and not widget._query.marks
    assert widget.feedback.numbers().counts["queries"] == 0


def test_it_is_stored_what_was_searched_and_how_it_was_filtered(library, log, monkeypatch):
    monkeypatch.chdir(library.parent)
    widget = SearchByVoice(library.name, Spectrum(), feedback=log, examples={}).wait(WAIT)
    widget.add(hum(420), WIDE)
    filters = [{"text": " ", "classes": []}, {"text": "_1", "classes": ["Hum"]}]
    for wanted in filters:
        ask(widget, "filter", **wanted)
        ask(widget, "none_right")
    plain, filtered = events(log)
    assert "filter" not in plain and filtered["filter"] == filters[1]
    assert plain["library"] == filtered["library"] == str(library)


@pytest.mark.parametrize(
    "mark",
    [
        {"panel": "B", "name": "Hum/Hum_1.wav", "verdict": "right"},
        {"panel": "", "name": "Whistle/none.wav", "verdict": "right"},
        {"panel": "", "name": None, "verdict": "right"},
        {"panel": "", "name": "Hum/Hum_1.wav", "verdict": "perhaps"},
        {},
    ],
)
def test_marks_of_what_is_not_shown_are_refused(widget, log, mark):
    widget.add(hum(200), WIDE)
    before = names(widget)
    with pytest.raises(RuntimeError):
        ask(widget, "mark", **mark)
    assert not log.exists() and names(widget) == before


def test_two_systems_stay_hidden_until_one_marks_the_right_sound(two, log):
    two.add(hum(200), WIDE)
    panels = two._results["panels"]
    assert [panel["label"] for panel in panels] == ["A", "B"]
    assert [panel["system"] for panel in panels] == [None, None]
    assert "hidden" in two._results["judge"]
    assert {row["score"] for panel in panels for row in panel["rows"]} == {None}
    ask(two, "mark", panel="A", name=names(two)[3], verdict="wrong")
    assert two._results["panels"][0]["system"] is None
    rankings = names(two, 0), names(two, 1)
    ask(two, "mark", panel="B", name=names(two, 1)[0], verdict="right")
    a, b = (panel["system"] for panel in two._results["panels"])
    assert {a, b} == {"fine", "coarse"}
    assert all(row["score"] <= 1 for panel in two._results["panels"] for row in panel["rows"])
    assert two._results["judge"] == f"You chose B: A is {a} and B is {b}."
    event = events(log)[1]
    assert (event["panel"], event["system"], event["other_system"]) == ("B", b, a)
    assert (event["other_ranking"], event["ranking"]) == rankings
    two.add(hum(300), WIDE)
    assert two._results["panels"][0]["system"] is None  # hidden anew
    ask(two, "none_right")
    assert two._results["judge"].startswith("You chose neither: A is ")


def test_the_order_changes_from_query_to_query(two):
    orders = set()
    for _ in range(40):
        two.add(hum(200), WIDE)
        orders.add(tuple(two._panels.systems))
    assert orders == {("fine", "coarse"), ("coarse", "fine")}


def test_the_order_can_be_shown_and_a_system_left_out(two):
    ask(two, "systems", systems=["coarse", "fine"], blind=False)
    two.wait(WAIT).add(hum(200), WIDE)
    assert [panel["system"] for panel in two._results["panels"]] == ["coarse", "fine"]
    assert two._results["judge"] == ""
    ask(two, "systems", systems=["fine"], blind=False)
    two.wait(WAIT)
    assert [panel["label"] for panel in two._results["panels"]] == [""]
    assert two._systems["chosen"] == ["fine"]
    for wrong in ([], ["fine", "fine"], ["nobody"], ["fine", "coarse", "fine"]):
        with pytest.raises(RuntimeError, match="expected one or two of fine, coarse"):
            ask(two, "systems", systems=wrong, blind=True)


def test_while_other_systems_are_indexed_the_old_lists_can_be_marked(two, log, monkeypatch):
    go, load = threading.Event(), Systems.load
    monkeypatch.setattr(Systems, "load", lambda *given: go.wait(WAIT) and load(*given))
    two.add(hum(200), WIDE)
    ask(two, "systems", systems=["coarse"], blind=True)
    assert [panel["label"] for panel in two._results["panels"]] == ["A", "B"]
    ask(two, "none_right")
    ask(two, "mark", panel="B", name=names(two, 1)[0], verdict="right")
    assert [event["verdict"] for event in events(log)] == ["wrong", "taken back", "right"]
    go.set()
    assert [panel["label"] for panel in two.wait(WAIT)._results["panels"]] == [""]


def test_another_library_is_indexed_and_searched_with_the_same_recording(widget, tmp_path):
    (tmp_path / "other").mkdir()
    soundfile.write(tmp_path / "other" / "bee.wav", hum(180), WIDE)
    (tmp_path / "other" / "broken.wav").write_text("no sound")
    widget.add(hum(200), WIDE)
    ask(widget, "filter", text="Hum", classes=["Hum"])
    ask(widget, "library", name="folder", folder=str(tmp_path / "other"))
    widget.wait(WAIT)
    assert names(widget) == ["bee.wav"] and widget._filter == {"text": "", "classes": []}
    assert widget._index["text"].startswith("1 sound, indexed with spectrum; 1 file cannot")
    assert "broken.wav" in widget._index["warning"]
    assert widget._library["name"] == "folder" and widget._library["folder"].endswith("other")


def test_reindexing_finds_new_and_deleted_sounds(log, tmp_path):
    folder = tmp_path / "sounds"
    folder.mkdir()
    for number in (1, 2):
        soundfile.write(folder / f"{number}.wav", hum(100 * number), WIDE)
    widget = SearchByVoice(folder, Spectrum(), feedback=log, examples={}).wait(WAIT)
    widget.add(hum(300), WIDE)
    assert set(names(widget)) == {"1.wav", "2.wav"}
    soundfile.write(folder / "3.wav", hum(300), WIDE)
    (folder / "1.wav").unlink()
    ask(widget, "reindex")
    widget.wait(WAIT)
    assert names(widget) == ["3.wav", "2.wav"]


def test_a_library_that_cannot_be_searched_says_why(widget, tmp_path):
    ask(widget, "library", name="folder", folder=str(tmp_path / "nowhere"))
    with pytest.raises(RuntimeError, match="nowhere: found nothing, expected a folder"):
        widget.wait(WAIT)
    assert widget._index["phase"] == "failed" and "nowhere" in widget._index["text"]
    (tmp_path / "empty").mkdir()
    ask(widget, "library", name="folder", folder=str(tmp_path / "empty"))
    with pytest.raises(RuntimeError, match="no audio files"):
        widget.wait(WAIT)
    with pytest.raises(RuntimeError, match="library: found 'nonsense'"):
        ask(widget, "library", name="nonsense")


def test_a_recording_does_not_wait_for_a_library_that_failed(widget, library, tmp_path):
    widget.add(hum(PITCHES["Tone"]), WIDE, name="a tone")
    ask(widget, "library", name="folder", folder=str(tmp_path / "nowhere"))
    with pytest.raises(RuntimeError):
        widget.wait(WAIT)
    assert widget._results["text"] == panels.NOTHING and widget._results["panels"] == []
    assert widget._index["text"].endswith(panels.ADVICE)
    ask(widget, "library", name="folder", folder=str(library))
    widget.wait(WAIT)
    assert "for a tone, found in" in widget._results["text"] and widget._index["phase"] == "ready"


def test_a_library_without_one_usable_file_has_failed(log, tmp_path):
    (tmp_path / "broken.wav").write_text("no sound")
    widget = SearchByVoice(tmp_path, Spectrum(), feedback=log, examples={})
    widget.wait(WAIT).add(hum(200), WIDE)
    state = widget._index
    assert state["phase"] == "failed" and "broken.wav: cannot be decoded" in state["text"]
    assert widget._results["text"] == panels.NOTHING


def test_a_data_folder_that_cannot_be_read_leaves_the_mini_data_set(monkeypatch):
    def refuse(name):
        raise PermissionError(13, "Permission denied", name)

    monkeypatch.setattr("qvim_kit.datasets.find_layout", refuse)
    assert choices.library_choices() == {"qvim-mini": "the mini data set"}


def test_the_mini_data_set_is_said_to_be_built(log, tmp_path, monkeypatch):
    go = threading.Event()

    def build():
        go.wait(WAIT)
        raise OSError("the disk is full")

    monkeypatch.setenv("QVIM_DATA", str(tmp_path))
    monkeypatch.setattr(choices, "open_mini", build)
    monkeypatch.setattr(building, "PAUSE", 0.01)
    for name, age in {".qvim-mini-new": 0, ".qvim-mini-left-behind": 3_600}.items():
        for number in range(3 if age else 2):
            path = tmp_path / name / "Items" / "Bark" / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            os.utime(path, (time.time() - age,) * 2)
    widget = SearchByVoice(None, Spectrum(), feedback=log, examples={})
    ask(widget, "hello")
    assert widget._index["text"] == f"{panels.BUILDING}: 2 of 96 sounds"
    seen = threading.Event()
    widget.observe(lambda change: seen.set(), "_index")
    (tmp_path / ".qvim-mini-new" / "Items" / "Bark" / "2.wav").touch()
    assert seen.wait(WAIT) and (widget._index["done"], widget._index["total"]) == (3, 96)
    go.set()
    with pytest.raises(RuntimeError, match="disk is full"):
        widget.wait(WAIT)
    assert widget._index["text"] == f"Cannot be searched: the disk is full. {panels.ADVICE}"


def test_the_newest_choice_wins(library, log, tmp_path):
    (tmp_path / "other").mkdir()
    soundfile.write(tmp_path / "other" / "bee.wav", hum(180), WIDE)
    widget = SearchByVoice(library, Spectrum(), feedback=log, examples={})
    ask(widget, "hello")
    first = widget._finder._thread
    ask(widget, "library", name="folder", folder=str(tmp_path / "other"))
    widget.wait(WAIT)
    first.join(WAIT)
    assert list(widget.indexes["spectrum"].sounds["name"]) == ["bee.wav"]


def test_data_sets_and_lists_can_be_searched(library, dataset, log):
    paths = sorted(library.glob("Hum/*.wav"))
    widget = SearchByVoice(paths, Spectrum(), feedback=log, examples={}).wait(WAIT)
    assert len(widget.indexes["spectrum"]) == 6
    assert (
        widget._library["name"] == "your list" and widget._library["choices"][0][0] == "your list"
    )
    items = dataset.items.head(6).assign(path=list(map(str, paths)))
    queries = dataset.queries[dataset.queries["item_id"].isin(items["item_id"])]
    small = RetrievalDataset(items, queries, "small")
    widget = SearchByVoice(small, Spectrum(), feedback=log, examples={}).wait(WAIT)
    assert widget._library["name"] == "small"
    widget.add(hum(200), WIDE)
    assert set(names(widget)) == set(items["item_id"])


def test_a_data_set_without_some_of_its_files_can_be_searched(tmp_path, monkeypatch):
    monkeypatch.setenv("QVIM_DATA", str(tmp_path))
    make_vimsketch(tmp_path / "vimsketch")
    next((tmp_path / "vimsketch" / "vocal_imitations").glob("*")).unlink()
    with pytest.warns(DatasetWarning):
        assert len(open_library("vimsketch").items)


def test_a_folder_in_a_known_layout_is_opened_as_that_data_set(tmp_path, library):
    for kind in ("Items", "Queries"):
        (tmp_path / kind / "Hum").mkdir(parents=True)
    (tmp_path / "Items" / "Hum" / "hum.wav").write_bytes((library / "Hum/Hum_1.wav").read_bytes())
    assert open_library("folder", str(library)) == library
    with pytest.raises(ValueError):  # it has that layout, but not its table
        open_library("folder", str(tmp_path))


def test_sounds_are_sent_when_asked_for(widget, library):
    name = "Hum/Hum_1.wav"
    wav, rate = soundfile.read(io.BytesIO(ask(widget, "hear", name=name)["buffers"][0]))
    assert rate == 32_000 and len(wav) == 32_000
    assert np.abs(np.fft.rfft(wav)).argmax() == round(PITCHES["Hum"] * 9 / 8)
    answer = ask(widget, "download", name=name)
    assert answer["file"] == "Hum_1.wav"
    assert answer["buffers"] == [(library / name).read_bytes()]
    pictures = ask(widget, "pictures", names=[name, "not there"])["pictures"]
    assert list(pictures) == [name] and pictures[name].startswith("data:image/png;base64,")
    for what in ("hear", "download"):
        with pytest.raises(RuntimeError, match="not in the library"):
            ask(widget, what, name="/etc/passwd")


def test_a_spectrogram_shows_where_the_energy_is():
    low, high = spectrogram(hum(120), WIDE), spectrogram(hum(4_000), WIDE)
    assert low.shape == (40, 120) and low.max() == 1.0 and low.min() >= 0.0
    bands = np.geomspace(80, 8_000, 41)
    for picture, hertz in ((low, 120), (high, 4_000)):
        band = picture.mean(axis=1).argmax()
        assert bands[band] / 1.15 <= hertz <= bands[band + 1] * 1.15
    assert (spectrogram(np.zeros(WIDE), WIDE) == 1.0).all() and spectrogram(np.ones(3), WIDE).any()


def test_long_sounds_are_shown_and_played_in_part(tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.tile(hum(300), 70), WIDE)
    wav, rate = soundfile.read(io.BytesIO(wav_of(path, 70.0)))
    assert len(wav) == 60 * rate and picture_of(path, 70.0).startswith("data:image/png")


def test_systems_by_name_object_and_function(library):
    offered = Systems({"mine": Spectrum(), "made": lambda: Spectrum("inner"), "plain": "2dft"})
    assert offered.names == ["mine", "made", "plain"]
    assert offered.load("made")[1].name == "inner"
    assert offered.load("made")[1] is offered.load("made")[1]  # made once
    assert isinstance(offered.load("plain")[1], TwoDFT)
    assert Systems("2dft").names == ["2DFT"] == Systems([TwoDFT()]).names
    with pytest.raises(TypeError, match="expected different names"):
        Systems([Spectrum(), Spectrum()])
    with pytest.raises(TypeError, match="found int"):
        Systems([3])
    with pytest.raises(TypeError, match="found none"):
        Systems([])


def test_without_weights_the_training_free_system_answers(library, log, monkeypatch):
    def made(name):
        if name == "mn01_as":
            raise DownloadError("offline")
        return Spectrum()

    monkeypatch.setattr(choices, "_made", made)
    monkeypatch.setattr(choices, "usual_systems", lambda: ["mn01_as", "2DFT"])
    widget = SearchByVoice(library / "Hum", feedback=log, examples={}).wait(WAIT)
    assert list(widget.indexes) == ["2DFT"]
    assert "mn01_as has no weights here, so the 2DFT answers" in widget._index["warning"]
    with pytest.raises(DownloadError):  # a system that was asked for by name is not replaced
        Systems("mn01_as").load("mn01_as")
    widget.add(hum(200), WIDE)
    assert widget._results["panels"][0]["system"] == "2DFT"


def test_a_query_that_cannot_be_embedded_says_why(library, log):
    class Picky(Spectrum):
        def embed_batch(self, waveforms, side):
            if side == "query":
                raise ValueError("no queries today")
            return super().embed_batch(waveforms, side)

    widget = SearchByVoice(library, Picky(), feedback=log, examples={}).wait(WAIT)
    widget.add(hum(200), WIDE)
    assert widget._results["text"] == "no queries today" and widget._results["panels"] == []


def test_no_two_queries_look_the_same_to_the_page(library, log):
    class Faulty(Spectrum):
        def embed_batch(self, waveforms, side):
            if side == "query" and self.embedded > 18:
                raise TypeError("a fault")
            return super().embed_batch(waveforms, side)

    widget = SearchByVoice(library, Faulty(), feedback=log, examples={}).wait(WAIT)
    seen = []
    widget.observe(lambda change: seen.append(change["new"]["text"]), "_results")
    for _ in range(2):
        widget.add(hum(200), WIDE)
    assert seen == ["TypeError: a fault"] * 2  # it ends its waiting each time


@pytest.mark.parametrize(("seconds", "shown"), [(2.5, 2.5), (np.nan, None), (np.inf, None)])
def test_times_are_numbers_that_json_knows(seconds, shown):
    row = {"rank": 1, "name": "a.wav", "class": "", "score": 1.0, "path": "/a.wav"}
    (found,) = panels.rows_of(pd.DataFrame([{**row, "seconds": seconds}]), {})
    assert found["seconds"] == shown


@pytest.fixture
def listening(library, tmp_path, two):
    queries = {}
    for name in ("Hum", "Whistle"):
        path = tmp_path / f"{name} query.wav"
        soundfile.write(path, hum(PITCHES[name] * 1.2), WIDE)
        queries[name] = path
    return ListeningTest(two.indexes, queries, tmp_path / "ratings.jsonl")


def test_trials_are_rated_one_after_the_other(listening):
    panel = RatingPanel(listening)
    for number in (1, 2):
        trial = panel._trial
        assert (trial["number"], trial["total"]) == (number, 2) and panel._standings == []
        assert not {"fine", "coarse"} & set(json.dumps(trial).split('"'))  # blind
        assert "query" not in json.dumps(trial)  # a file's name may tell its class
        wav, rate = soundfile.read(
            io.BytesIO(ask(panel, "hear", trial=trial["id"], label="query")["buffers"][0])
        )
        assert len(wav) == rate
        for label in trial["labels"]:
            assert ask(panel, "hear", trial=trial["id"], label=label)["buffers"]
        ask(panel, "rate", trial=trial["id"], ratings={label: 70 for label in trial["labels"]})
        told = {system for _, systems, rating in panel._told for system in systems}
        assert told == {"fine", "coarse"} and panel._told[0][2] == 70
    assert panel._trial == {}
    assert [row[:2] for row in sorted(panel._standings)] == [["coarse", "70"], ["fine", "70"]]
    assert listening.progress == (2, 2)


def test_wrong_ratings_change_nothing(listening):
    panel = RatingPanel(listening)
    trial = panel._trial
    good = {label: 50 for label in trial["labels"]}
    for ratings in ({}, None, {**good, "Z": 1}, {label: 101 for label in good}):
        with pytest.raises(RuntimeError, match="ratings"):
            ask(panel, "rate", trial=trial["id"], ratings=ratings)
    with pytest.raises(RuntimeError, match="not part of the test"):
        ask(panel, "rate", trial="another", ratings=good)
    with pytest.raises(RuntimeError, match="no sound 'Q'"):
        ask(panel, "hear", trial=trial["id"], label="Q")
    assert panel._trial == trial and listening.progress == (0, 2)
