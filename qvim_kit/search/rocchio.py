"""Re-ranking by what was marked right and wrong.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import numpy as np

from qvim_kit.systems.embedding import unit_rows

VANISHED = 1e-6  # of the weights' sum: below it a direction is only rounding


def rocchio(
    query: np.ndarray,
    right: np.ndarray,
    wrong: np.ndarray,
    alpha: float = 1.0,
    beta: float = 0.75,
    gamma: float = 0.15,
) -> np.ndarray:
    """The query moved towards what is right and away from what is wrong.

    alpha · query + beta · mean of right - gamma · mean of wrong, scaled to length 1; all embeddings
    are scaled to length 1 first, as cosine ranks them. The defaults are the textbook's.
    Source: Rocchio, "Relevance Feedback in Information Retrieval", 1971; Manning, Raghavan &
    Schütze, Introduction to Information Retrieval, section 9.1.1, equation 9.3.

    Shape: query (dim,), right (number, dim), wrong (number, dim) → (dim,) float32. Right or wrong
    may be empty, ``[]`` or (0, dim); its term is left out then. Rows of zeros (silence) point
    nowhere, but count in their mean. Where the terms cancel out, the query comes back as it was;
    a query of zeros without marks stays zeros.

    Raises `ValueError` for other shapes, for numbers that are not finite, and for weights that
    are negative.
    """
    query = np.asarray(query, dtype=np.float64)
    weights = (alpha, beta, gamma)
    if query.ndim != 1 or not np.isfinite(query).all():
        raise ValueError(f"query: found shape {query.shape}, expected (dim,) of finite numbers")
    if not all(np.isfinite(weight) and weight >= 0 for weight in weights):
        raise ValueError(f"alpha, beta, gamma: found {weights}, expected 0 or more")
    unit = unit_rows(query[None])[0]
    moved = (
        alpha * unit + beta * _mean(right, query, "right") - gamma * _mean(wrong, query, "wrong")
    )
    if np.linalg.norm(moved) <= VANISHED * sum(weights):
        moved = unit
    return unit_rows(moved[None])[0].astype(np.float32)


def _mean(rows: np.ndarray, query: np.ndarray, name: str) -> np.ndarray:
    rows = np.asarray(rows, dtype=np.float64)
    if rows.size == 0:
        return np.zeros_like(query)
    if rows.ndim != 2 or rows.shape[1] != len(query) or not np.isfinite(rows).all():
        raise ValueError(
            f"{name}: found shape {rows.shape}, expected (number, {len(query)}) of finite numbers"
        )
    return unit_rows(rows).mean(axis=0)
