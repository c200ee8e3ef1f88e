"""Cosine, dot product, Euclidean distance or correlation: does it matter how embeddings compare?

Notebook: 03_baselines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from qvim_kit.evaluation import compare, evaluate
from qvim_kit.systems.embedding import unit_rows

if TYPE_CHECKING:
    from qvim_kit.datasets import RetrievalDataset
    from qvim_kit.systems import EmbeddingSystem

MEASURES = ("cosine", "dot", "Euclidean", "correlation")


def similarity(queries: np.ndarray, items: np.ndarray, measure: str = "cosine") -> np.ndarray:
    """How close embeddings are; higher is closer.

    - cosine: of the angle between two embeddings;
    - dot: the same times both lengths, so that long embeddings are close to everything;
    - Euclidean: minus the distance; for embeddings of one length it ranks as cosine does;
    - correlation: Pearson's, the cosine after each embedding's own mean is taken off.

    Shape: queries (queries, dim), items (items, dim) → (queries, items).
    Raises `ValueError` for another measure or for shapes that do not fit.
    """
    queries, items = np.asarray(queries), np.asarray(items)
    if queries.ndim != 2 or items.ndim != 2 or queries.shape[1] != items.shape[1]:
        raise ValueError(
            f"similarity: found queries {queries.shape} and items {items.shape}, "
            "expected (queries, dim) and (items, dim)"
        )
    if measure == "dot":
        return queries @ items.T
    if measure == "cosine":
        return unit_rows(queries) @ unit_rows(items).T
    if measure == "correlation":
        queries, items = (rows - rows.mean(axis=1, keepdims=True) for rows in (queries, items))
        return unit_rows(queries) @ unit_rows(items).T
    if measure == "Euclidean":
        # One query at a time: (a - b)² by way of a² - 2ab + b² loses the digits that matter.
        return -np.stack([np.linalg.norm(items - query, axis=1) for query in queries])
    raise ValueError(f"measure: found {measure!r}, expected one of {', '.join(MEASURES)}")


def compare_similarities(
    system: EmbeddingSystem, dataset: RetrievalDataset, metric: str = "MRR", pool: str = "all"
) -> pd.DataFrame:
    """One embedding system, scored with every measure: one row a measure.

    Each file is embedded once. Columns: the metric, ``low`` and ``high`` (its 95 % interval),
    and ``minus cosine`` with the p-value of that difference. The intervals of two rows may
    overlap where the difference is beyond doubt, as both rows share their queries.

    Args:
        system: an `EmbeddingSystem`.
        dataset: what it is scored on.
        metric: a row of `Report.metrics`, such as "MRR" or "R@10".
        pool: as in `evaluate`.

    Raises `TypeError` for a system without embeddings, and as the system and `evaluate`.
    """
    if not (hasattr(system, "embed_queries") and hasattr(system, "embed_items")):
        found = type(system).__name__
        raise TypeError(f"system: found {found}, expected an EmbeddingSystem, such as TwoDFT()")
    queries = system.embed_queries(dataset.query_paths.values())
    items = system.embed_items(dataset.item_paths.values())
    reports, rows = {}, []
    for measure in MEASURES:
        scores = similarity(queries, items, measure)
        table = pd.DataFrame(scores, list(dataset.query_paths), list(dataset.item_paths))
        report = reports[measure] = evaluate(table, dataset, system=measure, pool=pool)
        row = {metric: report[metric], **report.metrics.loc[metric, ["low", "high"]]}
        if measure != "cosine":
            difference = compare(report, reports["cosine"], metric)
            row |= {"minus cosine": difference.difference, "p-value": difference.p_value}
        rows.append(row)
    return pd.DataFrame(rows, index=pd.Index(MEASURES, name="measure"))
