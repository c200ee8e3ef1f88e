"""Similarities + data set → `Report`: what a system is worth, and how sure that is.

Notebook: 03_baselines.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from qvim_kit import metrics
from qvim_kit.datasets.tables import RetrievalDataset
from qvim_kit.evaluation.alignment import align
from qvim_kit.evaluation.intervals import (
    bootstrap_interval,
    paired_permutation_test,
    random_reciprocal_rank,
)
from qvim_kit.evaluation.report import Report
from qvim_kit.metrics import Ranking

Similarities: TypeAlias = Mapping | pd.DataFrame | str | os.PathLike


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
    scores = aligned.scores if ranked.all() else aligned.scores[:, ranked]
    exact, same_class = relevance(dataset, ranked)

    rankings = _Rankings.of(scores, exact, same_class)
    values = pd.DataFrame(rankings.values())
    low, high = bootstrap_interval(values.to_numpy(), queries["item_id"].to_numpy())
    summary = {
        "value": values.mean(),
        "low": low,
        "high": high,
        "random": pd.Series(_random(same_class)),
    }
    per_query = queries[["query_id", "class", "item_id"]].assign(
        rank=rankings.exact.first_rank, **values
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
            "queries tied": int(rankings.exact.first_is_tied.sum()),
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
        _equal(queries[column].to_numpy(), items[column].to_numpy())
        for column in ("item_id", "class")
    )


def _equal(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Which of two lists of names are the same, (rows, columns); by number, as text is slow."""
    _, number = np.unique(np.concatenate([rows, columns]), return_inverse=True)
    return number[: len(rows), None] == number[len(rows) :]


def template_numbers(similarities: Similarities, dataset: RetrievalDataset) -> dict[str, float]:
    """The three numbers that the challenge's template prints, to set beside published ones.

    They rank only the items that some query imitates. What the template calls a class-wise MRR
    stands here under an honest name.
    """
    return template_table(similarities, dataset)["value"].to_dict()


def template_table(similarities: Similarities, dataset: RetrievalDataset) -> pd.DataFrame:
    """The `template_numbers`, one a row: value, low and high (95 % interval)."""
    imitated = dataset.items["item_id"].isin(dataset.queries["item_id"]).to_numpy()
    scores = align(similarities, dataset).scores[:, imitated]
    exact, same_class = relevance(dataset, imitated)
    by_class = Ranking.of(scores, same_class)
    values = pd.DataFrame(
        {
            "MRR": 1 / Ranking.of(scores, exact).first_rank,
            "class-wise normalised reciprocal rank": by_class.gain(
                metrics.reciprocal(len(exact.T))
            ),
            "class-wise NDCG": by_class.gain(metrics.logarithmic(len(exact.T))),
        }
    )
    low, high = bootstrap_interval(values.to_numpy(), dataset.queries["item_id"].to_numpy())
    return pd.DataFrame({"value": values.mean(), "low": low, "high": high})


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


class _Rankings(NamedTuple):
    exact: Ranking  # of the imitated item among all
    by_class: Ranking  # of the items of its class among all
    in_class: Ranking  # of the imitated item among those of its class

    @classmethod
    def of(cls, scores: np.ndarray, exact: np.ndarray, same_class: np.ndarray) -> _Rankings:
        within = Ranking.of(scores, exact, among=same_class)
        return cls(Ranking.of(scores, exact), Ranking.of(scores, same_class), within)

    def values(self) -> dict[str, np.ndarray]:
        """Each metric's value for each query: name → (queries,)."""
        discount = metrics.logarithmic(self.by_class.shape[1])
        return {
            "MRR": 1 / self.exact.first_rank,
            **{f"R@{k}": self.exact.recall_at_k(k) for k in (1, 5, 10)},
            "class NDCG": self.by_class.gain(discount),
            "class first-hit MRR": 1 / self.by_class.first_rank,
            "class mAP@10": self.by_class.average_precision_at_k(10),
            "within-class MRR": 1 / self.in_class.first_rank,
        }


def _random(same_class: np.ndarray) -> dict[str, float]:
    """Exact expected value of each metric under random scores.

    Equal scores are all orders at once, so most metrics give their expectation by themselves; and
    only how many items are of a query's class matters, so one query of each such number will do.
    """
    items = same_class.shape[1]
    sizes, queries = np.unique(np.count_nonzero(same_class, axis=1), return_counts=True)
    share = queries / queries.sum()
    place = np.broadcast_to(np.arange(items), (len(sizes), items))
    rankings = _Rankings.of(np.zeros(place.shape), place == 0, place < sizes[:, None])
    level = {name: share @ values for name, values in rankings.values().items()}
    level["MRR"] = random_reciprocal_rank(items)
    level["class first-hit MRR"] = share @ [random_reciprocal_rank(items, n) for n in sizes]
    level["within-class MRR"] = share @ [random_reciprocal_rank(n) for n in sizes]
    return level
