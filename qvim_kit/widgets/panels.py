"""Results as the page shows them: one list, or two whose order may be hidden."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from qvim_kit.widgets.answers import Answer, Query
    from qvim_kit.widgets.finder import Finder

START = "Nothing searched yet: record a sound, open a file or try an example."
SOON = "Searching as soon as the library is ready …"
NOTHING = "Nothing can be searched; what is wrong is said above."
ADVICE = "Choose another library or system, or mend this and try again."
BUILDING = "Building the mini data set, the first time or after an update"
BLIND = "Two systems, in an order that is hidden. Mark the sound you meant, in either list."
NONE = "None of these: stored. Press it again to take that back."


class Panels:
    """Whose list stands where, and whether that is told.

    Args:
        blind: whether two systems come in a random order that is hidden until one chooses.

    Attributes:
        systems: by place; two of them are labelled A and B.
        told: which is which, in words, once one has chosen.
    """

    def __init__(self, blind: bool):
        self.blind = blind
        self.systems: list[str] = []
        self.told = ""

    def deal(self, systems: Sequence[str]) -> None:
        """Lay the lists out anew: for each query, or nobody would be blind for long."""
        count = len(systems)
        self.systems = random.sample(systems, count) if self.blind else list(systems)
        self.told = ""

    @property
    def hidden(self) -> bool:
        return self.blind and len(self.systems) > 1 and not self.told

    @property
    def labels(self) -> list[str]:
        return ["A", "B"] if len(self.systems) > 1 else [""] * len(self.systems)

    def system_of(self, label: Any) -> str:
        """Raises `ValueError` for a list that is not shown."""
        if label not in self.labels:
            raise ValueError("These results are not shown any more. Search again.")
        return self.systems[self.labels.index(label)]

    def choose(self, what: str) -> None:
        """Tell which is which: A, B or "neither" was chosen, the last time."""
        if self.blind and len(self.systems) > 1:
            pairs = zip(self.labels, self.systems, strict=True)
            names = " and ".join(f"{label} is {name}" for label, name in pairs)
            self.told = f"You chose {what}: {names}."

    def shown(self, answers: Mapping[str, Answer], query: Query | None) -> dict[str, Any]:
        """Fields for the page: the lists, "none", and a line about what was chosen."""
        marks, none = (query.marks, query.none) if query else ({}, False)
        lists = [
            {
                "label": label,
                "system": None if self.hidden else name,
                "fused": len(answers[name].kinds) > 1,
                "rows": rows_of(answers[name].table, marks, self.hidden),
            }
            for label, name in zip(self.labels, self.systems, strict=True)
            if name in answers
        ]
        judge = self.told or (BLIND if self.hidden and lists else NONE if none else "")
        return {"panels": lists, "judge": judge, "none": none}


def rows_of(
    table: pd.DataFrame, marks: Mapping[str, str], hidden: bool = False
) -> list[dict[str, Any]]:
    """Results as plain values; seconds are None where unknown, and scores where ``hidden``.

    Two systems' scores are of different sizes: who sees them knows the systems.
    """
    return [
        {
            "rank": int(row["rank"]),
            "name": row["name"],
            "file": Path(row["name"]).name,
            "class": row["class"],
            "score": None if hidden else float(row["score"]),
            "path": str(row["path"]),
            "seconds": float(row["seconds"]) if math.isfinite(row["seconds"]) else None,
            "mark": marks.get(row["name"]),
        }
        for row in table.to_dict("records")
    ]


def index_state(finder: Finder) -> dict[str, Any]:
    """Where indexing stands, as the page shows it: `Status`' fields, and classes with counts."""
    from qvim_kit.widgets.building import is_opening_mini, mini_progress

    status, sounds = finder.status, finder.sounds
    state = asdict(status)
    if is_opening_mini(finder) and (progress := mini_progress()):
        done, total = progress
        state |= {"text": f"{BUILDING}: {done} of {total} sounds", "done": done, "total": total}
    elif status.phase == "ready" and sounds is not None and not len(sounds):
        first = (status.warning or "it holds no sounds").splitlines()[0]
        state |= {"phase": "failed", "text": f"Cannot be searched, no file can be used: {first}"}
    if state["phase"] == "failed":
        state["text"] = f"{state['text'].rstrip('.')}. {ADVICE}"
    counts = {} if sounds is None else dict(sounds["class"].value_counts())
    return state | {"classes": sorted((str(name), int(n)) for name, n in counts.items())}


def summary_of(
    query: Query | None,
    answers: Mapping[str, Answer],
    index: Mapping[str, Any],
    wanted: Mapping[str, Any],
) -> str:
    """What was found and how long it took, in words; all lists together.

    ``index`` is what `index_state` says; ``wanted`` is the filter, its ``text`` and ``classes``.
    """
    if index["phase"] == "failed":
        return NOTHING
    if query is None:
        return START
    if not answers:
        return SOON
    first = next(iter(answers.values()))
    total = sum(count for _, count in index["classes"])
    if not first.allowed:
        return _nothing_passes(wanted["text"].strip(), wanted["classes"])
    spent = sum(answer.embedding_ms + answer.ranking_ms for answer in answers.values())
    took = f"{spent / 1e3:.1f} s" if spent >= 1e3 else f"{max(1, round(spent))} ms"
    how = "like" if query.sound else "for"
    passed = " that pass the filter" if first.allowed < total - bool(query.sound) else ""
    names = {"voice": query.name, "words": f"“{query.words}”"}
    return (
        f"The first {len(first.table)} of {first.allowed:,} sounds{passed} {how} "
        f"{' and '.join(names[kind] for kind in first.kinds)}, found in {took}"
    )


def _nothing_passes(text: str, classes: Sequence[str]) -> str:
    """Which filter holds everything back, and what to do about it."""
    several = "these classes" if len(classes) > 1 else f"the class {''.join(classes) or 'no class'}"
    if not text:
        return f"There is no other sound in {several}: press “All classes”."
    if not classes:
        return f"No name holds “{text}”: clear the name filter."
    return f"No name in {several} holds “{text}”: clear the name filter, or press “All classes”."
