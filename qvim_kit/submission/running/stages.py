"""The stages of an organiser's run, in order, and the exit code that says which one failed."""

from __future__ import annotations

from typing import NamedTuple


class Stage(NamedTuple):
    """What a stage does, and the exit code where it fails."""

    code: int
    does: str


STAGES = {
    "notebook": Stage(10, "read the notebook and put the folders into its paths cell"),
    "data": Stage(11, "read the data set; afterwards, find it unchanged"),
    "isolation": Stage(12, "find bubblewrap and the permission to use it (--isolate)"),
    "kernel": Stage(13, "start a fresh kernel"),
    "cells": Stage(14, "execute every cell; none raises an error"),
    "process": Stage(15, "the kernel lives until the last cell is done"),
    "time": Stage(16, "stay within --timeout"),
    "memory": Stage(17, "stay within --memory"),
    "processes": Stage(18, "stay within the number of processes"),
    "output": Stage(19, "find ROOT_PATH/output/similarities.json, written by this run"),
    "scores": Stage(20, "find in it one finite score for every query and item"),
    "evaluation": Stage(21, "compute the metrics"),
}


class StageError(RuntimeError):
    """A stage of a run failed.

    Args:
        stage: its name, one of `STAGES`.
        reason: one line.
        details: more lines, for the report.
    """

    def __init__(self, stage: str, reason: str, details: str = ""):
        super().__init__(reason)
        self.stage, self.reason, self.details = stage, reason, details

    @property
    def code(self) -> int:
        """The exit code of the stage."""
        return STAGES[self.stage].code


def exit_codes() -> str:
    """All exit codes, one a line, for the command's help."""
    lines = ["passed", "the run could not be made (a folder or limit that cannot be used)"]
    lines = dict(enumerate([*lines, "the command line could not be understood"]))
    lines |= {stage.code: f"{name}: {stage.does}" for name, stage in STAGES.items()}
    lines[130] = "stopped by Ctrl-C, nothing left running"
    return "\n".join(f"  {code:3}  {what}" for code, what in lines.items())
