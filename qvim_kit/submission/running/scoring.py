"""The data of a run, and the scores that it wrote: checked before anything is believed."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qvim_kit.datasets import DatasetError, find_layout, load_mini, read_qvim_dev
from qvim_kit.submission.notebook import OUTPUT, base_name_ids
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
        raise StageError("data", _first_line(error) + remedy, str(error)) from None
    return dataset, Path(dataset.items["path"][0]).resolve().parents[2]


def state_of(dataset: RetrievalDataset, folder: Path) -> list[str]:
    """What shows a change: the fingerprint, and names and tables beside Items and Queries.

    The fingerprint alone does not know of what a reader passes over, as a row without files.
    """
    tables = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".csv")
    hashes = [file_hash(path) for path in tables]
    return [dataset.fingerprint(), *hashes, *sorted(os.listdir(folder))]


def check_unchanged(before: list[str], folder: Path) -> None:
    """Raise `StageError` where the run changed the data set: ``before`` is its `state_of`."""
    try:
        same = state_of(read_qvim_dev(folder), folder) == before
    except (DatasetError, OSError):
        same = False
    if not same:
        reason = f"the submission changed the data set in {folder}; restore it before other runs"
        raise StageError("data", reason)


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
        others = len(problems) - 1
        more = f" (and {others} more problem{'s' * (others > 1)})" if others else ""
        raise StageError("scores", f"{OUTPUT.name}: {problems[0]}{more}", str(error)) from None
    try:
        report = evaluate(similarities, dataset, system=system)
        return Score(report, template_table(similarities, dataset), file_hash(path))
    except Exception as error:
        raise StageError("evaluation", f"{type(error).__name__}: {_first_line(error)}") from error


def file_hash(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    # The first line of a DatasetError only counts its problems.
    return " ".join(line.strip() for line in lines[:2])
