import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

from qvim_kit.evaluation import compare, evaluate
from qvim_kit.evaluation.measures import MEASURES, compare_similarities, similarity
from qvim_kit.systems import EmbeddingSystem, Random, score


class Planted(EmbeddingSystem):
    """Embeddings from a table path → (dim,), whatever the file holds."""

    def __init__(self, embeddings):
        self.embeddings = embeddings

    def embed_batch(self, waveforms, side):
        raise NotImplementedError

    def embed_queries(self, paths):
        return np.stack([self.embeddings[path] for path in paths])

    embed_items = embed_queries


@pytest.fixture
def system(dataset, rng):
    """Queries point nearly where their items do, but lengths differ widely."""
    items = {path: rng.normal(size=20) * rng.uniform(0.1, 10) for path in dataset.items["path"]}
    path_of = dict(zip(dataset.items["item_id"], dataset.items["path"], strict=True))
    queries = {
        row["path"]: (items[path_of[row["item_id"]]] + rng.normal(size=20)) * rng.uniform(0.1, 10)
        for row in dataset.queries.to_dict("records")
    }
    return Planted({**items, **queries})


@pytest.mark.parametrize("measure", MEASURES)
def test_equals_scipy(rng, measure):
    queries, items = rng.normal(size=(5, 30)) + 2, rng.normal(size=(7, 30)) - 1
    expected = {
        "cosine": lambda: 1 - cdist(queries, items, "cosine"),
        "dot": lambda: np.einsum("qd,id->qi", queries, items),
        "Euclidean": lambda: -cdist(queries, items),
        "correlation": lambda: np.corrcoef(queries, items)[:5, 5:],
    }[measure]()
    np.testing.assert_allclose(similarity(queries, items, measure), expected, atol=1e-12)


def test_close_embeddings_far_from_zero_keep_their_order(rng):
    item = rng.normal(size=50).astype(np.float32) + 1_000
    items = np.stack([item + step for step in (0, 0.01, 0.02)]).astype(np.float32)
    assert similarity(items[:1], items, "Euclidean")[0].argsort().tolist() == [2, 1, 0]


def test_silence_has_no_direction():
    for measure in ("cosine", "correlation"):
        assert not similarity(np.zeros((1, 4)), np.ones((2, 4)), measure).any()


def test_the_table_holds_what_evaluate_and_compare_say(dataset, system):
    table = compare_similarities(system, dataset)
    assert list(table.index) == list(MEASURES)
    assert list(table.columns) == ["MRR", "low", "high", "minus cosine", "p-value"]
    assert ((table["low"] <= table["MRR"]) & (table["MRR"] <= table["high"])).all()
    cosine = evaluate(score(system, dataset), dataset)
    assert table.loc["cosine", "MRR"] == pytest.approx(cosine.mrr)
    assert table.loc["cosine", "high"] == pytest.approx(cosine.metrics.loc["MRR", "high"])
    assert table.loc["cosine", ["minus cosine", "p-value"]].isna().all()
    queries, items = (
        system.embed_items(paths.values()) for paths in (dataset.query_paths, dataset.item_paths)
    )
    scores = pd.DataFrame(queries @ items.T, list(dataset.query_paths), list(dataset.item_paths))
    found = compare(evaluate(scores, dataset), cosine)
    assert table.loc["dot", "minus cosine"] == pytest.approx(found.difference)
    assert table.loc["dot", "p-value"] == found.p_value
    assert found.difference < 0  # long items are close to everything


def test_of_one_length_all_rank_alike(dataset, system):
    for path, embedding in system.embeddings.items():
        embedding = embedding - embedding.mean()
        system.embeddings[path] = embedding / np.linalg.norm(embedding)
    table = compare_similarities(system, dataset, "R@5", pool="imitated")
    assert table["R@5"].nunique() == 1
    assert (table["minus cosine"].dropna() == 0).all()


def test_mistakes_are_named(dataset, system):
    with pytest.raises(TypeError, match="system: found Random, expected an EmbeddingSystem"):
        compare_similarities(Random(), dataset)
    with pytest.raises(KeyError, match="found 'mrr', expected one of"):
        compare_similarities(system, dataset, "mrr")
    with pytest.raises(ValueError, match="measure: found 'cos', expected one of cosine, dot"):
        similarity(np.ones((2, 3)), np.ones((2, 3)), "cos")
    with pytest.raises(ValueError, match=r"found queries \(2, 3\) and items \(2, 4\)"):
        similarity(np.ones((2, 3)), np.ones((2, 4)))
