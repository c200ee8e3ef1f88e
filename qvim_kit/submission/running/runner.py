"""Does with a submission what the organisers do, and says at which stage it fails.

A fresh kernel in a fresh folder, the organisers' ROOT_PATH and DATA_PATH in a copy of the
notebook, limits of time and memory; then similarities.json is checked and scored. The
participant's file is only read. This is no sandbox: the submission's code runs with the rights
of whoever starts it, unless ``isolate`` is set.

Notebook: 05_submission.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from qvim_kit.datasets import DATASETS
from qvim_kit.submission.checking import check
from qvim_kit.submission.notebook import OUTPUT
from qvim_kit.submission.running.isolation import check_isolation, environment, isolated
from qvim_kit.submission.running.judging import first_line, judge
from qvim_kit.submission.running.kept import KeptText, remove, set_aside
from qvim_kit.submission.running.limits import Limits
from qvim_kit.submission.running.report_page import ISOLATED, NO_SANDBOX
from qvim_kit.submission.running.result import Run
from qvim_kit.submission.running.scoring import (
    check_unchanged,
    open_for_run,
    score_file,
    state_of,
    take_similarities,
)
from qvim_kit.submission.running.stages import StageError
from qvim_kit.submission.running.substitution import read_notebook, substitute_paths
from qvim_kit.submission.running.supervision import Ending, supervise

if TYPE_CHECKING:
    from nbformat import NotebookNode

PROGRAM = Path(__file__).with_name("execution.py")
LARGEST_EXECUTED = 200_000_000  # bytes; what execution keeps is far less


def run_submission(
    notebook: str | os.PathLike,
    data: str | os.PathLike,
    *,
    output: str | os.PathLike,
    root: str | os.PathLike | None = None,
    limits: Limits,
    isolate: bool = False,
    say: Callable[[str], None] = print,
) -> Run:
    """Run and score one submission; write log, executed notebook, reports into ``output``.

    Args:
        notebook: the participant's file, which stays as it is.
        data: folder in the challenge's layout, or the name of a data set.
        output: a folder that is empty or not there yet.
        root: ROOT_PATH, kept afterwards; by default a fresh folder that is removed.
        limits: at which the run is ended.
        isolate: run under bubblewrap, without network, system read-only.
        say: takes a line for each cell, and before them one on what the code may do.

    Raises `ValueError` for arguments with which no run can be made; whatever the submission does
    is told by the `Run`.
    """
    run = _prepared(notebook, data, output, root, limits, isolate)
    say(ISOLATED if isolate else NO_SANDBOX)
    work = Path(tempfile.mkdtemp(prefix="qvim-run-")).resolve()
    try:
        _attempt(run, work, say)
    except StageError as error:
        run.stage, run.code = error.stage, error.code
        run.reason, run.details = error.reason, error.details
    finally:
        remove(work)
    from qvim_kit.submission.running.report import write_reports

    write_reports(run)
    return run


def _prepared(notebook, data, output, root, limits: Limits, isolate: bool) -> Run:
    notebook, output = Path(notebook).resolve(), Path(output).expanduser().resolve()
    root = None if root is None else Path(root).expanduser().resolve()
    data = Path(data) if os.fspath(data) in DATASETS else Path(data).expanduser().resolve()
    problems = []
    if not notebook.is_file():
        problems.append(f"{notebook}: no such file")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        problems.append(f"--output {output}: is not an empty folder; choose another")
    if root is not None and root.exists() and not root.is_dir():
        problems.append(f"--root {root}: is a file, expected a folder")
    if root is not None and data.is_absolute() and root.is_relative_to(data):
        problems.append(f"--root {root}: lies in --data; the submission would write there")
    if limits.seconds <= 0 or limits.memory <= 0:
        problems.append("--timeout and --memory: expected more than 0")
    if problems:
        raise ValueError("\n".join(problems))
    for folder in filter(None, (output, root)):
        folder.mkdir(parents=True, exist_ok=True)
    (output / "log.txt").write_bytes(b"")
    return Run(notebook, output, data, root, limits, isolate, check(notebook))


def _attempt(run: Run, work: Path, say: Callable[[str], None]) -> None:
    """All stages, one after the other. Raises `StageError` at the first that fails."""
    root, folder = run.root or work / "root", work / "cwd"
    for path in (root, folder):
        path.mkdir(exist_ok=True)
    bubblewrap = None
    if run.isolate:
        with _stage(run, "isolation"):
            bubblewrap = check_isolation()
    with _stage(run, "notebook"):
        notebook = read_notebook(run.notebook)
    with _stage(run, "data"):
        dataset, run.data = open_for_run(run.data)
        before = state_of(run.data)
        set_aside(root / OUTPUT)
    with _stage(run, "notebook"):
        notebook, cell = substitute_paths(notebook, root, run.data)
        say(f"ROOT_PATH and DATA_PATH put into cell {cell + 1}")
    ending = _executed(run, notebook, root, folder, bubblewrap, say)
    failure = None
    try:
        judge(ending, run.limits, notebook)
    except StageError as error:
        failure, run.cut_off = error, True
    if not run.isolate:  # there they were read-only
        with _stage(run, "data"):
            check_unchanged(before, run.data, f"{failure.stage}: {failure}" if failure else "")
    if failure:
        if run.root is None and str(work) in failure.reason + failure.details:
            failure.reason += "; that folder is gone after the run, so give your own with --root"
        raise failure
    with _stage(run, "output"):
        path = take_similarities(root, run.output, dataset)
    with _stage(run, "scores"):
        run.score = score_file(path, dataset, run.notebook.stem)


def _executed(
    run: Run,
    notebook: NotebookNode,
    root: Path,
    folder: Path,
    bubblewrap: str | None,
    say: Callable[[str], None],
) -> Ending:
    """Execute the notebook in ``folder``; what can be said of it goes into the run."""
    import nbformat

    work = folder.parent
    copy, executed = work / "notebook.ipynb", work / "executed.ipynb"
    for path in (copy, executed):
        path.write_text(nbformat.writes(notebook), "utf-8", "replace")
    command = [sys.executable, str(PROGRAM), str(copy), str(executed), str(folder)]
    variables = environment(work)
    if bubblewrap:
        readable = [run.data, *(work / "cache").iterdir()]
        command = isolated(bubblewrap, command, [work, root], readable, run.limits.memory)
        variables["QVIM_OFFLINE"] = "1"  # so that a download says at once why it fails

    def tell(index: int, seconds: float) -> None:
        line = first_line(notebook, index)
        run.cells.append({"cell": index + 1, "line": line, "seconds": seconds})
        say(f"cell {index + 1:3} {seconds:7.1f} s  {line}")

    def begun(index: int) -> None:
        say(f"cell {index + 1:3}   running   {first_line(notebook, index)}")

    start = time.monotonic()
    ending = supervise(command, variables, run.limits, KeptText(run.log), tell, begun)
    run.usage, run.left = ending.usage, ending.left
    if ending.kernel is not None:
        run.seconds["kernel"] = ending.kernel
        run.seconds["cells"] = time.monotonic() - start - ending.kernel
    if (kept := _taken(executed, run.output / "executed.ipynb")) is not None:
        run.executed = kept
    return ending


def _taken(source: Path, target: Path) -> Path | None:
    """Copy the executed notebook, if it is a file that can be one: a submission may touch it."""
    try:
        found = os.lstat(source)
        if stat.S_ISREG(found.st_mode) and found.st_size < LARGEST_EXECUTED:
            shutil.copyfile(source, target)
            return target
    except OSError:
        pass
    return None


@contextmanager
def _stage(run: Run, name: str) -> Iterator[None]:
    """Add up the seconds of a stage; a `ValueError` in it is its failure."""
    start = time.monotonic()
    try:
        yield
    except ValueError as error:
        raise StageError(name, str(error)) from None
    finally:
        run.seconds[name] = run.seconds.get(name, 0.0) + time.monotonic() - start
