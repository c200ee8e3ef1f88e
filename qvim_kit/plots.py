"""Figures with one look: axes in words, colour-blind-safe, readable in print."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qvim_kit.report import Report

# Okabe & Ito's colour-blind-safe palette.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#767676"


def plot_report(report: Report) -> Figure:
    """Two panels: share of queries whose item is among the first k, and MRR by class."""
    import matplotlib.pyplot as plt

    classes = report.per_class.sort_values("MRR")
    height = max(3.2, 0.6 + 0.24 * len(classes))
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, height), layout="constrained")

    items = report.counts["items ranked"]
    k = np.arange(1, items + 1)
    found = np.searchsorted(np.sort(report.per_query["rank"]), k, side="right")
    left.step(k, found / len(report.per_query), where="post", color=BLUE, label=report.system)
    left.plot(k, k / items, color=GREY, linestyle="--", label="random")
    left.set(
        xscale="log", xlim=(1, items), ylim=(0, 1), xlabel="first k items",
        ylabel="share of queries that find their item",
    )  # fmt: skip
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if tick <= items]
    left.set_xticks(ticks, map(str, ticks))
    left.minorticks_off()
    left.legend(frameon=False, loc="upper left")

    right.barh(classes.index, classes["MRR"], color=BLUE)
    right.axvline(report.metrics.loc["MRR", "random"], color=GREY, linestyle="--")
    right.set(xlim=(0, 1), xlabel="MRR (dashed: random)")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(report.headline)
    plt.close(figure)  # the notebook shows what is returned; once is enough
    return figure
