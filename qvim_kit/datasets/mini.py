"""Builds the mini data set: synthesised effects and a virtual voice that imitates them.

Small, offline and on every machine the same to within a rounding that nobody hears, in the layout
of QVIM-dev, so that each notebook runs before anything has been downloaded. `datasets.load_mini`
calls this.
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
from qvim_kit.datasets.building import Recipe, built_beside, digest, write_sound
from qvim_kit.datasets.qvim_dev import QVIM_DEV_COLUMNS, QVIM_DEV_TABLE

SAMPLE_RATE = 32_000
EFFECTS_PER_CLASS = 8
IMITATIONS_PER_EFFECT = 2


def build_mini(
    folder: str | os.PathLike,
    classes: Iterable[str] = effects.CLASSES,
    effects_per_class: int = EFFECTS_PER_CLASS,
) -> Path:
    """Build the mini data set in ``folder`` unless it is there already; return the folder.

    It is built beside the folder and moved there when complete. Each sound has random numbers of
    its own, so a sound does not depend on how many are built. ``parameters.json`` keeps what each
    effect was made from.

    Raises `DatasetError` for a folder that holds something else, and `OSError` where none can be
    made.
    """
    from tqdm.auto import tqdm

    folder, classes = Path(folder), list(classes)
    recipe = _recipe(classes, effects_per_class)
    if recipe.made(folder):
        return folder
    with built_beside(folder, recipe.made, recipe.owns) as workshop:
        parameters: dict[str, dict[str, float]] = {}
        rows = []
        bar = tqdm(total=len(classes) * effects_per_class, desc="building qvim-mini", unit="sound")
        with bar:
            for sound_class in classes:
                for number in range(1, effects_per_class + 1):
                    row, parameters[f"{sound_class}/{_item_name(sound_class, number)}"] = _write(
                        workshop, sound_class, number
                    )
                    rows.append(row)
                    bar.update()
        _write_table(workshop / QVIM_DEV_TABLE, rows)
        (workshop / "parameters.json").write_text(json.dumps(parameters, indent=1))
        recipe.write(workshop)
    return folder


def _write(folder: Path, sound_class: str, number: int) -> tuple[list[str], dict[str, float]]:
    """Write one effect and its imitations; return their row of the table and its parameters."""

    def write(kind: str, name: str, waveform: np.ndarray) -> str:
        write_sound(folder / kind / sound_class / name, waveform, SAMPLE_RATE)
        return name

    # Seeded by name: the same sound in every process, whatever else is built.
    seed = int.from_bytes(hashlib.sha256(f"{sound_class} {number}".encode()).digest()[:4], "big")
    rng = np.random.default_rng(seed)
    parameters = effects.draw_parameters(sound_class, rng)
    effect = effects.synthesise(sound_class, parameters, rng, SAMPLE_RATE)
    item = write("Items", _item_name(sound_class, number), effect)
    queries = [
        write(
            "Queries",
            f"{sound_class}_{number}_imitation_{n}.wav",
            synth.imitate(effect, SAMPLE_RATE, synth.Speaker.random(seed + n)),
        )
        for n in range(1, IMITATIONS_PER_EFFECT + 1)
    ]
    return ["", sound_class, item, *queries], parameters


def _item_name(sound_class: str, number: int) -> str:
    return f"{sound_class}_{number}.wav"


def _write_table(path: Path, rows: list[list[str]]) -> None:
    """The challenge's table: a banner row, a header row, then one row an item."""
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["QVIM mini, synthesised"])
        writer.writerow(QVIM_DEV_COLUMNS)
        writer.writerows(row + [""] * (len(QVIM_DEV_COLUMNS) - len(row)) for row in rows)


def _recipe(classes: list[str], effects_per_class: int) -> Recipe:
    sources = (effects.__file__, *sorted(Path(synth.__file__).parent.glob("*.py")), __file__)
    made_from = digest(f"{classes} {effects_per_class}", sources)
    sounds = len(classes) * effects_per_class * (1 + IMITATIONS_PER_EFFECT)
    return Recipe("qvim-kit's mini data set", made_from, sounds, QVIM_DEV_TABLE)
