"""How search by words is tested: DCASE 2023 task 6b, in both directions.

Source: Xie et al., https://dcase.community/challenge2023/task-language-based-audio-retrieval.
Notebook: 07_search_by_text.
"""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pandas as pd

from qvim_kit import metrics
from qvim_kit.datasets.captions import caption_queries
from qvim_kit.datasets.clotho import clotho_split
from qvim_kit.datasets.folds import Fold
from qvim_kit.datasets.listings import DatasetWarning
from qvim_kit.datasets.splits import split_by_item
from qvim_kit.datasets.tables import DatasetError, RetrievalDataset
from qvim_kit.downloads.catalogue import SPLITS
from qvim_kit.evaluation import relevance
from qvim_kit.evaluation.intervals import bootstrap_interval
from qvim_kit.systems.language import LanguageSystem

K = (1, 5, 10)
PUBLISHED = "published on Clotho"  # a column
# Words → sound on Clotho's evaluation split, as the baseline's page has it; not verified here.
BASELINE = {"mAP@10": 0.222, "R@1": 0.130, "R@5": 0.343, "R@10": 0.480}


def run_clotho(system: LanguageSystem, dataset: RetrievalDataset) -> pd.DataFrame:
    """Search by words and back, as DCASE 2023 task 6b measures it, on the `held_out` part.

    Words → sound: each caption asks for its sound among all. Sound → words: each sound asks for
    its captions, five in Clotho, among all captions. One row a metric and direction; columns
    value, low and high (95 % interval, drawn over sounds), and random (exact). Where the data are
    Clotho's evaluation split there is also what is published of the baseline.

    Raises as the system and `held_out`.
    """
    return measure_words(system, held_out(system, dataset))


def held_out(system: LanguageSystem, dataset: RetrievalDataset) -> RetrievalDataset:
    """The part of a data set that a system can be tested on.

    Sentences only; the evaluation split, where there are splits; and no sound that the system was
    trained on or chosen by, as far as its card says (`LanguageSystem.has_heard`). A warning names
    what is left out for that.

    Raises `ValueError` for a system that reads no words, `DatasetError` where nothing is left, and
    as `with_words`.
    """
    if not hasattr(system, "embed_text"):
        raise ValueError(
            f"{system.name}: cannot read words; expected what `qvim train --preset dcase-6b` made"
        )
    dataset = with_words(dataset)
    if "split" in dataset.items:
        dataset = clotho_split(dataset, "evaluation")
    if not hasattr(system, "has_heard"):  # of one's own making
        return dataset
    heard = system.has_heard(dataset.items["path"])
    known = dataset.items["item_id"][heard].tolist()
    if not known:
        return dataset
    if heard.all():
        problem = f"{system.name} learnt from all of its {len(heard)} sounds, or was chosen by them"
        raise DatasetError(dataset.name, [problem], "Test it on sounds that it does not know.")
    why = f"as {system.name} learnt from them or was chosen by them"
    what = f"left out {{}} of {len(heard)}, {why}"
    warnings.warn(DatasetWarning(dataset.name, what, known, "sound"), stacklevel=2)
    asked = ~dataset.queries["item_id"].isin(known)
    return RetrievalDataset(
        dataset.items[~heard], dataset.queries[asked], f"{dataset.name}, held out"
    )


def measure_words(system: LanguageSystem, dataset: RetrievalDataset) -> pd.DataFrame:
    """`run_clotho` on all of a data set with words, whatever the system knows of it."""
    queries = dataset.queries
    cosines = system.embed_text(queries["text"], queries["query_id"]).astype(float)
    cosines = cosines @ system.embed_items(dataset.item_paths.values()).T
    relevant, items = relevance(dataset)[0], queries["item_id"].to_numpy()
    described = relevant.any(axis=0)
    directions = {
        "words → sound": (cosines, relevant, items),
        "sound → words": (cosines.T[described], relevant.T[described], np.arange(described.sum())),
    }
    table = pd.concat({name: _measured(*parts) for name, parts in directions.items()})
    if not is_published(dataset):
        return table
    published = {("words → sound", name): value for name, value in BASELINE.items()}
    return table.assign(**{PUBLISHED: pd.Series(published)})


def is_published(dataset: RetrievalDataset) -> bool:
    """Whether this is Clotho's evaluation split, of which `BASELINE` was published."""
    return (dataset.name, len(dataset.items)) == ("Clotho, evaluation", SPLITS["evaluation"])


def about_published(dataset: RetrievalDataset) -> str:
    """What stands in the column `PUBLISHED`, in a line; "" where there is none."""
    if not is_published(dataset):
        return ""
    return "published: the DCASE 2023 task 6b baseline, which trains CNN14 too; not verified here"


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
    names = {"train": train, "validation": validation, "test": test}
    return tuple(
        dataclasses.replace(part, name=f"{dataset.name}, seed {seed}: {name}")
        for name, part in names.items()
    )
