"""Ranking metrics that ties cannot fool.

Every function takes

- ``similarity``: (queries, items) finite numbers, higher is closer;
- ``relevant``: (queries, items) booleans, at least one True in each row;

and returns the mean over queries, or with ``per_query=True`` one value per query, shape
(queries,). Items of equal similarity have no order, so wherever they stand each metric takes its
expected value over all their orders; reciprocal ranks take the expected rank. Scoring everything
alike thus never beats chance, whatever the order of the columns. Source for ties: McSherry &
Najork, "Computing Information Retrieval Performance Measures Efficiently in the Presence of
Tied Scores", ECIR 2008.

Notebook: 03_baselines.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


def ranks(similarity: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Rank of each query's first relevant item, shape (queries,); 1 is best.

    1 + the number of items scored higher; among t items tied with it, r of them relevant, the
    expected place of the first relevant one, (t + 1) / (r + 1), hence possibly a fraction.
    """
    similarity, relevant = _checked(similarity, relevant)
    best = similarity.max(axis=1, where=relevant, initial=-np.inf)[:, None]
    higher = np.count_nonzero(similarity > best, axis=1)
    tied = similarity == best
    tied_relevant = np.count_nonzero(tied & relevant, axis=1)
    return higher + (np.count_nonzero(tied, axis=1) + 1) / (tied_relevant + 1)


def mean_reciprocal_rank(
    similarity: np.ndarray, relevant: np.ndarray, *, per_query: bool = False
) -> float | np.ndarray:
    """1 / rank of the first relevant item. Random over N items with one relevant: H_N / N."""
    return _mean(1 / ranks(similarity, relevant), per_query)


def recall_at_k(
    similarity: np.ndarray, relevant: np.ndarray, k: int, *, per_query: bool = False
) -> float | np.ndarray:
    """Share of the relevant items that is among the first ``k``."""
    found = _Ranking.of(similarity, relevant).probability[:, : _positive(k)].sum(axis=1)
    return _mean(found / np.count_nonzero(relevant, axis=1), per_query)


def ndcg(
    similarity: np.ndarray, relevant: np.ndarray, *, per_query: bool = False
) -> float | np.ndarray:
    """Normalised discounted cumulative gain: binary relevance, full depth, log2 discount."""
    discount = 1 / np.log2(np.arange(2, np.shape(similarity)[1] + 2))
    return _mean(_normalised_gain(similarity, relevant, discount), per_query)


def normalised_reciprocal_rank(
    similarity: np.ndarray, relevant: np.ndarray, *, per_query: bool = False
) -> float | np.ndarray:
    """Sum of 1 / rank over all relevant items, divided by the best possible such sum.

    The challenge's template prints this under the name of a class-wise MRR, which it is not.
    """
    discount = 1 / np.arange(1, np.shape(similarity)[1] + 1)
    return _mean(_normalised_gain(similarity, relevant, discount), per_query)


def average_precision_at_k(
    similarity: np.ndarray, relevant: np.ndarray, k: int = 10, *, per_query: bool = False
) -> float | np.ndarray:
    """Precision at each relevant item among the first ``k``, summed, over all relevant items.

    All relevant items stand in the denominator, also those that k leaves no room for, as the
    DCASE language-based retrieval baseline has it.
    """
    ranking = _Ranking.of(similarity, relevant)
    # With r of t tied items relevant, a relevant one at the j-th place of the tie has on average
    # (j - 1)(r - 1) / (t - 1) relevant ones of the tie before it.
    position = np.arange(1, ranking.probability.shape[1] + 1)
    in_tie = position - ranking.tie_start - 1
    others = np.divide(
        in_tie * (ranking.tie_relevant - 1),
        ranking.tie_size - 1,
        out=np.zeros_like(ranking.probability),
        where=ranking.tie_size > 1,
    )
    precision = (ranking.relevant_before + 1 + others) / position
    gained = (ranking.probability * precision)[:, : _positive(k)].sum(axis=1)
    return _mean(gained / np.count_nonzero(relevant, axis=1), per_query)


