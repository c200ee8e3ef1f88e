"""The blind listening test: what is shown, hidden, stored, resumed and summed up."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from qvim_kit.datasets import DatasetError, RetrievalDataset
from qvim_kit.evaluation.intervals import bootstrap_interval
from qvim_kit.search import SoundIndex
from qvim_kit.search.feedback import FeedbackLog
from qvim_kit.search.listening_test import ListeningTest
from qvim_kit.systems import EmbeddingSystem, QVIMModel, Random

ITEMS = [f"Kind{n % 3}/{n}.wav" for n in range(6)]


class Index:
    """What a `SoundIndex` is to the test: it finds one sound for each query."""

    def __init__(self, name, found):
        self.system_name, self.found = name, found

    def search(self, query, k=10, where=None):
        path = self.found[str(query)]
        return pd.DataFrame(
            {"rank": [1], "name": [path.name], "path": [str(path)], "score": [0.5]}, index=[7]
        )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> RetrievalDataset:
    """Six items, two queries of each; every file has content of its own."""
    root = tmp_path_factory.mktemp("sounds")
    items = [(name, root / name, name.split("/")[0]) for name in ITEMS]
    queries = [
        (f"{name} q{k}", root / f"{name}.q{k}", kind, name)
        for name, _, kind in items
        for k in (1, 2)
    ]
    for name, path, *_ in (*items, *queries):
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"content of {name}")
    return RetrievalDataset(
        pd.DataFrame(items, columns=["item_id", "path", "class"]).astype({"path": str}),
        pd.DataFrame(queries, columns=["query_id", "path", "class", "item_id"]).astype(
            {"path": str}
        ),
    )


def table(dataset, find) -> pd.DataFrame:
    """Similarities of a system whose first result is find(row number of the query)."""
    scores = np.zeros((len(dataset.queries), len(ITEMS)))
    for row in range(len(scores)):
        scores[row, find(row) % len(ITEMS)] = 1
    return pd.DataFrame(scores, dataset.queries["query_id"], ITEMS)


@pytest.fixture
def systems(dataset):
    """One that is always right, one that never is, one that agrees with the first half the time."""
    return {
        "right": table(dataset, lambda row: row // 2),
        "wrong": table(dataset, lambda row: row // 2 + 1),
        "half": table(dataset, lambda row: row // 2 + 2 * (row % 2)),
    }


@pytest.fixture
def log(tmp_path):
    return FeedbackLog(tmp_path / "feedback.jsonl")


def judge(dataset, trial, noise=lambda: 0.0):
    """A listener who likes the wanted item: 80, and others less."""
    wanted = dict(zip(dataset.queries["query_id"], dataset.queries["item_id"], strict=True))
    return {
        sound.label: 80 + noise() if sound.name == wanted[trial.query_id] else 30 + noise()
        for sound in trial.sounds
    }


# ---- what is shown and hidden


def test_every_query_is_a_trial_with_each_systems_first_result(dataset, systems, log):
    test = ListeningTest(systems, dataset, log)
    assert {trial.query_id for trial in test.trials} == set(dataset.queries["query_id"])
    rows = {query: row for row, query in enumerate(dataset.queries["query_id"])}
    for trial in test.trials:
        row = rows[trial.query_id]
        expected = {ITEMS[(row // 2 + step) % 6] for step in (0, 1, 2 * (row % 2))}
        assert {sound.name for sound in trial.sounds} == expected
        assert [sound.label for sound in trial.sounds] == list("ABC")[: len(expected)]
        assert all(dataset.item_paths[sound.name] == sound.path for sound in trial.sounds)
        assert trial.query_path == dataset.query_paths[trial.query_id]
    assert not log.path.exists()  # nothing is stored before it is said


def test_nothing_shown_tells_the_systems(dataset, systems, log):
    test = ListeningTest(systems, dataset, log)
    shown = repr(test.trials) + repr(test)
    assert not any(f"'{name}'" in shown for name in systems)
    with pytest.raises(RuntimeError, match="rate it"):
        test.reveal(test.trials[0])


def test_orders_are_random_seeded_and_of_the_listeners_own(dataset, systems, log):
    two = {name: systems[name] for name in ("right", "wrong")}
    tests = [ListeningTest(two, dataset, log, seed=seed, listener="x") for seed in range(40)]
    assert ListeningTest(two, dataset, log, seed=3, listener="x").trials == tests[3].trials
    assert ListeningTest(two, dataset, log, seed=3, listener="y").trials != tests[3].trials
    swapped = dict(reversed(two.items()))
    assert ListeningTest(swapped, dataset, log, seed=3, listener="x").trials == tests[3].trials
    rows = {query: row for row, query in enumerate(dataset.queries["query_id"])}
    first = [
        trial.sounds[0].name == ITEMS[rows[trial.query_id] // 2]
        for test in tests
        for trial in test.trials
    ]
    assert len(first) == 480 and 200 < sum(first) < 280  # a fair coin: 240, 11 either way
    orders = {tuple(trial.query_id for trial in test.trials) for test in tests}
    assert len(orders) == 40


def test_a_trials_order_depends_on_no_other_trial(dataset, systems, log):
    everything = {trial.id: trial for trial in ListeningTest(systems, dataset, log).trials}
    some = ListeningTest(systems, dataset, log, count=5)
    assert len(some.trials) == 5
    assert all(trial == everything[trial.id] for trial in some.trials)


def test_drawn_queries_are_the_same_for_every_listener(dataset, systems, log):
    drawn = [
        {trial.id for trial in ListeningTest(systems, dataset, log, count=4, listener=name).trials}
        for name in "xyz"
    ]
    assert drawn[0] == drawn[1] == drawn[2]
    assert {t.id for t in ListeningTest(systems, dataset, log, count=4, seed=1).trials} != drawn[0]


def test_one_sound_under_two_names_is_rated_once_and_counts_for_both(tmp_path, log):
    query, first, copy = (tmp_path / name for name in ("q.wav", "first.wav", "copy.wav"))
    for path, content in ((query, "q"), (first, "same"), (copy, "same")):
        path.write_text(content)
    indexes = [Index("one", {str(query): first}), Index("two", {str(query): copy})]
    test = ListeningTest(indexes, [query], log)
    (trial,) = test.trials
    assert len(trial.sounds) == 1
    event = test.rate(trial, [64])
    assert event["ratings"] == {"one": 64, "two": 64}
    assert event["items"] == {"one": "first.wav", "two": "copy.wav"}
    assert test.reveal(trial) == {"A": ["one", "two"]}
    (pair,) = test.summary().pairs.to_dict("records")
    assert (pair["a wins"], pair["ties"], pair["b wins"]) == (0, 1, 0)


def test_indexes_systems_and_tables_may_be_mixed(dataset, systems, log, tmp_path):
    found = {path: tmp_path / "found.wav" for path in dataset.query_paths.values()}
    (tmp_path / "found.wav").write_text("found")
    mixed = {"index": Index("?", found), "random": Random(), "table": systems["right"]}
    test = ListeningTest(mixed, dataset, log)
    scores = Random().compute_similarities(dataset.item_paths, dataset.query_paths)
    for trial in test.trials:
        row = scores[trial.query_id]
        wanted = trial.query_id.split(" q")[0]
        assert {s.name for s in trial.sounds} == {"found.wav", max(row, key=row.get), wanted}


class Level(EmbeddingSystem):
    """Embeds a sound as its level in two bands."""

    sample_rate, duration = 16_000, 0.1

    def __init__(self, name, turn):
        self.name, self.turn = name, turn

    def embed_batch(self, waveforms, side):
        spectrum = np.abs(np.fft.rfft(waveforms))
        bands = np.stack([spectrum[:, :80].sum(axis=1), spectrum[:, 80:].sum(axis=1)], axis=1)
        return bands[:, ::-1] if self.turn and side == "query" else bands


def test_real_indexes_find_the_sounds_to_rate(tmp_path, log):
    time = np.arange(1_600) / 16_000
    for name, pitch in (("low.wav", 200), ("high.wav", 5_000)):
        for folder in ("library", "voices"):
            (tmp_path / folder).mkdir(exist_ok=True)
            soundfile.write(
                tmp_path / folder / name, 0.5 * np.sin(2 * np.pi * pitch * time), 16_000
            )
    library = tmp_path / "library"
    indexes = [SoundIndex.build(library, Level(n, t)) for n, t in (("ear", 0), ("upside down", 1))]
    test = ListeningTest(indexes, sorted((tmp_path / "voices").iterdir()), log)
    for trial in test.trials:
        assert {sound.name for sound in trial.sounds} == {"low.wav", "high.wav"}
        heard = Path(trial.query_path).name
        test.rate(trial, [100 if sound.name == heard else 0 for sound in trial.sounds])
    assert test.summary().systems["MOS"].to_dict() == {"ear": 100, "upside down": 0}


# ---- rating, and coming back


def test_rating_stores_what_was_heard_and_who_was_behind(dataset, systems, log):
    test = ListeningTest(systems, dataset, log, seed=5, listener="Ada")
    trial = next(trial for trial in test.trials if len(trial.sounds) == 3)
    test.rate(trial, {"C": np.float32(12.5), "A": 100, "B": 0})
    (event,) = log.events.to_dict("records")
    assert (event["kind"], event["trial"], event["listener"]) == ("rating", trial.id, "Ada")
    assert (event["seed"], event["query_id"]) == (5, trial.query_id)
    revealed = test.reveal(trial)
    assert [revealed[sound.label] for sound in trial.sounds] == event["order"]
    for sound, rating in zip(trial.sounds, (100, 0, 12.5), strict=True):
        (system,) = revealed[sound.label]
        assert event["ratings"][system] == rating
        assert event["items"][system] == sound.name


def test_a_test_goes_on_after_a_restart(dataset, systems, log):
    asked = []
    for _ in range(4):  # each time from nothing but the file
        test = ListeningTest(systems, dataset, FeedbackLog(log.path))
        for _ in range(3):
            trial = test.next()
            asked.append(trial.id)
            test.rate(trial, judge(dataset, trial))
    assert len(set(asked)) == len(asked) == 12
    assert test.next() is None and test.progress == (12, 12)
    assert ListeningTest(systems, dataset, log, listener="Ada").progress == (0, 12)
    assert ListeningTest(systems, dataset, log, name="another").progress == (0, 12)
    assert ListeningTest(systems, dataset, log, seed=9).progress == (12, 12)


def test_only_what_changed_is_asked_again(dataset, systems, log):
    test = ListeningTest(systems, dataset, log)
    for trial in test.trials:
        test.rate(trial, judge(dataset, trial))
    systems["wrong"] = table(dataset, lambda row: row // 2 + (3 if row == 4 else 1))
    again = ListeningTest(systems, dataset, log)
    assert again.progress == (11, 12)
    assert again.next().query_id == dataset.queries["query_id"][4]


def test_a_half_written_rating_is_asked_again(dataset, systems, log):
    test = ListeningTest(systems, dataset, log)
    for trial in test.trials[:2]:
        test.rate(trial, judge(dataset, trial))
    log.path.write_bytes(log.path.read_bytes()[:-30])
    assert test.progress == (1, 12) and test.next() == test.trials[1]
    test.rate(test.trials[1], judge(dataset, test.trials[1]))
    assert test.progress == (2, 12)
    assert test.summary().counts["damaged lines left out"] == 1


@pytest.mark.parametrize(
    ("ratings", "words"),
    [
        ([50], "found 1, expected 3"),
        ([50, 50, float("nan")], "C: found nan"),
        ([50, 101, -1], "B: found 101.*C: found -1"),
        ([50, 50, True], "C: found True"),
        ([50, 50, "90"], "C: found '90'"),
        ([50, 50, None], "C: found None"),
        ({"A": 1, "B": 2, "D": 3}, "D: there is no such sound.*C: found None"),
    ],
)
def test_what_is_no_rating_is_refused_and_nothing_stored(dataset, systems, log, ratings, words):
    test = ListeningTest(systems, dataset, log)
    trial = next(trial for trial in test.trials if len(trial.sounds) == 3)
    with pytest.raises(ValueError, match=words):
        test.rate(trial, ratings)
    assert not log.path.exists()
    with pytest.raises(ValueError, match="one of this test's 12"):
        test.rate("somewhere", [1, 2, 3])


# ---- what it adds up to


def test_summary_by_hand(dataset, systems, log):
    test = ListeningTest(systems, dataset, log)
    rng = np.random.default_rng(0)
    while trial := test.next():
        test.rate(trial, judge(dataset, trial, lambda: rng.uniform(-20, 20)))
    events = log.events
    summary = test.summary()
    for system in systems:
        values = np.array([ratings[system] for ratings in events["ratings"]])
        low, high = bootstrap_interval(np.sort(values)[:, None], np.arange(12))[:, 0]
        row = summary.systems.loc[system]
        assert row["queries"] == 12 and row["MOS"] == pytest.approx(values.mean())
        assert (row["low"], row["high"]) == pytest.approx((low, high), abs=1.5)
    pairs = summary.pairs.set_index(["a", "b"])
    for (a, b), row in pairs.iterrows():
        difference = np.array([r[a] - r[b] for r in events["ratings"]])
        assert row["difference"] == pytest.approx(difference.mean())
        assert [row["a wins"], row["ties"], row["b wins"]] == [
            np.sum(difference > 0), np.sum(difference == 0), np.sum(difference < 0)
        ]  # fmt: skip
    assert pairs.loc[("right", "half"), "ties"] == 6
    assert (
        pairs.loc[("right", "wrong"), "low"] > 0 and pairs.loc[("right", "wrong"), "p-value"] < 0.05
    )
    assert list(summary.systems.index) == ["right", "wrong", "half"]
    assert "MOS" in summary._repr_html_() and "12 queries rated" in repr(summary)


def test_the_last_rating_counts_and_listeners_are_averaged_by_query(dataset, systems, log):
    two = {name: systems[name] for name in ("right", "wrong")}
    ratings = {"Ada": (90, 10), "Bo": (40, 60)}
    for listener, (right, wrong) in ratings.items():
        test = ListeningTest(two, dataset, log, count=1, listener=listener)
        (trial,) = test.trials
        test.rate(trial, [0, 0])
        order = [test.reveal(trial)[label][0] for label in "AB"]
        test.rate(trial, [right if system == "right" else wrong for system in order])
    summary = test.summary()
    assert summary.systems["MOS"].to_dict() == {"right": 65, "wrong": 35}
    assert summary.counts["listeners"] == 2 and summary.counts["queries rated"] == 1
    assert summary.pairs["a wins"].item() == 1  # of one query, not of two ratings
    assert np.isnan(summary.systems.loc["right", "low"])


def test_nothing_rated_is_no_error(dataset, systems, log):
    summary = ListeningTest(systems, dataset, log).summary()
    assert summary.systems.empty and summary.pairs.empty
    assert "nothing judged yet" in summary._repr_html_() and summary.counts["not yet"] == 12


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=2, max_size=12))
@settings(deadline=None, max_examples=15)
def test_scores_stay_in_range_and_wins_add_up(tmp_path_factory, dataset, ratings):
    log = FeedbackLog(tmp_path_factory.mktemp("log") / "f.jsonl")
    two = {
        "one": table(dataset, lambda row: row), "two": table(dataset, lambda row: row + 1)
    }  # fmt: skip
    test = ListeningTest(two, dataset, log)
    for trial, both in zip(test.trials, ratings, strict=False):
        test.rate(trial, both)
    summary = test.summary()
    assert summary.systems["MOS"].between(0, 100).all()
    for low, high in pairwise(("low", "MOS", "high")):
        assert (summary.systems[low] <= summary.systems[high] + 1e-9).all()
    (pair,) = summary.pairs.to_dict("records")
    assert pair["a wins"] + pair["ties"] + pair["b wins"] == pair["queries"] == len(ratings)
    mos = summary.systems["MOS"]
    assert pair["difference"] == pytest.approx(mos["one"] - mos["two"], abs=1e-9)


# ---- what cannot be tested


class Silent(QVIMModel):
    """Says nothing of the last item."""

    name = "silent"

    def compute_similarities(self, items, queries):
        return {query: dict.fromkeys(list(items)[:-1], 0.5) for query in queries}


def test_arguments_that_do_not_fit(dataset, systems, log, tmp_path):
    two = {"one": systems["right"], "two": systems["wrong"]}
    paths = list(dataset.query_paths.values())
    for words, arguments, options in (
        ("two names or more", ({"one": systems["right"]}, dataset), {}),
        ("different ones", ([Silent(), Silent()], dataset), {}),
        ("different ones", (list(two.values()), dataset), {}),
        ("count: found 13", (two, dataset), {"count": 13}),
        ("count: found 0", (two, dataset), {"count": 0}),
        ("seed: found -1", (two, dataset), {"seed": -1}),
        ("items: found none", (two, paths), {}),
        ("queries: found none", (two, []), {}),
        ("found one path", (two, paths[0]), {}),
        ("silent: found no finite score", ({**two, "silent": Silent()}, dataset), {}),
        ("no finite score", ({**two, "nan": systems["right"] * np.nan}, dataset), {}),
        ("expected an index", ({**two, "text": "mn04"}, dataset), {}),
    ):
        with pytest.raises(ValueError, match=words):
            ListeningTest(*arguments, log, **options)
    empty = Index("empty", {})
    empty.search = lambda query, k=10: pd.DataFrame(columns=["name", "path"])
    with pytest.raises(ValueError, match="empty: found nothing"):
        ListeningTest({**two, "empty": empty}, dataset, log)


def test_every_missing_sound_is_named(dataset, systems, log, tmp_path):
    items = {item: str(tmp_path / item) for item in ITEMS}
    with pytest.raises(DatasetError) as raised:
        ListeningTest(systems, dataset.query_paths, log, items=items)
    assert all(str(tmp_path / item) in str(raised.value) for item in ITEMS)
