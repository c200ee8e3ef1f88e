"""How sure a mean over queries is: bootstrap intervals, permutation tests, random levels.

Imitations of one item are not independent: who sings a dog badly gets all his dogs wrong. So the
unit that is drawn is the item with all its queries, never the single query.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

RESAMPLES = 10_000
BLOCK = 500  # resamples at a time: bounds the memory


def bootstrap_interval(
    values: np.ndarray, items: np.ndarray, level: float = 0.95, seed: int = 0
) -> np.ndarray:
    """Percentile bootstrap interval of means over queries, items drawn with replacement.

    Source: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

    Shape: values (queries, metrics), items (queries,) → low and high (2, metrics).
    """
    sums, counts = _by_item(values, items)
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(RESAMPLES // BLOCK):
        drawn = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=BLOCK)
        means.append(drawn @ sums / (drawn @ counts)[:, None])
    tail = (1 - level) / 2
    return np.quantile(np.concatenate(means), [tail, 1 - tail], axis=0)


def paired_permutation_test(differences: np.ndarray, items: np.ndarray, seed: int = 0) -> float:
    """Two-sided p-value for a mean difference between two systems on the same queries.

    Were the systems alike, each item's differences could as well have the other sign.
    Source: Smucker, Allan & Carterette, "A Comparison of Statistical Significance Tests for
    Information Retrieval Evaluation", CIKM 2007.

    Shape: differences (queries,), items (queries,).
    """
    sums, _ = _by_item(differences[:, None], items)
    rng = np.random.default_rng(seed)
    observed = abs(sums.sum()) * (1 - 1e-12)  # rounding must not break a tie
    extreme = 0
    for _ in range(RESAMPLES // BLOCK):
        signs = rng.integers(0, 2, size=(BLOCK, len(sums)), dtype=np.int8) * 2 - 1
        extreme += int(np.count_nonzero(np.abs(signs @ sums[:, 0]) >= observed))
    return (extreme + 1) / (RESAMPLES + 1)


def random_reciprocal_rank(items: int, relevant: int = 1) -> float:
    """Expected 1 / rank of the first of ``relevant`` items in a random order of ``items``.

    With one relevant item this is the harmonic number H_N / N.
    """
    rank = np.arange(1, items - relevant + 2)
    # P(first at rank) = C(items - rank, relevant - 1) / C(items, relevant)
    log_probability = _log_choose(items - rank, relevant - 1) - _log_choose(items, relevant)
    return float(np.sum(np.exp(log_probability) / rank))


def _log_choose(n: np.ndarray | int, k: int) -> np.ndarray:
    return gammaln(np.add(n, 1)) - gammaln(k + 1) - gammaln(np.subtract(n, k) + 1)


def _by_item(values: np.ndarray, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the values of each item's queries (items, metrics), and their number (items,)."""
    _, place = np.unique(items, return_inverse=True)
    counts = np.bincount(place)
    sums = np.zeros((len(counts), values.shape[1]))
    np.add.at(sums, place, values)
    return sums, counts
