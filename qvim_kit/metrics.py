"""Ranking metrics that ties cannot fool.

Every function takes

- ``similarity``: (queries, items) numbers, higher is closer; -inf ranks below all others;
- ``relevant``: (queries, items) booleans, at least one True in each row;

and returns the mean over queries, or with ``per_query=True`` one value per query, shape
(queries,). Items of equal similarity have no order, so wherever they stand each metric takes its
expected value over all their orders; reciprocal ranks take the expected rank. Scoring everything
alike thus never beats chance, whatever the order of the columns. Source for ties: McSherry &
Najork, "Computing Information Retrieval Performance Measures Efficiently in the Presence of
Tied Scores", ECIR 2008.

Only comparisons are made, no sums of similarities, so that their scale does not matter; and a few
queries at a time, so that memory does not grow with their number.

Notebook: 03_baselines.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Ranking(NamedTuple):
    """Where the relevant items stand: made once, asked for every metric, one value per query.

    One entry for each relevant item, ordered by query and then by rising similarity; all fields
    (relevant items,) but the last.
    """

    query: np.ndarray  # its row
    higher: np.ndarray  # items scored higher
    tied: np.ndarray  # items scored the same, itself among them
    relevant_higher: np.ndarray  # how many of them are relevant
    relevant_tied: np.ndarray
    shape: tuple[int, int]  # (queries, items)

    @classmethod
    def of(
        cls, similarity: np.ndarray, relevant: np.ndarray, among: np.ndarray | None = None
    ) -> Ranking:
        """Rank each query's items, or only those ``among`` which it is to choose, (queries, items).

        Raises `ValueError` for shapes that differ, NaN, +inf, and queries without relevant item.
        """
        similarity, relevant = _checked(similarity, relevant)
        queries = len(similarity)
        if np.count_nonzero(relevant) == queries:
            higher, tied = _around_the_one(similarity, relevant.argmax(1), among)
            alone = np.zeros(queries, int)
            return cls(np.arange(queries), higher, tied, alone, alone + 1, similarity.shape)
        entries = []
        for query, (scores, wanted) in enumerate(zip(similarity, relevant, strict=True)):
            found = np.sort(scores[wanted])
            others = np.sort(scores if among is None else scores[among[query]])
            above, from_here = (others.searchsorted(found, side) for side in ("right", "left"))
            better, equal = (found.searchsorted(found, side) for side in ("right", "left"))
            entries.append(
                (
                    np.full(len(found), query),
                    len(others) - above,
                    above - from_here,
                    len(found) - better,
                    better - equal,
                )
            )
        return cls(*map(np.concatenate, zip(*entries, strict=True)), similarity.shape)

    @property
    def first_rank(self) -> np.ndarray:
        """See `ranks`."""
        best = self._best
        return self.higher[best] + (self.tied[best] + 1) / (self.relevant_tied[best] + 1)

    @property
    def first_is_tied(self) -> np.ndarray:
        """Whether an irrelevant item scores as much as the first relevant one, (queries,)."""
        return self.tied[self._best] > self.relevant_tied[self._best]

    def recall_at_k(self, k: int) -> np.ndarray:
        """See `recall_at_k`."""
        found = np.clip((_positive(k) - self.higher) / self.tied, 0, 1)
        return self._sum(found) / self._relevant

    def gain(self, discount: np.ndarray) -> np.ndarray:
        """Sum of the discounts at the relevant places over the best such sum; discount (items,)."""
        total = np.concatenate([[0.0], np.cumsum(discount)])
        shared = (total[self.higher + self.tied] - total[self.higher]) / self.tied
        shared = np.where(self.tied == 1, discount[self.higher], shared)
        return self._sum(shared) / total[self._relevant]

    def average_precision_at_k(self, k: int) -> np.ndarray:
        """See `average_precision_at_k`."""
        # An entry is at each place p of its tie with equal probability, and at the j-th of them
        # has on average (j - 1)(r - 1) / (t - 1) of the tie's r relevant ones before it. Summed
        # over the places up to k: precision is (relevant_higher + 1 + those) / p, j = p - higher.
        last = np.clip(self.higher + self.tied, self.higher, np.maximum(_positive(k), self.higher))
        harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, self.shape[1] + 1))])
        inverse = harmonic[last] - harmonic[self.higher]
        before = last - self.higher - (self.higher + 1) * inverse
        share = (self.relevant_tied - 1) / np.maximum(self.tied - 1, 1)
        gained = ((self.relevant_higher + 1) * inverse + share * before) / self.tied
        return self._sum(gained) / self._relevant

    @property
    def _relevant(self) -> np.ndarray:
        return np.bincount(self.query, minlength=self.shape[0])

    @property
    def _best(self) -> np.ndarray:
        """Place of each query's last entry, its relevant item of highest similarity."""
        return np.cumsum(self._relevant) - 1

    def _sum(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.query, values, minlength=self.shape[0])


