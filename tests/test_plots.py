import numpy as np
import pandas as pd
import pytest
import soundfile

from qvim_kit import plots
from qvim_kit.evaluation import evaluate
from qvim_kit.features import LogMel, cqt, two_dft


@pytest.fixture
def tone(tmp_path):
    """One second of 440 Hz."""
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(32_000) / 32_000)
    soundfile.write(tmp_path / "tone.wav", wave, 32_000)
    return wave.astype(np.float32), tmp_path / "tone.wav"


def peak_label(axes, row):
    """The hertz tick nearest to a row of the picture."""
    labels = [float(text.get_text().replace(",", "")) for text in axes.get_yticklabels()]
    return labels[int(np.argmin(np.abs(axes.get_yticks() - row - 0.5)))]


def test_ticks_tell_the_truth_about_a_tone(tone):
    import torch

    wave, _ = tone
    log_mel = LogMel()(torch.from_numpy(wave)[None])[0].numpy()
    _, axes = plots.new_figure(1, 2, (6, 3))
    plots.draw_log_mel(axes[0, 0], log_mel)
    assert peak_label(axes[0, 0], log_mel.mean(axis=1).argmax()) == 500  # the tick nearest to 440
    magnitude = cqt(wave[::4])
    plots.draw_cqt(axes[0, 1], magnitude)
    assert peak_label(axes[0, 1], magnitude.mean(axis=1).argmax()) == 440
    assert [a.get_xlim()[1] for a in axes[0]] == pytest.approx([1.0, 1.0], abs=0.02)


def test_two_dft_axes_show_the_rate_of_a_pulse():
    pulses = np.zeros(40_000, dtype=np.float32)
    pulses[::2_000] = 1  # four a second
    plane = two_dft(pulses).reshape(63, -1)
    _, axes = plots.new_figure(1, 1, (4, 3))
    plots.draw_two_dft(axes[0, 0], plane.ravel())
    left, right, *_ = axes[0, 0].images[0].get_extent()
    middle = plane.shape[1] // 2
    line = plane[31].copy()
    line[: middle + 5] = 0  # the slowest changes, and the mirrored half
    place = line[: middle + 60].argmax()
    assert left + (place + 0.5) * (right - left) / plane.shape[1] == pytest.approx(4.0, abs=0.15)


def test_pair_names_every_axis(tone):
    _, path = tone
    figure = plots.plot_pair({"query": path, "item": path})
    assert len(figure.axes) == 8
    assert all(axes.get_xlabel() and axes.get_ylabel() for axes in figure.axes)
    assert [axes.get_title() for axes in figure.axes[:2]] == ["query: waveform", "item: waveform"]


def test_silence_can_be_drawn(tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(8_000), 8_000)
    figure = plots.plot_pair({"silence": tmp_path / "silence.wav"})
    figure.canvas.draw()


def test_log_mels_hide_what_is_left_over():
    figure = plots.plot_log_mels({str(n): np.zeros((128, 10)) for n in range(4)}, columns=3)
    assert [axes.get_visible() for axes in figure.axes] == [True] * 4 + [False] * 2


def test_log_mels_in_a_row_share_their_time_axis():
    frames = {"long": 300, "short": 100, "other row": 50}
    logs = {name: np.zeros((128, count)) for name, count in frames.items()}
    ends = [axes.get_xlim()[1] for axes in plots.plot_log_mels(logs, columns=2).axes]
    assert ends[:3] == [3.0, 3.0, 0.5]


def test_curves_histograms_and_spreads_show_their_values(rng):
    values = rng.normal(size=50)
    (axes,) = plots.plot_curves([0, 1], {"a": [1, 0.5], "b": [1, 0.2]}, "shift (s)").axes
    assert [line.get_ydata()[1] for line in axes.lines] == [0.5, 0.2]
    assert axes.get_xlabel() == "shift (s)" and axes.get_legend()
    left, _ = plots.plot_histograms({"a": values, "b": values}, "duration (s)").axes
    assert sum(bar.get_height() for bar in left.patches) == 50
    (axes,) = plots.plot_spread({"first": values, "second": values}, "cosine").axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["second", "first"]


def test_every_curve_is_drawn_in_a_style_of_its_own():
    curves = {str(n): [1, n / 9] for n in range(9)}
    (axes,) = plots.plot_curves([0, 1], curves, "shift (s)").axes
    assert [line.get_label() for line in axes.lines] == list(curves)
    assert len({(line.get_color(), line.get_marker()) for line in axes.lines}) == 9


