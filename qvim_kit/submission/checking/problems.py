"""What the checker finds, for people and for machines.

Notebook: 05_submission.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qvim_kit.submission.pages import escape, printable, table
from qvim_kit.wording import counted

if TYPE_CHECKING:
    from qvim_kit.submission.reading.bindings import Call

# Every rule, and what it holds a notebook to.
RULES = {
    "file": "the file is a Jupyter notebook for Python",
    "name": "the file is called {teamName}_{number}.ipynb, with a number from 1 to 3",
    "too-many": "a team hands in at most three files, each number once",
    "template": "the notebook is made from the kit's or the official template",
    "cell-changed": "only the four cells of the participant are edited",
    "cell-missing": "no cell is removed",
    "cell-moved": "the cells keep their order",
    "cell-added": "no cell is added",
    "hidden": "nothing is hidden from the reader",
    "oversized": "outputs are small",
    "syntax": "every code cell is Python, as IPython reads it",
    "undefined": "ROOT_PATH, DATA_PATH, QBVIM_MODEL and every other name are defined",
    "import": "what is imported is installed, or installed by the notebook",
    "model": "QBVIM_MODEL is an object with compute_similarities(items, queries)",
    "input": "nothing is asked, as a run has nobody to answer",
    "answers": "the model does not read which item a query imitates",
    "download": "files are brought by helpers",
    "data-written": "the data set stays as it is",
    "chdir": "the working directory stays",
    "shell": "commands only install packages",
    "unpinned": "installed packages have a version",
    "output": "only the notebook's own cells write into ROOT_PATH/output",
    "outside": "all files are in ROOT_PATH or DATA_PATH",
    "root-path": "paths are built from ROOT_PATH",
    "data-path": "paths to the data are built from DATA_PATH",
    "url": "addresses are public https",
    "helpers": "the functions of helpers are given what they accept",
    "unreadable": "what the code does can be told without running it",
}

# What to do, unless a problem says something better.
REMEDIES = {
    "output": "write into another folder of ROOT_PATH; the notebook itself writes output",
    "outside": 'build the path from ROOT_PATH or DATA_PATH: os.path.join(ROOT_PATH, "…")',
    "root-path": "join it to ROOT_PATH: os.path.join(ROOT_PATH, …)",
    "data-path": "build it from DATA_PATH: os.path.join(DATA_PATH, …)",
    "chdir": "remove it, and build paths from ROOT_PATH",
    "shell": "remove it; install packages with %pip install, use helpers for files",
    "url": "use a public https address",
    "input": "write the answer into the cell",
    "data-written": "write into a folder of ROOT_PATH; the data are the organisers'",
}


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a submission.

    ``cell`` counts all cells from 1, ``line`` the lines of that cell; both are None for what
    concerns the whole file. ``severity`` is "error" or "warning"; ``rule`` is a key of `RULES`.
    """

    cell: int | None
    line: int | None
    rule: str
    message: str
    remedy: str
    severity: str = "error"

    @property
    def where(self) -> str:
        """ "cell 11, line 3", or "file"."""
        if self.cell is None:
            return "file"
        return f"cell {self.cell}" + (f", line {self.line}" if self.line else "")

    def __str__(self) -> str:
        text = f"{self.severity}: {self.where}: {self.message} [{self.rule}]\n    → {self.remedy}"
        return printable(text)


class Problems(list):
    """The problems of one notebook, in the order of its cells. Shows itself as a table.

    ``path`` is the notebook; ``template`` is "kit" or "official", or None if neither was found.
    """

    def __init__(
        self, path: Path, problems: Iterable[Problem] = (), template: str | None = None
    ) -> None:
        order = {"error": 0, "warning": 1}
        unique = dict.fromkeys(problems)
        super().__init__(
            sorted(unique, key=lambda p: (p.cell or 0, p.line or 0, order[p.severity], p.rule))
        )
        self.path = path
        self.template = template

    @property
    def errors(self) -> int:
        """How many problems are errors."""
        return sum(problem.severity == "error" for problem in self)

    @property
    def warnings(self) -> int:
        """How many problems are warnings."""
        return len(self) - self.errors

    @property
    def ok(self) -> bool:
        """Whether the notebook may be handed in: no errors."""
        return not self.errors

    @property
    def headline(self) -> str:
        """File, number of problems and template, in one line."""
        origin = f" (made from the {self.template} template)" if self.template else ""
        counts = f"{counted(self.errors, 'error')}, {counted(self.warnings, 'warning')}"
        name = printable(os.fsencode(self.path).decode("utf-8", "replace"))
        return f"{name}: {counts if self else 'no problems found'}{origin}"

    def __str__(self) -> str:
        lines = [self.headline]
        if any(problem.cell for problem in self):
            lines.append("cells are counted from 1, text cells included")
        return "\n".join([*lines, *(f"  {problem}" for problem in self)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        if not self:
            return f"<p>{escape(self.headline)}</p>"
        rows = [(p.severity, p.where, p.rule, p.message, p.remedy) for p in self]
        head = ("", "where", "rule", "problem", "remedy")
        return f"<p>{escape(self.headline)}</p>{table(head, rows)}"

    def summary(self) -> dict:
        """All of it as plain values, for JSON."""
        return {
            "file": str(self.path),
            "template": self.template,
            "ok": self.ok,
            "errors": self.errors,
            "warnings": self.warnings,
            "rules": dict(Counter(problem.rule for problem in self)),
            "problems": [asdict(problem) for problem in self],
        }


def problem_at(
    place: Call, rule: str, message: str, remedy: str = "", severity: str = "error"
) -> Problem:
    """A problem with a call, where the call is."""
    return Problem(place.cell, place.line, rule, message, remedy or REMEDIES[rule], severity)
