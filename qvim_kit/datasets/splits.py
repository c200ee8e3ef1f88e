"""Splits that share nothing they must not share; each part is a `RetrievalDataset`.

Notebook: 01_explore_the_data. Folds are in `folds`. The same seed gives the
same split, whatever the order of the rows.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from qvim_kit.datasets.tables import DatasetError, RetrievalDataset

Ids = Collection[str]


def require_disjoint(
    first: RetrievalDataset, second: RetrievalDataset, column: str = "item_id"
) -> None:
    """Check that two data sets share no value of a column of their queries.

    Args:
        column: "query_id", "item_id" (the imitated items) or "class".

    Raises `DatasetError` listing every value that both hold.
    """
    shared = sorted(set(first.queries[column]) & set(second.queries[column]))
    if shared:
        where = f"{first.name} and {second.name}"
        raise DatasetError(where, [f"{column} {value} is in both" for value in shared])


def split_by_item(
    dataset: RetrievalDataset, validation: float = 0.2, seed: int = 0
) -> tuple[RetrievalDataset, RetrievalDataset]:
    """Split into (train, validation) such that an item's imitations are never in both.

    Guarantee: every query and every item is in exactly one part, each query beside its item. The
    share ``validation`` of the imitated items, rounded, but at least one, goes to validation; of
    the items that nobody imitates the same share. Classes may be in both; see `category_folds`.

    Raises `ValueError` if ``validation`` is not between 0 and 1, or fewer than two items are
    imitated.
    """
    if not 0 < validation < 1:
        raise ValueError(f"validation: found {validation}, expected a share between 0 and 1")
    imitated = set(dataset.queries["item_id"])
    if len(imitated) < 2:
        raise ValueError(f"{dataset.name}: found {len(imitated)} imitated item, expected 2 or more")
    rng = np.random.default_rng(seed)
    chosen = shuffled(imitated, rng)
    chosen = chosen[: min(max(1, round(validation * len(chosen))), len(chosen) - 1)]
    others = shuffled(set(dataset.items["item_id"]) - imitated, rng)
    chosen = {*chosen, *others[: round(validation * len(others))]}
    kept = set(dataset.items["item_id"]) - chosen
    share = f"{validation:.0%} of the items, seed {seed}"
    train = part(dataset, f"{dataset.name}: train (without {share})", items=kept)
    held_out = part(dataset, f"{dataset.name}: validation ({share})", items=chosen)
    require_disjoint(train, held_out, "item_id")
    return train, held_out


def hold_out(
    dataset: RetrievalDataset, classes: Collection[str], imitations: int | None = None
) -> tuple[RetrievalDataset, RetrievalDataset]:
    """Split into (train, validation), where validation is all items of the named classes.

    Args:
        imitations: of each item at most so many, the first by name, are kept for validation.

    Raises `DatasetError` naming the classes that the data set lacks, and if one part is empty.
    """
    held, known = set(classes), set(dataset.items["class"])
    problems = [f"there is no class {name!r}" for name in sorted(held - known)]
    problems += ["nothing would be left to train with"] if held >= known else []
    problems += [] if held else ["no class was named"]
    if problems:
        raise DatasetError(dataset.name, problems, f"Its classes: {', '.join(sorted(known))}.")
    kept = dataset.queries.sort_values("query_id")
    if imitations is not None:
        kept = kept.groupby("item_id").head(imitations)
    items, is_held = dataset.items["item_id"], dataset.items["class"].isin(held)
    return (
        part(dataset, f"{dataset.name}, train", items[~is_held]),
        part(dataset, f"{dataset.name}, validation", items[is_held], kept["query_id"]),
    )


def candidate_groups(dataset: RetrievalDataset) -> list[RetrievalDataset]:
    """One small data set a concept: find the imitated recording among others of its kind.

    The fine protocol of Greif et al. 2024, for `read_vocal_imitation_set`: queries are a concept's
    imitations, items its reference and its non-references. Concepts without non-references or
    without imitations are left out (301 of the 302 remain; random MRR ≈ .293). The published MRR
    is the mean over concepts of the concept's MRR.

    Guarantee: each group has one concept, one reference, which all its queries imitate, and at
    least one item besides.

    Raises `DatasetError` if the items are not told apart by a column ``kind``, or a concept's
    queries imitate something else than its one reference.
    """
    items, queries = dataset.items, dataset.queries
    if "kind" not in items:
        remedy = "Expected a data set from read_vocal_imitation_set."
        raise DatasetError(dataset.name, ["items have no column 'kind'"], remedy)
    groups, problems = [], []
    others = set(items["class"][items["kind"] != "reference"])
    for concept in sorted(others.intersection(queries["class"])):
        own = items[items["class"] == concept]
        references = set(own["item_id"][own["kind"] == "reference"])
        imitated = set(queries["item_id"][queries["class"] == concept])
        if len(references) != 1 or references != imitated:
            problems.append(f"concept {concept}: expected one reference that all queries imitate")
            continue
        groups.append(part(dataset, f"{dataset.name}, concept {concept}", items=own["item_id"]))
    if not groups and not problems:
        problems = ["no concept has both imitations and non-references"]
    if problems:
        raise DatasetError(dataset.name, problems)
    return groups


def shuffled(values: Collection[str], rng: np.random.Generator) -> list[str]:
    """In an order that depends on the values and the generator only."""
    ordered = sorted(values)
    return [ordered[index] for index in rng.permutation(len(ordered))]


def part(
    dataset: RetrievalDataset, name: str, items: Ids, queries: Ids | None = None
) -> RetrievalDataset:
    """The items with these ids, and those of their queries that ``queries`` holds (or all)."""
    own_items = dataset.items[dataset.items["item_id"].isin(set(items))]
    mine = dataset.queries["item_id"].isin(set(items))
    mine &= queries is None or dataset.queries["query_id"].isin(set(queries))
    return RetrievalDataset(own_items, dataset.queries[mine], name)
