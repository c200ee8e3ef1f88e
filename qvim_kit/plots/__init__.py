"""Figures with one look: axes in seconds and hertz, each with a caption and an alternative text.

Every function returns a figure, which the notebook shows. Where a notebook knows better what to
look at, ``plot_…(…).captioned("…")`` puts another caption.
"""

from qvim_kit.figures import draw_cqt, draw_log_mel, draw_two_dft, draw_waveform, new_figure
from qvim_kit.plots.inputs import (
    plot_curves,
    plot_histograms,
    plot_log_mels,
    plot_pair,
    plot_spread,
)
from qvim_kit.plots.results import (
    plot_history,
    plot_intervals,
    plot_maps,
    plot_ranks,
    plot_report,
    plot_similarities,
)

__all__ = [
    "draw_cqt",
    "draw_log_mel",
    "draw_two_dft",
    "draw_waveform",
    "new_figure",
    "plot_curves",
    "plot_histograms",
    "plot_history",
    "plot_intervals",
    "plot_log_mels",
    "plot_maps",
    "plot_pair",
    "plot_ranks",
    "plot_report",
    "plot_similarities",
    "plot_spread",
]
