import base64
import io
import re

import numpy as np
import pytest
import soundfile

from qvim_kit.datasets import RetrievalDataset
from qvim_kit.plots import plot_log_mels
from qvim_kit.widgets import browse_pairs, browse_sounds, players, try_strength


def played(html):
    """The sounds of a page: [(waveform, rate)]."""
    sources = re.findall(r"data:audio/wav;base64,([^\"]+)", html)
    return [soundfile.read(io.BytesIO(base64.b64decode(source))) for source in sources]


def test_players_play_files_and_waveforms(tmp_path):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(32_000) / 32_000)
    soundfile.write(tmp_path / "tone.wav", tone, 32_000)
    html = players({"a <file>": tmp_path / "tone.wav", "a waveform": tone}).data
    assert "a &lt;file&gt;" in html and html.count("<audio") == 2
    for waveform, rate in played(html):
        assert rate == 16_000 and len(waveform) == 16_000
        spectrum = np.abs(np.fft.rfft(waveform))
        assert spectrum.argmax() == 440 and np.abs(waveform).max() == pytest.approx(0.5, abs=0.02)


def test_players_turn_down_what_is_too_loud_and_play_silence():
    loud, silent = played(players({"loud": np.full(800, 4.0), "none": np.zeros(800)}, 16_000).data)
    assert np.abs(loud[0]).max() == pytest.approx(1.0, abs=0.01) and not silent[0].any()


@pytest.fixture
def sounds(dataset, tmp_path, rng):
    """The toy data set with files; item 3 of each class is imitated by nobody."""
    tables = []
    for table in (dataset.items, dataset.queries):
        paths = [str(tmp_path / name.replace("/", "_")) for name in table[table.columns[0]]]
        for path in paths:
            soundfile.write(path, 0.1 * rng.normal(size=800), 8_000)
        tables.append(table.assign(path=paths))
    items, queries = tables
    return RetrievalDataset(items, queries[~queries["item_id"].str.contains("3.wav")])


def test_browser_follows_class_and_item(sounds):
    browser = browse_pairs(sounds)
    (by_class, by_item), page = browser.children[0].children, browser.children[1]
    assert by_class.options == ("A", "B", "C") and by_item.value == "A/A0.wav"
    assert len(played(page.value)) == 3
    assert 'alt="Waveform, log-mel, CQT and 2DFT of item and query 1."' in page.value
    first = page.value
    by_class.value = "C"
    assert by_item.options == ("C/C0.wav", "C/C1.wav", "C/C2.wav") and page.value != first
    by_item.value = "C/C2.wav"
    shown = played(page.value)[0][0]
    expected, _ = soundfile.read(sounds.item_paths["C/C2.wav"])
    assert len(shown) == pytest.approx(2 * len(expected), abs=2)  # 8 kHz shown at 16 kHz


def test_browser_says_what_it_cannot_play(sounds):
    from pathlib import Path

    Path(sounds.item_paths["B/B0.wav"]).write_text("not audio")
    browser = browse_pairs(sounds)
    browser.children[0].children[0].value = "B"
    assert "cannot be decoded" in browser.children[1].value


def test_a_number_chooses_the_sounds(sounds):
    paths = list(sounds.items["path"])
    widget = browse_sounds(lambda number: {"it": paths[number], "first": paths[0]}, len(paths))
    slider, page = widget.children
    (it, _), (first, _) = played(page.value)
    np.testing.assert_array_equal(it, first)
    slider.value = 5
    (it, _), (first, _) = played(page.value)
    assert slider.max == len(paths) - 1 and not np.array_equal(it, first)


def test_strength_is_heard(rng):
    noise = 0.1 * rng.normal(size=32_000)
    changes = {"gain": lambda strength: strength * noise, "off": lambda strength: 0 * noise}
    widget = try_strength(
        changes, lambda sounds: plot_log_mels({n: np.zeros((128, 10)) for n in sounds})
    )
    (name, strength), page = widget.children[0].children, widget.children[1]
    half = np.abs(played(page.value)[1][0]).mean()
    strength.value = 1.0
    assert np.abs(played(page.value)[1][0]).mean() == pytest.approx(2 * half, rel=0.02)
    name.value = "off"
    assert not played(page.value)[1][0].any()
