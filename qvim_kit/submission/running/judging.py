"""Why an execution did not come to its end: the stage, and the one line that says so."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from qvim_kit.submission.checking.imports import install_remedy
from qvim_kit.submission.pages import printable
from qvim_kit.submission.running.limits import Limits
from qvim_kit.submission.running.stages import StageError
from qvim_kit.submission.running.supervision import Ending, shell_of
from qvim_kit.submission.template import digest, kit_template, official_template

if TYPE_CHECKING:
    from nbformat import NotebookNode

LONGEST_REASON = 300  # characters of an error in the one line
MOST_PROBLEMS = 3  # in it
LISTED = re.compile(r"(.*): ([\d,]+) problems?:?")  # how `DatasetError` begins


def judge(ending: Ending, limits: Limits, notebook: NotebookNode) -> None:
    """Raise `StageError` for an execution that did not come to its end."""
    where = "" if ending.cell is None else f" in {_cell(notebook, ending.cell)}"
    last, used = ending.last, ending.usage
    if used.exceeded == "time":
        raise StageError("time", f"ended after {used.seconds:,.0f} s{where}")
    if used.exceeded == "memory":
        size = f"{used.memory / 1e9:,.2f} GB, allowed are {limits.memory / 1e9:,.2f} GB"
        raise StageError("memory", f"ended when it took {size}{where}")
    if used.exceeded == "processes":
        found = f"{used.processes} processes, allowed are {limits.processes}"
        raise StageError("processes", f"ended when it had {found}{where}")
    if last.get("end") == "raised":
        raise _raised(ending, notebook)
    if used.exceeded == "kernel":
        raise StageError("kernel", f"the kernel was not ready after {used.seconds:,.0f} s")
    if ending.kernel is None:
        reason = last.get("reason") or f"it ended with {shell_of(ending.code)}, see the log"
        raise StageError("kernel", f"the kernel did not start: {reason}")
    if last.get("end") == "died":
        raise StageError("process", f"the kernel ended with {shell_of(last.get('code'))}{where}")
    if last.get("end") != "passed":
        reason = last.get("reason") or f"it ended with {shell_of(ending.code)}"
        raise StageError("process", f"the execution was cut off{where}: {reason}")


def _raised(ending: Ending, notebook: NotebookNode) -> StageError:
    """For a cell that raised: where the innermost line stands, and which cell called it."""
    last, outer = ending.last, ending.cell
    inner = last.get("inner", outer)
    where = _cell(notebook, inner)
    if last.get("line"):
        where += f", line {last['line'] + _blank_lines(notebook, inner)}"
    if inner != outer:
        where += f", called from {_cell(notebook, outer)}"
    name, text = printable(str(last.get("name"))), printable(str(last.get("text", "")))
    problems = one_line(text) + _remedy(name, text)
    found = f"{name}: {problems}" if problems else name
    details = text if "\n" in text.strip() else ""
    if name == "SimilarityError" and inner == outer and _is_protected(notebook, outer):
        return StageError("scores", f"{problems} (found in {where})", details)
    return StageError("cells", f"{where}: {found}", details)


def _remedy(name: str, text: str) -> str:
    """What to do for a package that was not there."""
    lacking = re.fullmatch(r"No module named '(\w+)'", text)
    if name != "ModuleNotFoundError" or not lacking:
        return ""
    module = lacking[1]
    return f"; {install_remedy(module)}; if {module}.py is your own, put its code into a cell"


def _blank_lines(notebook: NotebookNode, index: int) -> int:
    """How many blank lines a cell begins with; IPython counts none of them."""
    source = notebook.cells[index].source if 0 <= index < len(notebook.cells) else ""
    lines = source.splitlines()
    return next((number for number, line in enumerate(lines) if line.strip()), 0)


def one_line(text: str) -> str:
    """An error's message in one line; of a list of problems the first few, and how many more."""
    head, *rest = text.strip().splitlines() or [""]
    listed = LISTED.fullmatch(head)
    if not listed:
        line = " ".join(text.split())
        return line if len(line) <= LONGEST_REASON else f"{line[: LONGEST_REASON - 1]}…"
    problems = [re.sub(r"[;.]$", "", line.strip()) for line in rest if line.startswith("  ")]
    count = int(listed[2].replace(",", ""))
    return f"{listed[1]}: {joined(problems, count)}"


def joined(problems: Iterable[str], count: int) -> str:
    """The first problems and how many more there are: "a; b; c; and 21 more"."""
    said: list[str] = []
    for problem in list(problems)[: min(MOST_PROBLEMS, count)]:
        if said and sum(map(len, said)) + len(problem) > LONGEST_REASON:
            break
        short = len(problem) <= LONGEST_REASON
        said.append(problem if short else f"{problem[: LONGEST_REASON - 1]}…")
    more = count - len(said)
    return "; ".join([*said, f"and {more} more"] if more else said)


def _is_protected(notebook: NotebookNode, index: int | None) -> bool:
    """Whether a cell is one of a template's that no participant may edit."""
    if index is None or not 0 <= index < len(notebook.cells):
        return False
    templates = (kit_template(), official_template())
    cells = [cell for template in templates for cell in template.cells if not cell.part]
    return digest(notebook.cells[index].source) in {cell.digest for cell in cells}


def _cell(notebook: NotebookNode, index: int | None) -> str:
    return "a cell" if index is None else f"cell {index + 1} ({first_line(notebook, index)})"


def first_line(notebook: NotebookNode, index: int) -> str:
    """What tells a cell from others: its first line that is no comment, shortened."""
    source = notebook.cells[index].source if 0 <= index < len(notebook.cells) else ""
    lines = [printable(line).strip() for line in source.splitlines() if line.strip()]
    line = next((line for line in lines if not line.startswith("#")), "".join(lines[:1]))
    return line if len(line) <= 50 else f"{line[:49]}…"