def ties(similarity: np.ndarray, relevant: np.ndarray) -> int:
    """How many queries score an irrelevant item the same as their first relevant one."""
    similarity, relevant = _checked(similarity, relevant)
    best = similarity.max(axis=1, where=relevant, initial=-np.inf)[:, None]
    return int(np.count_nonzero(((similarity == best) & ~relevant).any(axis=1)))


def leave_one_out(similarity: np.ndarray, classes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """A collection that queries itself: each item against all others, relevant if of its class.

    ``similarity`` (items, items) → similarity and relevant, both (items, items - 1): the
    diagonal, an item against itself, is left out.
    """
    classes = np.asarray(classes)
    count = len(classes)
    if np.shape(similarity) != (count, count):
        raise ValueError(
            f"leave_one_out: found similarity {np.shape(similarity)} and {count} classes, "
            f"expected ({count}, {count})"
        )
    other = ~np.eye(count, dtype=bool)
    relevant = classes[:, None] == classes
    return np.asarray(similarity)[other].reshape(count, -1), relevant[other].reshape(count, -1)


class _Ranking(NamedTuple):
    """Rows sorted by falling similarity. All fields (queries, items), by place in the ranking."""

    probability: np.ndarray  # that the item at this place is relevant
    relevant_before: np.ndarray  # relevant items before the tie that this place belongs to
    tie_start: np.ndarray  # items before that tie
    tie_size: np.ndarray
    tie_relevant: np.ndarray

    @classmethod
    def of(cls, similarity: np.ndarray, relevant: np.ndarray) -> _Ranking:
        similarity, relevant = _checked(similarity, relevant)
        queries, items = similarity.shape
        order = np.argsort(-similarity, axis=1, kind="stable")
        ordered = np.take_along_axis(similarity, order, axis=1)
        found = np.zeros((queries, items + 1))
        np.cumsum(np.take_along_axis(relevant, order, axis=1), axis=1, out=found[:, 1:])
        starts = np.ones((queries, items), dtype=bool)
        starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
        ends = np.roll(starts, -1, axis=1)  # a tie ends where the next begins
        place = np.arange(items)
        start = np.maximum.accumulate(np.where(starts, place, 0), axis=1)
        end = np.where(ends, place + 1, items)[:, ::-1]
        end = np.minimum.accumulate(end, axis=1)[:, ::-1]
        before = np.take_along_axis(found, start, axis=1)
        tie_relevant = np.take_along_axis(found, end, axis=1) - before
        return cls(tie_relevant / (end - start), before, start, end - start, tie_relevant)


def _normalised_gain(
    similarity: np.ndarray, relevant: np.ndarray, discount: np.ndarray
) -> np.ndarray:
    """Expected sum of the discounts at the relevant places over the best such sum, (queries,)."""
    probability = _Ranking.of(similarity, relevant).probability
    ideal = np.cumsum(discount)[np.count_nonzero(relevant, axis=1) - 1]
    return probability @ discount / ideal


def _checked(similarity: np.ndarray, relevant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    similarity, relevant = np.asarray(similarity), np.asarray(relevant)
    if similarity.ndim != 2 or similarity.shape != relevant.shape or 0 in similarity.shape:
        raise ValueError(
            f"metrics: found similarity {similarity.shape} and relevant {relevant.shape}, "
            "expected two arrays of one shape (queries, items), neither of them zero"
        )
    if relevant.dtype != bool:
        raise ValueError(f"metrics: found relevant of dtype {relevant.dtype}, expected bool")
    if similarity.dtype.kind not in "fiub" or not np.isfinite(similarity).all():
        raise ValueError("metrics: found NaN, infinite or non-numeric similarity, expected finite")
    without = np.flatnonzero(~relevant.any(axis=1))
    if len(without):
        raise ValueError(
            f"metrics: {len(without)} queries have no relevant item, the first in row {without[0]}"
        )
    return (similarity if similarity.dtype.kind == "f" else similarity.astype(float)), relevant


def _positive(k: int) -> int:
    if k < 1:
        raise ValueError(f"k: found {k}, expected at least 1")
    return int(k)


def _mean(values: np.ndarray, per_query: bool) -> float | np.ndarray:
    return values if per_query else float(values.mean())
