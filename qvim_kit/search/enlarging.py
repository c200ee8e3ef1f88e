"""A larger library than is at hand, to time searches in.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import numpy as np

from qvim_kit.search.building import Built, Changes, Row
from qvim_kit.search.index import SoundIndex
from qvim_kit.search.library import Library
from qvim_kit.systems.embedding import unit_rows

NOISE = 0.02  # deviation of each number; those of a unit row of 384 are about 0.05


def enlarged(index: SoundIndex, sounds: int, seed: int = 0) -> SoundIndex:
    """An index of so many sounds: those of ``index`` again and again, each a little different.

    Searching it costs what real sounds would, and finds no files: their paths do not exist.

    Raises `ValueError` for an index without sounds, or less than one sound.
    """
    if not len(index) or sounds < 1:
        found = f"{sounds} sounds of {len(index)}"
        raise ValueError(f"enlarged: found {found}, expected at least one of at least one")
    rng = np.random.default_rng(seed)
    embeddings = np.resize(index.embeddings, (sounds, index.embeddings.shape[1]))
    embeddings = embeddings + NOISE * rng.standard_normal(embeddings.shape, dtype=np.float32)
    kinds = np.resize(index.sounds["class"].to_numpy(), sounds)
    names = [f"{kind}/{number}.wav" for number, kind in enumerate(kinds)]
    rows = [
        Row(name, f"/copies/{name}", kind, 1.0, 1, 1, "")
        for name, kind in zip(names, kinds, strict=True)
    ]
    built = Built(rows, unit_rows(embeddings).astype(np.float32), [], Changes(sounds))
    return SoundIndex(Library("/copies"), built, None, "copies", index.system_name)
