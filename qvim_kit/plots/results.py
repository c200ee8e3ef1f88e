"""Figures of what comes out: embeddings, the course of a training, and reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from qvim_kit.figures import BLUE, COLOURS, GREY, HEAT, ORANGE, CaptionedFigure, new_figure

if TYPE_CHECKING:
    import pandas as pd

    from qvim_kit.evaluation.report import Report


def plot_similarities(matrix: np.ndarray) -> CaptionedFigure:
    """A batch's cosines, (queries, items), as a picture with its numbers; pairs are diagonal.

    Notebook: 04_finetune.
    """
    side = 0.55 * len(matrix) + 1
    figure, axes = new_figure(1, 1, (side + 1, side))
    image = axes[0, 0].imshow(matrix, cmap=HEAT)
    for (row, column), value in np.ndenumerate(matrix):
        dark = value < (matrix.min() + matrix.max()) / 2
        colour = "white" if dark else "black"
        axes[0, 0].text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, size=7)
    axes[0, 0].set(xlabel="item of the batch", ylabel="query of the batch")
    figure.colorbar(image, label="cosine", shrink=0.8)
    others = matrix[~np.eye(matrix.shape[0], matrix.shape[1], dtype=bool)]
    return figure.captioned(
        "Pairs lie on the diagonal, from the top left. Is it the brightest of its row?",
        f"Matrix of cosines: diagonal {matrix.diagonal().mean():.2f} and the rest "
        f"{others.mean():.2f} on average.",
    )


def plot_maps(
    maps: Mapping[str, np.ndarray], classes: Sequence[str], queries: int
) -> CaptionedFigure:
    """Points (count, 2) by class, one panel a map; the first ``queries`` are dots, items crosses.

    Notebook: 04_finetune.
    """
    names = sorted(set(classes))
    box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1}
    figure, axes = new_figure(1, len(maps), (4.6 * len(maps), 4.2))
    for one, (title, points) in zip(axes[0], maps.items(), strict=True):
        for name, colour in zip(names, COLOURS * len(names), strict=False):
            own = np.flatnonzero(np.asarray(classes) == name)
            parts = (own[own < queries], "", "o"), (own[own >= queries], "× ", "x")
            for part, sign, marker in parts:
                if not len(part):
                    continue
                one.scatter(*points[part].T, color=colour, marker=marker, s=18)
                middle = np.median(points[part], axis=0)
                one.text(*middle, sign + name, ha="center", bbox=box, size=9)
        one.set(title=title, xlabel="first principal axis", ylabel="second principal axis")
    return figure.captioned(
        "Dots are queries, crosses items. A name stands in the middle of its class's queries, with "
        "a cross in that of its items: do the two lie together?",
        f"Maps of embeddings ({', '.join(maps)}) of the classes {', '.join(names)}.",
    )


def plot_history(
    history: pd.DataFrame, random: float | None = None, test: float | None = None
) -> CaptionedFigure:
    """Loss and validation MRR by epoch; the best epoch is marked.

    Notebook: 04_finetune.

    Args:
        history: a row an epoch, as `training.FitResult` has it.
        random, test: MRR by chance and on the test set, where they are known.
    """
    figure, axes = new_figure(1, 2, (9.5, 3.0))
    left, right = axes[0]
    epochs = history["epoch"]
    left.plot(epochs, history["train_loss"], "o-", color=BLUE)
    left.set(xlabel="epoch, from 0", ylabel="loss")
    right.plot(epochs, history["val_mrr"], "o-", color=ORANGE, label="validation")
    right.set(xlabel="epoch, from 0", ylabel="validation MRR")
    for one in (left, right):
        one.xaxis.get_major_locator().set_params(integer=True)
    told = "Loss and validation MRR; no epoch has ended."
    if len(history):
        best = history.loc[history["val_mrr"].idxmax()]
        right.axvline(best["epoch"], color=GREY, linestyle="--")
        right.set_title(f"best: {best['val_mrr']:.4f} in epoch {best['epoch']:.0f}")
        if test is not None:
            right.plot(best["epoch"], test, "D", color=BLUE, label="test")
        losses = "{:.2f} to {:.2f}".format(*history["train_loss"].iloc[[0, -1]])
        told = f"Loss from {losses} in {len(history)} epochs; validation MRR {right.get_title()}."
    if random is not None:
        right.axhline(random, color=GREY, linestyle=":", label="random (validation)")
        right.legend(frameon=False)
    right.set_ylim(0, 1.05 * right.dataLim.y1 if len(history) else None)  # the highest, whole
    return figure.captioned(
        "Left: what training lowers. Right: what counts, on sounds that it does not learn from; "
        "dashed: the best epoch, whose weights are kept.",
        told,
    )


def plot_intervals(reports: Sequence[Report], metric: str = "MRR") -> CaptionedFigure:
    """One metric of several reports with its 95 % intervals; dashed: random.

    Notebook: 03_baselines.
    """
    figure, axes = new_figure(1, 1, (7.2, 0.9 + 0.4 * len(reports)))
    for place, report in enumerate(reversed(reports)):
        row = report.metrics.loc[metric]
        axes[0, 0].plot([row.low, row.high], [place, place], color=BLUE, linewidth=2)
        axes[0, 0].plot(row.value, place, "o", color=BLUE)
    axes[0, 0].axvline(reports[0].metrics.loc[metric, "random"], color=GREY, linestyle="--")
    axes[0, 0].set_yticks(range(len(reports)), [report.system for report in reversed(reports)])
    axes[0, 0].set(xlabel=f"{metric} with 95 % interval (dashed: random)", xlim=(0, None))
    axes[0, 0].set_ylim(-0.6, len(reports) - 0.4)
    chance = reports[0].metrics.loc[metric, "random"]
    told = [f"{metric} with 95 % interval; by chance {chance:.2f}"]
    for report in reports:
        row = report.metrics.loc[metric]
        told.append(f"{report.system} {row.value:.2f} ({row.low:.2f} to {row.high:.2f})")
    return figure.captioned(
        f"Dot: the measured {metric}; line: its 95 % interval; dashed: random. A line that "
        "reaches the dashed one shows nothing.",
        f"{'; '.join(told)}.",
    )


def plot_ranks(reports: Sequence[Report]) -> CaptionedFigure:
    """At which rank each system has the imitated item: one histogram a system, one scale.

    Notebook: 03_baselines.
    """
    figure, axes = new_figure(1, len(reports), (3.4 * len(reports), 2.8))
    items = max(report.counts["items ranked"] for report in reports)
    bins = np.linspace(0.5, items + 0.5, min(items, 24) + 1)
    for one, report in zip(axes[0], reports, strict=True):
        one.hist(report.per_query["rank"], bins=bins, color=BLUE)
        one.set(title=report.system, xlabel="rank of the imitated item", ylabel="queries")
    top = max(one.get_ylim()[1] for one in axes[0])
    for one in axes[0]:
        one.set_ylim(0, top)
    middles = (f"{report.system} {report.per_query['rank'].median():.0f}" for report in reports)
    return figure.captioned(
        "The further left the bars, the sooner the item is found; the tail at the right is what to "
        "listen to.",
        f"Histograms of ranks; medians: {', '.join(middles)}.",
    )


def plot_report(report: Report) -> CaptionedFigure:
    """Two panels: share of queries whose item is among the first k, and MRR by class."""
    classes: pd.DataFrame = report.per_class.sort_values("MRR")
    figure, axes = new_figure(1, 2, (9.5, max(3.2, 0.6 + 0.24 * len(classes))))
    left, right = axes[0]
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
    figure.suptitle(report.headline)
    return figure.captioned(
        "Left: the share of queries that find their item among the first k; dashed: by chance. "
        "Right: which classes are easy and which are hard.",
        f"{report.headline}. Best class {classes.index[-1]}, worst {classes.index[0]}.",
    )
