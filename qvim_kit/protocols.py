"""The published ways to test: the coarse and fine protocols of Greif et al. 2024, and QVIM-dev.

Each function runs a system and returns a table; ``qvim test`` prints it beside what was published.

Source: Greif et al., "Improving Query-by-Vocal Imitation with Contrastive Learning and Audio
Pretraining", DCASE 2024. Notebook: 03_baselines.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from qvim_kit.clotho_protocol import BASELINE, word_parts
from qvim_kit.datasets.folds import Fold, category_folds, concepts_to_test, read_folds
from qvim_kit.datasets.splits import candidate_groups, split_by_item
from qvim_kit.datasets.tables import RetrievalDataset
from qvim_kit.evaluation import evaluate, relevance
from qvim_kit.evaluation.alignment import align
from qvim_kit.evaluation.intervals import bootstrap_interval, random_reciprocal_rank
from qvim_kit.metrics import ranks
from qvim_kit.systems import QVIMModel, score

# MRR of others on the same data, as published; QVIM-dev ranks the 121 imitated items.
PUBLISHED = {
    "coarse": {"random, 53 concepts": 0.0860},
    "fine": {"random": 0.293},
    "qvim-dev": {
        "random": 0.0444,
        "2DFT": 0.1262,
        "frozen LAION-CLAP": 0.1316,
        "MobileNet baseline": 0.2726,
        "Aalto, MobileNet with light augmentation": 0.2835,
    },
    "clotho": BASELINE,
}


def coarse_folds(
    dataset: RetrievalDataset, folds_folder: str | os.PathLike | None = None
) -> list[Fold]:
    """The folds of the coarse protocol: published ones if a folder is given, else ten of ours.

    Where the data set has fewer than ten concepts, there is a fold for each.
    """
    if folds_folder is not None:
        return read_folds(folds_folder, dataset)
    return category_folds(dataset, _number_of_folds(dataset))


def run_coarse(system: QVIMModel, folds: Sequence[Fold]) -> pd.DataFrame:
    """Unseen concepts against each other: a row a fold, then mean and standard deviation.

    Columns: queries, items, MRR, R@1, R@2, and the MRR of random scores.
    """
    rows = {}
    for _, _, test in folds:
        place = _ranks(system, test)
        rows[test.name] = {
            "queries": len(test.queries),
            "items": len(test.items),
            **_summary(place),
            "random MRR": random_reciprocal_rank(len(test.items)),
        }
    table = pd.DataFrame(rows).T
    mean, deviation = table.mean(), table.std(ddof=0)
    return pd.concat([table, pd.DataFrame({"mean": mean, "std": deviation}).T])


def run_fine(system: QVIMModel, dataset: RetrievalDataset) -> pd.DataFrame:
    """Each imitated recording among those of its concept; MRR is the mean over concepts.

    One row a metric (MRR over concepts; R@1, R@2 over queries) with its 95 % interval, for which
    concepts are drawn, and the random MRR.
    """
    groups = candidate_groups(dataset)
    # One run for all, so that every file is embedded once.
    table = score(system, dataset)
    place = [_ranks_in(table, group) for group in groups]
    concepts = np.arange(len(groups))
    mrr = np.array([[_summary(one)["MRR"]] for one in place])
    hits = np.concatenate(place)[:, None] <= [1, 2]
    of_hits = bootstrap_interval(hits, concepts.repeat([len(one) for one in place]))
    low, high = np.hstack([bootstrap_interval(mrr, concepts), of_hits])
    chance = float(np.mean([random_reciprocal_rank(len(group.items)) for group in groups]))
    return pd.DataFrame(
        {
            "value": [mrr.mean(), *hits.mean(axis=0)],
            "low": low,
            "high": high,
            "random": [chance, np.nan, np.nan],
        },
        index=[f"MRR of {len(groups)} concepts", "R@1", "R@2"],
    )


def run_qvim_dev(
    system: QVIMModel, dataset: RetrievalDataset, name: str = "system"
) -> pd.DataFrame:
    """The challenge's development set as published: only imitated items are ranked."""
    return evaluate(score(system, dataset), dataset, system=name, pool="imitated").metrics