def _around_the_one(
    similarity: np.ndarray, relevant: np.ndarray, among: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Items scored higher than the relevant one, whose column is (queries,), and as high."""
    own = np.take_along_axis(similarity, relevant[:, None], axis=1)
    counts, step = [], max(1, 250_000 // similarity.shape[1])  # comparisons that stay in the cache
    for start in range(0, len(similarity), step):
        rows = slice(start, start + step)
        found = similarity[rows] > own[rows], similarity[rows] == own[rows]
        if among is not None:
            found = tuple(one & among[rows] for one in found)
        counts.append([one.view(np.int8).sum(1, np.int32) for one in found])  # bytes: twice as fast
    higher, tied = (np.concatenate(one) for one in zip(*counts, strict=True))
    return higher.astype(int), tied.astype(int)


def ranks(similarity: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Rank of each query's first relevant item, shape (queries,); 1 is best.

    1 + the number of items scored higher; among t items tied with it, r of them relevant, the
    expected place of the first relevant one, (t + 1) / (r + 1), hence possibly a fraction.
    """
    return Ranking.of(similarity, relevant).first_rank


def mean_reciprocal_rank(
    similarity: np.ndarray, relevant: np.ndarray, *, per_query: bool = False
) -> float | np.ndarray:
    """1 / rank of the first relevant item. Random over N items with one relevant: H_N / N."""
    return _mean(1 / ranks(similarity, relevant), per_query)


def recall_at_k(
    similarity: np.ndarray, relevant: np.ndarray, k: int, *, per_query: bool = False
) -> float | np.ndarray:
    """Share of the relevant items that is among the first ``k``."""
    return _mean(Ranking.of(similarity, relevant).recall_at_k(k), per_query)


def ndcg(
    similarity: np.ndarray, relevant: np.ndarray, *, per_query: bool = False
) -> float | np.ndarray:
    """Normalised discounted cumulative gain: binary relevance, full depth, log2 discount."""
    ranking = Ranking.of(similarity, relevant)
    return _mean(ranking.gain(logarithmic(ranking.shape[1])), per_query)


def normalised_reciprocal_rank(
    similarity: np.ndarray, relevant: np.ndarray, *, per_query: bool = False
) -> float | np.ndarray:
    """Sum of 1 / rank over all relevant items, divided by the best possible such sum.

    The challenge's template prints this under the name of a class-wise MRR, which it is not.
    """
    ranking = Ranking.of(similarity, relevant)
    return _mean(ranking.gain(reciprocal(ranking.shape[1])), per_query)


def average_precision_at_k(
    similarity: np.ndarray, relevant: np.ndarray, k: int = 10, *, per_query: bool = False
) -> float | np.ndarray:
    """Precision at each relevant item among the first ``k``, summed, over all relevant items.

    All relevant items stand in the denominator, also those that k leaves no room for, as the
    DCASE language-based retrieval baseline has it.
    """
    return _mean(Ranking.of(similarity, relevant).average_precision_at_k(k), per_query)


def ties(similarity: np.ndarray, relevant: np.ndarray) -> int:
    """How many queries score an irrelevant item the same as their first relevant one."""
    return int(Ranking.of(similarity, relevant).first_is_tied.sum())


def logarithmic(items: int) -> np.ndarray:
    """The discount of NDCG at ranks 1 to ``items``: 1 / log2(rank + 1)."""
    return 1 / np.log2(np.arange(2, items + 2))


def reciprocal(items: int) -> np.ndarray:
    """1 / rank at ranks 1 to ``items``."""
    return 1 / np.arange(1, items + 1)


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


def _checked(similarity: np.ndarray, relevant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    similarity, relevant = np.asarray(similarity), np.asarray(relevant)
    if similarity.ndim != 2 or similarity.shape != relevant.shape or 0 in similarity.shape:
        raise ValueError(
            f"metrics: found similarity {similarity.shape} and relevant {relevant.shape}, "
            "expected two arrays of one shape (queries, items), neither of them zero"
        )
    if relevant.dtype != bool:
        raise ValueError(f"metrics: found relevant of dtype {relevant.dtype}, expected bool")
    if similarity.dtype.kind not in "fiub" or not similarity.max() < np.inf:  # NaN passes max
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
