"""Folds that test on unseen concepts, ours and the published ones. Notebook: 01_explore_the_data.

The same seed gives the same folds, whatever the order of the rows.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from qvim_kit.datasets.listings import key_of, read_rows
from qvim_kit.datasets.splits import part, require_disjoint, shuffled
from qvim_kit.datasets.tables import DatasetError, RetrievalDataset

VALIDATION_IMITATIONS = 3  # of each concept, in the coarse protocol
Fold = tuple[RetrievalDataset, RetrievalDataset, RetrievalDataset]


def concepts_to_test(
    dataset: RetrievalDataset, folds: int = 10, seed: int | np.random.Generator = 0
) -> list[list[str]]:
    """The concepts (classes) that each of `category_folds` tests.

    Raises `ValueError` if there are not 2 ≤ folds ≤ concepts that somebody imitates.
    """
    concepts = shuffled(set(dataset.queries["class"]), np.random.default_rng(seed))
    if not 2 <= folds <= len(concepts):
        raise ValueError(
            f"{dataset.name}: {folds} category-disjoint folds cannot be made of {len(concepts)} "
            "imitated class(es); expected 2 folds or more and a class, a folder, for each"
        )
    return [list(some) for some in np.array_split(np.array(concepts, dtype=object), folds)]


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
    parts = concepts_to_test(dataset, folds, rng)
    by_concept = dataset.queries.groupby("class")["query_id"]
    ids = {concept: shuffled(own, rng) for concept, own in sorted(by_concept)}
    if max(map(len, ids.values())) < 2:
        raise ValueError(f"{dataset.name}: no concept has two imitations, one to validate on")
    held_out = {c: own[: min(VALIDATION_IMITATIONS, len(own) - 1)] for c, own in ids.items()}
    result = []
    for number, tested in enumerate(parts):
        rest = set(ids) - set(tested)
        validation = {query for concept in rest for query in held_out[concept]}
        train = {query for concept in rest for query in ids[concept]} - validation
        test = {query for concept in tested for query in ids[concept]}
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
    files = [place / f"{name}.csv" for place in places for name in ("train", "val", "test")]
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


def _fold(
    dataset: RetrievalDataset, name: str, train: set[str], validation: set[str], test: set[str]
) -> Fold:
    """Three data sets from three sets of query ids; items are those of the parts' concepts."""

    def of(kind: str, queries: set[str], seen: set[str]) -> RetrievalDataset:
        concepts = dataset.queries["class"][dataset.queries["query_id"].isin(seen)]
        items = dataset.items["item_id"][dataset.items["class"].isin(concepts)]
        return part(dataset, f"{name}: {kind}", items, queries)

    seen = train | validation
    parts = of("train", train, seen), of("validation", validation, seen), of("test", test, test)
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
