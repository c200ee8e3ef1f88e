"""Exact search: one pass over all embeddings, and the best k without a full sort.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import numpy as np

SCORES_AT_ONCE = 1 << 24  # 64 MB of scores, however many queries
GROUPS = 64
GATHERED = 4  # below one in four, copying the allowed rows is cheaper than a pass over all


def nearest(
    embeddings: np.ndarray, queries: np.ndarray, k: int, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The k rows of highest cosine for each query, best first; equal ones by row.

    All rows are scored by one matrix product in float32. Those that rounding could let into the
    best k are then scored again in float64, each by itself: thus the answer depends neither on
    how many queries are asked at once nor on the filter, and copies of a sound score the same.

    Args:
        embeddings: (rows, dim) float32, C-contiguous, rows of length 1 or 0.
        queries: (queries, dim) float32, rows of length 1 or 0.
        k: how many; fewer where fewer rows are allowed.
        mask: (rows,) bool, which rows may be found; all if left out.

    Returns row numbers and scores, both (queries, found).
    """
    allowed = None if mask is None or mask.all() else np.flatnonzero(mask)
    pool = embeddings
    if allowed is not None and len(allowed) * GATHERED < len(embeddings):
        pool = embeddings[allowed]
    count = len(embeddings) if allowed is None else len(allowed)
    k = min(k, count)
    rows = np.empty((len(queries), k), dtype=np.intp)
    scores = np.empty((len(queries), k))
    if k == 0:
        return rows, scores
    step = max(1, SCORES_AT_ONCE // count)
    for start in range(0, len(queries), step):
        part = queries[start : start + step]
        # One query: matrix times vector runs at the speed of memory, and a matrix product not.
        rough = (pool @ part[0])[None] if len(part) == 1 else part @ pool.T
        if allowed is not None and pool is embeddings:
            rough = rough[:, allowed]
        for number, line in enumerate(rough, start):
            likely = _may_be_best(line, k, embeddings.shape[1])
            likely = likely if allowed is None else allowed[likely]
            exact = exact_scores(embeddings, likely, queries[number])
            order = np.lexsort((likely, -exact))[:k]
            rows[number], scores[number] = likely[order], exact[order]
    return rows, scores


def _may_be_best(scores: np.ndarray, k: int, dim: int) -> np.ndarray:
    """Positions, rising, of all scores (rows,) that may be among the k best before rounding."""
    if k >= len(scores):
        return np.arange(len(scores))
    width = len(scores) // GROUPS
    if width >= 4 * k:
        # The k-th best of the groups' maxima is a lower bound of the k-th best score.
        bound = np.maximum.reduce(scores[: width * GROUPS].reshape(GROUPS, width))
    else:
        bound = scores.copy()
    bound.partition(len(bound) - k)
    # float32 sums of dim products of unit vectors err by far less than this.
    return (scores >= bound[len(bound) - k] - 1e-6 * dim**0.5).nonzero()[0]


def exact_scores(embeddings: np.ndarray, rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Cosine of the query (dim,) with chosen rows in float64, summed row by row."""
    query = query.astype(np.float64)
    if rows.size * query.size <= 1 << 20:
        return (embeddings[rows] * query).sum(axis=1)
    step = max(1, (1 << 20) // len(query))
    parts = [
        (embeddings[rows[start : start + step]] * query).sum(axis=1)
        for start in range(0, len(rows), step)
    ]
    return np.concatenate(parts)
