"""Listens to many files: what can be told of a sound without knowing what it is."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from qvim_kit.audio import AudioError, load_audio

SILENCE = 10 ** (-60 / 20)  # peak, -60 dB relative to full scale
FULL_SCALE = 0.9999  # 16-bit converters end at 32767 / 32768 = 0.99997
CLIPPED_RUN = 3  # successive values at full scale; two may be a peak's rounding
CLIPPED_SHARE = 1e-3  # of all values; fewer are not heard
SHORTEST, LONGEST = 0.1, 60.0  # s


@dataclass(frozen=True)
class Sound:
    """What was heard in one file; zeros and empty texts where it cannot be read.

    Attributes:
        missing: there is no such file.
        error: why it cannot be read.
        sample_rate: Hz.
        seconds: its length.
        peak: largest magnitude, 1 is full scale.
        clipped: share of values that are clipped, see `clipped_share`.
        digest: equal for equal samples at an equal rate, in whatever container.
    """

    missing: bool = False
    error: str = ""
    sample_rate: int = 0
    seconds: float = 0.0
    peak: float = 0.0
    clipped: float = 0.0
    digest: str = ""

    @property
    def silent(self) -> bool:
        """Whether it was read and never reaches -60 dBFS."""
        return bool(self.digest) and self.peak < SILENCE

    def problems(self) -> list[tuple[str, str]]:
        """(kind, detail) of everything that is wrong with it."""
        if self.missing:
            return [("missing", "no such file")]
        if self.error:
            return [("unreadable", self.error)]
        found = []
        if self.silent:
            level = f"{20 * np.log10(self.peak):.0f} dBFS" if self.peak else "digital silence"
            found.append(("silent", f"peak {level}, expected above -60 dBFS"))
        if self.clipped >= CLIPPED_SHARE:
            found.append(("clipped", f"{self.clipped:.1%} of its values are cut off"))
        if self.seconds < SHORTEST:
            found.append(("short", f"{self.seconds:.3f} s, expected at least {SHORTEST} s"))
        if self.seconds > LONGEST:
            found.append(("long", f"{self.seconds:.0f} s, expected at most {LONGEST:.0f} s"))
        return found


def listen(paths: Sequence[str | os.PathLike]) -> list[Sound]:
    """Listen to files, several at a time, with a progress bar; no bad file stops it."""
    from tqdm.auto import tqdm

    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        bar = tqdm(pool.map(listen_to, paths), total=len(paths), desc="listening", unit="file")
        return list(bar)
    finally:  # on Ctrl-C, do not first listen to all the rest
        pool.shutdown(cancel_futures=True)


def listen_to(path: str | os.PathLike) -> Sound:
    """Listen to the whole of one file."""
    try:
        channels, sample_rate = _channels(path)
    except (FileNotFoundError, NotADirectoryError):
        return Sound(missing=True)
    except AudioError as error:
        return Sound(error=error.reason)
    except (OSError, ValueError, RuntimeError, MemoryError) as error:
        return Sound(error=f"{type(error).__name__}: {error}")
    mono = channels.mean(axis=1, dtype=np.float32) + np.float32(0)  # -0.0 becomes 0.0
    return Sound(
        sample_rate=sample_rate,
        seconds=len(channels) / sample_rate,
        peak=float(np.abs(channels).max()),
        clipped=clipped_share(channels),
        digest=hashlib.sha256(f"{sample_rate} Hz".encode() + mono.tobytes()).hexdigest(),
    )


def clipped_share(channels: np.ndarray) -> float:
    """The share of values in runs of three or more at full scale, (samples, channels) → 0 … 1.

    A run is successive values of one channel at +1, or at -1, up to the rounding of 16 bits. A
    recording that was clipped and turned down later is not found this way, and a square wave at
    full scale is found, too.
    """
    count = 0
    for level in (channels >= FULL_SCALE, channels <= -FULL_SCALE):
        if not level.any():
            continue
        for channel in level.T:
            edges = np.flatnonzero(np.diff(np.concatenate(([0], channel.astype(np.int8), [0]))))
            lengths = edges[1::2] - edges[::2]
            count += int(lengths[lengths >= CLIPPED_RUN].sum())
    return count / channels.size


def _channels(path: str | os.PathLike) -> tuple[np.ndarray, int]:
    """All samples, (samples, channels) float32, and their rate; raises as `load_audio`."""
    import soundfile

    try:
        with open(path, "rb") as handle, soundfile.SoundFile(handle) as sound:
            sample_rate, channels = sound.samplerate, sound.channels
    except (FileNotFoundError, NotADirectoryError):
        raise
    except Exception:
        load_audio(path)  # says what is wrong with it
        raise
    # At its own rate nothing is resampled; what load_audio rejects is not let through here.
    mono = load_audio(path, sample_rate)
    if channels == 1:
        return mono[:, None], sample_rate
    with open(path, "rb") as handle, soundfile.SoundFile(handle) as sound:
        return sound.read(dtype="float32", always_2d=True), sample_rate
