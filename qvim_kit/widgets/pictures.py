"""What a result shows and plays: a small spectrogram, and a WAV file that every browser decodes.

Both are sent when they are asked for: a page of results itself stays small.
"""

from __future__ import annotations

import base64
import io
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qvim_kit.audio import load_audio

if TYPE_CHECKING:
    from qvim_kit.widgets.finder import Finder
    from qvim_kit.widgets.messages import Buffers

PICTURE_RATE = 16_000  # Hz
PICTURE_SIZE = (40, 120)  # bands, columns
PICTURE_SECONDS = 10.0
LOWEST_HZ = 80.0
RANGE = 60.0  # dB below the loudest that is still seen
WINDOW = 1_024
PLAYED_RATE = 32_000  # Hz
PLAYED_SECONDS = 60.0
DOWNLOAD_LIMIT = 64 << 20  # bytes


def spectrogram(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """A small spectrogram for the eye, from 0 to 1, (40 bands, 120 columns), low bands first.

    Bands are spaced evenly in log frequency from 80 Hz; 60 dB of range.
    """
    bands, columns = PICTURE_SIZE
    starts = np.linspace(0, max(0, len(waveform) - WINDOW), columns).astype(int)
    padded = np.pad(waveform, (0, max(0, WINDOW - len(waveform))))
    frames = np.stack([padded[start : start + WINDOW] for start in starts]) * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(frames)) ** 2
    edges = np.geomspace(LOWEST_HZ, sample_rate / 2, bands + 1) * WINDOW / sample_rate
    # Low bands are narrower than one bin: each takes at least the bin it lies in.
    first = np.floor(edges[:-1]).astype(int)
    last = np.maximum(first + 1, np.ceil(edges[1:]).astype(int))
    pooled = np.stack([power[:, a:b].max(axis=1) for a, b in zip(first, last, strict=True)])
    decibels = 10 * np.log10(np.maximum(pooled, 1e-10))
    return np.clip(1 + (decibels - decibels.max()) / RANGE, 0, 1)


def picture_of(path: str | os.PathLike, seconds: float) -> str:
    """A sound's spectrogram as the data URL of a PNG; its first 10 s if it is longer."""
    return _picture(os.fspath(path), os.stat(path).st_mtime_ns, bool(seconds > PICTURE_SECONDS))


@lru_cache(maxsize=1_000)
def _picture(path: str, changed: int, long: bool) -> str:
    from matplotlib.image import imsave

    from qvim_kit.figures import HEAT

    waveform = load_audio(path, PICTURE_RATE, PICTURE_SECONDS if long else None)
    buffer = io.BytesIO()
    imsave(buffer, spectrogram(waveform, PICTURE_RATE), cmap=HEAT, origin="lower", vmin=0, vmax=1,
           format="png")  # fmt: skip
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def wav_of(path: str | os.PathLike, seconds: float) -> bytes:
    """A sound as a mono WAV file of 16 bits and 32 kHz; its first minute if it is longer.

    What is beyond full scale is turned down.
    """
    import soundfile

    waveform = load_audio(path, PLAYED_RATE, PLAYED_SECONDS if seconds > PLAYED_SECONDS else None)
    waveform = waveform / max(1.0, float(np.abs(waveform).max()))
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, PLAYED_RATE, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


class SoundServer:
    """The part of a widget that sends a library's sounds and their pictures by name."""

    _finder: Finder

    def _do_pictures(self, content: dict, buffers: Buffers) -> dict:
        pictures = {}
        for name in content.get("names") or []:
            try:
                sound = self._finder.sound(name)
                pictures[name] = picture_of(sound["path"], sound["seconds"])
            except (ValueError, OSError):
                continue  # a result without a picture is a result still; playing it says why
        return {"pictures": pictures}

    def _do_hear(self, content: dict, buffers: Buffers) -> tuple[dict, list[bytes]]:
        sound = self._finder.sound(content.get("name"))
        return {}, [wav_of(sound["path"], sound["seconds"])]

    def _do_download(self, content: dict, buffers: Buffers) -> tuple[dict, list[bytes]]:
        """The file as it is."""
        path = Path(self._finder.sound(content.get("name"))["path"])
        if path.stat().st_size > DOWNLOAD_LIMIT:
            raise ValueError(f"Larger than {DOWNLOAD_LIMIT >> 20} MB: take it from {path}")
        return {"file": path.name}, [path.read_bytes()]
