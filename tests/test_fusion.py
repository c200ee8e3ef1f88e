import statistics

import numpy as np
import pandas as pd
import pytest

from qvim_kit import metrics
from qvim_kit.datasets import RetrievalDataset
from qvim_kit.evaluation import evaluate, relevance
from qvim_kit.systems import Fusion, FusionError, QVIMModel, Random, score
from qvim_kit.systems.fusion import WEIGHTINGS, _fuse, _simplex


class Table(QVIMModel):
    """A system that answers from a table, and counts how often it was asked."""

    def __init__(self, table, name="table"):
        self.table, self.name, self.asked = table, name, 0

    def compute_similarities(self, items, queries):
        self.asked += 1
        if not isinstance(self.table, pd.DataFrame):
            return self.table
        known = self.table.reindex(index=list(queries), columns=list(items))
        return known.to_dict("index")


@pytest.fixture
def table(dataset):
    """Scores (queries, items) → a system with those scores on `dataset`."""
    index, columns = dataset.queries["query_id"], dataset.items["item_id"]
    return lambda scores, name="table": Table(pd.DataFrame(scores, index, columns), name)


@pytest.fixture
def good(dataset, table, rng):
    return table(relevance(dataset)[0] + rng.normal(scale=0.4, size=(24, 12)), "good")


def mrr(system, dataset):
    return evaluate(score(system, dataset), dataset).mrr


def standardised(rows):
    return (rows - rows.mean(axis=1, keepdims=True)) / rows.std(axis=1, keepdims=True)


def planted(truth, weights, count=400):
    """The data set whose queries ask for the first item by the weighted votes, and the systems."""
    fused = np.tensordot(weights, truth, 1).round(9)
    best = fused.argmax(axis=1)
    clear = np.flatnonzero((fused == fused.max(axis=1, keepdims=True)).sum(axis=1) == 1)[:count]
    items = [f"A/{n}.wav" for n in range(truth.shape[2])]
    queries = [f"A/q{n}.wav" for n in clear]
    dataset = RetrievalDataset(
        pd.DataFrame({"item_id": items, "path": items, "class": "A"}),
        pd.DataFrame(
            {
                "query_id": queries,
                "path": queries,
                "class": "A",
                "item_id": [items[n] for n in best[clear]],
            }
        ),
    )
    tables = [Table(pd.DataFrame(t[clear], queries, items), str(n)) for n, t in enumerate(truth)]
    return dataset, tables


def test_fusion_equals_a_computation_query_by_query(dataset, similarities, rng):
    other = {q: {i: round(float(rng.normal()), 1) for i in row} for q, row in similarities.items()}
    answers = [Table(similarities), Table(other)]
    on_ranks = score(Fusion(answers, weights=[1, 3]), dataset)
    on_scores = score(Fusion(answers, weights=[1, 3], on="scores"), dataset)
    query, items = dataset.queries["query_id"][5], list(dataset.items["item_id"])
    ranks, scores = [], []
    for row in (similarities[query], other[query]):
        values = [row[item] for item in items]
        # Place among the others, ties shared; 12 is best.
        ranks.append([sum(o < v for o in values) + (values.count(v) + 1) / 2 for v in values])
        centre, spread = statistics.fmean(values), statistics.pstdev(values)
        scores.append([(v - centre) / spread for v in values])
    expected = [0.25 * (a - 6.5) / 12 + 0.75 * (b - 6.5) / 12 for a, b in zip(*ranks, strict=True)]
    np.testing.assert_allclose(on_ranks.loc[query, items], expected, atol=1e-11)
    expected = [0.25 * a + 0.75 * b for a, b in zip(*scores, strict=True)]
    np.testing.assert_allclose(on_scores.loc[query, items], expected, atol=1e-11)


@pytest.mark.parametrize("on", ["ranks", "scores"])
def test_a_good_and_a_random_system_beat_the_random_one(dataset, good, on):
    fused = mrr(Fusion([good, Random()], on=on), dataset)
    assert mrr(Random(), dataset) < fused < mrr(good, dataset) < 1
    assert mrr(Fusion.fit([Random(), good], dataset, on=on), dataset) >= mrr(good, dataset)


@pytest.mark.parametrize("on", ["ranks", "scores"])
def test_systems_that_complement_each_other_are_perfect_together(dataset, table, on):
    perfect = relevance(dataset)[0].astype(float)
    of_a = (dataset.queries["class"] == "A").to_numpy()[:, None]
    knows_a, knows_others = table(perfect * of_a), table(100 * perfect * ~of_a)
    assert max(mrr(knows_a, dataset), mrr(knows_others, dataset)) < 0.8
    assert mrr(Fusion([knows_a, knows_others], on=on), dataset) == 1
    assert mrr(Fusion.fit([knows_a, knows_others], dataset, on=on), dataset) == 1


