"""Figures that can be read alone, by a caption and a text for the blind, and how sounds are drawn.

Notebooks show such a figure as HTML, since neither JupyterLab nor nbconvert gives a PNG output an
alternative text. The colours are Okabe & Ito's, which the colour-blind can tell apart.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# "cividis" is safe for the colour-blind, too, and prints in grey.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#767676"
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#E69F00")
HEAT = "cividis"
HERTZ = (500, 1_000, 2_000, 4_000, 8_000)


class CaptionedFigure(Figure):
    """A figure with a caption below it and an alternative text, both shown by notebooks."""

    caption = alt = ""

    def captioned(self, caption: str, alt: str = "") -> CaptionedFigure:
        """Set the caption and, where one is given, the alternative text; returns the figure."""
        self.caption, self.alt = caption, alt or self.alt
        return self

    @property
    def panels(self) -> str:
        """The axes in words: title, what is up and what is across."""
        shown = [axes for axes in self.axes if axes.get_visible() and axes.has_data()]
        parts = []
        for axes in shown:
            names = axes.get_title(), axes.get_ylabel(), axes.get_xlabel()
            parts.append(f"{names[0]}: {names[1]} over {names[2]}".strip(": "))
        return "; ".join(parts)

    def to_html(self) -> str:
        """Picture, alternative text and caption, as notebooks show them."""
        from IPython.core.pylabtools import print_figure

        source, alt = print_figure(self, "png", base64=True), escape(self.alt or self.panels)
        picture = f'<img style="max-width:100%" alt="{alt}" src="data:image/png;base64,{source}">'
        caption = f"<figcaption>{escape(self.caption)}</figcaption>" if self.caption else ""
        return f'<figure style="margin:0">{picture}{caption}</figure>'

    _repr_html_ = to_html


def new_figure(
    rows: int, columns: int, size: tuple[float, float]
) -> tuple[CaptionedFigure, np.ndarray]:
    """A figure (size in inches) and its axes, (rows, columns), without frames.

    It is closed at once: the notebook shows the figure that a cell ends in, and only once.
    """
    import matplotlib.pyplot as plt

    looks: dict[str, Any] = {
        "figsize": size,
        "layout": "constrained",
        "FigureClass": CaptionedFigure,
    }
    figure, axes = plt.subplots(rows, columns, squeeze=False, **looks)
    for one in axes.flat:
        one.spines[["top", "right"]].set_visible(False)
    plt.close(figure)
    _show_as_html_alone()
    return figure, axes


def _show_as_html_alone() -> None:
    """Notebooks store a figure's HTML without the same picture as a PNG beside it."""
    from IPython import get_ipython

    if shell := get_ipython():
        formatter = shell.display_formatter.formatters["image/png"]
        formatter.for_type(CaptionedFigure, lambda figure: None)


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
