"""Search by words in the widget, alone and together with the voice, without a browser."""

import json

import numpy as np
import pytest
from stand_ins import WIDE, Spectrum, ask, hum, names, write_hums

from qvim_kit.search import SoundIndex
from qvim_kit.widgets import SearchByVoice, choices, words
from qvim_kit.widgets.words import lists_for, together

PITCHES = {"low": 150, "middle": 500, "high": 1_500}
WAIT = 30.0


class Reader(Spectrum):
    """Knows three words: each is the spectrum of its pitch. Tells coarse classes only."""

    def __init__(self, name="words"):
        super().__init__(name, 10)
        self.read = []

    def embed_text(self, sentences):
        self.read += sentences
        known = [next((w for w in PITCHES if w in text), None) for text in sentences]
        if None in known:
            raise ValueError(f"{sentences[known.index(None)]!r}: no word that is known")
        return self.embed_batch(np.stack([hum(PITCHES[word] * 1.5) for word in known]), "text")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return write_hums(tmp_path_factory.mktemp("library"), PITCHES, 4)


@pytest.fixture
def both(library, tmp_path):
    log, systems = tmp_path / "marks.jsonl", [Spectrum("voice"), Reader()]
    return SearchByVoice(library, systems, feedback=log, examples={}).wait(WAIT)


def test_words_alone_are_asked_of_the_system_that_reads_them(both):
    assert both._words == {"text": "", "together": True, "hint": ""}
    ask(both, "words", text="  a high tone ", together=True)
    assert list(both.results) == ["words"] and len(both._results["panels"]) == 1
    assert {name.split("/")[0] for name in names(both)[:4]} == {"high"}
    assert "sounds for “a high tone”, found in" in both._results["text"]
    assert both._results["query"] == {"kind": "words", "name": "a high tone"}
    ask(both, "filter", text="", classes=["low"])
    ask(both, "more")
    assert {name.split("/")[0] for name in names(both)} == {"low"}
    assert both.indexes["words"].system.read == ["a high tone"]  # once
    ask(both, "words", text="", together=True)
    assert both._results["panels"] == [] and both._results["query"] is None


def test_a_voice_is_not_asked_of_a_system_that_reads(both):
    both.add(hum(700), WIDE)
    assert list(both.results) == ["voice"] and both.indexes["words"].system.read == []


def test_words_and_voice_together_are_a_mean_of_standard_scores(both):
    both.add(hum(520), WIDE, name="take 1")
    alone = names(both)
    ask(both, "words", text="high", together=True)
    (panel,) = both._results["panels"]
    assert (panel["system"], panel["fused"]) == ("voice + words", True)
    assert "for take 1 and “high”" in both._results["text"] and names(both) != alone
    table = both.results["voice + words"]
    expected = 0
    for name, query in (("voice", hum(520)), ("words", None)):
        index = both.indexes[name]
        ask_with = index.system.embed_text(["high"])[0] if query is None else None
        unit = index.embed_query(query, WIDE) if query is not None else ask_with
        unit = unit / np.linalg.norm(unit)
        cosines = index.embeddings @ unit
        expected = expected + (cosines - cosines.mean()) / cosines.std() / 2
    by_name = dict(zip(both.indexes["voice"].sounds["name"], expected, strict=True))
    best = sorted(by_name, key=by_name.get, reverse=True)[:10]
    assert list(table["name"]) == best and list(table["rank"]) == list(range(1, 11))
    assert list(table["score"]) == pytest.approx([by_name[name] for name in best], abs=1e-4)
    json.dumps(both._results)


def test_words_stay_for_the_next_voice_until_they_are_taken_away(both):
    ask(both, "words", text="high", together=True)
    both.add(hum(520), WIDE, name="take 1")
    assert list(both.results) == ["voice + words"]
    ask(both, "words", text="high", together=False)
    assert list(both.results) == ["words"]
    both.add(hum(160), WIDE)
    assert list(both.results) == ["voice"] and names(both)[0].startswith("low/")
    ask(both, "words", text="high", together=True)
    assert list(both.results) == ["voice + words"]
    ask(both, "words", text="", together=True)
    assert list(both.results) == ["voice"] and both._words["text"] == ""


def test_marks_of_words_move_them_and_are_stored(both):
    ask(both, "words", text="middle", together=True)
    before = names(both)
    ask(both, "mark", panel="", name=before[-1], verdict="right")
    assert names(both).index(before[-1]) < len(before) - 1
    both.add(hum(520), WIDE)
    ask(both, "mark", panel="", name=names(both)[0], verdict="wrong")
    first, second = map(json.loads, both.feedback.path.read_text().splitlines())
    assert (first["query"], first["words"], first["system"]) == ("words middle", "middle", "words")
    assert second["words"] == "middle" and second["system"] == "voice + words"
    assert second["query"] != first["query"] and not second["reranked"]


