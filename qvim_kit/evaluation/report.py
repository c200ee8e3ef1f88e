"""What `evaluation.evaluate` returns: tables, intervals, plots."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPORT_MIME = "application/vnd.qvim.report+json"


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """The worth of one system on one data set.

    Attributes:
        system, dataset: their names.
        fingerprint: of the data set; only reports of one fingerprint compare.
        metrics: one row a metric; columns value, low and high (95 % interval), random (the exact
            level of random scores).
        per_query: one row a query: query_id, class, item_id, rank, and each metric.
        per_class: one row a class: queries, items, and the mean of each metric.
        counts: of queries, items, ties, missing scores, ignored ids.
    """

    system: str
    dataset: str
    fingerprint: str
    metrics: pd.DataFrame
    per_query: pd.DataFrame
    per_class: pd.DataFrame
    counts: dict[str, int]

    def __getitem__(self, metric: str) -> float:
        """The value of a metric by its name in the table: ``report["R@10"]``."""
        if metric not in self.metrics.index:
            raise KeyError(f"found {metric!r}, expected one of {list(self.metrics.index)}")
        return float(self.metrics.loc[metric, "value"])

    @property
    def mrr(self) -> float:
        """Mean reciprocal rank of the imitated item, the challenge's metric."""
        return self["MRR"]

    @property
    def headline(self) -> str:
        """System and data set, in words."""
        return f"{self.system} on {self.dataset}"

    @property
    def footnote(self) -> str:
        """Counts, fingerprint and the kind of interval, in words."""
        counts = ", ".join(f"{count} {what}" for what, count in self.counts.items())
        return f"{counts}. Data {self.fingerprint}. Intervals: bootstrap over items."

    def to_dict(self) -> dict:
        """All but the rows of single queries, ready for json."""
        return {
            "system": self.system,
            "dataset": self.dataset,
            "fingerprint": self.fingerprint,
            "counts": self.counts,
            "metrics": self.metrics.to_dict("index"),
            "per_class": self.per_class.to_dict("index"),
        }

    def to_markdown(self) -> str:
        """The metrics as a Markdown table."""
        rows = [
            f"| {name} | {row.value:.4f} | {row.low:.4f} – {row.high:.4f} | {row.random:.4f} |"
            for name, row in self.metrics.iterrows()
        ]
        head = ["| metric | value | 95 % interval | random |", "|---|---|---|---|"]
        return "\n".join([self.headline, "", *head, *rows, "", self.footnote])

    def plot(self) -> Figure:
        """How often the imitated item is among the first k, and the MRR of each class."""
        from qvim_kit.plots import plot_report

        return plot_report(self)

    def __repr__(self) -> str:
        rows = [
            f"{name:20} {row.value:.4f}   {row.low:.4f} – {row.high:.4f}   {row.random:.4f}"
            for name, row in self.metrics.iterrows()
        ]
        head = f"{'':20} value    95 % interval     random"
        return "\n".join([self.headline, head, *rows, self.footnote])

    def _repr_html_(self) -> str:
        metrics, classes = (
            table.to_html(float_format=f"{{:.{digits}f}}".format, border=0)
            for table, digits in ((self.metrics, 4), (self.per_class, 2))
        )
        return (
            f"<b>{escape(self.headline)}</b>{metrics}<p>{escape(self.footnote)}</p>"
            f"<details><summary>by class</summary>{classes}</details>"
        )

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        """Besides the table its numbers, which `qvim tutorial` gathers from all notebooks."""
        return {
            "text/plain": repr(self),
            "text/html": self._repr_html_(),
            REPORT_MIME: self.to_dict(),
        }
