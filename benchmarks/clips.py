"""Sound files to measure with: somebody's own, or made ones as they lie in sound libraries."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from qvim_kit.audio import AUDIO_SUFFIXES

RATE = 44_100


@contextmanager
def some_clips(folder: Path | None, count: int) -> Iterator[list[tuple[list[Path], str]]]:
    """Several times (paths, what they are): made ones, there for a while, and files of a folder."""
    sets = []
    if folder is not None:
        found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES)
        if len(found) < count:
            raise SystemExit(f"--sounds {folder}: found {len(found)} sounds, expected {count}")
        some = found[:: len(found) // count][:count]  # from the beginning to the end of the folder
        kinds = ", ".join(sorted({path.suffix[1:] for path in some}))
        sets.append((some, f"{count} real clips ({kinds})"))
    with tempfile.TemporaryDirectory() as made:
        written = write_clips(Path(made), count)
        yield [(written, f"{count} clips of 10 s (44.1 kHz stereo WAV)"), *sets]


def write_clips(folder: Path, count: int, seconds: float = 10.0) -> list[Path]:
    """Coloured noise, 44.1 kHz stereo, as sound libraries hold it."""
    rng = np.random.default_rng(1)
    paths = [folder / f"{number}.wav" for number in range(count)]
    for path in paths:
        noise = rng.standard_normal((round(seconds * RATE), 2), dtype=np.float32)
        noise[1:] += 0.9 * noise[:-1]
        soundfile.write(path, 0.05 * noise, RATE, subtype="PCM_16")
    return paths
