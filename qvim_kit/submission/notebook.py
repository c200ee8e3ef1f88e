"""What the submission notebook calls besides the participant's four cells.

Notebook: 05_submission.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from qvim_kit.audio import AudioError, check_audio
from qvim_kit.datasets import DatasetError, RetrievalDataset, load_mini, read_qvim_dev
from qvim_kit.evaluation.alignment import align
from qvim_kit.paths import beside, data_folder
from qvim_kit.systems.interface import as_similarities

DEFAULT_DATA_PATH = "data/qvim-dev"
OUTPUT = Path("output") / "similarities.json"  # in ROOT_PATH


def open_root(root_path: str | os.PathLike = ".") -> str:
    """``ROOT_PATH`` as an absolute path, so that nothing depends on the working directory.

    ``~`` is the home folder; a folder that is not there yet is made. Scores of an earlier run
    are set aside as ``similarities.previous.json``, so that they are not taken for this run's.

    Raises `ValueError` for a path that is a file or cannot be written.
    """
    if not isinstance(root_path, (str, os.PathLike)):
        raise ValueError(f"ROOT_PATH: found {root_path!r}, expected the path of a folder")
    root = Path(root_path).expanduser().resolve()
    try:
        root.mkdir(parents=True, exist_ok=True)
        earlier = root / OUTPUT
        if earlier.exists():
            earlier.replace(earlier.with_name("similarities.previous.json"))
    except OSError as error:
        reason = f"is not a folder that can be written ({error.strerror})"
        raise ValueError(f"ROOT_PATH: {root} {reason}; choose another") from None
    return str(root)


def open_data(data_path: str | os.PathLike = DEFAULT_DATA_PATH) -> RetrievalDataset:
    """The data set at ``DATA_PATH``, all its files checked; prints which it is.

    Only where ``DATA_PATH`` still has its default value and QVIM-dev is neither there nor in the
    kit's data folder does the mini data set stand in. Any other path must exist.

    Raises `DatasetError` listing what is wrong with the folder, and every file that is no audio.
    """
    if not isinstance(data_path, (str, os.PathLike)):
        raise DatasetError("DATA_PATH", [f"found {data_path!r}, expected the path of a folder"])
    given = Path(data_path).expanduser()
    if given.is_dir():
        dataset = read_qvim_dev(given)
    elif os.fspath(data_path) != DEFAULT_DATA_PATH:
        found = f"DATA_PATH: found {'a file' if given.exists() else 'nothing'}, expected a folder"
        remedy = "Set DATA_PATH to a folder with Items and Queries."
        raise DatasetError(given.resolve(), [found], remedy)
    elif (data_folder() / "qvim-dev").is_dir():
        dataset = read_qvim_dev(data_folder() / "qvim-dev")
    else:
        print("QVIM-dev is not here yet, so the synthesised mini data set stands in.")
        dataset = load_mini()
    _check_files(dataset)
    print(f"{dataset!r}\nin {Path(dataset.items['path'][0]).parents[2]}")
    return dataset


def _check_files(dataset: RetrievalDataset) -> None:
    """Find files that no model could read now, not after hours of its work."""
    problems = []
    for path in [*dataset.items["path"], *dataset.queries["path"]]:
        try:
            check_audio(path)
        except AudioError as error:
            problems.append(str(error))
    if problems:
        remedy = "Unpack the data set again, or mend these files."
        raise DatasetError(dataset.name, problems, remedy)


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
    target = Path(root_path).expanduser().resolve() / OUTPUT
    target.parent.mkdir(parents=True, exist_ok=True)
    with beside(target) as part:
        part.write_text(json.dumps(plain), encoding="utf-8")
    return target
