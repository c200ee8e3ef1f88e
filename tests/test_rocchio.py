"""Rocchio's formula, and the simulated user who shows what it is worth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qvim_kit import metrics
from qvim_kit.datasets import RetrievalDataset
from qvim_kit.evaluation import relevance
from qvim_kit.evaluation.intervals import bootstrap_interval
from qvim_kit.search.feedback import rocchio, simulate_feedback
from qvim_kit.search.simulation import USERS

NUMBERS = st.floats(-9, 9).filter(lambda x: x == 0 or abs(x) > 1e-3)


def rows(least):
    return st.integers(least, 4).flatmap(lambda n: arrays(np.float64, (n, 5), elements=NUMBERS))


def cosine(a, b):
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


# ---- the formula


def test_the_textbooks_equation_on_unit_embeddings(rng):
    query, right, wrong = rng.normal(size=6), rng.normal(size=(3, 6)), rng.normal(size=(2, 6))

    def unit(vector):
        return vector / np.sqrt(sum(x * x for x in vector))

    expected = unit(query)
    for embedding in right:
        expected = expected + 0.75 / 3 * unit(embedding)
    for embedding in wrong:
        expected = expected - 0.15 / 2 * unit(embedding)
    moved = rocchio(query, right, wrong)
    assert moved.shape == (6,) and moved.dtype == np.float32
    np.testing.assert_allclose(moved, unit(expected), atol=1e-6)


@given(query=arrays(np.float64, 5, elements=NUMBERS), right=rows(0), wrong=rows(0))
@settings(deadline=None, max_examples=40)
def test_unit_length_whatever_is_marked_and_loudness_is_worth_nothing(query, right, wrong):
    moved = rocchio(query, right, wrong)
    assert np.linalg.norm(moved) == pytest.approx(1) or not (moved.any() or query.any())
    np.testing.assert_allclose(rocchio(3 * query, 5 * right, 7 * wrong), moved, atol=1e-5)


@given(query=arrays(np.float64, 5, elements=NUMBERS), other=arrays(np.float64, 5, elements=NUMBERS))
@settings(deadline=None)
def test_right_comes_closer_and_wrong_goes_away(query, other):
    if not (query.any() and other.any()):
        return
    before = cosine(query, other)
    assert cosine(rocchio(query, [other], []), other) >= before - 1e-6
    assert cosine(rocchio(query, [], [other]), other) <= before + 1e-6


def test_without_marks_the_query_stays():
    query = np.array([3.0, 4.0])
    for nothing in ([], np.zeros((0, 2)), np.zeros((0, 7))):
        np.testing.assert_allclose(rocchio(query, nothing, nothing), [0.6, 0.8], atol=1e-7)


def test_zeros_point_nowhere():
    query, zeros = np.array([1.0, 0.0]), np.zeros(2)
    np.testing.assert_array_equal(rocchio(zeros, [], []), zeros)
    np.testing.assert_array_equal(rocchio(query, [zeros], [zeros]), query)
    np.testing.assert_array_equal(rocchio(zeros, [query], []), query)
    np.testing.assert_array_equal(rocchio(query, [], [query], gamma=1.0), query)  # cancels out
    np.testing.assert_array_equal(rocchio(query, [-query], [], beta=1.0), query)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((np.ones((1, 3)), [], []), "query: found shape"),
        ((np.array([1, np.nan]), [], []), "query"),
        ((np.ones(3), np.ones(3), []), r"right: found shape \(3,\)"),
        ((np.ones(3), [], np.ones((2, 4))), r"wrong: found shape \(2, 4\)"),
        ((np.ones(3), [], np.full((2, 3), np.inf)), "wrong"),
        ((np.ones(3), [], [], -1.0), "alpha"),
        ((np.ones(3), [], [], np.nan), "alpha"),
    ],
)
def test_what_cannot_be_moved_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        rocchio(*arguments)


# ---- the simulated user


def toy(rng, spread, classes=8, each=8, per_item=2, dim=24, noise=3.0):
    """Items around the centres of their classes, queries around their items."""
    centres = spread * rng.normal(size=(classes, dim))
    items = np.repeat(centres, each, axis=0) + rng.normal(size=(classes * each, dim))
    queries = np.repeat(items, per_item, axis=0)
    queries = queries + noise * np.sqrt(1 + spread**2) * rng.normal(size=queries.shape)
    names = [(f"{c}/{n}", "x", str(c)) for c in range(classes) for n in range(each)]
    asked = [(f"{item} q{k}", "x", kind, item) for item, _, kind in names for k in range(per_item)]
    return queries, items, RetrievalDataset(
        pd.DataFrame(names, columns=["item_id", "path", "class"]),
        pd.DataFrame(asked, columns=["query_id", "path", "class", "item_id"]),
    )  # fmt: skip


def naive(queries, items, dataset, k, user):
    """Each query's (residual before, after, frozen before, after), step by step."""
    found = []
    ids, classes = list(dataset.items["item_id"]), list(dataset.items["class"])
    for query, row in zip(queries, dataset.queries.to_dict("records"), strict=True):
        scores = {item: cosine(query, items[n]) for n, item in enumerate(ids)}
        order = sorted(ids, key=lambda item: -scores[item])
        shown, rest = order[:k], order[k:]
        if row["item_id"] in shown:
            place = 1 / (shown.index(row["item_id"]) + 1)
            found.append((np.nan, np.nan, place, place))
            continue
        kind = dict(zip(ids, classes, strict=True))
        right = [item for item in shown if kind[item] == row["class"]]
        wrong = [item for item in shown if kind[item] != row["class"]]
        right, wrong = {
            "first right": (right[:1], []), "all wrong": ([], wrong), "all shown": (right, wrong),
        }[user]  # fmt: skip
        moved = query / np.linalg.norm(query)
        for marks, weight in ((right, 0.75), (wrong, -0.15)):
            for item in marks:
                embedding = items[ids.index(item)]
                moved = moved + weight / len(marks) * embedding / np.linalg.norm(embedding)
        again = sorted(rest, key=lambda item: -cosine(moved, items[ids.index(item)]))
        before, after = (ranked.index(row["item_id"]) + 1 for ranked in (rest, again))
        found.append((1 / before, 1 / after, 1 / (k + before), 1 / (k + after)))
    return np.array(found)


