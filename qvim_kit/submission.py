"""What the submission notebook needs besides the participant's four cells.

Notebook: 05_submission.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from qvim_kit.alignment import align
from qvim_kit.datasets import DatasetError, RetrievalDataset, load_mini, read_qvim_dev
from qvim_kit.interface import as_similarities
from qvim_kit.paths import data_folder

DEFAULT_DATA_PATH = "data/qvim-dev"


def open_data(data_path: str | os.PathLike = DEFAULT_DATA_PATH) -> RetrievalDataset:
    """The data set at ``DATA_PATH``; prints which it is.

    Only where ``DATA_PATH`` still has its default value and QVIM-dev is neither there nor in the
    kit's data folder does the mini data set stand in. Any other path must exist.

    Raises `DatasetError` listing what is wrong with the folder.
    """
    for folder in (Path(data_path), data_folder() / "qvim-dev"):
        if folder.is_dir():
            dataset = read_qvim_dev(folder)
            break
        if os.fspath(data_path) != DEFAULT_DATA_PATH:
            remedy = f"Set DATA_PATH to a folder with Items and Queries (now in {Path.cwd()})."
            raise DatasetError(data_path, ["DATA_PATH: no such folder"], remedy)
    else:
        print("QVIM-dev is not here yet, so the synthesised mini data set stands in.")
        dataset = load_mini()
    print(f"{dataset!r}\nin {Path(dataset.items['path'][0]).parents[2]}")
    return dataset


def base_name_ids(paths: dict[str, str]) -> dict[str, str]:
    """``Class/file.wav`` → path becomes ``file.wav`` → path, the challenge's ids.

    Raises `DatasetError` naming both files wherever two share a base name.
    """
    by_name: dict[str, list[str]] = {}
    for identifier in paths:
        by_name.setdefault(identifier.rsplit("/", 1)[-1], []).append(identifier)
    clashes = [
        f"{' and '.join(same)} have one base name, {name}"
        for name, same in by_name.items()
        if len(same) > 1
    ]
    if clashes:
        raise DatasetError("submission ids", clashes, "Rename the files so that ids are unique.")
    return {name: paths[same[0]] for name, same in by_name.items()}


def write_similarities(
    similarities: dict[str, dict[str, float]],
    dataset: RetrievalDataset,
    root_path: str | os.PathLike = ".",
) -> Path:
    """Check a model's answer and write it to ``ROOT_PATH/output/similarities.json``.

    Written as plain numbers under base-name ids, beside its place and then moved there. Raises
    `alignment.SimilarityError` listing all that is wrong; an older file then stays.
    """
    scores = align(similarities, dataset).scores
    queries = list(base_name_ids(dataset.query_paths))
    plain = as_similarities(scores, queries, list(base_name_ids(dataset.item_paths)))
    target = Path(root_path).resolve() / "output" / "similarities.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(plain), encoding="utf-8")
    os.replace(part, target)
    return target
