"""What `runner` finds out about one submission."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from qvim_kit.submission.checking import Problems
from qvim_kit.submission.pages import printable
from qvim_kit.submission.running.judging import joined
from qvim_kit.submission.running.limits import Limits, Usage
from qvim_kit.submission.running.scoring import Score
from qvim_kit.wording import counted

FILE_NAME = re.compile(r"(.+)_(\d+)")  # {teamName}_{submissionNumber}


@dataclass
class Run:
    """What became of one submission.

    Attributes:
        notebook, output: the participant's file, and the folder with what the run left.
        data, root: DATA_PATH, and ROOT_PATH or None if it was a folder for this run only.
        limits, isolate: what it was allowed.
        check: what is wrong with the notebook as far as that is told without running it.
        started: when, UTC.
        stage, reason, details: where and why it failed; "" if it passed.
        code: exit code of the stage, or 0.
        seconds: of each stage that was reached, in order.
        cells: for each executed cell its number from 1, its first line, its seconds.
        usage, left: what was used; names of processes that outlived the notebook.
        cut_off: whether the last cell was not reached, or not done.
        score: what it is worth, or None.
        executed: the executed notebook as far as it came, or None.
    """

    notebook: Path
    output: Path
    data: Path
    root: Path | None
    limits: Limits
    isolate: bool
    check: Problems
    started: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    stage: str = ""
    reason: str = ""
    details: str = ""
    code: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    cells: list[dict] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    left: list[str] = field(default_factory=list)
    cut_off: bool = False
    score: Score | None = None
    executed: Path | None = None

    @property
    def team(self) -> str:
        """From the file's name, ``{teamName}_{submissionNumber}.ipynb``."""
        found = FILE_NAME.fullmatch(self.notebook.stem)
        return found.group(1) if found else self.notebook.stem

    @property
    def number(self) -> int | None:
        """Of the submission, from the file's name; None where that does not tell."""
        found = FILE_NAME.fullmatch(self.notebook.stem)
        return int(found.group(2)) if found else None

    @property
    def log(self) -> Path:
        return self.output / "log.txt"

    @property
    def checked(self) -> str:
        """One line: the errors that were found without running it; "" if there are none."""
        errors = [f"{p.where}: {p.message}" for p in self.check if p.severity == "error"]
        if not errors:
            return ""
        count, found = counted(len(errors), "error"), joined(errors, len(errors))
        return printable(f"check: {count}: {found}; see the report")

    @property
    def headline(self) -> str:
        """One line: passed and with what, or which stage failed and why."""
        name = printable(self.notebook.name)
        if self.stage or self.score is None:
            return f"{name} failed at {self.stage} ({self.code}): {self.reason}"
        row = self.score.report.metrics.loc["MRR"]
        return (
            f"{name} passed: MRR {row.value:.4f} ({row.low:.4f} – {row.high:.4f}), "
            f"as the template counts {self.score.template.loc['MRR', 'value']:.4f}"
        )