@pytest.mark.parametrize("weights", [(0.7, 0.3), (0.2, 0.8), (0.5, 0.3, 0.2), (1.0, 0.0)])
def test_fit_finds_the_weights_that_were_planted(rng, weights):
    truth = standardised(rng.normal(size=(len(weights) * 3_000, 15))).reshape(-1, 3_000, 15)
    dataset, systems = planted(truth, weights, count=3_000)
    fusion = Fusion.fit(systems, dataset, on="scores")
    np.testing.assert_allclose(fusion.weights, weights, atol=1e-12)
    assert mrr(fusion, dataset) == 1


def test_fit_finds_the_weights_that_were_planted_in_ranks(rng):
    truth = rng.permuted(np.tile(np.arange(15.0), (6_000, 1)), axis=1).reshape(2, 3_000, 15)
    dataset, systems = planted(truth, (0.65, 0.35), count=3_000)
    np.testing.assert_allclose(Fusion.fit(systems, dataset).weights, (0.65, 0.35), atol=1e-12)


def test_fit_takes_the_even_one_of_equal_weightings(dataset, good):
    twin = Table(good.table * 2 + 1)
    assert Fusion.fit([good, twin], dataset).weights.tolist() == [0.5, 0.5]


def test_fit_asks_each_system_once_and_only_about_the_data_given(dataset, good, table, rng):
    other = table(rng.normal(size=(24, 12)))
    part = RetrievalDataset(dataset.items, dataset.queries[::2])
    asked = []
    answer = good.compute_similarities
    good.compute_similarities = lambda items, queries: (
        asked.append(queries) or answer(items, queries)
    )
    fusion = Fusion.fit([good, other], part)
    assert asked == [part.query_paths] and other.asked == 1
    assert mrr(fusion, part) >= max(mrr(good, part), mrr(other, part))


@pytest.mark.parametrize("on", ["ranks", "scores"])
@pytest.mark.parametrize("constant", [0.0, 1e9, "rounding"])
def test_a_constant_member_has_no_influence(dataset, good, table, on, constant):
    other = np.zeros((24, 12)) + (0.3 if constant == "rounding" else constant)
    if constant == "rounding":
        other[:, ::2] = 0.1 + 0.2
        assert len(np.unique(other)) == 2
    constant = table(other)
    alone, other = score(Fusion([good, good], on=on), dataset), Fusion([constant, good], on=on)
    pd.testing.assert_frame_equal(score(other, dataset), (alone / 2).round(12))
    assert Fusion.fit([constant, good], dataset, on=on).weights.tolist() == [0, 1]
    nothing = Fusion.fit([constant, constant], dataset, on=on)
    assert nothing.weights.tolist() == [0.5, 0.5]
    assert not score(nothing, dataset).to_numpy().any()


def test_ties_stay_ties_whatever_the_weights(dataset, table):
    first, second = np.tile([0, 1, 2] * 4, (24, 1)), np.tile([2, 1, 0] * 4, (24, 1))
    weights = [0.1 + 0.2, 0.3]  # equal, but for rounding
    fused = score(Fusion([table(first), table(second)], weights), dataset)
    assert (fused.nunique(axis=1) == 1).all()


@pytest.mark.parametrize("on", ["ranks", "scores"])
def test_the_order_of_systems_queries_and_items_does_not_matter(dataset, good, table, rng, on):
    systems = [good, table(rng.normal(size=(24, 12))), Random(1), Random(2)]
    weights = [0.1, 0.7, 0.15, 0.05]
    items, queries = dataset.item_paths, dataset.query_paths
    turned = dict(reversed(items.items())), dict(reversed(queries.items()))
    expected = Fusion(systems, weights, on).compute_similarities(items, queries)
    for order in ([3, 2, 1, 0], [1, 3, 0, 2]):
        permuted = Fusion([systems[n] for n in order], [weights[n] for n in order], on)
        assert permuted.compute_similarities(*turned) == expected
    fitted = Fusion.fit(systems, dataset, on=on).weights
    assert (fitted[::-1] == Fusion.fit(systems[::-1], dataset, on=on).weights).all()


def test_not_even_the_last_bit_depends_on_the_order_of_the_systems(rng):
    votes, weights = rng.normal(size=(4, 500, 200)), np.array([0.1, 0.7, 0.15, 0.05])
    order = [1, 3, 0, 2]
    np.testing.assert_array_equal(_fuse(votes, weights), _fuse(votes[order], weights[order]))


def test_only_the_order_counts_on_ranks_and_scale_does_not_on_scores(dataset, good, table):
    cubed, scaled = table(np.exp(good.table.to_numpy())), table(good.table.to_numpy() * 1e300)
    for other, on in ((cubed, "ranks"), (scaled, "ranks"), (scaled, "scores")):
        a, b = (score(Fusion([system, Random()], on=on), dataset) for system in (good, other))
        pd.testing.assert_frame_equal(a, b, atol=1e-9)
    tiny = good.table.to_numpy() * 1e-3
    tiny[:, 0] = 1e300
    ranked = score(Fusion([table(tiny), table(tiny)]), dataset)
    assert (ranked.nunique(axis=1) == 12).all()


