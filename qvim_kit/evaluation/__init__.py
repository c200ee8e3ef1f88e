"""Similarities + data set → `Report`: what a system is worth, and how sure that is.

Notebook: 03_baselines.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from qvim_kit import metrics
from qvim_kit.datasets.tables import RetrievalDataset
from qvim_kit.evaluation.alignment import align
from qvim_kit.evaluation.intervals import (
    bootstrap_interval,
    paired_permutation_test,
    random_reciprocal_rank,
)
from qvim_kit.evaluation.report import Report

Similarities = Mapping | pd.DataFrame | str | os.PathLike


def evaluate(
    similarities: Similarities,
    dataset: RetrievalDataset,
    *,
    system: str = "system",
    pool: str = "all",
    missing: str = "error",
) -> Report:
    """Score a system's similarities on a data set.

    Every item of the data set is ranked, also those that no query imitates. Ties count as their
    expected rank, so that the order of the columns is worth nothing.

    Args:
        similarities: nested dict, table or JSON file; see `alignment.align`.
        system: its name, for tables.
        pool: "all" items, or "imitated" to rank only those that some query imitates, as the
            published results do.
        missing: "error", or "worst" to let missing scores rank last.

    Raises `alignment.SimilarityError` listing all that is wrong before anything is computed.
    """
    if not isinstance(dataset, RetrievalDataset):
        found = type(dataset).__name__
        raise TypeError(f"dataset: found {found}, expected what datasets.open_dataset returns")
    aligned = align(similarities, dataset, missing)
    items, queries = dataset.items, dataset.queries
    imitated = items["item_id"].isin(queries["item_id"]).to_numpy()
    if pool not in ("all", "imitated"):
        raise ValueError(f"pool: found {pool!r}, expected 'all' or 'imitated'")
    ranked = imitated if pool == "imitated" else np.ones(len(items), dtype=bool)
    scores = _ranked(aligned.scores[:, ranked])
    exact, same_class = relevance(dataset, ranked)

    values = pd.DataFrame(_values(scores, exact, same_class))
    low, high = bootstrap_interval(values.to_numpy(), queries["item_id"].to_numpy())
    summary = {
        "value": values.mean(),
        "low": low,
        "high": high,
        "random": pd.Series(_random(exact, same_class)),
    }
    per_query = queries[["query_id", "class", "item_id"]].assign(
        rank=metrics.ranks(scores, exact), **values
    )
    by_class = per_query.groupby("class")
    per_class = by_class[list(values)].mean()
    per_class.insert(0, "queries", by_class.size())
    per_class.insert(1, "items", items[ranked].groupby("class").size())
    return Report(
        system=system,
        dataset=dataset.name,
        fingerprint=dataset.fingerprint(),
        metrics=pd.DataFrame(summary),
        per_query=per_query,
        per_class=per_class,
        counts={
            "queries": len(queries),
            "items ranked": int(ranked.sum()),
            "of them never imitated": int((ranked & ~imitated).sum()),
            "queries tied": metrics.ties(scores, exact),
            "scores missing": aligned.missing,
            "unknown ids ignored": aligned.ignored,
        },
    )


def relevance(
    dataset: RetrievalDataset, ranked: np.ndarray | slice = slice(None)
) -> tuple[np.ndarray, np.ndarray]:
    """Which items each query asks for: exactly the imitated one, and all of its class.

    Two boolean arrays (queries, items), of the items that ``ranked`` picks.
    """
    items, queries = dataset.items[ranked], dataset.queries
    return tuple(
        queries[column].to_numpy()[:, None] == items[column].to_numpy()
        for column in ("item_id", "class")
    )


def template_numbers(similarities: Similarities, dataset: RetrievalDataset) -> dict[str, float]:
    """The three numbers that the challenge's template prints, to set beside published ones.

    They rank only the items that some query imitates. What the template calls a class-wise MRR
    stands here under an honest name.
    """
    imitated = dataset.items["item_id"].isin(dataset.queries["item_id"]).to_numpy()
    scores = _ranked(align(similarities, dataset).scores[:, imitated])
    exact, same_class = relevance(dataset, imitated)
    return {
        "MRR": metrics.mean_reciprocal_rank(scores, exact),
        "class-wise normalised reciprocal rank": metrics.normalised_reciprocal_rank(
            scores, same_class
        ),
        "class-wise NDCG": metrics.ndcg(scores, same_class),
    }


class Comparison(NamedTuple):
    """The result of `compare`: a minus b, its 95 % interval, and a two-sided p-value.

    The p-value says how often chance alone makes so large a difference between equal systems.
    """

    metric: str
    difference: float
    low: float
    high: float
    p_value: float

    def __str__(self) -> str:
        interval = f"{self.low:+.4f} to {self.high:+.4f}"
        return f"{self.metric} {self.difference:+.4f} ({interval}), p = {self.p_value:.4f}"


def compare(a: Report, b: Report, metric: str = "MRR") -> Comparison:
    """Is system a better than system b on the same data, or was it luck?

    Raises `ValueError` where the two were not measured on the same data set and items.
    """
    if (a.fingerprint, a.counts["items ranked"]) != (b.fingerprint, b.counts["items ranked"]):
        raise ValueError(
            f"compare: found reports on different data ({a.dataset} {a.fingerprint}, "
            f"{a.counts['items ranked']} items; {b.dataset} {b.fingerprint}, "
            f"{b.counts['items ranked']} items), expected the same"
        )
    a[metric]  # an unknown name ends here, with the known ones in the message
    both = a.per_query.merge(b.per_query, on="query_id", suffixes=("_a", "_b"))
    differences = (both[f"{metric}_a"] - both[f"{metric}_b"]).to_numpy()
    items = both["item_id_a"].to_numpy()
    low, high = bootstrap_interval(differences[:, None], items)[:, 0]
    p_value = paired_permutation_test(differences, items)
    return Comparison(metric, float(differences.mean()), float(low), float(high), p_value)


def _ranked(scores: np.ndarray) -> np.ndarray:
    """Each row's scores replaced by their order, 1 the lowest: only the order counts.

    So that missing scores (-inf) and enormous ones need no care below; (queries, items) float64.
    """
    return rankdata(scores, method="dense", axis=1).astype(float)


def _values(scores: np.ndarray, exact: np.ndarray, same_class: np.ndarray) -> dict[str, np.ndarray]:
    """Each metric's value for each query: name → (queries,)."""
    # Within its class an item competes with its class only: all others go to the bottom.
    in_class = np.where(same_class, scores, scores.min() - 1.0)  # scores are orders, thus small
    return {
        "MRR": metrics.mean_reciprocal_rank(scores, exact, per_query=True),
        **{f"R@{k}": metrics.recall_at_k(scores, exact, k, per_query=True) for k in (1, 5, 10)},
        "class NDCG": metrics.ndcg(scores, same_class, per_query=True),
        "class first-hit MRR": metrics.mean_reciprocal_rank(scores, same_class, per_query=True),
        "class mAP@10": metrics.average_precision_at_k(scores, same_class, 10, per_query=True),
        "within-class MRR": metrics.mean_reciprocal_rank(in_class, exact, per_query=True),
    }


def _random(exact: np.ndarray, same_class: np.ndarray) -> dict[str, float]:
    """Exact expected value of each metric under random scores.

    Equal scores are all orders at once, so most metrics give their expectation by themselves.
    """
    level = {k: v.mean() for k, v in _values(np.zeros(exact.shape), exact, same_class).items()}
    items, classes = exact.shape[1], np.count_nonzero(same_class, axis=1)
    sizes, queries = np.unique(classes, return_counts=True)
    share = queries / queries.sum()
    level["MRR"] = random_reciprocal_rank(items)
    level["class first-hit MRR"] = share @ [random_reciprocal_rank(items, n) for n in sizes]
    level["within-class MRR"] = share @ [random_reciprocal_rank(n) for n in sizes]
    return level
