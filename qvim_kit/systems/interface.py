"""The challenge's interface: audio files in, similarities out.

Notebook: 05_submission.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from qvim_kit.datasets import RetrievalDataset


class QVIMModel(ABC):
    """The challenge's interface: what an entry to AES AIMLA 2025 has to implement."""

    @abstractmethod
    def compute_similarities(
        self, items: dict[str, str], queries: dict[str, str]
    ) -> dict[str, dict[str, float]]:
        """How close each query is to each item.

        Args:
            items: item id → path of its audio file.
            queries: query id → path of its audio file.

        Returns:
            query id → item id → score, higher is closer; every query and every item.
        """


def score(system: QVIMModel, dataset: RetrievalDataset) -> pd.DataFrame:
    """Run a system on a data set: a table of similarities, query_id × item_id.

    What the system left out is NaN in the table; `evaluation.evaluate` names it. Raises
    `TypeError` where the system returned no table at all.
    """
    import pandas as pd

    similarities = system.compute_similarities(dataset.item_paths, dataset.query_paths)
    if isinstance(similarities, pd.DataFrame):
        return similarities
    if not isinstance(similarities, Mapping) or not all(
        isinstance(row, Mapping) for row in similarities.values()
    ):
        found = type(similarities).__name__
        raise TypeError(
            f"{type(system).__name__}.compute_similarities: found {found}, expected a nested dict "
            "query id → item id → score"
        )
    return pd.DataFrame.from_dict(similarities, orient="index")


def as_similarities(scores: np.ndarray, queries: list[str], items: list[str]) -> dict:
    """(queries, items) → query id → item id → Python float, which json can write."""
    rows = scores.tolist()
    return {
        query: dict(zip(items, row, strict=True)) for query, row in zip(queries, rows, strict=True)
    }
