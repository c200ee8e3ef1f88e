"""What `audit.audit` returns: one table of problems, in print and in notebooks."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import pandas as pd

from qvim_kit.wording import counted

COLUMNS = ("problem", "file", "detail")
SHOWN = 10  # lines of each kind of problem in print; the table has all
# Kind of problem → what it means or what to do, in the order of the table.
PROBLEMS = {
    "layout": "not as a data set should be; correct it, or unpack a published one again",
    "empty": "there are no sounds in it; is it the right folder?",
    "count": "not as many as published; unpack the data set again",
    "missing": "listed, but not there; put it there, or unpack a published data set again",
    "unlisted": "there, but in no list; the reader leaves it out",
    "unreadable": "cannot be decoded; download it again or leave it out",
    "silent": "nothing to hear",
    "clipped": "the recording was too loud; its peaks are cut off",
    "short": "too short to be recognised",
    "long": "models hear the first seconds only; is the beginning the right part?",
    "duplicate": "the same sound more than once; scores count it twice",
    "leak": "a query that is an item itself; any system finds it",
    "size": "harmless for a part of the published set, or for data of your own in its layout",
    "sample rates": "harmless: load_audio converts, but the lower rate has no treble",
}
ONE = {"files": "file", "queries": "query", "items": "item", "classes": "class"}
BROKEN = ("layout", "empty", "count", "missing", "unreadable")  # the rest can be worked with


@dataclass(frozen=True, eq=False, repr=False)
class Audit:
    """What `audit` found.

    Attributes:
        name: of the data set or folder.
        table: one row a problem: problem (a key of ``PROBLEMS``), file, detail. A file with
            several problems has several rows; one that concerns no single file has no file.
        counts: of files, queries, items, classes, and seconds of sound.
        library: whether it is taken as a library of sounds, to be searched, for want of any data
            set's layout.
    """

    name: str
    table: pd.DataFrame
    counts: dict[str, float]
    library: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing at all was found."""
        return self.table.empty

    @property
    def whole(self) -> bool:
        """Whether all of it is there and can be read, whatever else was found."""
        return not self.table["problem"].isin(BROKEN).any()

    @property
    def summary(self) -> pd.Series:
        """Kind of problem → how many rows of the table, without kinds that did not occur."""
        numbers = self.table["problem"].value_counts()
        return numbers.reindex([kind for kind in PROBLEMS if kind in numbers]).astype(int)

    @property
    def headline(self) -> str:
        """Name, size and verdict in one line."""
        counts = dict(self.counts)
        minutes = f"{counts.pop('seconds', 0) / 60:.1f} min of sound"
        size = [counted(int(n), ONE[what], what) for what, n in counts.items() if n]
        shown = ", ".join([*size, minutes]) if size else "no sounds"
        kind = ", taken as a library of sounds (no queries)" if self.library and size else ""
        verdict = "no problems" if self.ok else counted(len(self.table), "problem")
        return f"{self.name}{kind}: {shown}: {verdict}"

    def __str__(self) -> str:
        lines = [self.headline]
        for kind, number in self.summary.items():
            lines.append(f"{kind}: {number} ({PROBLEMS[kind]})")
            rows = self.table[self.table["problem"] == kind].head(SHOWN)
            lines += [
                "  " + ": ".join(filter(None, row)) for row in rows[["file", "detail"]].to_numpy()
            ]
            lines += [f"  … and {number - SHOWN} more"] * (number > SHOWN)
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts = [f"<b>{escape(self.headline)}</b>"]
        for kind, number in self.summary.items():
            rows = self.table[self.table["problem"] == kind].head(SHOWN)
            more = f", the first {SHOWN} of them" if number > SHOWN else ""
            parts.append(f"<p><b>{kind}</b>: {number}{more} ({escape(PROBLEMS[kind])})</p>")
            parts.append(rows[["file", "detail"]].to_html(index=False, border=0))
        return "".join(parts)