@pytest.mark.parametrize("user", ["first right", "all wrong", "all shown"])
@pytest.mark.parametrize("k", [1, 6])
def test_equals_a_naive_loop(rng, user, k):
    case = toy(rng, spread=0.7, classes=4, each=5, dim=6)
    gain = simulate_feedback(*case, k=k, user=user)
    columns = ["residual before", "residual after", "frozen before", "frozen after"]
    expected = naive(*case, k, user)
    np.testing.assert_allclose(gain.per_query[columns], expected, atol=1e-12)
    means = np.nanmean(expected, axis=0).reshape(2, 2)
    np.testing.assert_allclose(gain.table[["before", "after"]], means)
    residual = gain.per_query.dropna()
    differences = (residual["residual after"] - residual["residual before"]).to_numpy()[:, None]
    low, high = bootstrap_interval(differences, residual["item_id"].to_numpy())[:, 0]
    assert tuple(gain.table.loc["residual", ["gain", "low", "high"]]) == pytest.approx(
        (differences.mean(), low, high)
    )


@pytest.mark.parametrize("user", ["first right", "all shown"])
def test_a_perfect_user_gains_where_classes_are_clusters(user):
    for seed in range(3):
        gain = simulate_feedback(*toy(np.random.default_rng(seed), spread=2.0), user=user)
        residual, frozen = gain.table.loc["residual"], gain.table.loc["frozen"]
        assert residual["gain"] > residual["low"] > 0
        assert frozen["gain"] > frozen["low"] > 0
        assert residual["p-value"] < 0.05


def test_marks_earn_nothing_where_embeddings_mean_nothing():
    """The protocol itself gives nothing away: gains lie around zero, intervals hold it."""
    gains = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        _, _, dataset = toy(rng, spread=0.0)
        queries, items = rng.normal(size=(128, 24)), rng.normal(size=(64, 24))
        row = simulate_feedback(queries, items, dataset, user="first right").table.loc["residual"]
        gains.append(row["gain"])
        assert row["queries"] > 100
        assert row["low"] - 0.01 <= 0 <= row["high"] + 0.01  # intervals are right 19 times of 20
    assert abs(np.mean(gains)) < 3 * np.std(gains, ddof=1) / np.sqrt(8)


