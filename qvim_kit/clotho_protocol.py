"""How search by words is tested: DCASE 2023 task 6b, in both directions.

Source: Xie et al., https://dcase.community/challenge2023/task-language-based-audio-retrieval.
Notebook: 07_search_by_text.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from qvim_kit import metrics
from qvim_kit.datasets.captions import caption_queries
from qvim_kit.datasets.clotho import clotho_split
from qvim_kit.datasets.splits import Fold, split_by_item
from qvim_kit.datasets.tables import RetrievalDataset
from qvim_kit.downloads.catalogue import SPLITS
from qvim_kit.evaluation import relevance
from qvim_kit.evaluation.intervals import bootstrap_interval
from qvim_kit.systems.language import LanguageSystem

K = (1, 5, 10)
PUBLISHED = "published on Clotho"  # a column
# Words → sound on Clotho's evaluation split, as the baseline's page has it; not verified here.
BASELINE = {"mAP@10": 0.222, "R@1": 0.130, "R@5": 0.343, "R@10": 0.480}


def run_clotho(system: LanguageSystem, dataset: RetrievalDataset) -> pd.DataFrame:
    """Search by words and back, as DCASE 2023 task 6b measures it.

    Words → sound: each caption asks for its sound among all. Sound → words: each sound asks for
    its captions, five in Clotho, among all captions. One row a metric and direction; columns
    value, low and high (95 % interval, drawn over sounds), random (exact), and what is published of
    the baseline on Clotho.

    Where the data set has splits, the evaluation split is taken.

    Raises `ValueError` for a system that reads no words, and as the system and `with_words`.
    """
    if not hasattr(system, "embed_text"):
        raise ValueError(
            f"{system.name}: cannot read words; expected what `qvim train --preset dcase-6b` made"
        )
    dataset = with_words(dataset)
    if "split" in dataset.items:
        dataset = clotho_split(dataset, "evaluation")
    cosines = system.embed_queries(dataset.query_paths.values()).astype(float)
    cosines = cosines @ system.embed_items(dataset.item_paths.values()).T
    relevant, items = relevance(dataset)[0], dataset.queries["item_id"].to_numpy()
    described = relevant.any(axis=0)
    directions = {
        "words → sound": (cosines, relevant, items),
        "sound → words": (cosines.T[described], relevant.T[described], np.arange(described.sum())),
    }
    tables = {name: _measured(*parts) for name, parts in directions.items()}
    published = {("words → sound", name): value for name, value in BASELINE.items()}
    table = pd.concat(tables)
    return table.assign(**{PUBLISHED: pd.Series(published)})


def _measured(similarity: np.ndarray, relevant: np.ndarray, items: np.ndarray) -> pd.DataFrame:
    """mAP@10, R@1, R@5 and R@10; items (queries,) says which queries belong together."""

    def values(scores: np.ndarray) -> dict[str, np.ndarray]:
        recalls = {f"R@{k}": metrics.recall_at_k(scores, relevant, k, per_query=True) for k in K}
        average = metrics.average_precision_at_k(scores, relevant, 10, per_query=True)
        return {"mAP@10": average, **recalls}

    found = pd.DataFrame(values(similarity))
    low, high = bootstrap_interval(found.to_numpy(), items)
    # Equal scores are all orders at once, which is the expectation of random ones.
    random = pd.DataFrame(values(np.zeros_like(similarity))).mean()
    return pd.DataFrame({"value": found.mean(), "low": low, "high": high, "random": random})


def with_words(dataset: RetrievalDataset) -> RetrievalDataset:
    """A data set whose queries are sentences: its own, or captions of synthesised items.

    Raises `DatasetError` where there are neither words nor parameters to make them from.
    """
    if "text" in dataset.queries:
        worded = dataset.queries["text"].str.strip() != ""
        return RetrievalDataset(dataset.items, dataset.queries[worded], dataset.name)
    return caption_queries(dataset)


def word_parts(dataset: RetrievalDataset, seed: int = 0) -> Fold:
    """(train, validation, test) of a data set with words: the published splits if it has them.

    Else a quarter of the items for the test and, of what is left, a quarter for choosing the
    epoch. Raises as `with_words`, and `DatasetError` where a split is not there.
    """
    dataset = with_words(dataset)
    if "split" in dataset.items:
        return tuple(clotho_split(dataset, name) for name in SPLITS)
    rest, test = split_by_item(dataset, 0.25, seed)
    train, validation = split_by_item(rest, 0.25, seed)
    return train, validation, test
