"""What was recorded, opened or picked: a waveform, checked, without the silence around it."""

from __future__ import annotations

import itertools
import math
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from qvim_kit.audio import AUDIO_SUFFIXES, AudioError
from qvim_kit.search.recordings import LIMIT, OVERRUN, SHORTEST, judged, read_recording

__all__ = ["LIMIT", "OVERRUN", "Take", "make_take", "read_file", "sounding_part"]

FRAME = 0.02  # s over which loudness is averaged to find silence
MARGIN = 0.05  # s kept around what is heard
RANGE = 35.0  # dB below the loudest frame that still count as sound


@dataclass(frozen=True, eq=False)
class Take:
    """One recording, file or example, and the part of it that counts.

    Attributes:
        name: as the list of takes shows it.
        recorded: all of it, (samples,) float32.
        sample_rate: Hz.
        start, end: the part that counts, s; at first without the silence around it.
        source: "microphone", "file" or "example".
        warning: what is wrong with it, though it can be used; or empty.
        id: counts up; no two takes of a session have the same.
    """

    name: str
    recorded: np.ndarray
    sample_rate: int
    start: float
    end: float
    source: str = "microphone"
    warning: str = ""
    id: int = field(default_factory=itertools.count(1).__next__)

    @property
    def waveform(self) -> np.ndarray:
        """The part that counts, (samples,) float32."""
        first, last = (round(second * self.sample_rate) for second in (self.start, self.end))
        return self.recorded[first:last]

    @property
    def seconds(self) -> float:
        """How long the part that counts is."""
        return len(self.waveform) / self.sample_rate

    def trimmed(self, start: float, end: float) -> Take:
        """The same take with another part that counts.

        Raises `ValueError` for less than 0.1 s, or what is not in the recording.
        """
        total = len(self.recorded) / self.sample_rate
        try:
            start, end = max(0.0, float(start)), min(total, float(end))
        except (TypeError, ValueError):
            start = end = math.nan
        if not end - start >= min(SHORTEST, total) - 1e-6:
            raise ValueError(
                f"trim: found {start:.2f} to {end:.2f} s, expected at least {SHORTEST} s "
                f"within 0 to {total:.2f} s"
            )
        return replace(self, start=start, end=end)

    def __repr__(self) -> str:
        rest = f", {self.warning}" if self.warning else ""
        return f"Take {self.name!r}: {self.seconds:.2f} s at {self.sample_rate} Hz{rest}"


def make_take(name: str, waveform: np.ndarray, sample_rate: int, source: str) -> Take:
    """Check a recording, as `search.recordings` judges it, and trim the silence around it.

    Args:
        waveform: (samples,), full scale is 1. Of more than 12 s, the first 12 s are kept.

    Raises `ValueError` for what cannot be searched with: nothing in it, or only silence.
    """
    waveform, warning = judged(name, waveform, sample_rate, source)
    start, end = sounding_part(waveform, sample_rate)
    return Take(name, waveform, int(sample_rate), start, end, source, warning)


def sounding_part(waveform: np.ndarray, sample_rate: int) -> tuple[float, float]:
    """Where the sound begins and ends, s: what is left when the silence around it is cut off.

    Silence is what is 35 dB below the loudest frame. In a noisy room it is what is not 6 dB
    above the noise, but never what is less than 20 dB below the loudest frame.
    """
    size = max(1, round(FRAME * sample_rate))
    frames = waveform[: len(waveform) // size * size].reshape(-1, size)
    if not len(frames):
        return 0.0, len(waveform) / sample_rate
    power = np.mean(np.square(frames, dtype=np.float64), axis=1)
    level = 10 * np.log10(np.maximum(power, 1e-12))
    top = level.max()
    noise = np.percentile(level, 10)
    heard = np.flatnonzero(level > min(top - 20, max(top - RANGE, noise + 6)))
    start = max(0.0, heard[0] * size / sample_rate - MARGIN)
    end = min(len(waveform), (heard[-1] + 1) * size + MARGIN * sample_rate) / sample_rate
    return start, end


def read_file(name: str, data: bytes) -> tuple[np.ndarray, int]:
    """An uploaded file → mono (samples,) float32 at its own rate, and that rate.

    Of a long file the first 13 s are read. Raises `ValueError` with the file's own name for what
    libsndfile cannot decode.
    """
    suffix = Path(name).suffix.lower()
    with tempfile.TemporaryDirectory(prefix="qvim-upload-") as folder:
        path = Path(folder) / f"upload{suffix if suffix in AUDIO_SUFFIXES else ''}"
        path.write_bytes(data)
        try:
            return read_recording(path)
        except AudioError as error:
            raise ValueError(f"{name}: {error.reason}") from None
