"""Judgements of several systems → means with intervals, and who wins against whom.

The unit is the query with all that was said about it: judgements of one query are not
independent of each other. Notebook: 06_search_by_voice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from itertools import combinations

import numpy as np
import pandas as pd

from qvim_kit.evaluation.intervals import bootstrap_interval

PAIR_COLUMNS = [
    "a", "b", "queries", "difference", "low", "high", "a wins", "ties", "b wins", "p-value",
]  # fmt: skip
TIE = 1e-9  # scores closer than this are equal: means of the same numbers may differ in rounding


@dataclass(frozen=True, eq=False, repr=False)
class Standings:
    """What judgements say about systems.

    Attributes:
        title: in words.
        systems: one row a system: queries judged, the mean score, low and high (its 95 %
            bootstrap interval over queries; NaN for a single query).
        pairs: one row for each two systems that were judged on the same queries: the mean
            difference a minus b and its interval, wins and ties counted by query, and the
            two-sided p-value of the exact sign test on the wins.
        counts: what was read, and what was left out.
    """

    title: str
    systems: pd.DataFrame
    pairs: pd.DataFrame
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def footnote(self) -> str:
        """Counts and the kind of interval, in words."""
        counts = ", ".join(f"{count} {what}" for what, count in self.counts.items())
        note = "Intervals: 95 %, bootstrap over queries, too narrow below about ten of them."
        return f"{counts}. {note} p-values: exact sign test."

    def __repr__(self) -> str:
        tables = [table.round(3).to_string() for table in (self.systems, self.pairs) if len(table)]
        return "\n".join([self.title, *(tables or ["nothing judged yet"]), self.footnote])

    def _repr_html_(self) -> str:
        shown = [t for t in (self.systems, self.pairs) if len(t)]
        tables = [t.to_html(float_format="{:.3f}".format, border=0) for t in shown]
        body = "".join(tables) or "<p>nothing judged yet</p>"
        return f"<b>{escape(self.title)}</b>{body}<p>{escape(self.footnote)}</p>"


def mean_scores(scores: pd.DataFrame, name: str) -> pd.DataFrame:
    """Each system's mean score over the queries it was judged on, with its 95 % interval.

    Args:
        scores: one row a query, one column a system; NaN where it was not judged.
        name: of the column that holds the mean, such as "MRR".
    """
    rows = []
    for system in scores:
        judged = scores[system].dropna().to_numpy(dtype=float)
        low, high = interval(judged)
        mean = judged.mean() if len(judged) else np.nan
        rows.append({"queries": len(judged), name: mean, "low": low, "high": high})
    index = pd.Index(list(scores), name="system", dtype=object)
    return pd.DataFrame(rows, index, ["queries", name, "low", "high"])


def head_to_head(
    scores: pd.DataFrame, preferences: Iterable[tuple[str, str, str]] = ()
) -> pd.DataFrame:
    """Every two systems against each other on the queries that both were judged on.

    Args:
        scores: as in `mean_scores`; the higher score wins the query.
        preferences: (query, winner, loser) where it is known who won, but not by how much; they
            count as wins where the scores of that query do not decide.

    Returns the table of `Standings.pairs`; pairs that were never judged together are left out.
    """
    rows = []
    preferences = list(preferences)
    for a, b in combinations(scores, 2):
        differences = (scores[a] - scores[b]).dropna().astype(float)
        told = {
            query: 1 if winner == a else -1
            for query, winner, loser in preferences
            if {winner, loser} == {a, b} and query not in differences.index
        }
        signs = np.where(np.abs(differences) < TIE, 0, np.sign(differences)).astype(int)
        wins, losses = (
            int(np.count_nonzero(signs == sign)) + list(told.values()).count(sign)
            for sign in (1, -1)
        )
        queries = len(differences) + len(told)
        if not queries:
            continue
        low, high = interval(differences.to_numpy())
        mean, p_value = differences.mean(), sign_test(wins, losses)
        ties = queries - wins - losses
        rows.append((a, b, queries, mean, low, high, wins, ties, losses, p_value))
    return pd.DataFrame(rows, columns=PAIR_COLUMNS)


def interval(values: np.ndarray) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of (queries,) values; NaN for fewer than two."""
    if len(values) < 2:
        return np.nan, np.nan
    low, high = bootstrap_interval(values[:, None], np.arange(len(values)))[:, 0]
    return float(low), float(high)


def sign_test(wins: int, losses: int) -> float:
    """Two-sided p-value of the exact sign test; ties say nothing and are left out.

    Source: Dixon & Mood, "The Statistical Sign Test", JASA 41, 1946.
    """
    from scipy.stats import binomtest

    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0
