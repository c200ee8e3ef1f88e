"""What a notebook can play and turn: players beside each other, a browser of pairs, a slider.

They are ipywidgets, so they work in JupyterLab, Notebook and VS Code; a player is plain HTML and
plays in a saved page, too. No Output widget is used, nor `interact`, which makes one: where a
notebook is run without a browser, the runner waits in vain for the end of its cell.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from qvim_kit.audio import AudioError, load_audio

if TYPE_CHECKING:
    import ipywidgets
    from IPython.display import HTML

    from qvim_kit.datasets import RetrievalDataset
    from qvim_kit.figures import CaptionedFigure

PLAYER_RATE = 16_000  # half the size of 32 kHz, and enough for a laptop's loudspeaker


def players(
    sounds: Mapping[str, str | os.PathLike | np.ndarray],
    sample_rate: int = 32_000,
    columns: int | None = None,
) -> HTML:
    """Players beside each other, each under its title.

    Notebook: 01_explore_the_data.

    Args:
        sounds: title → path, or waveform (samples,) at ``sample_rate``. A waveform louder than
            full scale is turned down; nothing else is changed.
        columns: as many to a row; by default as many as there is room for.
    """
    from IPython.display import HTML

    return HTML(_players_html(sounds, sample_rate, columns))


def _players_html(sounds: Mapping, sample_rate: int, columns: int | None = None) -> str:
    cells = "".join(
        f'<figure style="margin:0 1em 1em 0"><figcaption>{escape(str(title))}</figcaption>'
        '<audio controls preload="none" style="max-width:100%" '
        f'src="data:audio/wav;base64,{_wav(sound, sample_rate)}">'
        "</audio></figure>"
        for title, sound in sounds.items()
    )
    layout = "display:flex;flex-wrap:wrap"
    if columns is not None:
        layout = f"display:grid;grid-template-columns:repeat({columns},minmax(0,1fr))"
    return f'<div style="{layout}">{cells}</div>'


def _wav(sound: str | os.PathLike | np.ndarray, sample_rate: int) -> str:
    """A WAV file of at most 16 kHz, in base64."""
    import soundfile

    if isinstance(sound, np.ndarray):
        waveform = np.asarray(sound, dtype=np.float32)
        if sample_rate != PLAYER_RATE:
            import soxr

            waveform = soxr.resample(waveform, sample_rate, PLAYER_RATE)
    else:
        waveform = load_audio(sound, PLAYER_RATE)
    waveform = waveform / max(1.0, float(np.abs(waveform).max(initial=0.0)))
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, PLAYER_RATE, format="WAV", subtype="PCM_16")
    return base64.b64encode(buffer.getvalue()).decode()


def browse_pairs(dataset: RetrievalDataset) -> ipywidgets.Widget:
    """Browse by class: choose an item, hear it and its imitations, see what a model sees.

    Notebook: 01_explore_the_data.
    """
    import ipywidgets

    from qvim_kit.plots import plot_pair

    imitated = dataset.items[dataset.items["item_id"].isin(dataset.queries["item_id"])]
    names = sorted(imitated["class"].unique())
    chosen_class = ipywidgets.Dropdown(options=names, description="class")
    chosen_item = ipywidgets.Dropdown(description="item")
    page = ipywidgets.HTML()

    def offer(_=None) -> None:
        chosen_item.options = list(imitated["item_id"][imitated["class"] == chosen_class.value])
        chosen_item.value = chosen_item.options[0]  # new options leave nothing chosen

    def show(_=None) -> None:
        if chosen_item.value is None:  # between two lists of options
            return
        queries = dataset.queries[dataset.queries["item_id"] == chosen_item.value].head(3)
        sounds = {"item": dataset.item_paths[chosen_item.value]}
        sounds |= {f"query {n}": path for n, path in enumerate(queries["path"], start=1)}
        try:
            picture = plot_pair(dict(list(sounds.items())[:2]))
            page.value = _players_html(sounds, PLAYER_RATE) + picture.to_html()
        except AudioError as error:
            page.value = f"<b>{escape(str(error))}</b>"

    chosen_class.observe(offer, "value")
    chosen_item.observe(show, "value")
    offer()
    return ipywidgets.VBox([ipywidgets.HBox([chosen_class, chosen_item]), page])


def browse_sounds(
    sounds: Callable[[int], Mapping[str, str | os.PathLike]], count: int
) -> ipywidgets.Widget:
    """A slider over numbers from 0 to count - 1, and players of the sounds of each.

    Notebook: 04_finetune.

    Args:
        sounds: number → title → path.
    """
    import ipywidgets

    number = ipywidgets.IntSlider(max=count - 1, description="number", continuous_update=False)
    page = ipywidgets.HTML()

    def show(_=None) -> None:
        page.value = _players_html(sounds(number.value), PLAYER_RATE)

    number.observe(show, "value")
    show()
    return ipywidgets.VBox([number, page])


def try_strength(
    changes: Mapping[str, Callable[[float], np.ndarray]],
    draw: Callable[[dict[str, np.ndarray]], CaptionedFigure],
    sample_rate: int = 32_000,
) -> ipywidgets.Widget:
    """Choose a change and turn its strength from 0, unchanged, to 1: hear and see what it does.

    Notebook: 02_augment.

    Args:
        changes: name → (strength → waveform (samples,)).
        draw: title → waveform, for all that are to be seen → figure.
    """
    import ipywidgets

    name = ipywidgets.Dropdown(options=list(changes), description="change")
    strength = ipywidgets.FloatSlider(
        value=0.5, min=0, max=1, step=0.05, description="strength", continuous_update=False
    )
    page = ipywidgets.HTML()

    def show(_=None) -> None:
        change = changes[name.value]
        sounds = {
            "unchanged": change(0.0),
            f"strength {strength.value:.2f}": change(strength.value),
        }
        page.value = _players_html(sounds, sample_rate) + draw(sounds).to_html()

    name.observe(show, "value")
    strength.observe(show, "value")
    show()
    return ipywidgets.VBox([ipywidgets.HBox([name, strength]), page])
