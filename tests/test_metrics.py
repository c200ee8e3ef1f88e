import itertools
import json

import numpy as np
import pytest
import pytrec_eval
from sklearn.metrics import average_precision_score, ndcg_score

from qvim_kit import metrics


@pytest.fixture
def published(golden):
    """similarity, exact, same_class, and the values that the published code prints."""
    table = json.loads((golden / "metrics_dev.json").read_text())
    pool, item_class = table["pool"], table["item_class"]
    imitated = [table["query_item"][query] for query in table["similarity"]]
    similarity = [[row[item] for item in pool] for row in table["similarity"].values()]
    exact = [[item == other for item in pool] for other in imitated]
    same_class = [[item_class[item] == item_class[other] for item in pool] for other in imitated]
    return np.array(similarity), np.array(exact), np.array(same_class), table


def test_equal_to_the_template(published):
    similarity, exact, same_class, table = published
    found = {
        "mrr": metrics.mean_reciprocal_rank(similarity, exact),
        "class_ndcg": metrics.ndcg(similarity, same_class),
        "class_normalized_rr": metrics.normalised_reciprocal_rank(similarity, same_class),
    }
    assert found == pytest.approx({key: table[key] for key in found}, abs=1e-9)


@pytest.mark.parametrize("kind", ["exact", "same_class"])
def test_equal_to_the_dcase_baseline(published, kind):
    similarity, exact, same_class, table = published
    relevant = exact if kind == "exact" else same_class
    found = {f"recall@{k}": metrics.recall_at_k(similarity, relevant, k) for k in (1, 5, 10)}
    found["map10"] = metrics.average_precision_at_k(similarity, relevant, 10)
    assert found == pytest.approx(table[kind], abs=1e-9)


def random_case(rng, queries=30, items=40, tied=False):
    similarity = rng.normal(size=(queries, items))
    relevant = rng.random((queries, items)) < 0.15
    relevant[:, 3] = True
    return (np.round(similarity) if tied else similarity), relevant


def test_equal_to_scikit_learn_and_pytrec_eval(rng):
    similarity, relevant = random_case(rng)
    names = [f"i{n:02}" for n in range(40)]
    judged = {
        f"q{q}": {n: int(r) for n, r in zip(names, row, strict=True)}
        for q, row in enumerate(relevant)
    }
    run = {
        f"q{q}": dict(zip(names, map(float, row), strict=True)) for q, row in enumerate(similarity)
    }
    by_query = pytrec_eval.RelevanceEvaluator(
        judged, {"recip_rank", "map", "ndcg", "recall_10", "map_cut_10"}
    )
    values = list(by_query.evaluate(run).values())
    theirs = {key: np.mean([value[key] for value in values]) for key in values[0]}
    assert metrics.mean_reciprocal_rank(similarity, relevant) == pytest.approx(theirs["recip_rank"])
    assert metrics.ndcg(similarity, relevant) == pytest.approx(theirs["ndcg"])
    assert metrics.recall_at_k(similarity, relevant, 10) == pytest.approx(theirs["recall_10"])
    assert metrics.average_precision_at_k(similarity, relevant, 10) == pytest.approx(
        theirs["map_cut_10"]
    )
    assert metrics.average_precision_at_k(similarity, relevant, 40) == pytest.approx(theirs["map"])
    assert metrics.ndcg(similarity, relevant) == pytest.approx(ndcg_score(relevant, similarity))
    precision = [average_precision_score(r, s) for r, s in zip(relevant, similarity, strict=True)]
    assert metrics.average_precision_at_k(similarity, relevant, 40) == pytest.approx(
        np.mean(precision)
    )


def test_ndcg_with_ties_equals_scikit_learn(rng):
    similarity, relevant = random_case(rng, tied=True)
    assert metrics.ndcg(similarity, relevant) == pytest.approx(ndcg_score(relevant, similarity))


def all_orders(similarity, relevant):
    """Every order of the items that agrees with the similarities of one query."""
    for order in itertools.permutations(range(len(similarity))):
        values = [similarity[n] for n in order]
        if values == sorted(values, reverse=True):
            yield np.array([relevant[n] for n in order])


