"""The data of a run, and the scores that it wrote: checked before anything is believed."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qvim_kit.datasets import DatasetError, find_layout, hash_file, load_mini, read_qvim_dev
from qvim_kit.submission.notebook import OUTPUT, base_name_ids
from qvim_kit.submission.running.judging import joined, one_line
from qvim_kit.submission.running.stages import StageError

if TYPE_CHECKING:
    import pandas as pd

    from qvim_kit.datasets import RetrievalDataset
    from qvim_kit.evaluation.report import Report

BYTES_A_SCORE = 1_000  # generous: a name of 255 characters and a number of 25 are far less
BYTES_BESIDES = 10_000_000


class Score(NamedTuple):
    """What similarities are worth: the kit's report, the template's numbers with intervals."""

    report: Report
    template: pd.DataFrame
    sha256: str  # of similarities.json


def open_for_run(data: str | os.PathLike) -> tuple[RetrievalDataset, Path]:
    """The data set as the organisers hold it, and its folder, which becomes DATA_PATH.

    Raises `StageError` where it cannot be read, is in a layout other than the challenge's, or has
    two files of one base name, which the challenge's ids mix up.
    """
    try:
        if os.fspath(data) == "qvim-mini":
            dataset = load_mini()
        else:
            read, folder = find_layout(data)
            if read is not read_qvim_dev:
                expected = "Items, Queries and 'DEV Dataset.csv'"
                raise DatasetError(folder, [f"found another layout, expected {expected}"])
            dataset = read(folder)
        for paths in (dataset.item_paths, dataset.query_paths):
            base_name_ids(paths)
        dataset.fingerprint()  # now, so that a later change shows
    except (DatasetError, OSError) as error:
        remedy = "; --data qvim-mini is the synthesised set" if not Path(data).exists() else ""
        raise StageError("data", one_line(str(error)) + remedy, str(error)) from None
    return dataset, Path(dataset.items["path"][0]).resolve().parents[2]


def state_of(folder: Path) -> dict[str, str]:
    """What shows a change: path of each table and sound → SHA-256; of all else beside, the name."""
    found = {path.name: "" for path in folder.iterdir()}
    tables = [path for path in folder.iterdir() if path.suffix.lower() == ".csv"]
    for path in [*tables, *folder.glob("Items/**/*"), *folder.glob("Queries/**/*")]:
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = hash_file(path)
    return found


def check_unchanged(before: dict[str, str], folder: Path, failure: str = "") -> None:
    """Raise `StageError` naming what the run changed in the data set.

    ``before`` is its `state_of`; ``failure`` what else went wrong, for the details.
    """
    try:
        after = state_of(folder)
    except OSError:
        after = {}
    gone, new = before.keys() - after.keys(), after.keys() - before.keys()
    other = {name for name in before.keys() & after.keys() if before[name] != after[name]}
    # Of what is gone with its folder, the files say more.
    changes = [f"{name} is gone" for name in sorted(gone, key=lambda n: ("/" not in n, n))]
    changes += [f"{name} is new" for name in sorted(new)]
    changes += [f"{name} is another" for name in sorted(other)]
    if changes:
        found = joined(changes, len(changes))
        reason = f"the submission changed the data set in {folder}: {found}; "
        details = "\n".join([*changes, *([f"besides, {failure}"] if failure else [])])
        raise StageError("data", f"{reason}restore it before other runs", details)


def take_similarities(root: Path, output: Path, dataset: RetrievalDataset) -> Path:
    """Copy what the notebook wrote into the folder of results.

    Raises `StageError` where there is no plain file of a size that such scores can have.
    """
    source, target = root / OUTPUT, output / OUTPUT.name
    most = BYTES_A_SCORE * len(dataset.queries) * len(dataset.items) + BYTES_BESIDES
    try:
        found = os.lstat(source)
        if not stat.S_ISREG(found.st_mode):
            raise StageError("output", f"{OUTPUT} is a link, folder or device, expected a file")
        if found.st_size > most:
            size = f"{found.st_size / 1e6:,.0f} MB, expected at most {most / 1e6:,.0f} MB"
            raise StageError("output", f"{OUTPUT} is {size} for this data set")
        if not source.resolve().is_relative_to(root.resolve()):
            raise StageError("output", f"{OUTPUT} lies outside of ROOT_PATH, in a linked folder")
        shutil.copyfile(source, target)
    except OSError as error:
        reason = f"the notebook ran, but there is no {OUTPUT} in ROOT_PATH ({error.strerror})"
        raise StageError("output", reason) from None
    return target


def score_file(path: Path, dataset: RetrievalDataset, system: str) -> Score:
    """Check and score a similarities.json.

    Raises `StageError`: "scores" for what is wrong with the file, "evaluation" for any other.
    """
    from qvim_kit.evaluation import evaluate, template_table
    from qvim_kit.evaluation.alignment import SimilarityError, align, read_similarities

    try:
        similarities = read_similarities(path)
        align(similarities, dataset)
    except (SimilarityError, MemoryError) as error:
        problems = getattr(error, "problems", ["too large to be read"])
        reason = f"{OUTPUT.name}: {joined(problems, len(problems))}"
        raise StageError("scores", reason, str(error)) from None
    try:
        report = evaluate(similarities, dataset, system=system)
        return Score(report, template_table(similarities, dataset), file_hash(path))
    except Exception as error:
        raise StageError("evaluation", f"{type(error).__name__}: {one_line(str(error))}") from error


def file_hash(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
