"""Splits and folds that share nothing they must not share; each part is a `RetrievalDataset`.

Notebook: 01_explore_the_data. The same seed gives the same split, whatever the order of the rows.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import numpy as np

from qvim_kit.datasets.listings import key_of, read_rows
from qvim_kit.datasets.tables import DatasetError, RetrievalDataset

VALIDATION_IMITATIONS = 3  # of each concept, in the coarse protocol
Ids = Collection[str]
Fold = tuple[RetrievalDataset, RetrievalDataset, RetrievalDataset]


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
    chosen = _shuffled(imitated, rng)
    chosen = chosen[: min(max(1, round(validation * len(chosen))), len(chosen) - 1)]
    others = _shuffled(set(dataset.items["item_id"]) - imitated, rng)
    chosen = {*chosen, *others[: round(validation * len(others))]}
    kept = set(dataset.items["item_id"]) - chosen
    share = f"{validation:.0%} of the items, seed {seed}"
    train = _part(dataset, f"{dataset.name}: train (without {share})", items=kept)
    held_out = _part(dataset, f"{dataset.name}: validation ({share})", items=chosen)
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
        _part(dataset, f"{dataset.name}, train", items[~is_held]),
        _part(dataset, f"{dataset.name}, validation", items[is_held], kept["query_id"]),
    )


def category_folds(dataset: RetrievalDataset, folds: int = 10, seed: int = 0) -> list[Fold]:
    """Folds of (train, validation, test) that test on unseen concepts.

    Guarantee: test and training share no concept (class); every concept with imitations is tested
    in exactly one fold; the folds' sizes differ by at most one concept. A fold's test ranks the
    items of its own concepts only. Of each other concept ``VALIDATION_IMITATIONS`` imitations are
    for validation (of a concept with three or fewer: all but one), the rest for training; both
    rank all items of these concepts. Concepts that nobody imitates are left out.

    Source: Greif et al. 2024, coarse protocol (VimSketch: 528 concepts, random MRR .086).

    Raises `ValueError` if there are not 2 ≤ folds ≤ concepts, or nothing is left to validate on.
    """
    rng = np.random.default_rng(seed)
    concepts = _shuffled(set(dataset.queries["class"]), rng)
    if not 2 <= folds <= len(concepts):
        raise ValueError(
            f"{dataset.name}: {folds} category-disjoint folds cannot be made of {len(concepts)} "
            "imitated class(es); expected 2 folds or more and a class, a folder, for each"
        )
    by_concept = dataset.queries.groupby("class")["query_id"]
    shuffled = {concept: _shuffled(ids, rng) for concept, ids in sorted(by_concept)}
    if max(map(len, shuffled.values())) < 2:
        raise ValueError(f"{dataset.name}: no concept has two imitations, one to validate on")
    held_out = {c: ids[: min(VALIDATION_IMITATIONS, len(ids) - 1)] for c, ids in shuffled.items()}
    result = []
    for number, tested in enumerate(np.array_split(np.array(concepts, dtype=object), folds)):
        rest = set(concepts) - set(tested)
        validation = {query for concept in rest for query in held_out[concept]}
        train = {query for concept in rest for query in shuffled[concept]} - validation
        test = {query for concept in tested for query in shuffled[concept]}
        name = f"{dataset.name}, fold {number} of {folds}"
        result.append(_fold(dataset, name, train, validation, test))
    return result


def read_folds(folder: str | os.PathLike, dataset: RetrievalDataset) -> list[Fold]:
    """The published folds of Greif et al. 2024: (train, validation, test) of each, in order.

    Reads ``fold0/train.csv``, ``val.csv``, ``test.csv`` and so on, as they are in the published
    repository's folder ``splits``: tab-separated, with columns filename and scene_label, most
    rows twice. Files are found in ``dataset`` (VimSketch) by their base names. What no fold
    lists is left out: the published folds hold 528 concepts and 12 202 imitations.

    Guarantee: as `category_folds`, each file once.

    Raises `DatasetError` listing all that is wrong: missing files, names that the data set does
    not know, labels other than the data set's class, parts that share what they must not.
    """
    folder = Path(folder)
    if not any(folder.glob("fold*")) and (folder / "splits").is_dir():
        folder = folder / "splits"
    places = [path for path in folder.glob("fold*") if path.name[4:].isdecimal()]
    places.sort(key=lambda path: int(path.name[4:]))
    files = [place / f"{part}.csv" for place in places for part in ("train", "val", "test")]
    problems = [f"there is no {p.relative_to(folder)}" for p in files if not p.is_file()]
    problems += [] if places else ["there is no fold0"]
    if problems:
        remedy = "Expected the folder splits with fold0, fold1, … of the published repository."
        raise DatasetError(folder, problems, remedy)
    known: dict[str, list[tuple[str, str]]] = {}
    for query in dataset.queries.to_dict("records"):
        key = key_of(Path(query["path"]).name)
        known.setdefault(key, []).append((query["query_id"], query["class"]))
    listed = [_listed_queries(path, known, problems) for path in files]
    if problems:
        remedy = f"Do these folds belong to {dataset.name}? Is it complete?"
        raise DatasetError(folder, list(dict.fromkeys(problems)), remedy)
    return [
        _fold(dataset, f"{dataset.name}, published {place.name}", *listed[3 * n : 3 * n + 3])
        for n, place in enumerate(places)
    ]


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
        groups.append(_part(dataset, f"{dataset.name}, concept {concept}", items=own["item_id"]))
    if not groups and not problems:
        problems = ["no concept has both imitations and non-references"]
    if problems:
        raise DatasetError(dataset.name, problems)
    return groups


def _shuffled(values: Collection[str], rng: np.random.Generator) -> list[str]:
    """In an order that depends on the values and the generator only."""
    ordered = sorted(values)
    return [ordered[index] for index in rng.permutation(len(ordered))]


def _part(
    dataset: RetrievalDataset, name: str, items: Ids, queries: Ids | None = None
) -> RetrievalDataset:
    """The items with these ids, and those of their queries that ``queries`` holds (or all)."""
    own_items = dataset.items[dataset.items["item_id"].isin(set(items))]
    mine = dataset.queries["item_id"].isin(set(items))
    mine &= queries is None or dataset.queries["query_id"].isin(set(queries))
    return RetrievalDataset(own_items, dataset.queries[mine], name)


def _fold(
    dataset: RetrievalDataset, name: str, train: set[str], validation: set[str], test: set[str]
) -> Fold:
    """Three data sets from three sets of query ids; items are those of the parts' concepts."""

    def part(kind: str, queries: set[str], seen: set[str]) -> RetrievalDataset:
        concepts = dataset.queries["class"][dataset.queries["query_id"].isin(seen)]
        items = dataset.items["item_id"][dataset.items["class"].isin(concepts)]
        return _part(dataset, f"{name}: {kind}", items, queries)

    seen = train | validation
    tested = part("test", test, test)
    parts = part("train", train, seen), part("validation", validation, seen), tested
    for first, second, column in ((0, 1, "query_id"), (0, 2, "class"), (1, 2, "class")):
        require_disjoint(parts[first], parts[second], column)
    return parts


def _listed_queries(path: Path, known: dict[str, list], problems: list[str]) -> set[str]:
    """The query ids that one file of a fold lists."""
    queries = set()
    for row in read_rows(path, ["filename", "scene_label"], delimiter="\t"):
        name, label = row["filename"].rpartition("/")[2], row["scene_label"]
        fitting = known.get(key_of(name), [])
        where = f"{path.parent.name}/{path.name}: {name}"
        if len(fitting) != 1:
            problems.append(f"{where} is {'ambiguous' if fitting else 'unknown'}")
        elif fitting[0][1] != label:
            problems.append(f"{where} has label {label}, in the data set {fitting[0][1]}")
        else:
            queries.add(fitting[0][0])
    return queries
