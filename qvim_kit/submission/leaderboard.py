"""Many submissions on one data set, or on two: a table that says which differences are real.

Notebook: 05_submission.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from qvim_kit.evaluation import evaluate, template_table
from qvim_kit.evaluation.alignment import SimilarityError, read_similarities
from qvim_kit.submission.comparing import gap, tests_against
from qvim_kit.submission.running.judging import joined
from qvim_kit.submission.running.report import FORMAT
from qvim_kit.submission.running.scoring import file_hash

if TYPE_CHECKING:
    from qvim_kit.datasets import RetrievalDataset
    from qvim_kit.evaluation.report import Report

HELD_OUT = "held-out "  # before the columns of the second data set
NUMBERS = ("MRR", "low", "high", "class NDCG", "template MRR", "template NDCG")


@dataclass
class Entry:
    """One submission on one data set.

    Attributes:
        name: team and number, or what the file's place tells.
        path: of the file that was given.
        report, template: what it is worth; None where it cannot be scored.
        shown: what the participant's own notebook shows, see `shown.agreement`; {} if unknown.
        problem: why it is not ranked; "" if it is.
    """

    name: str
    path: Path
    report: Report | None = None
    template: pd.DataFrame | None = None
    shown: dict = field(default_factory=dict)
    problem: str = ""


@dataclass
class Leaderboard:
    """The ranking, as `rank` makes it.

    Attributes:
        table: one row a submission, best first.
        baseline: the row that p-values compare with.
        data, held_out: names of the data sets; held_out is "" if there is one only.
        not_ranked: name and why.
    """

    table: pd.DataFrame
    baseline: str
    data: str
    held_out: str
    not_ranked: list[tuple[str, str]]


def rank(
    files: Iterable[str | os.PathLike],
    dataset: RetrievalDataset,
    *,
    baseline: str | os.PathLike | None = None,
    held_out_files: Iterable[str | os.PathLike] = (),
    held_out: RetrievalDataset | None = None,
) -> Leaderboard:
    """Score and rank submissions.

    Args:
        files: similarities.json files, or the report.json of `running.run_submission`.
        dataset: what they were computed on.
        baseline: one of the files, or its name in the table; by default the first that can be
            ranked.
        held_out_files, held_out: the same submissions, found by their names, on a second data
            set, which then decides the order.

    Columns of the table: MRR, low, high (95 % interval), class NDCG, template MRR, template NDCG;
    shown and agrees, the number in the participant's own notebook; and of the data set that
    decides: minus baseline (in MRR), p of a paired permutation test, p (Holm). With two data sets
    also the held-out columns, and gap, gap low, gap high: MRR minus held-out MRR.

    Raises `ValueError` where names repeat, or the baseline cannot be ranked.
    """
    entries = [read_entry(path, dataset) for path in files]
    others = [read_entry(path, held_out) for path in held_out_files] if held_out else []
    _check_names(entries)
    _check_names(others)
    first = _baseline(entries, baseline)
    table = _columns(entries)
    deciding = entries
    if held_out:
        table = table.join(_columns(others).add_prefix(HELD_OUT), how="left")
        table = table.join(gap(table, HELD_OUT))
        deciding = [entry for entry in others if entry.name in table.index]
    table = table.join(tests_against(_reports(deciding), first.name))
    order = [HELD_OUT + "MRR", "MRR"] if held_out else ["MRR"]
    table = table.sort_values(order, ascending=False, na_position="last", kind="stable")
    one_sided = _one_sided(entries, others) if held_out else []
    return Leaderboard(
        table=table.rename_axis("submission"),
        baseline=first.name,
        data=dataset.name,
        held_out=held_out.name if held_out else "",
        not_ranked=[(e.name, e.problem) for e in [*entries, *others] if e.problem] + one_sided,
    )


def _one_sided(entries: list[Entry], others: list[Entry]) -> list[tuple[str, str]]:
    """Name and reason of what is in the files of one of the two data sets only."""
    here, there = {entry.name for entry in entries}, {entry.name for entry in others}
    late = [e.name for e in others if e.name not in here and not e.problem]
    alone = [e.name for e in entries if e.name not in there and not e.problem]
    found = [(name, "is in the held-out files only") for name in late]
    return found + [(name, "has no held-out file, so it has no place") for name in alone]


def read_entry(path: str | os.PathLike, dataset: RetrievalDataset) -> Entry:
    """Read a similarities.json or a run's report.json and score it; never raises for its content.

    A report is believed for the team, the number and what the notebook shows. The scores are
    computed again, from the similarities.json beside it, which must be the one that was scored.
    """
    path = Path(path)
    entry = Entry(_name_of(path), path)
    try:
        found = read_similarities(path)
        if isinstance(found, dict) and found.get("format") == FORMAT:
            found = _of_report(entry, found, dataset)
        entry.report = evaluate(found, dataset, system=entry.name)
        entry.template = template_table(found, dataset)
    except SimilarityError as error:
        entry.problem = f"{path}: {joined(error.problems, len(error.problems))}"
    except (ValueError, OSError) as error:
        entry.problem = f"{path}: {error}"
    entry.problem = _one_line(entry.problem)
    return entry


def _of_report(entry: Entry, facts: dict, dataset: RetrievalDataset) -> dict:
    try:
        team, number = facts["team"], facts["number"]
        entry.name = _one_line(f"{team}" if number is None else f"{team}_{number}")
        if not facts["passed"]:
            raise ValueError(f"failed at {facts['stage']}: {facts['reason']}")
        ran_on, where = facts["score"]["fingerprint"], facts["score"]["dataset"]
        file, sha256 = Path(facts["similarities"]["file"]).name, facts["similarities"]["sha256"]
        own, again = (facts["shown"].get(name, {}) for name in ("submitted", "executed"))
        entry.shown = own if own.get("agrees") is not None else again or own
        float(entry.shown.get("value", 0))
    except (KeyError, TypeError, AttributeError):
        raise ValueError("is no whole report of `qvim submission run`; run it again") from None
    if ran_on != dataset.fingerprint():
        expected = f"{dataset.name} ({dataset.fingerprint()})"
        raise ValueError(f"ran on {where} ({ran_on}), not on {expected}")
    scores = entry.path.parent / file
    if not scores.is_file():
        raise ValueError(f"there is no {file} beside it; a report needs the scores that it is of")
    if file_hash(scores) != sha256:
        raise ValueError(f"{file} beside it is not the file that was scored")
    return read_similarities(scores)


def _one_line(text: str) -> str:
    """A report may hold anything, also what a terminal takes for orders."""
    line = " ".join(text.split())
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _name_of(path: Path) -> str:
    """Of ``team/output/similarities.json`` team, of ``team.json`` team."""
    parts = [path.stem, *(parent.name for parent in path.resolve().parents)]
    dull = ("similarities", "report", "output", "")
    return next((part for part in parts if part not in dull), path.stem)


def _check_names(entries: list[Entry]) -> None:
    places: dict[str, list[str]] = {}
    for entry in entries:
        places.setdefault(entry.name, []).append(str(entry.path))
    repeated = [f"  {name}: {', '.join(p)}" for name, p in places.items() if len(p) > 1]
    if repeated:
        raise ValueError("\n".join(["leaderboard: several files have one name", *repeated]))


def _baseline(entries: list[Entry], wanted: str | os.PathLike | None) -> Entry:
    if not entries:
        raise ValueError("leaderboard: found no files, expected at least one")
    found = next((entry for entry in entries if not entry.problem), entries[0])
    if wanted is not None:
        fitting = [
            entry
            for entry in entries
            if entry.name == os.fspath(wanted) or entry.path.resolve() == Path(wanted).resolve()
        ]
        if not fitting:
            names = ", ".join(entry.name for entry in entries)
            raise ValueError(f"--baseline {wanted}: expected one of the files, or of {names}")
        found = fitting[0]
    if found.problem and wanted is None:
        more = f"; nor {len(entries) - 1} more" if entries[1:] else ""
        raise ValueError(f"leaderboard: no file can be ranked: {found.problem}{more}")
    if found.problem:
        raise ValueError(f"the baseline {found.name} cannot be ranked: {found.problem}")
    return found


def _columns(entries: list[Entry]) -> pd.DataFrame:
    ranked = [entry for entry in entries if not entry.problem]
    rows = []
    for entry in ranked:
        mrr, template = entry.report.metrics.loc["MRR"], entry.template["value"]
        row = (mrr["value"], mrr["low"], mrr["high"], entry.report["class NDCG"])
        rows.append((*row, template["MRR"], template["class-wise NDCG"]))
    names = [entry.name for entry in ranked]
    table = pd.DataFrame(rows, names, list(NUMBERS), dtype=float)
    table["shown"] = pd.Series([e.shown.get("value") for e in ranked], names, dtype=float)
    table["agrees"] = pd.Series([e.shown.get("agrees") for e in ranked], names, dtype=object)
    return table


def _reports(entries: list[Entry]) -> dict[str, Report]:
    return {entry.name: entry.report for entry in entries if not entry.problem}
