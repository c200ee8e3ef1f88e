"""A run as `report.json`, for the leaderboard and other programs; `report_page` shows it."""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib.metadata import distributions

from qvim_kit import __version__
from qvim_kit.paths import beside
from qvim_kit.submission.running.report_page import counted, to_html
from qvim_kit.submission.running.result import Run
from qvim_kit.submission.running.scoring import file_hash
from qvim_kit.submission.running.shown import agreement, shown_numbers
from qvim_kit.submission.running.substitution import read_notebook

FORMAT = "qvim-run-report 1"


def write_reports(run: Run) -> None:
    """Write report.json and report.html beside what the run left."""
    facts = to_dict(run)
    with beside(run.output / "report.json") as part:
        part.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", "utf-8", "replace")
    with beside(run.output / "report.html") as part:
        part.write_text(to_html(run, facts), "utf-8", "replace")


def to_dict(run: Run) -> dict:
    """All that is known of a run, ready for json."""
    score = run.score
    return {
        "format": FORMAT,
        "team": run.team,
        "number": run.number,
        "notebook": {"name": run.notebook.name, "sha256": _hash(run)},
        "passed": not run.stage,
        "stage": run.stage or None,
        "exit_code": run.code,
        "reason": run.reason or None,
        "details": run.details or None,
        "check": run.check.summary(),
        "started": run.started.isoformat(timespec="seconds"),
        "seconds": {name: round(value, 3) for name, value in run.seconds.items()},
        "cells": run.cells,
        "data": {"folder": str(run.data), "name": run.data.name},
        "score": score and score.report.to_dict(),
        "template": score and score.template.to_dict("index"),
        "similarities": score and {"file": "similarities.json", "sha256": score.sha256},
        "shown": _shown(run),
        "limits": {
            "seconds": run.limits.seconds,
            "memory": run.limits.memory,
            "processes": run.limits.processes,
            "not enforced here": run.limits.not_enforced(),
        },
        "isolated": run.isolate,
        "used": {
            "seconds": round(run.usage.seconds, 3),
            "memory": run.usage.memory,
            "processes": run.usage.processes,
        },
        "left behind": counted(run.left),
        "environment": environment(),
    }


def environment() -> dict:
    """What this machine is, and all packages that are installed."""
    packages = {found.metadata["Name"]: found.version for found in distributions()}
    return {
        "python": platform.python_version(),
        "executable": sys.executable,
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "kit": __version__,
        "packages": dict(sorted((n, v) for n, v in packages.items() if n)),
    }


def _hash(run: Run) -> str | None:
    try:
        return file_hash(run.notebook)
    except OSError:
        return None


def _shown(run: Run) -> dict:
    """The numbers in the participant's saved outputs and in this run's, with what they should be.

    Only those that could be read: ``submitted`` and ``executed``.
    """
    found = {}
    for name, path in (("submitted", run.notebook), ("executed", run.executed)):
        try:
            shown = shown_numbers(read_notebook(path)) if path and run.score else {}
        except (ValueError, TypeError, AttributeError):  # a notebook may hold anything
            continue
        if shown:
            report = run.score.report
            template = run.score.template.loc["MRR", "value"]
            found[name] = agreement(shown, report.mrr, template, report.fingerprint)
    return found