def beside_published(protocol: str) -> str:
    """The published MRRs of a protocol, or what it measures in place of MRR, one a line."""
    return "\n".join(f"{value:.4f}  {name}" for name, value in PUBLISHED[protocol].items())


def doubt(protocol: str, dataset: RetrievalDataset) -> str:
    """Why the published numbers say nothing of this data set, in a line; "" if they may."""
    from qvim_kit.datasets.audit import size_differences

    if protocol != "qvim-dev" or not (differences := size_differences(dataset, protocol)):
        return ""
    return (
        f"note: {dataset.name} is not QVIM-dev as published ({'; '.join(differences)}): "
        "the MRRs below are of other data"
    )


def _ranks(system: QVIMModel, dataset: RetrievalDataset) -> np.ndarray:
    return _ranks_in(score(system, dataset), dataset)


def _ranks_in(table: pd.DataFrame, dataset: RetrievalDataset) -> np.ndarray:
    """The rank of each query's item among the data set's items, (queries,)."""
    part = table.loc[dataset.queries["query_id"], dataset.items["item_id"]]
    return ranks(align(part, dataset).scores, relevance(dataset)[0])


def _summary(place: np.ndarray) -> dict[str, float]:
    """MRR, R@1 and R@2 of ranks; a tie counts for R@k as it does for its expected rank."""
    return {
        "MRR": float((1 / place).mean()),
        "R@1": float((place <= 1).mean()),
        "R@2": float((place <= 2).mean()),
    }


def training_parts(
    preset: str, dataset: RetrievalDataset, fold: int, folds_folder: Path | None = None
) -> Fold:
    """(train, validation, test) for a preset of `training.presets`.

    The coarse preset takes a fold of the protocol. For search by words it is the published
    splits, or where there are none a quarter of the items for the test and, of what is left, a
    quarter for choosing the epoch; ``fold`` is then the seed. All others take a category-disjoint
    tenth for the test and, of what is left, another for choosing the epoch; with fewer than three
    classes that cannot be, and a fifth of the items is taken instead.

    Raises `ValueError` for a fold that does not exist, and for sentences where voices are needed.
    """
    if preset == "dcase-6b":
        return word_parts(dataset, fold)
    if "text" in dataset.queries and (dataset.queries["path"] == "").any():
        raise ValueError(
            f"{dataset.name}: queries are sentences, which the preset {preset} cannot hear; take "
            "the preset dcase-6b"
        )
    if preset == "greif-coarse":
        return _one_of(coarse_folds(dataset, folds_folder), fold)
    if dataset.queries["class"].nunique() < 3:
        rest, test = split_by_item(dataset, 0.2, fold)
        return (*split_by_item(rest, 0.2, fold), test)
    tested = _tested_classes(dataset, folds_folder)
    held_out, chosen = _one_of(tested, fold), tested[(fold + 1) % len(tested)]
    rest = {*dataset.items["class"]} - held_out - chosen
    return tuple(
        RetrievalDataset(
            dataset.items[dataset.items["class"].isin(part)],
            dataset.queries[dataset.queries["class"].isin(part)],
            f"{dataset.name}, fold {fold}: {label}",
        )
        for part, label in ((rest, "train"), (chosen, "validation"), (held_out, "test"))
    )


def _one_of(folds: list, fold: int):
    if not 0 <= fold < len(folds):
        raise ValueError(f"fold: found {fold}, expected 0 to {len(folds) - 1}")
    return folds[fold]


def _tested_classes(dataset: RetrievalDataset, folds_folder: Path | None) -> list[set[str]]:
    """The classes that each of `coarse_folds` tests; one imitation of a class is enough here."""
    if folds_folder is not None:
        return [{*test.queries["class"]} for _, _, test in read_folds(folds_folder, dataset)]
    return [{*some} for some in concepts_to_test(dataset, _number_of_folds(dataset))]


def _number_of_folds(dataset: RetrievalDataset) -> int:
    return min(10, dataset.queries["class"].nunique())
