"""Builds the mini data set: synthesised effects and a virtual voice that imitates them.

Small, offline and the same on every machine that has the same versions of NumPy and SciPy (others
compute other last bits, on which a take depends), in the layout of QVIM-dev, so that each notebook
runs before anything has been downloaded. `datasets.load_mini` calls this.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from qvim_kit import effects, synth
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
    """
    from tqdm.auto import tqdm

    folder, classes = Path(folder), list(classes)
    recipe = _recipe(classes, effects_per_class)
    sounds = len(classes) * effects_per_class * (1 + IMITATIONS_PER_EFFECT)
    if _built_from(folder) == recipe and len(list(folder.glob("*/*/*.wav"))) == sounds:
        return folder
    workshop = _workshop(folder)
    try:
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
        (workshop / "recipe.txt").write_text(recipe)
        _move(workshop, folder)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return folder


def _write(folder: Path, sound_class: str, number: int) -> tuple[list[str], dict[str, float]]:
    """Write one effect and its imitations; return their row of the table and its parameters."""
    import soundfile

    def write(kind: str, name: str, waveform: np.ndarray) -> str:
        path = folder / kind / sound_class / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, waveform, SAMPLE_RATE, subtype="PCM_16")
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


def _recipe(classes: list[str], effects_per_class: int) -> str:
    """Changes with whatever the sounds are made from, so that a stale folder is built again."""
    digest = hashlib.sha256(f"{classes} {effects_per_class}".encode())
    voice = sorted(Path(synth.__file__).parent.glob("*.py"))
    for source in (effects.__file__, *voice, __file__):
        digest.update(Path(source).read_bytes())
    return digest.hexdigest()


def _workshop(folder: Path) -> Path:
    """A new folder beside it to work in; refuses what is not mini's, and what cannot be made."""
    try:
        mine = not folder.exists() or (
            folder.is_dir() and (_built_from(folder) is not None or not any(folder.iterdir()))
        )
        if mine:
            folder.parent.mkdir(parents=True, exist_ok=True)
            workshop = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
            workshop.chmod(0o755)  # mkdtemp's 0700 would shut out others of a shared machine
            return workshop
    except OSError as error:
        problem = f"cannot be made ({error.strerror}); set QVIM_DATA to another folder"
        raise OSError(f"{folder}: {problem}") from None
    raise FileExistsError(f"{folder}: holds something that is not the mini data set; move it away")


def _built_from(folder: Path) -> str | None:
    recipe = folder / "recipe.txt"
    return recipe.read_text() if recipe.is_file() else None


def _move(workshop: Path, folder: Path) -> None:
    """Put the finished folder in place of an older or incomplete one.

    Where another process puts its own there at the same moment, that one is as good.
    """
    older = workshop.with_name(workshop.name + "-old")
    with contextlib.suppress(OSError):
        folder.rename(older)
    try:
        workshop.rename(folder)
    except OSError:
        if _built_from(folder) is None:
            raise
    shutil.rmtree(older, ignore_errors=True)