@pytest.mark.parametrize("seed", range(6))
def test_ties_are_the_mean_over_all_orders(seed):
    rng = np.random.default_rng(seed)
    similarity = rng.integers(0, 3, size=6).astype(float)
    relevant = rng.random(6) < 0.4
    relevant[seed] = True
    total, place = relevant.sum(), np.arange(1, 7)
    orders = list(all_orders(similarity, relevant))
    precision = [np.cumsum(hit) / place * hit for hit in orders]
    naive = {
        "rank": np.mean([np.flatnonzero(hit)[0] + 1 for hit in orders]),
        "recall": np.mean([hit[:2].sum() / total for hit in orders]),
        "precision": np.mean([p[:4].sum() / total for p in precision]),
        "reciprocal": np.mean([(hit / place).sum() for hit in orders]) / (1 / place[:total]).sum(),
    }
    case = (similarity[None], relevant[None])
    found = {
        "rank": metrics.ranks(*case)[0],
        "recall": metrics.recall_at_k(*case, 2),
        "precision": metrics.average_precision_at_k(*case, 4),
        "reciprocal": metrics.normalised_reciprocal_rank(*case),
    }
    assert found == pytest.approx(naive)


def test_constant_scores_never_beat_chance_whatever_the_order():
    exact = np.eye(121, dtype=bool)
    constant = np.full((121, 121), 0.3)
    assert (metrics.ranks(constant, exact) == 61).all()
    assert metrics.mean_reciprocal_rank(constant, exact) == pytest.approx(1 / 61)
    assert metrics.recall_at_k(constant, exact, 10) == pytest.approx(10 / 121)
    assert metrics.ties(constant, exact) == 121


def test_perfect_and_worst():
    exact = np.eye(5, dtype=bool)
    assert metrics.mean_reciprocal_rank(exact.astype(float), exact) == 1
    assert metrics.mean_reciprocal_rank(-exact.astype(float), exact) == pytest.approx(1 / 5)
    assert metrics.ndcg(exact.astype(float), exact) == 1
    assert metrics.ties(exact.astype(float), exact) == 0


def test_negative_similarities_count(rng):
    similarity, relevant = random_case(rng)
    for function in (metrics.mean_reciprocal_rank, metrics.ndcg, metrics.average_precision_at_k):
        assert function(similarity - 100, relevant) == function(similarity, relevant)


def test_per_query_values_average_to_the_mean(rng):
    similarity, relevant = random_case(rng, tied=True)
    values = metrics.ndcg(similarity, relevant, per_query=True)
    assert values.shape == (30,) and values.mean() == metrics.ndcg(similarity, relevant)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8])
def test_dtypes(rng, dtype):
    similarity = rng.integers(0, 9, size=(10, 12))
    relevant = np.eye(10, 12, dtype=bool)
    expected = metrics.ndcg(similarity.astype(float), relevant)
    assert metrics.ndcg(similarity.astype(dtype), relevant) == pytest.approx(expected)


def test_leave_one_out_drops_the_item_itself():
    similarity = np.arange(9.0).reshape(3, 3)
    left, relevant = metrics.leave_one_out(similarity, ["dog", "cat", "dog"])
    assert left.tolist() == [[1, 2], [3, 5], [6, 7]]
    assert relevant.tolist() == [[False, True], [False, False], [True, False]]
    with pytest.raises(ValueError, match="2 classes"):
        metrics.leave_one_out(similarity, ["dog", "cat"])


@pytest.mark.parametrize(
    ("similarity", "relevant", "message"),
    [
        (np.zeros((2, 3)), np.ones((3, 2), bool), r"\(2, 3\).*\(3, 2\)"),
        (np.zeros((0, 3)), np.ones((0, 3), bool), "neither of them zero"),
        (np.zeros((2, 3)), np.ones((2, 3)), "expected bool"),
        (np.full((2, 3), np.nan), np.ones((2, 3), bool), "NaN"),
        (np.full((2, 3), np.inf), np.ones((2, 3), bool), "infinite"),
        (np.full((2, 3), "a"), np.ones((2, 3), bool), "non-numeric"),
        (np.zeros((2, 3)), np.eye(2, 3, k=2, dtype=bool), "1 queries have no relevant item.*row 1"),
    ],
)
def test_bad_input(similarity, relevant, message):
    with pytest.raises(ValueError, match=message):
        metrics.ranks(similarity, relevant)


def test_k_must_be_positive(rng):
    with pytest.raises(ValueError, match="k: found 0"):
        metrics.recall_at_k(*random_case(rng), 0)