def test_a_member_of_weight_zero_does_not_run(dataset, good, table):
    idle, broken = table(np.full((24, 12), np.nan)), Table(None, "broken")
    fused = score(Fusion([good, idle], [2, 0]), dataset)
    assert idle.asked == 0 and np.isfinite(fused.to_numpy()).all()
    with pytest.raises(FusionError, match=r"1 problem.*\n  member 2 \(broken\): found NoneType"):
        score(Fusion([good, idle, broken], [2, 0, 1]), dataset)


def test_scores_are_plain_floats_and_fusions_fuse(dataset, good):
    inner = Fusion([good, Random()])
    scores = Fusion([inner, good], on="scores").compute_similarities(
        dataset.item_paths, dataset.query_paths
    )
    assert list(scores) == list(dataset.query_paths)
    assert {type(value) for row in scores.values() for value in row.values()} == {float}


def test_what_members_lack_is_one_error(dataset, good, similarities):
    items, queries = list(dataset.items["item_id"]), list(dataset.queries["query_id"])
    rows = {query: dict(row) for query, row in similarities.items() if query != queries[3]}
    for row in rows.values():
        del row[items[4]]
    rows[queries[1]][items[0]] = float("nan")
    rows[queries[2]] = None
    members = [good, Table(rows, "partial"), Table([1.0], "list"), Table({"A0_q0.wav": {}})]
    for run in (
        lambda: score(Fusion(members), dataset),
        lambda: Fusion.fit(members, dataset),
    ):
        with pytest.raises(FusionError) as caught:
            run()
        message = str(caught.value)
        assert "member 0" not in message
        assert f"member 1 (partial): no finite score for 2 of 24 queries, such as {queries[2]}" in (
            message
        )
        assert f"no finite score for 1 of 12 items, such as {items[4]}" in message
        assert (
            f"1 scores are missing or not finite, such as query {queries[1]}, item {items[0]}"
            in (message)
        )
        assert "member 2 (list): found list, expected a nested dict" in message
        assert "member 3 (table): no finite score for 24 of 24 queries" in message


def test_a_score_that_is_no_number_is_named(dataset, good, similarities):
    query = dataset.queries["query_id"][0]
    similarities[query] = {item: "close" for item in similarities[query]}
    with pytest.raises(FusionError, match=f"member 1 .*1 of 24 queries, such as {query}"):
        score(Fusion([good, Table(similarities)]), dataset)


@pytest.mark.parametrize("systems", [2, 3, 4, 5, 8, 40])
def test_the_grid_covers_the_simplex_and_stays_small(systems):
    grid = np.array(list(_simplex(systems)))
    assert systems <= len(grid) <= WEIGHTINGS
    assert len(np.unique(grid, axis=0)) == len(grid)
    np.testing.assert_allclose(grid.sum(axis=1), 1)
    assert grid.min() == 0 and (grid.max(axis=1) == 1).sum() == systems
    assert grid[0].tolist() == [1] + [0] * (systems - 1)


@pytest.mark.parametrize("on", ["ranks", "scores"])
def test_fit_is_as_good_as_the_best_of_all_weightings(dataset, table, rng, on):
    exact, _ = relevance(dataset)
    for _ in range(5):  # of few levels, so that many fused scores are equal
        systems = [table(rng.integers(0, 4, size=(24, 12)) + exact) for _ in range(2)]

        def found(fusion):
            scores = score(fusion, dataset)[list(dataset.items["item_id"])]
            return metrics.mean_reciprocal_rank(scores.to_numpy(), exact)

        best = max(found(Fusion(systems, [n, 20 - n], on)) for n in range(21))
        assert found(Fusion.fit(systems, dataset, on=on)) == pytest.approx(best, abs=1e-12)


def test_mistakes_are_named(good):
    with pytest.raises(ValueError, match="systems: found 1, expected at least two"):
        Fusion([good])
    with pytest.raises(TypeError, match="systems: found str, int, expected systems"):
        Fusion([good, "2dft", 3])
    with pytest.raises(ValueError, match="on: found 'rank', expected 'ranks' or 'scores'"):
        Fusion([good, good], on="rank")
    for weights in ([1], [1, -1], [1, float("nan")]):
        with pytest.raises(ValueError, match="weights: found .* expected 2 numbers"):
            Fusion([good, good], weights)
    with pytest.raises(ValueError, match="expected at least one above 0"):
        Fusion([good, good], [0, 0])


def test_it_says_what_it_is_made_of(good):
    assert repr(Fusion([good, Random()], [1, 3])) == "Fusion on ranks: 0.25 good + 0.75 random"
