"""A run as a page to read, `report.html`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from qvim_kit.submission.pages import escape, folded, page, paragraph, section, table
from qvim_kit.submission.running.kept import last_lines
from qvim_kit.submission.running.result import Run
from qvim_kit.submission.running.stages import STAGES

if TYPE_CHECKING:
    import pandas as pd

    from qvim_kit.evaluation.report import Report

NO_SANDBOX = (
    "A run is no sandbox: the submission's code has all rights of the user who starts it. Read it "
    "before you run it, use a machine or a user that has nothing to lose, or --isolate."
)
ISOLATED = (
    "Isolated by bubblewrap: without network, the system and the data read-only, other processes "
    "and the home folder out of sight."
)
NAMED = ("numpy", "scipy", "librosa", "torch", "torchaudio", "nbclient", "ipykernel", "qvim-kit")


def to_html(run: Run, facts: dict) -> str:
    """The page: verdict, numbers, what the notebook shows, stages, log, environment."""
    state = "failed" if run.stage else "passed"
    number = "" if run.number is None else f", submission {run.number}"
    verdict = f"at “{run.stage}” (exit code {run.code}): {run.reason}"
    if run.score and not run.stage:
        verdict = "MRR {1}, 95 % interval {2}".format(
            *_measured("MRR", run.score.report.metrics.loc["MRR"])
        )
    head = (
        f"<h1>{escape(run.team)}{number}</h1>"
        f'<p class="big"><span class="badge {state}">{state}</span> {escape(verdict)}</p>'
    )
    when = f"{run.notebook.name}, {facts['started'].replace('T', ' ').replace('+00:00', ' UTC')}"
    return page(
        f"{run.notebook.stem}: {state}",
        head,
        paragraph(f"{when}. {ISOLATED if run.isolate else NO_SANDBOX}", "note"),
        section("What went wrong", f"<pre>{escape(run.details)}</pre>" if run.details else ""),
        section("What is wrong with the notebook itself", _checked(run)),
        _numbers(run, facts),
        section("Stages", _stages(run), _cells(run), _used(run)),
        section("The log's last lines", _log(run)),
        section("Environment", _environment(facts["environment"])),
    )


def _numbers(run: Run, facts: dict) -> str:
    if run.score is None:
        return ""
    report, template = run.score.report, run.score.template
    metrics = [
        (*_measured(name, row), f"{row.random:.4f}") for name, row in report.metrics.iterrows()
    ]
    columns = ("metric", "value", "95 % interval")
    return "\n".join(
        [
            section(
                "Score",
                table((*columns, "random"), metrics, (1, 2, 3)),
                paragraph(f"{report.headline}: {report.footnote}", "note"),
                folded("by class", _classes(report)),
            ),
            section(
                "The numbers that the official template prints",
                table(columns, [_measured(name, row) for name, row in template.iterrows()], (1, 2)),
                paragraph(
                    "They rank only the items that some query imitates, as published results do.",
                    "note",
                ),
            ),
            section("The number that the notebook itself shows", _own_number(facts["shown"])),
        ]
    )


def _checked(run: Run) -> str:
    rows = [(p.severity, p.where, p.message, p.remedy) for p in run.check]
    note = "Found by `qvim submission check`, without running it; the run went on all the same."
    return table(("", "where", "problem", "remedy"), rows) + paragraph(note, "note") if rows else ""


def _measured(name: str, row: pd.Series) -> tuple[str, str, str]:
    return name, f"{row.value:.4f}", f"{row.low:.4f} – {row.high:.4f}"


def _classes(report: Report) -> str:
    found = report.per_class[["queries", "items", "MRR", "class NDCG", "within-class MRR"]]
    rows = [
        (name, f"{row.iloc[0]:.0f}", f"{row.iloc[1]:.0f}", *(f"{v:.3f}" for v in row.iloc[2:]))
        for name, row in found.iterrows()
    ]
    return table(("class", *found), rows, range(1, 6))


def _own_number(shown: dict) -> str:
    words = {True: "agrees", False: "DIFFERS", None: "on other data"}
    rows = [
        (name, f"{found['value']:.4f}", f"{found['measured']:.4f}", words[found["agrees"]])
        for name, found in shown.items()
    ]
    if not rows:
        return paragraph("None was found in its outputs.", "note")
    return table(("notebook", "shown", "measured", ""), rows, (1, 2))


def _stages(run: Run) -> str:
    rows = []
    for name, stage in STAGES.items():
        if (failed := name == run.stage) or name in run.seconds:
            seconds = f"{run.seconds[name]:.1f}" if name in run.seconds else ""
            state = "not finished" if name == "cells" and run.cut_off else "ok"
            rows.append((name, stage.does, "failed" if failed else state, seconds))
    return table(("stage", "", "", "seconds"), rows, (3,))


def _cells(run: Run) -> str:
    rows = [(cell["cell"], cell["line"], f"{cell['seconds']:.1f}") for cell in run.cells]
    body = table(("cell", "begins with", "seconds"), rows, (0, 2))
    return folded(f"{len(rows)} cells done", body) if rows else ""


def _used(run: Run) -> str:
    used, limits = run.usage, run.limits
    rows = [
        ("time", f"{used.seconds:,.1f} s", f"{limits.seconds:,.0f} s"),
        ("memory, at most", f"{used.memory / 1e9:,.2f} GB", f"{limits.memory / 1e9:,.2f} GB"),
        ("processes, at most", used.processes, limits.processes),
    ]
    left = ", ".join(counted(run.left)) if not run.stage else ""
    left = f" Left behind and ended: {left}." if left else ""
    note = f"Not watched here: {', '.join(limits.not_enforced())}.{left}"
    return table(("", "used", "allowed"), rows, (1, 2)) + paragraph(note, "note")


def _log(run: Run) -> str:
    text = "\n".join(last_lines(run.log))
    note = paragraph(f"All of it: {run.log.name}. The executed notebook: executed.ipynb.", "note")
    return (f"<pre>{escape(text)}</pre>" if text else paragraph("Nothing was printed.")) + note


def _environment(found: dict) -> str:
    packages = found["packages"]
    named = ", ".join(f"{name} {packages[name]}" for name in NAMED if name in packages)
    rows = [(name, found[name]) for name in ("system", "processors", "python", "executable")]
    everything = ", ".join(f"{name} {version}" for name, version in packages.items())
    return table(("", ""), [*rows, ("packages", named)]) + folded(
        f"all {len(packages)} packages", paragraph(everything, "note")
    )


def counted(names: list[str]) -> list[str]:
    return [f"{n} × {name}" if n > 1 else name for name, n in Counter(names).items()]