def test_more_like_a_sound_takes_words_too(both):
    both.add(hum(200), WIDE)
    ask(both, "words", text="middle", together=True)
    ask(both, "similar", name="low/low_2.wav")
    assert "like low_2.wav and “middle”" in both._results["text"]
    assert "low/low_2.wav" not in names(both)


def test_what_a_system_says_of_words_is_shown(both):
    ask(both, "words", text="a hound", together=True)
    assert both._results["text"] == "'a hound': no word that is known"


def test_a_system_that_reads_may_be_alone(library, tmp_path):
    widget = SearchByVoice(library, Reader(), feedback=tmp_path / "m", examples={}).wait(WAIT)
    widget.add(hum(1_700), WIDE)
    assert list(widget.results) == ["words"] and names(widget)[0].startswith("high/")
    ask(widget, "words", text="high", together=True)
    assert list(widget.results) == ["words"] and widget._results["panels"][0]["fused"]


def test_without_a_system_that_reads_one_line_says_how_to_get_one(library, tmp_path, monkeypatch):
    alone = SearchByVoice(library, Spectrum("voice"), feedback=tmp_path / "m", examples={})
    alone.wait(WAIT)
    monkeypatch.setattr(words, "PACKAGES", ("json",))
    alone._show_words()
    assert "model that reads them is missing: run notebook 07" in alone._words["hint"]
    monkeypatch.setattr(words, "PACKAGES", ("json", "not_installed"))
    alone._show_words()
    for part in ('pip install "qvim-kit[language]"', "notebook 07", "pass my-words in systems"):
        assert part in alone._words["hint"]
    with pytest.raises(RuntimeError, match="run notebook 07"):
        ask(alone, "words", text="high", together=True)
    two = [Spectrum("voice"), Spectrum("another"), Reader()]
    widget = SearchByVoice(library, two, feedback=tmp_path / "m", examples={}).wait(WAIT)
    assert widget._words["hint"] == "To search by words, choose words above."
    ask(widget, "systems", systems=["voice", "words"], blind=False)
    assert widget._words["hint"] == ""
    widget.wait(WAIT)
    ask(widget, "words", text="high", together=True)
    ask(widget, "systems", systems=["voice"], blind=False)
    widget.wait(WAIT)
    assert widget._words["hint"] and widget._results["text"] == "No chosen system reads words."


def test_trained_models_that_read_are_offered(tmp_path, monkeypatch):
    monkeypatch.setenv("QVIM_DATA", str(tmp_path))
    cards = {"mine": {"name": "language"}, "other": {"name": "mobilenet"}, "odd": "language"}
    for name, architecture in cards.items():
        (tmp_path / "runs" / name).mkdir(parents=True)
        card = json.dumps({"architecture": architecture})
        (tmp_path / "runs" / name / "card.json").write_text(card)
    (tmp_path / "runs" / "odd" / "card.json").write_text("{")
    offered = choices.Systems()
    assert "mine" in offered.names and not {"other", "odd"} & set(offered.names)
    assert offered.reads_words("mine") and not offered.reads_words("2DFT")
    (tmp_path / "runs" / "mine" / "card.json").unlink()
    assert choices.word_systems() == {}


def test_a_saved_language_model_is_loaded_by_its_folder(tmp_path):
    from qvim_kit.models.language import LanguageModel
    from qvim_kit.models.mobilenet import mobilenet

    model = LanguageModel(mobilenet(0.4), text_encoder="letters", text_dim=26, duration=1.0)
    model.save_pretrained(tmp_path / "my-words", card={"licence": "MIT"})
    offered = choices.Systems({"words": tmp_path / "my-words"})
    assert offered.reads_words("words")
    assert hasattr(offered.load("words")[1], "embed_text")


def test_lists_for_several_systems(library):
    systems = (Spectrum("v"), Spectrum("w"), Reader("r"), Reader("s"))
    v, w, r, s = (SoundIndex.build(library / "low", system) for system in systems)
    asked = ["voice", "words"]
    assert lists_for(["voice"], {"v": v, "w": w}) == {"v": {"voice": "v"}, "w": {"voice": "w"}}
    assert list(lists_for(["words"], {"r": r, "s": s})) == ["r", "s"]
    assert lists_for(asked, {"r": r, "v": v}) == {"v + r": {"voice": "v", "words": "r"}}
    assert lists_for(asked, {"r": r, "s": s})["s"] == {"voice": "s", "words": "s"}
    assert lists_for(asked, {"v": v, "w": w}) == lists_for(["voice"], {"v": v, "w": w})


def test_together_leaves_out_what_one_index_lacks(library):
    first = SoundIndex.build(library, Spectrum())
    second = SoundIndex.build(library / "high", Reader())
    second.sounds["name"] = "high/" + second.sounds["name"]
    parts = [(index, index.embeddings[0]) for index in (first, second)]
    table = together(parts, 10, np.ones(len(first), dtype=bool))
    assert sorted(table["name"]) == sorted(second.sounds["name"])
    assert list(first.sounds["path"][table.index]) == list(table["path"])
