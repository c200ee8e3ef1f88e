"""More synthesised effects with captions than the mini data set has, to train with words on.

The folder that is written is one that `open_dataset` reads: sounds, and a table of captions.

Notebook: 07_search_by_text.
"""

from __future__ import annotations

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
from qvim_kit.datasets import caption_words, captions
from qvim_kit.datasets.caption_table import CAPTION_TABLE, read_captioned
from qvim_kit.datasets.captions import CAPTIONS, PARAMETERS, caption
from qvim_kit.datasets.mini import EFFECTS_PER_CLASS
from qvim_kit.datasets.tables import DatasetError, RetrievalDataset

SAMPLE_RATE = 32_000
AFTER_MINI = EFFECTS_PER_CLASS + 1  # the mini data set holds the effects 1 to 8 of each class
RECIPE = "recipe.txt"


def build_captioned(
    folder: str | os.PathLike,
    effects_per_class: int = 24,
    *,
    first: int = AFTER_MINI,
    imitations: int = 0,
    classes: Iterable[str] = effects.CLASSES,
) -> RetrievalDataset:
    """Effects that the mini data set does not hold, searched in words, or in words and by voice.

    They are built in ``folder`` unless they are there already, the same on machines with the same
    NumPy and SciPy: about fifty effects a second, and some ten imitations.

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
    if folder.exists() and any(folder.iterdir()) and not (folder / RECIPE).is_file():
        problem = "holds something that is not a captioned data set"
        raise DatasetError(folder, [problem], "Choose another folder.")
    sounds = len(made) * (1 + imitations)
    built = (folder / RECIPE).is_file() and (folder / RECIPE).read_text() == recipe
    if not built or len(list(folder.glob("*/*/*.wav"))) != sounds:
        _build(folder, made, imitations, recipe)
    return read_captioned(folder)


def _item(kind: str, number: int) -> str:
    return f"{kind}/{kind}_{number}.wav"


def _query(kind: str, number: int, imitation: int) -> str:
    return f"{kind}/{kind}_{number}_imitation_{imitation}.wav"


def _recipe(made: list[tuple[str, int]], imitations: int) -> str:
    """Changes with whatever the sounds are made from, so that a stale folder is built again."""
    digest = hashlib.sha256(f"{made} {imitations}".encode())
    voice = sorted(Path(synth.__file__).parent.glob("*.py")) if imitations else []
    words = (captions.__file__, caption_words.__file__)
    for source in (effects.__file__, *voice, *words, __file__):
        digest.update(Path(source).read_bytes())
    return digest.hexdigest()


def _build(folder: Path, made: list[tuple[str, int]], imitations: int, recipe: str) -> None:
    """Synthesise beside the folder, then move."""
    from tqdm.auto import tqdm

    folder.parent.mkdir(parents=True, exist_ok=True)
    workshop = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    workshop.chmod(0o755)  # mkdtemp's 0700 would shut out the other users of a shared machine
    parameters = {}
    try:
        for kind, number in tqdm(made, desc=f"building {folder.name}", unit="sound"):
            # As the mini data set's, which goes on where this begins.
            digits = hashlib.sha256(f"{kind} {number}".encode()).digest()[:4]
            seed = int.from_bytes(digits, "big")
            rng = np.random.default_rng(seed)
            drawn = parameters[_item(kind, number)] = effects.draw_parameters(kind, rng)
            effect = effects.synthesise(kind, drawn, rng, SAMPLE_RATE)
            _write(workshop / "Items" / _item(kind, number), effect)
            for k in range(1, imitations + 1):
                voice = synth.imitate(effect, SAMPLE_RATE, synth.Speaker.random(seed + k))
                _write(workshop / "Queries" / _query(kind, number, k), voice)
        _write_captions(workshop / CAPTION_TABLE, made, imitations, parameters)
        (workshop / PARAMETERS).write_text(json.dumps(parameters, indent=1), encoding="utf-8")
        (workshop / RECIPE).write_text(recipe)
        shutil.rmtree(folder, ignore_errors=True)  # an older one, or nothing
        workshop.rename(folder)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _write(path: Path, waveform: np.ndarray) -> None:
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, waveform, SAMPLE_RATE, subtype="PCM_16")


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