def test_a_naive_protocol_would_have_given_marks_for_free():
    """What the residual pool is for: with shown items left in, wrong marks clear the way."""
    rng = np.random.default_rng(0)
    _, _, dataset = toy(rng, spread=0.0)
    queries, items = rng.normal(size=(128, 24)), rng.normal(size=(64, 24))
    options = {"k": 10, "user": "all wrong", "gamma": 3.0}
    honest = simulate_feedback(queries, items, dataset, **options).table.loc["residual"]
    exact = relevance(dataset)[0]
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, items)]
    scores = unit[0] @ unit[1].T
    before, after = [], []
    for query, row, wanted in zip(unit[0], scores, exact, strict=True):
        shown = np.argsort(-row)[:10]
        if not wanted[shown].any():
            moved = rocchio(query, [], unit[1][shown], gamma=3.0)
            before.append(metrics.ranks(row[None], wanted[None])[0])
            after.append(metrics.ranks((unit[1] @ moved)[None], wanted[None])[0])
    free = np.mean(1 / np.array(after)) - np.mean(1 / np.array(before))
    assert free > 0.02 > honest["gain"]
    assert honest["low"] <= 0 <= honest["high"]


def test_the_careless_user_gains_less_than_the_careful(rng):
    case = toy(rng, spread=1.5)
    tables = {user: simulate_feedback(*case, user=user).table for user in USERS}
    gains = {user: table.loc["residual", "gain"] for user, table in tables.items()}
    assert gains["careless"] < gains["first right"] < gains["all shown"]


def test_what_is_counted(rng):
    queries, items, dataset = toy(rng, spread=1.0)
    gain = simulate_feedback(queries, items, dataset, k=3)
    per_query = gain.per_query
    assert gain.counts["queries"] == len(per_query) == gain.table.loc["frozen", "queries"]
    assert gain.table.loc["residual", "queries"] == (~per_query["found"]).sum()
    assert not per_query.loc[per_query["found"], ["right", "wrong"]].to_numpy().any()
    unmarked = per_query[(per_query["right"] == 0) & ~per_query["found"]]
    assert len(unmarked) and (unmarked["residual before"] == unmarked["residual after"]).all()
    found = per_query[per_query["found"]]
    assert (found["frozen before"] == found["frozen after"]).all()
    exact, _ = relevance(dataset)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, items)]
    assert gain.table.loc["frozen", "before"] == pytest.approx(
        metrics.mean_reciprocal_rank(unit[0] @ unit[1].T, exact)
    )
    assert "residual" in gain._repr_html_() and "marked" in repr(gain)


def test_equal_scores_do_not_favour_the_first_column(rng):
    _, _, dataset = toy(rng, spread=0.0)
    same = np.ones((128, 4)), np.ones((64, 4))
    gain = simulate_feedback(*same, dataset, k=8)
    assert gain.table.loc["residual", "gain"] == 0
    assert gain.counts["found among the shown"] == 16  # 8 of 64 items, two queries each
    residual = gain.per_query["residual before"].dropna()
    np.testing.assert_allclose(residual, 2 / (56 + 1))


def test_nothing_left_to_gain_is_nan_not_an_error(rng):
    items = np.eye(6)
    _, _, dataset = toy(rng, 0.0, classes=2, each=3, per_item=1)
    gain = simulate_feedback(items, items, dataset, k=1)
    assert gain.table.loc["residual", "queries"] == 0
    assert np.isnan(gain.table.loc["residual", "gain"])
    assert gain.table.loc["frozen", ["before", "after", "gain"]].tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"queries": np.ones((3, 24))}, r"queries \(3, 24\)"),
        ({"items": np.ones((64, 5))}, r"items \(64, 5\)"),
        ({"items": np.full((64, 24), np.nan)}, "NaN"),
        ({"k": 0}, "k: found 0"),
        ({"k": 64}, "k: found 64"),
        ({"user": "angel"}, "'angel'"),
    ],
)
def test_arguments_that_do_not_fit(rng, change, words):
    queries, items, dataset = toy(rng, spread=0.0)
    with pytest.raises(ValueError, match=words):
        simulate_feedback(**{"queries": queries, "items": items, "dataset": dataset, **change})
