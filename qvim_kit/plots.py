"""Figures with one look: axes in seconds and hertz, each with a caption and an alternative text.

Every function returns a figure, which the notebook shows. Where a notebook knows better what to
look at, ``plot_…(…).captioned("…")`` puts another caption.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from qvim_kit.figures import (
    BLUE,
    COLOURS,
    GREY,
    HEAT,
    ORANGE,
    CaptionedFigure,
    draw_cqt,
    draw_log_mel,
    draw_two_dft,
    draw_waveform,
    new_figure,
)

if TYPE_CHECKING:
    import pandas as pd

    from qvim_kit.evaluation.report import Report


def plot_pair(sounds: Mapping[str, str | os.PathLike]) -> CaptionedFigure:
    """What a model sees of each sound, by columns: waveform, log-mel, CQT and 2DFT.

    Notebook: 01_explore_the_data.

    Args:
        sounds: title → path; the first five seconds are shown.
    """
    import torch

    from qvim_kit.audio import load_audio
    from qvim_kit.features import LogMel, cqt, two_dft

    figure, axes = new_figure(4, len(sounds), (4.8 * len(sounds), 8.6))
    for column, (title, path) in zip(axes.T, sounds.items(), strict=True):
        waveform, low = load_audio(path, 32_000, 5.0), load_audio(path, 8_000, 5.0)
        draw_waveform(column[0], waveform, 32_000)
        draw_log_mel(column[1], LogMel()(torch.from_numpy(waveform)[None])[0].numpy())
        draw_cqt(column[2], cqt(low))
        draw_two_dft(column[3], two_dft(low))
        for one, kind in zip(column, ("waveform", "log-mel", "CQT", "2DFT"), strict=True):
            one.set_title(f"{title}: {kind}", fontsize=10)
    return figure.captioned(
        "Brighter is louder, and in the 2DFT more of that change. Compare the columns: where do "
        "the shapes agree although they stand elsewhere?",
        f"Waveform, log-mel, CQT and 2DFT of {' and '.join(sounds)}.",
    )


def plot_histograms(tables: Mapping[str, Sequence[float]], unit: str) -> CaptionedFigure:
    """One histogram beside the other: title → values in ``unit``."""
    figure, axes = new_figure(1, len(tables), (4.8 * len(tables), 2.8))
    for one, (title, values), colour in zip(axes[0], tables.items(), COLOURS, strict=False):
        one.hist(np.asarray(values, dtype=float), bins=20, color=colour)
        one.set(title=title, xlabel=unit, ylabel="count")
    spans = (f"{title} {min(values):.2f} to {max(values):.2f}" for title, values in tables.items())
    return figure.captioned(
        f"Histograms of the {unit}. Compare where the bars are highest, and how far they reach.",
        f"Histograms of {unit}: {', '.join(spans)}.",
    )


def plot_curves(
    x: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    xlabel: str,
    ylabel: str | None = None,
) -> CaptionedFigure:
    """Something over what was varied: one curve a name; cosines unless ``ylabel`` says what.

    What is no cosine is drawn on logarithmic axes.
    """
    figure, axes = new_figure(1, 1, (6.4, 3.2))
    for (name, values), colour, marker in zip(curves.items(), COLOURS, "os^v", strict=False):
        axes[0, 0].plot(x, values, color=colour, marker=marker, label=name)
    if ylabel is None:
        axes[0, 0].set(ylabel="cosine to the original", ylim=(0, 1.03))
    else:
        axes[0, 0].set(ylabel=ylabel, xscale="log", yscale="log")
    axes[0, 0].set(xlabel=xlabel)
    axes[0, 0].legend(frameon=False)
    ends = []
    for name, values in curves.items():
        ends.append("{} from {:.2f} to {:.2f}".format(name, *np.asarray(values)[[0, -1]]))
    what = axes[0, 0].get_ylabel()
    return figure.captioned(
        f"Compare how fast the curves leave their first point: {what} over {xlabel}.",
        f"Curves of {what} over {xlabel}: {', '.join(ends)}.",
    )


def plot_log_mels(log_mels: Mapping[str, np.ndarray], columns: int = 3) -> CaptionedFigure:
    """A page of log-mel spectrograms on one colour scale: title → (mels, frames).

    A row shares its time axis, so that what is shorter looks shorter.
    """
    rows = -(-len(log_mels) // columns)
    top = max(0.5, *(float(np.quantile(log_mel, 0.999)) for log_mel in log_mels.values()))
    figure, axes = new_figure(rows, columns, (3.6 * columns, 2.1 * rows))
    for one, (title, log_mel) in zip(axes.flat, log_mels.items(), strict=False):
        draw_log_mel(one, log_mel, top=top)
        one.set_title(title, fontsize=9)
    for row in axes:
        longest = max(one.get_xlim()[1] for one in row if one.has_data())
        for one in row:
            one.set_xlim(0, longest)
    for one in axes[:-1].flat:
        one.set_xlabel("")
    for one in axes[:, 1:].flat:
        one.set_ylabel("")
    for one in axes.flat[len(log_mels) :]:
        one.set_visible(False)
    return figure.captioned(
        "Brighter is louder, on one scale for all panels. Compare each with the first.",
        f"Log-mel spectrograms: {', '.join(log_mels)}.",
    )


def plot_spread(groups: Mapping[str, Sequence[float]], xlabel: str) -> CaptionedFigure:
    """How values spread: one horizontal box a group, from the 25th to the 75th percentile."""
    figure, axes = new_figure(1, 1, (7.2, 0.8 + 0.32 * len(groups)))
    names = list(groups)[::-1]
    boxes = axes[0, 0].boxplot(
        [groups[name] for name in names], orientation="horizontal", whis=(5, 95), showfliers=False,
        patch_artist=True, medianprops={"color": ORANGE, "linewidth": 2},
    )  # fmt: skip
    for box in boxes["boxes"]:
        box.set_facecolor("#9ecae1")
    axes[0, 0].set_yticks(range(1, len(names) + 1), names)
    axes[0, 0].set(xlabel=xlabel)
    middles = (f"{name} {np.median(values):.2f}" for name, values in groups.items())
    return figure.captioned(
        "Box: the middle half of the values; line: the median; whiskers: 5 % to 95 %.",
        f"Boxes of {xlabel}; medians: {', '.join(middles)}.",
    )


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
