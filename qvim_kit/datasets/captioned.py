"""More synthesised effects with captions than the mini data set has, to train with words on.

The folder that is written is one that `open_dataset` reads: sounds, and a table of captions.

Notebook: 07_search_by_text.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from qvim_kit import effects, synth
from qvim_kit.datasets import caption_words, captions
from qvim_kit.datasets.building import Recipe, built_beside, digest, write_sound
from qvim_kit.datasets.caption_table import CAPTION_TABLE, read_captioned
from qvim_kit.datasets.captions import CAPTIONS, PARAMETERS, caption
from qvim_kit.datasets.mini import EFFECTS_PER_CLASS
from qvim_kit.datasets.tables import RetrievalDataset

SAMPLE_RATE = 32_000
AFTER_MINI = EFFECTS_PER_CLASS + 1  # the mini data set holds the effects 1 to 8 of each class


def build_captioned(
    folder: str | os.PathLike,
    effects_per_class: int = 24,
    *,
    first: int = AFTER_MINI,
    imitations: int = 0,
    classes: Iterable[str] = effects.CLASSES,
) -> RetrievalDataset:
    """Effects that the mini data set does not hold, searched in words, or in words and by voice.

    They are built in ``folder`` unless they are there already, on every machine the same but for
    rounding: about fifty effects a second, and some ten imitations.

    Args:
        folder: holds nothing else.
        effects_per_class: how many.
        first: number of the first effect of each class.
        imitations: of each effect. Without, the queries are five captions of each effect; with,
            they are the imitations, and each has a caption beside it, as of `add_captions`.
        classes: of `effects.CLASSES`.

    Raises `DatasetError` for a folder that holds something else.
    """
    folder = Path(folder).resolve()
    numbers = range(first, first + effects_per_class)
    made = [(c, n) for c in classes for n in numbers]
    recipe = _recipe(made, imitations)
    if not recipe.made(folder):
        with built_beside(folder, recipe.made, recipe.owns) as workshop:
            _build(workshop, made, imitations, f"building {folder.name}")
            recipe.write(workshop)
    return read_captioned(folder)


def _item(kind: str, number: int) -> str:
    return f"{kind}/{kind}_{number}.wav"


def _query(kind: str, number: int, imitation: int) -> str:
    return f"{kind}/{kind}_{number}_imitation_{imitation}.wav"


def _recipe(made: list[tuple[str, int]], imitations: int) -> Recipe:
    voice = sorted(Path(synth.__file__).parent.glob("*.py")) if imitations else []
    words = (captions.__file__, caption_words.__file__)
    sources = (effects.__file__, *voice, *words, __file__)
    made_from = digest(f"{made} {imitations}", sources)
    sounds = len(made) * (1 + imitations)
    return Recipe("qvim-kit's captioned effects", made_from, sounds, CAPTION_TABLE)


def _build(folder: Path, made: list[tuple[str, int]], imitations: int, title: str) -> None:
    from tqdm.auto import tqdm

    parameters = {}
    for kind, number in tqdm(made, desc=title, unit="sound"):
        # As the mini data set's, which goes on where this begins.
        seed = int.from_bytes(hashlib.sha256(f"{kind} {number}".encode()).digest()[:4], "big")
        rng = np.random.default_rng(seed)
        drawn = parameters[_item(kind, number)] = effects.draw_parameters(kind, rng)
        effect = effects.synthesise(kind, drawn, rng, SAMPLE_RATE)
        write_sound(folder / "Items" / _item(kind, number), effect, SAMPLE_RATE)
        for k in range(1, imitations + 1):
            voice = synth.imitate(effect, SAMPLE_RATE, synth.Speaker.random(seed + k))
            write_sound(folder / "Queries" / _query(kind, number, k), voice, SAMPLE_RATE)
    _write_captions(folder / CAPTION_TABLE, made, imitations, parameters)
    (folder / PARAMETERS).write_text(json.dumps(parameters, indent=1), encoding="utf-8")


def _write_captions(
    path: Path, made: list[tuple[str, int]], imitations: int, parameters: dict[str, dict]
) -> None:
    """A row a caption: five of each effect, or one beside each imitation."""
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["file_name", "imitation", "caption"])
        for kind, number in made:
            for k in range(1, (imitations or CAPTIONS) + 1):
                voice = _query(kind, number, k) if imitations else ""
                item = _item(kind, number)
                writer.writerow([item, voice, caption(kind, parameters[item], k)])
