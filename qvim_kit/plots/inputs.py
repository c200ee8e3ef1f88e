"""Figures of what goes in: sounds, their spectrograms, and how values are spread."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np

from qvim_kit.figures import (
    COLOURS,
    ORANGE,
    CaptionedFigure,
    draw_cqt,
    draw_log_mel,
    draw_two_dft,
    draw_waveform,
    new_figure,
)


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
    every = np.concatenate([np.asarray(values, dtype=float) for values in tables.values()])
    bins = np.histogram_bin_edges(every, 20)  # of a width, also for equal values
    for one, (title, values), colour in zip(axes[0], tables.items(), cycle(COLOURS), strict=False):
        one.hist(np.asarray(values, dtype=float), bins=bins, color=colour)
        one.set(title=title, xlabel=unit, ylabel="count")
    top = max(one.get_ylim()[1] for one in axes[0])
    for one in axes[0]:
        one.set_ylim(0, top)
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
    styles = zip(curves.items(), cycle(COLOURS), cycle("os^v"), strict=False)
    for (name, values), colour, marker in styles:
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
    width = min(3.6, 13 / columns)  # inches; a wider page is shrunk until nobody can read it
    figure, axes = new_figure(rows, columns, (width * columns, 2.1 * rows))
    for one, (title, log_mel) in zip(axes.flat, log_mels.items(), strict=False):
        draw_log_mel(one, log_mel, top=top)
        one.set_title(title, fontsize=9)
    for row in axes:
        longest = max(one.get_xlim()[1] for one in row if one.has_data())
        for one in row:
            one.set_xlim(0, longest)
            one.locator_params(axis="x", nbins=4)
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