def test_every_histogram_is_drawn_also_of_equal_values():
    figure = plots.plot_histograms({str(n): [5.0] * (n + 1) for n in range(7)}, "duration (s)")
    for number, axes in enumerate(figure.axes):
        (bar,) = [bar for bar in axes.patches if bar.get_height()]
        assert bar.get_height() == number + 1 and bar.get_width() > 0
        assert bar.get_x() <= 5 <= bar.get_x() + bar.get_width()


def test_intervals_and_ranks_show_what_the_reports_say(dataset, similarities):
    constant = {query: dict.fromkeys(row, 0.5) for query, row in similarities.items()}
    reports = [evaluate(similarities, dataset, system="a"), evaluate(constant, dataset, system="b")]
    (axes,) = plots.plot_intervals(reports).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["b", "a"]
    shown = [tuple(line.get_xdata()) for line in axes.lines]
    row = reports[0].metrics.loc["MRR"]
    assert (row.low, row.high) in shown and (row.value,) in shown
    left, right = plots.plot_ranks(reports).axes
    assert sum(bar.get_height() for bar in left.patches) == 24
    assert max(bar.get_height() for bar in right.patches) == 24  # all at one rank
    assert left.get_ylim() == right.get_ylim()


def test_the_course_of_a_training_is_told_also_before_its_first_epoch():
    empty = pd.DataFrame(columns=["epoch", "train_loss", "val_mrr"])
    assert plots.plot_history(empty).alt.endswith("no epoch has ended.")
    rows = [(0, 2.0, 0.1), (1, 1.0, 0.4), (2, 0.5, 0.3)]
    history = pd.DataFrame(rows, columns=empty.columns)
    figure = plots.plot_history(history, random=0.05, test=0.2)
    right = figure.axes[1]
    assert [line.get_label() for line in right.lines if line.get_label()[0] != "_"] == [
        "validation", "test", "random (validation)"
    ]  # fmt: skip
    assert right.lines[2].get_xydata().tolist() == [[1, 0.2]]
    told = "Loss from 2.00 to 0.50 in 3 epochs; validation MRR best: 0.4000 in epoch 1."
    assert figure.alt == told and figure.caption


def test_similarities_and_maps_show_their_values(rng):
    matrix = rng.normal(size=(3, 3))
    axes = plots.plot_similarities(matrix).axes[0]
    assert [text.get_text() for text in axes.texts[:2]] == [f"{v:.2f}" for v in matrix[0, :2]]
    points, classes = rng.normal(size=(6, 2)), ["a", "a", "b", "a", "b", "b"]
    (axes,) = plots.plot_maps({"before": points}, classes, queries=3).axes
    shown = np.concatenate([collection.get_offsets() for collection in axes.collections])
    np.testing.assert_allclose(sorted(shown.tolist()), sorted(points.tolist()))
    names = [text.get_text() for text in axes.texts]
    assert names == ["a", "× a", "b", "× b"]  # not by colour alone
    middle = np.median(points[:2], axis=0)
    np.testing.assert_allclose(axes.texts[0].get_position(), middle)


def test_every_picture_of_a_page_has_a_caption_and_says_what_it_shows(dataset, similarities):
    from nbclient import NotebookClient
    from nbconvert import HTMLExporter
    from nbformat.v4 import new_code_cell, new_notebook

    source = """
from qvim_kit.plots import plot_curves
figure = plot_curves([0, 1], {"a<b": [1, 0.5]}, "shift (s)")
handle = display(figure, display_id=True)
handle.update(figure.captioned("look < here"))  # as `LiveCurves` does
"""
    notebook = new_notebook(cells=[new_code_cell(source)])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    (output,) = notebook.cells[0].outputs
    assert "image/png" not in output["data"]  # which would be the picture once more, without alt
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert 'alt="Curves of cosine to the original over shift (s): a&lt;b from 1.00 to' in page
    assert "<figcaption>look &lt; here</figcaption>" in page
    assert "No description has been provided" not in page
    report = evaluate(similarities, dataset, system="a")
    for figure in (report.plot(), plots.plot_ranks([report]), plots.plot_intervals([report])):
        assert figure.caption and figure.alt and "a" in figure.alt


def test_without_words_of_its_own_a_figure_names_its_panels():
    figure, axes = plots.new_figure(1, 2, (4, 2))
    axes[0, 0].plot([0, 1])
    axes[0, 0].set(title="left", xlabel="epoch", ylabel="loss")
    axes[0, 1].set_visible(False)
    assert 'alt="left: loss over epoch"' in figure._repr_html_()
    assert "figcaption" not in figure._repr_html_()


def test_a_report_is_shown_once(dataset, similarities):
    import matplotlib.pyplot as plt

    evaluate(similarities, dataset).plot()
    assert not plt.get_fignums()
