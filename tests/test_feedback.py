"""The feedback file: what is written, what survives, what it adds up to, what can be learnt."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qvim_kit.audio import load_audio
from qvim_kit.datasets import DatasetError, RetrievalDataset
from qvim_kit.datasets.listings import DatasetWarning
from qvim_kit.evaluation.intervals import bootstrap_interval
from qvim_kit.search.events import hash_audio, store_audio
from qvim_kit.search.feedback import FeedbackLog, FeedbackWarning

NAMES = ["Dog/a.wav", "Dog/b.wav", "Cat/c.wav", "Cat/d.wav"]


@pytest.fixture
def log(tmp_path) -> FeedbackLog:
    return FeedbackLog(tmp_path / "new folder" / "feedback.jsonl")


def voice(seed=0, samples=8_000) -> tuple[np.ndarray, int]:
    return np.random.default_rng(seed).uniform(-1, 1, samples).astype(np.float32), 16_000


def say(log, query="q1", system="one", chosen="Dog/b.wav", verdict="right", **more):
    more = {"ranking": NAMES, **more}
    return log.record(query=query, system=system, chosen=chosen, verdict=verdict, **more)


# ---- what is written


def test_an_event_comes_back_as_it_was_said(log):
    said = log.record(
        query_audio=voice(),
        system="one",
        ranking=pd.Series(NAMES),
        chosen=NAMES[1],
        verdict="right",
        panel="A",
        other_system="two",
        time=datetime.datetime(2025, 6, 1, 14, 0, tzinfo=datetime.timezone.utc),
        library="mini",
    )
    (event,) = log.events.to_dict("records")
    assert event["query"] == hash_audio(*voice()) == said["query"]
    assert event["ranking"] == NAMES
    assert (event["system"], event["chosen"], event["verdict"]) == ("one", NAMES[1], "right")
    assert (event["panel"], event["other_system"], event["library"]) == ("A", "two", "mini")
    assert event["time"] == pd.Timestamp("2025-06-01T14:00Z")
    assert len(log.path.read_bytes().splitlines()) == 1
    assert not log.audio_folder.exists()


def test_the_time_is_now_unless_given(log):
    before = pd.Timestamp.now("UTC")
    say(log)
    say(log, time=0.0)
    first, second = log.events["time"]
    assert before <= first <= pd.Timestamp.now("UTC")
    assert second == pd.Timestamp("1970-01-01", tz="UTC")


def test_an_empty_log_has_columns_and_numbers_but_no_file(log):
    assert list(log.events.columns)[:4] == ["time", "kind", "query", "system"]
    assert log.events.empty and not log.damaged
    numbers = log.numbers()
    assert numbers.systems.empty and numbers.pairs.empty
    assert "nothing judged yet" in repr(numbers) and "nothing judged yet" in numbers._repr_html_()
    assert not log.path.exists()


def test_the_log_is_in_the_data_folder_by_default(tmp_path, monkeypatch):
    monkeypatch.setenv("QVIM_DATA", str(tmp_path))
    assert FeedbackLog().path.is_relative_to(tmp_path)


@given(name=st.text(min_size=1))
@settings(deadline=None, max_examples=50)
def test_any_name_survives(tmp_path_factory, name):
    log = FeedbackLog(tmp_path_factory.mktemp("log") / "f.jsonl")
    say(log, query=name, ranking=[name, "other"], chosen=name)
    (event,) = log.read()[0]
    assert (event["query"], event["ranking"][0], event["chosen"]) == (name, name, name)
    assert log.path.read_bytes().count(b"\n") == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"verdict": "maybe"}, "'maybe'"),
        ({"system": ""}, "name of a system"),
        ({"chosen": None}, "chosen: found None"),
        ({"panel": "C", "other_system": "two"}, "'C'"),
        ({"panel": "A"}, "other_system: found None"),
        ({"other_system": "one", "panel": "A"}, "another than system"),
        ({"other_ranking": NAMES}, "other_system: found None"),
        ({"ranking": [""]}, "list of names"),
        ({"score": float("nan")}, "JSON"),
        ({"score": np.float32(1)}, "JSON"),
        ({"kind": "rating"}, "kind"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(log, change, words):
    with pytest.raises(ValueError, match=words):
        say(log, **change)
    assert not log.path.exists()


def test_all_problems_are_said_at_once_and_no_audio_is_kept(log):
    with pytest.raises(ValueError, match="system.*verdict") as raised:
        log.record(query_audio=voice(), system="", ranking=[], verdict="?", keep_audio=True)
    assert "'?'" in str(raised.value)
    assert not log.audio_folder.exists()


def test_audio_without_a_sound_is_refused(log):
    bad = [np.array([]), np.array([np.nan]), np.zeros((2, 2, 2)), np.array(["a"])]
    for waveform in bad:
        with pytest.raises(ValueError, match="query_audio"):
            say(log, query=None, query_audio=(waveform, 16_000))
    for rate in (0, 44_100.5, float("nan"), "fast"):
        with pytest.raises(ValueError, match="sample_rate"):
            say(log, query=None, query_audio=(np.zeros(9), rate))
    with pytest.raises(ValueError, match="keep_audio"):
        say(log, keep_audio=True)
    with pytest.raises(ValueError, match="query"):
        say(log, query_audio=voice())
    assert not log.path.exists()


# ---- recordings


@given(
    waveform=arrays(np.float32, st.integers(1, 300), elements=st.floats(-1.5, 1.5, width=32)),
    rate=st.sampled_from([8_000, 22_050, 44_100.0, 48_000, 96_000]),
)
@settings(deadline=None, max_examples=40)
def test_a_kept_recording_has_the_hash_of_what_was_said(tmp_path_factory, waveform, rate):
    folder = tmp_path_factory.mktemp("audio")
    path = store_audio(folder, waveform, rate)
    stored, stored_rate = soundfile.read(path, dtype="float32")
    assert path.stem == hash_audio(waveform, rate) == hash_audio(stored, stored_rate)
    np.testing.assert_allclose(stored, np.clip(waveform, -1, 1), atol=2**-23)
    assert [file.name for file in folder.iterdir()] == [path.name]


def test_a_hash_tells_recordings_apart_and_formats_not():
    waveform, rate = voice()
    whole = np.rint(waveform * 32_767).astype(np.int16)
    names = {hash_audio(waveform, rate), hash_audio(waveform, 2 * rate), hash_audio(whole, rate)}
    assert len(names | {hash_audio(waveform[:-1], rate)}) == 4
    assert hash_audio(whole, rate) == hash_audio((whole / 32_768).astype(np.float32), rate)
    assert hash_audio(np.stack([whole, whole], axis=1), rate) == hash_audio(whole, rate)


def test_audio_is_kept_only_where_it_was_agreed_to(log):
    say(log, query=None, query_audio=voice(1))
    event = say(log, query=None, query_audio=voice(2), keep_audio=True)
    assert log.audio_of(hash_audio(*voice(1))) is None
    kept = log.audio_of(event["query"])
    assert kept.name == event["audio"] and kept.parent == log.audio_folder
    np.testing.assert_allclose(load_audio(kept, 16_000), voice(2)[0], atol=2**-23)
    assert log.audio_of("../" + kept.stem) is None


# ---- what survives


def test_half_a_line_is_named_and_harms_no_other(log):
    say(log, query="before")
    with log.path.open("ab") as file:
        file.write(b'{"time": "2025-01-01T00:00:00+00:00", "kind": "feedb')
    damaged = log.path.read_bytes()
    say(log, query="after")
    assert log.path.read_bytes().startswith(damaged)  # nothing is ever rewritten
    with pytest.warns(FeedbackWarning, match="line 2"):
        assert list(log.events["query"]) == ["before", "after"]
    (line,) = log.damaged
    assert line.number == 2 and "feedb" in line.text
    with pytest.warns(FeedbackWarning):
        assert log.numbers().counts["damaged lines left out"] == 1


@given(cut=st.integers(0, 10_000), garbage=st.binary(max_size=40))
@settings(deadline=None, max_examples=60)
def test_wherever_the_power_fails_whole_lines_stay(tmp_path_factory, cut, garbage):
    log = FeedbackLog(tmp_path_factory.mktemp("log") / "f.jsonl")
    for number in range(3):
        say(log, query=f"q{number}")
    content = log.path.read_bytes()
    kept = content[: cut % (len(content) + 1)]
    log.path.write_bytes(kept + garbage)
    say(log, query="after")
    queries = [event["query"] for event in log.read()[0] if event.get("query")]
    whole = [f"q{number}" for number in range(kept.count(b"\n"))]
    assert queries[: len(whole)] == whole and queries[-1] == "after"


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe", b"[1, 2]", b'"text"', b"{}", b'{"kind": "feedback"}', b"[" * 100_000,
        b'{"kind": "rating", "time": "2025-01-01", "test": "t", "trial": "x", "query": "q",'
        b' "listener": "", "ratings": {"one": NaN}}',
        b'{"kind": "feedback", "time": "yesterday", "system": "s", "ranking": [],'
        b' "verdict": "wrong"}',
    ],
)  # fmt: skip
def test_a_line_that_says_nothing_is_reported(log, line):
    say(log)
    with log.path.open("ab") as file:
        file.write(line + b"\n")
    say(log, query="q2")
    assert [event["query"] for event in log.read()[0]] == ["q1", "q2"]
    assert [damaged.number for damaged in log.damaged] == [2]


def test_what_is_taken_back_was_not_said(log):
    for verdict in ("right", "taken back"):
        say(log, query="slip", verdict=verdict)
    say(log, query="given up", verdict="wrong", chosen=None)
    for verdict in ("right", "taken back", "right"):
        say(log, query="found", verdict=verdict)
    numbers = log.numbers()
    assert (numbers.counts["judgements"], numbers.counts["queries"]) == (6, 2)
    assert numbers.systems.loc["one", "MRR"] == (0 + 1 / 2) / 2


def test_kinds_of_later_versions_pass(log):
    log.append("applause", loudness=3)
    say(log)
    assert list(log.events["kind"]) == ["applause", "feedback"]
    assert log.numbers().counts["judgements"] == 1


def test_a_full_disk_is_said(log, monkeypatch):
    class Full:
        def write(self, line):
            return len(line) // 2

        def __getattr__(self, name):
            return {"seek": lambda *_: 0, "fileno": lambda: 0}[name]

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    monkeypatch.setattr("pathlib.Path.open", lambda self, *_, **__: Full(), raising=True)
    monkeypatch.setattr("qvim_kit.search.feedback.locked", lambda path: Full())
    monkeypatch.setattr("os.fsync", lambda _: None)
    with pytest.raises(OSError, match="is the disk full"):
        say(log)


WRITER = """
import sys
from qvim_kit.search.feedback import FeedbackLog
log = FeedbackLog(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(60):
    log.record(query=f"{sys.argv[2]} {number}", system="s", ranking=["x" * 9_000], verdict="wrong")
"""


def test_two_processes_lose_nothing_and_mix_nothing(log):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(log.path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for name in ("left", "right")
    ]
    for writer in writers:
        assert writer.stdout.readline() == b"ready\n"
    for writer in writers:
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    for writer in writers:
        _, errors = writer.communicate(timeout=60)
        assert writer.returncode == 0, errors
    assert not log.damaged
    queries = [event["query"] for event in log.read()[0]]
    for name in ("left", "right"):
        own = [query for query in queries if query.startswith(name)]
        assert own == [f"{name} {number}" for number in range(60)]
    assert [path.name for path in log.path.parent.iterdir()] == [log.path.name]


# ---- what it adds up to


def test_mrr_of_the_chosen_with_its_interval(log):
    places = [0, 1, 3, None, 1, 0]
    for number, place in enumerate(places):
        name = NAMES[place] if place is not None else None
        say(log, query=f"q{number}", chosen=name, verdict="right" if name else "wrong")
    values = np.array([1, 1 / 2, 1 / 4, 0, 1 / 2, 1])
    row = log.numbers().systems.loc["one"]
    assert row["queries"] == 6 and row["MRR"] == pytest.approx(values.mean())
    low, high = bootstrap_interval(values[:, None], np.arange(6))[:, 0]
    assert (row["low"], row["high"]) == pytest.approx((low, high))
    assert log.numbers().counts["without a right sound"] == 1


def test_the_ranking_shown_first_counts_not_the_one_that_learnt(log):
    say(log, chosen=NAMES[0], verdict="wrong")
    say(log, ranking=[NAMES[3], *NAMES[:3]], chosen=NAMES[3])
    assert log.numbers().systems.loc["one", "MRR"] == pytest.approx(1 / 4)


def test_a_list_that_has_learnt_before_it_was_shown_does_not_count(log):
    say(log, chosen=NAMES[1])
    say(
        log, system="two", ranking=NAMES[1:], chosen=NAMES[2], panel="B", reranked=True,
        other_system="one", other_ranking=NAMES,
    )  # fmt: skip
    assert log.numbers().systems["MRR"].to_dict() == {"one": 1 / 2}


def test_names_may_be_left_out_of_the_numbers(log):
    say(log, query="sound Dog/a.wav")
    say(log, None, query_audio=voice(), chosen=NAMES[0])
    assert log.numbers().systems.loc["one"][["queries", "MRR"]].tolist() == [2, 3 / 4]
    only = log.numbers(recordings_only=True).systems.loc["one"]
    assert only[["queries", "MRR"]].tolist() == [1, 1]


def test_the_last_verdict_counts_and_the_best_right_sound(log):
    say(log, chosen=NAMES[0])
    say(log, chosen=NAMES[2])
    assert log.numbers().systems.loc["one", "MRR"] == 1
    say(log, chosen=NAMES[0], verdict="wrong")
    assert log.numbers().systems.loc["one", "MRR"] == pytest.approx(1 / 3)


def test_right_is_right_whoever_found_it_and_not_shown_is_zero(log):
    say(log, system="one", ranking=NAMES, chosen=NAMES[1])
    say(log, system="two", ranking=[NAMES[1], NAMES[3]], chosen=NAMES[3])
    say(log, system="three", ranking=[NAMES[0]], chosen=None, verdict="wrong")
    mrr = log.numbers().systems["MRR"]
    assert mrr.to_dict() == pytest.approx({"one": 1 / 2, "three": 0, "two": 1})


@pytest.mark.parametrize("field", ["library", "words"])
def test_another_library_or_other_words_make_another_query(log, field):
    say(log, chosen=None, verdict="wrong", **{field: "low"})
    say(log, chosen=NAMES[1], **{field: "high"})
    say(log, chosen=NAMES[0])  # as logs were written before either was told
    assert log.numbers().systems.loc["one"][["queries", "MRR"]].tolist() == [3, 1 / 2]
    say(log, chosen=NAMES[1], verdict="taken back", **{field: "high"})
    assert log.numbers().systems.loc["one"][["queries", "MRR"]].tolist() == [2, 1 / 2]


def test_what_stands_first_in_a_filtered_list_is_right_but_no_rank(log):
    wanted = {"text": "d", "classes": []}
    panels = {"panel": "A", "other_system": "two", "other_ranking": NAMES[2:]}
    say(log, ranking=NAMES[3:], chosen=NAMES[3], filter=wanted, **panels)
    numbers = log.numbers()
    assert numbers.systems.empty and numbers.pairs.empty
    assert numbers.counts["judgements of filtered lists"] == 1 and not numbers.counts["queries"]
    say(log, chosen=NAMES[0], verdict="wrong")
    assert log.numbers().systems["MRR"].to_dict() == {"one": 1 / 4}


def test_queries_without_a_name_are_not_one_query(log):
    for chosen in NAMES[:2]:
        say(log, query=None, chosen=chosen)
    row = log.numbers().systems.loc["one"]
    assert row["queries"] == 2 and row["MRR"] == pytest.approx(3 / 4)


def test_a_against_b_with_both_rankings(log):
    rankings = {"one": NAMES, "two": NAMES[::-1]}
    chosen = [0, 0, 0, 1, 0, 0, 0, 3]
    for number, place in enumerate(chosen):
        system, other = ("one", "two") if number % 2 else ("two", "one")
        say(
            log, f"q{number}", system, NAMES[place], ranking=rankings[system], panel="A",
            other_system=other, other_ranking=rankings[other],
        )  # fmt: skip
    (pair,) = log.numbers().pairs.to_dict("records")
    values = np.array([1 / (p + 1) - 1 / (4 - p) for p in chosen])
    assert (pair["a"], pair["b"], pair["queries"]) == ("one", "two", 8)
    assert (pair["a wins"], pair["ties"], pair["b wins"]) == (7, 0, 1)
    assert pair["difference"] == pytest.approx(values.mean())
    low, high = bootstrap_interval(values[:, None], np.arange(8))[:, 0]
    assert (pair["low"], pair["high"]) == pytest.approx((low, high))
    assert pair["p-value"] == pytest.approx(2 * (1 + 8) / 2**8)  # P(7 or 8 heads of 8), twice


def test_where_one_ranking_is_unknown_the_chosen_panel_wins(log):
    for number in range(3):
        say(log, f"q{number}", "two", panel="B", other_system="one")
    (pair,) = log.numbers().pairs.to_dict("records")
    assert (pair["a wins"], pair["ties"], pair["b wins"]) == (0, 0, 3)
    assert np.isnan(pair["difference"]) and pair["p-value"] == pytest.approx(0.25)
    assert list(log.numbers().systems.index) == ["two"]
    say(log, "q0", "one", ranking=[NAMES[1]], panel="A", other_system="two")
    (pair,) = log.numbers().pairs.to_dict("records")
    assert (pair["a wins"], pair["b wins"]) == (1, 2)  # now both rankings of q0 are known
    say(log, "q1", "two", verdict="wrong", panel="B", other_system="one")
    assert log.numbers().pairs["b wins"].item() == 1  # taken back


def test_numbers_do_not_depend_on_the_order_of_queries(log, tmp_path, rng):
    events = [
        {"query": f"q{q}", "system": s, "ranking": list(rng.permutation(NAMES)),
         "chosen": str(rng.choice(NAMES)), "verdict": "right"}
        for q in range(12) for s in ("one", "two")
    ]  # fmt: skip
    other = FeedbackLog(tmp_path / "other.jsonl")
    for event in events:
        log.record(**event)
    for event in reversed(events):
        other.record(**event)
    first, second = log.numbers(), other.numbers()
    means = ["MRR", "queries"]
    pd.testing.assert_frame_equal(first.systems[means], second.systems[means])
    pd.testing.assert_frame_equal(first.pairs[["difference"]], second.pairs[["difference"]])
    assert "MRR" in first._repr_html_() and "p-value" in repr(first)


# ---- what can be learnt


@pytest.fixture
def library(tmp_path):
    """Four sounds in two classes."""
    root = tmp_path / "library"
    for number, name in enumerate(NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / name, voice(100 + number)[0], 16_000)
    return root


def table_of(library):
    rows = [(name, str(library / name), name.split("/")[0]) for name in NAMES]
    return pd.DataFrame(rows, columns=["name", "path", "class"])


@pytest.mark.parametrize("as_table", [False, True])
def test_pairs_are_kept_recordings_and_right_sounds(log, library, as_table):
    for seed, chosen, verdict, keep in (
        (1, NAMES[0], "right", True),
        (2, NAMES[3], "right", True),
        (2, NAMES[2], "right", False),  # of a recording that is kept
        (3, NAMES[0], "right", False),  # not kept
        (4, NAMES[1], "wrong", True),
        (5, NAMES[1], "right", True),
        (5, NAMES[1], "wrong", False),  # taken back
    ):
        more = {"query_audio": voice(seed), "keep_audio": keep}
        say(log, None, chosen=chosen, verdict=verdict, **more)
    pairs = log.pairs(table_of(library) if as_table else library)
    assert isinstance(pairs, RetrievalDataset)
    found = {
        (row["path"], row["item_id"], row["class"]) for row in pairs.queries.to_dict("records")
    }
    kept = {seed: str(log.audio_of(hash_audio(*voice(seed)))) for seed in (1, 2)}
    assert found == {
        (kept[1], NAMES[0], "Dog"), (kept[2], NAMES[3], "Cat"), (kept[2], NAMES[2], "Cat"),
    }  # fmt: skip
    assert set(pairs.items["item_id"]) == {NAMES[0], NAMES[2], NAMES[3]}
    assert pairs.item_paths[NAMES[0]] == str(library / NAMES[0])


def test_sounds_are_found_deeper_by_the_end_of_their_name(log, library):
    say(log, None, query_audio=voice(), keep_audio=True)
    say(log, None, query_audio=voice(), chosen="a.wav", keep_audio=True)
    pairs = log.pairs(library.parent)
    assert set(pairs.items["class"]) == {"Dog"}
    assert set(pairs.item_paths.values()) == {str(library / name) for name in NAMES[:2]}


def test_pairs_name_every_sound_that_is_missing_or_ambiguous(log, library):
    (library / "Cat" / "a.wav").write_bytes((library / NAMES[0]).read_bytes())
    for chosen in ("Bird/e.wav", "a.wav", NAMES[1]):
        say(log, None, query_audio=voice(), chosen=chosen, keep_audio=True)
    with pytest.raises(DatasetError) as raised:
        log.pairs(library)
    assert "Bird/e.wav: there is no such file" in str(raised.value)
    assert "a.wav: fits 2 sounds" in str(raised.value)
    with pytest.warns(DatasetWarning, match="left out 2 sounds, not found"):
        pairs = log.pairs(library, allow_missing=True)
    assert list(pairs.items["item_id"]) == [NAMES[1]]


@pytest.mark.parametrize("as_table", [False, True])
def test_what_was_marked_in_another_library_pairs_with_nothing_here(
    log, library, tmp_path, as_table
):
    other, gone = tmp_path / "other", tmp_path / "gone"
    other.mkdir()
    respelled = other / ".." / library.name
    searched = {1: other, 2: library, 3: gone, 4: "a data set", 5: respelled, 6: None}
    for seed, place in searched.items():
        more = {} if place is None else {"library": str(place)}
        more |= {"query_audio": voice(seed), "keep_audio": True}
        say(log, None, chosen="Bird/e.wav" if place == other else NAMES[0], **more)
    say(log, None, chosen=NAMES[1], query_audio=voice(2), library=str(library))
    say(log, None, chosen=NAMES[1], query_audio=voice(2), library=str(other), verdict="wrong")
    with pytest.warns(DatasetWarning, match=f"left out 1 sound marked in another.*{other}: Bird/e"):
        pairs = log.pairs(table_of(library) if as_table else library)
    heard = [hash_audio(*voice(seed)) for seed in (2, 2, 3, 4, 5, 6)]
    assert sorted(Path(path).stem for path in pairs.queries["path"]) == sorted(heard)


def test_a_folder_around_a_library_or_within_it_is_not_another(log, library):
    more = {"query_audio": voice(), "keep_audio": True}
    say(log, None, chosen=NAMES[0], library=str(library), **more)
    say(log, None, chosen="a.wav", library=str(library / "Dog"), **more)
    for root in (library.parent, library):
        assert set(log.pairs(root).item_paths.values()) == {str(library / NAMES[0])}


def test_without_kept_recordings_there_is_nothing_to_learn(log, library):
    say(log, None, query_audio=voice())
    with pytest.raises(DatasetError, match="keep_audio=True"):
        log.pairs(library)
    with pytest.raises(DatasetError, match="no column 'class'"):
        say(log, None, query_audio=voice(), keep_audio=True)
        log.pairs(table_of(library).drop(columns="class"))


def test_fit_learns_from_the_pairs(log, library, tmp_path):
    import torch

    from qvim_kit.models.dual_encoder import DualEncoder
    from qvim_kit.models.mobilenet import mobilenet
    from qvim_kit.training import WaveformCache, fit

    for seed, chosen in enumerate([*NAMES, NAMES[0]]):
        say(log, None, query_audio=voice(seed), chosen=chosen, keep_audio=True)
    pairs = log.pairs(library)
    elsewhere = tmp_path / "elsewhere.wav", tmp_path / "imitation.wav"
    for seed, path in enumerate(elsewhere, start=50):
        soundfile.write(path, voice(seed)[0], 16_000)
    validation = RetrievalDataset(
        pd.DataFrame([("x", str(elsewhere[0]), "X")], columns=["item_id", "path", "class"]),
        pd.DataFrame(
            [("y", str(elsewhere[1]), "X", "x")], columns=["query_id", "path", "class", "item_id"]
        ),
    )
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # faster for tiny batches
    result = fit(
        DualEncoder(mobilenet(0.1), duration=0.3), pairs, validation, folder=tmp_path / "run",
        epochs=1, batch_size=2, labels="class", logger=None, progress=False,
        cache=WaveformCache(tmp_path / "waveforms"),
    )  # fmt: skip
    torch.set_num_threads(threads)
    assert len(result.history) == 1
    assert np.isfinite(result.history.select_dtypes("number").to_numpy()).any()


def test_lines_are_plain_json(log):
    say(log, query="ö", chosen="Dög/ü.wav")
    (line,) = log.path.read_text("utf-8").splitlines()
    assert json.loads(line)["chosen"] == "Dög/ü.wav"
