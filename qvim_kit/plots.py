"""Figures with one look: axes in seconds and hertz, colour-blind-safe, readable in print.

Every function returns a Figure, which the notebook shows.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from qvim_kit.evaluation.report import Report

# Okabe & Ito's colour-blind-safe palette; "cividis" is safe, too, and prints in grey.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#767676"
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#E69F00")
HEAT = "cividis"
HERTZ = (250, 500, 1_000, 2_000, 4_000, 8_000)


def new_figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, np.ndarray]:
    """A figure (size in inches) and its axes, (rows, columns), without frames.

    It is closed at once: the notebook shows the figure that a cell ends in, and only once.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for one in axes.flat:
        one.spines[["top", "right"]].set_visible(False)
    plt.close(figure)
    return figure, axes


def draw_waveform(axes: Axes, waveform: np.ndarray, sample_rate: int) -> None:
    """A waveform (samples,) over seconds."""
    seconds = np.arange(len(waveform)) / sample_rate
    axes.plot(seconds, waveform, color=BLUE, linewidth=0.5)
    axes.set(xlabel="time (s)", ylabel="amplitude", xlim=(0, len(waveform) / sample_rate))


def draw_log_mel(
    axes: Axes,
    log_mel: np.ndarray,
    sample_rate: int = 32_000,
    fmax: float = 15_000.0,
    top: float | None = None,
) -> None:
    """A log-mel spectrogram (mels, frames) of `features.LogMel`, with ticks in hertz.

    ``top`` is the value of the brightest colour: the same for pictures that are to be compared.
    """
    from qvim_kit.features import HOP

    mels, frames = log_mel.shape
    seconds = frames * HOP / sample_rate
    axes.imshow(
        log_mel, origin="lower", aspect="auto", cmap=HEAT, extent=(0, seconds, 0, mels),
        vmin=-1.4, vmax=max(0.5, float(np.max(log_mel))) if top is None else top,
    )  # fmt: skip
    heights = mels * np.log1p(np.array(HERTZ) / 700) / np.log1p(fmax / 700)
    axes.set_yticks(heights, [f"{hertz:,}" for hertz in HERTZ])
    axes.set(xlabel="time (s)", ylabel="frequency (Hz)")


def draw_cqt(axes: Axes, magnitude: np.ndarray, sample_rate: int = 8_000) -> None:
    """A CQT magnitude (bins, frames) of `features.cqt`, in decibels, with ticks in hertz."""
    from qvim_kit.features import CQT_BINS_PER_OCTAVE, CQT_HOP, CQT_LOWEST_HZ

    bins, frames = magnitude.shape
    decibels = 20 * np.log10(np.maximum(magnitude, 1e-5))
    top = max(float(decibels.max()), -60.0)
    seconds = frames * CQT_HOP / sample_rate
    axes.imshow(
        decibels, origin="lower", aspect="auto", cmap=HEAT, extent=(0, seconds, 0, bins),
        vmin=top - 60, vmax=top,
    )  # fmt: skip
    octaves = np.arange(0, bins, CQT_BINS_PER_OCTAVE)
    axes.set_yticks(
        octaves + 0.5, [f"{CQT_LOWEST_HZ * 2 ** (o / CQT_BINS_PER_OCTAVE):,.0f}" for o in octaves]
    )
    axes.set(xlabel="time (s)", ylabel="frequency (Hz)")


def draw_two_dft(axes: Axes, fingerprint: np.ndarray, sample_rate: int = 8_000) -> None:
    """The middle of a 2DFT fingerprint (63 · frames,): slow changes in time and in pitch."""
    from qvim_kit.features import CQT_BINS, CQT_BINS_PER_OCTAVE, CQT_HOP

    plane = fingerprint.reshape(CQT_BINS, -1)
    rate = sample_rate / CQT_HOP / 2  # highest frequency of change over time, Hz
    pitch = CQT_BINS_PER_OCTAVE / 2  # the same over pitch, cycles an octave
    axes.imshow(
        np.log1p(plane / plane.mean()) if plane.any() else plane,
        origin="lower", aspect="auto", cmap=HEAT, extent=(-rate, rate, -pitch, pitch),
    )  # fmt: skip
    axes.set(xlim=(-12, 12), xlabel="changes a second (Hz)", ylabel="changes an octave")


def plot_pair(sounds: Mapping[str, str | os.PathLike]) -> Figure:
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
    return figure


def plot_histograms(tables: Mapping[str, Sequence[float]], unit: str) -> Figure:
    """One histogram beside the other: title → values in ``unit``."""
    figure, axes = new_figure(1, len(tables), (4.8 * len(tables), 2.8))
    for one, (title, values), colour in zip(axes[0], tables.items(), COLOURS, strict=False):
        one.hist(np.asarray(values, dtype=float), bins=20, color=colour)
        one.set(title=title, xlabel=unit, ylabel="count")
    return figure


def plot_curves(
    x: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    xlabel: str,
    ylabel: str | None = None,
) -> Figure:
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
    return figure


def plot_log_mels(log_mels: Mapping[str, np.ndarray], columns: int = 3) -> Figure:
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
    return figure


def plot_spread(groups: Mapping[str, Sequence[float]], xlabel: str) -> Figure:
    """How values spread: one horizontal box a group, from the 25th to the 75th percentile."""
    figure, axes = new_figure(1, 1, (7.2, 0.8 + 0.32 * len(groups)))
    names = list(groups)[::-1]
    boxes = axes[0, 0].boxplot(
        [groups[name] for name in names], orientation="horizontal", whis=(5, 95), showfliers=False,
        patch_artist=True, medianprops={"color": "black"},
    )  # fmt: skip
    for box in boxes["boxes"]:
        box.set_facecolor("#9ecae1")
    axes[0, 0].set_yticks(range(1, len(names) + 1), names)
    axes[0, 0].set(xlabel=xlabel)
    return figure


def plot_similarities(matrix: np.ndarray) -> Figure:
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
    return figure


def plot_maps(maps: Mapping[str, np.ndarray], classes: Sequence[str], queries: int) -> Figure:
    """Points (count, 2) by class, one panel a map; the first ``queries`` are dots, items crosses.

    Notebook: 04_finetune.
    """
    names = sorted(set(classes))
    figure, axes = new_figure(1, len(maps), (4.6 * len(maps), 4.2))
    for one, (title, points) in zip(axes[0], maps.items(), strict=True):
        for name, colour in zip(names, COLOURS * len(names), strict=False):
            own = np.flatnonzero(np.asarray(classes) == name)
            for part, marker in ((own[own < queries], "o"), (own[own >= queries], "x")):
                label = name if marker == "o" else None
                one.scatter(*points[part].T, color=colour, marker=marker, s=18, label=label)
        one.set(title=title, xlabel="first principal axis", ylabel="second principal axis")
    axes[0, -1].legend(frameon=False, title="dot: query\ncross: item", loc="center left",
                       bbox_to_anchor=(1, 0.5))  # fmt: skip
    return figure


def plot_intervals(reports: Sequence[Report], metric: str = "MRR") -> Figure:
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
    return figure


def plot_ranks(reports: Sequence[Report]) -> Figure:
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
    return figure


def plot_report(report: Report) -> Figure:
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
    return figure
