"""A leaderboard as Markdown, as a page, as CSV."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from qvim_kit.paths import beside
from qvim_kit.submission.leaderboard import HELD_OUT, Leaderboard
from qvim_kit.submission.pages import page, paragraph, section, table

FORMATS = (".md", ".html", ".csv")
NONE = "–"


def write_leaderboard(board: Leaderboard, path: Path) -> None:
    """Write it in the format of the path's suffix, .md, .html or .csv; `ValueError` for others."""
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"-o {path}: expected a name that ends in {', '.join(FORMATS)}")
    makers = {".md": to_markdown, ".html": to_html, ".csv": to_csv}
    with beside(path) as part:
        part.write_text(makers[path.suffix.lower()](board), "utf-8")


def to_markdown(board: Leaderboard) -> str:
    """Table, notes, and what is not ranked."""
    head, rows = _cells(board)
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    lines += [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    lines += ["", *_notes(board)]
    lines += [f"- not ranked: {name}: {why}" for name, why in board.not_ranked]
    return "\n".join(lines) + "\n"


def to_html(board: Leaderboard) -> str:
    """The same as a page that needs no other file."""
    head, rows = _cells(board)
    numbers = {*range(len(head) - 1)} - {1}
    return page(
        f"Leaderboard: {_where(board)}",
        "<h1>Leaderboard</h1>",
        table(head, rows, numbers),
        *(paragraph(note, "note") for note in _notes(board)),
        section("Not ranked", table(("submission", "why"), board.not_ranked))
        if board.not_ranked
        else "",
        kind="wide",
    )


def to_csv(board: Leaderboard) -> str:
    """All columns at full precision."""
    return board.table.to_csv()


def _where(board: Leaderboard) -> str:
    return f"{board.data} and {board.held_out}" if board.held_out else board.data


def _cells(board: Leaderboard) -> tuple[list[str], list[list[str]]]:
    """The table's head and rows as text: all of the set that decides, of the other the MRR."""
    prefix, more = (HELD_OUT, f"{board.held_out}: ") if board.held_out else ("", "")
    head = ["", "submission", f"{more}MRR (95 %)", "class NDCG", "template MRR", "template NDCG"]
    head += ["MRR minus baseline", "p", "p (Holm)"]
    head += [f"{board.data}: MRR (95 %)", "gap (95 %)"] if prefix else []
    rows = []
    scores = board.table[f"{prefix}MRR"]
    # Of one MRR, one place; what is not in the set that decides has none.
    places = scores.rank(method="min", ascending=False)
    for place, (name, row) in zip(places, board.table.iterrows(), strict=True):
        cells = [
            _number(place, ".0f"),
            f"{name} (baseline)" if name == board.baseline else str(name),
        ]
        cells += [_measured(*row[[f"{prefix}MRR", f"{prefix}low", f"{prefix}high"]])]
        cells += [_number(row[prefix + n]) for n in ("class NDCG", "template MRR", "template NDCG")]
        cells += [_number(row["minus baseline"], "+.3f")]
        cells += [_number(row[column], ".4f") for column in ("p", "p (Holm)")]
        if prefix:
            cells += [_measured(*row[["MRR", "low", "high"]])]
            cells += [_measured(*row[["gap", "gap low", "gap high"]], form="+.3f")]
        rows.append([*cells, _own(row)])
    return [*head, "own notebook"], rows


def _number(value: float, form: str = ".3f") -> str:
    return NONE if pd.isna(value) else format(value, form)


def _measured(value: float, low: float, high: float, form: str = ".3f") -> str:
    return NONE if pd.isna(value) else f"{value:{form}} ({low:{form}} to {high:{form}})"


def _own(row: pd.Series) -> str:
    if pd.isna(row["shown"]):
        return NONE
    words = {True: "agrees", False: "DIFFERS"}
    return f"{row['shown']:.3f} {words.get(row['agrees'], 'on other data')}"


def _notes(board: Leaderboard) -> list[str]:
    decides = board.held_out or board.data
    notes = [
        f"Ordered by MRR on {decides}. Intervals: 95 %, bootstrap over items. p: paired "
        f"permutation test of the difference in MRR to {board.baseline} on {decides}; p (Holm) is "
        "corrected for the number of tests. Intervals of two systems may overlap where p is small.",
        "Template: as the official template counts, among the items that some query imitates. Own "
        "notebook: the number that the participant's notebook shows, and whether it is this one.",
    ]
    if board.held_out:
        notes.append(
            f"Gap: MRR on {board.data} minus MRR on {board.held_out}. Sets of other sizes differ "
            "in difficulty, so compare gaps with each other: one far above the rest means a "
            "system that was fitted to the first set."
        )
    return notes
