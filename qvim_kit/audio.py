"""A file → mono float32 at one sample rate, fitted to a length.

Decoding is libsndfile's (WAV, FLAC, Ogg, MP3, AIFF, …), resampling soxr's high-quality setting:
the samples equal those of ``librosa.load``. `audio_files` lists what a folder holds.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qvim_kit.wording import counted

if TYPE_CHECKING:
    import soundfile

AUDIO_SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au"}
)
TRIM_DB, LEVEL_DB = 45.0, -20.0  # of `prepare`; models are trained with these
LOWEST_RATE = 1_000  # Hz; a lower rate in a header is damage, and would be hours of noise
# How a file begins → how it tells of its chunks, and the name of that which holds the samples.
CHUNKS = {b"RIFF": ("<4sI", b"data"), b"RIFX": (">4sI", b"data"), b"FORM": (">4sI", b"SSND")}


class AudioError(ValueError):
    """A file cannot be used as audio. The message names the file and the reason."""

    def __init__(self, path: str | os.PathLike, reason: str):
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = str(path), reason

    @classmethod
    def unreadable(cls, path: str | os.PathLike, error: OSError) -> AudioError:
        """Of a file or folder that the system does not let us read."""
        return cls(path, f"cannot be read ({(error.strerror or str(error)).lower()})")

    def __reduce__(self):
        return type(self), (self.path, self.reason)


class AudioErrors(AudioError):
    """Several files cannot be used as audio; the message lists each with its reason.

    Its ``path`` and ``reason`` are those of the first; ``errors`` holds one `AudioError` for each.
    """

    def __init__(self, errors: list[AudioError]):
        listing = "".join(f"\n  {error}" for error in errors)
        ValueError.__init__(self, f"{counted(len(errors), 'audio file')} cannot be used:{listing}")
        self.errors, self.path, self.reason = errors, errors[0].path, errors[0].reason

    def __reduce__(self):
        return type(self), (self.errors,)


def audio_files(folder: str | os.PathLike, errors: list[AudioError]) -> Iterator[str]:
    """The paths of all audio files below a folder, told by their suffix; the same each time.

    What begins with a dot is left out. Links are followed, but each folder is listed once, and by
    itself before a link beside it. A folder that cannot be read, or a link that cannot be followed,
    is told in ``errors``.
    """
    for path in _files_below(os.fspath(folder), errors, set()):
        if os.path.splitext(path)[1].lower() in AUDIO_SUFFIXES:
            yield path


def _files_below(folder: str, errors: list[AudioError], seen: set[str]) -> Iterator[str]:
    real = os.path.realpath(folder)
    if real in seen:  # a link that leads back
        return
    seen.add(real)
    try:
        entries = [entry for entry in os.scandir(folder) if entry.name[0] != "."]
        entries.sort(key=lambda entry: (entry.is_symlink(), entry.name))
    except OSError as error:
        errors.append(AudioError.unreadable(folder, error))
        return
    for entry in entries:
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
        except OSError as error:  # a link to itself, or into a folder that is closed
            errors.append(AudioError.unreadable(entry.path, error))
            continue
        if is_folder:
            yield from _files_below(entry.path, errors, seen)
        elif is_file:
            yield entry.path


def load_audio(
    path: str | os.PathLike, sample_rate: int = 32_000, duration: float | None = None
) -> np.ndarray:
    """Load a file as mono float32 and fit it to a length.

    Channels are averaged. With ``duration`` (seconds) only the beginning is read and shorter
    sounds are padded with zeros at their end; without it the whole file is returned.
    The level is left alone.

    Returns an array of shape (samples,), where samples = round(duration · sample_rate) if a
    duration is given.

    Raises `AudioError` for a file that is missing, empty, truncated (where its header tells: an MP3
    or Ogg is read up to its cut), not audio, or holds no or non-finite samples, and `ValueError`
    for a sample rate or duration that is not positive.

    >>> load_audio("dog.wav", sample_rate=32_000, duration=10).shape  # doctest: +SKIP
    (320000,)
    """
    if not isinstance(sample_rate, Real) or sample_rate <= 0 or sample_rate % 1:
        raise ValueError(f"sample_rate: found {sample_rate!r}, expected a positive whole number")
    if duration is not None and not (isinstance(duration, Real) and 0 < duration < float("inf")):
        raise ValueError(f"duration: found {duration!r}, expected a positive number of seconds")
    waveform, native_rate = _decode(Path(path), duration)
    if native_rate != sample_rate:
        import soxr

        waveform = soxr.resample(waveform, native_rate, sample_rate, quality="HQ")
    return waveform if duration is None else fit(waveform, max(1, round(duration * sample_rate)))


def fit(waveform: np.ndarray, samples: int) -> np.ndarray:
    """Crop (samples,) at the end, or pad it with zeros there, to exactly ``samples`` samples."""
    if len(waveform) >= samples:
        return waveform[:samples]
    return np.pad(waveform, (0, samples - len(waveform)))


def prepare(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Without silence at its ends, and at one level, whoever recorded it: (samples,) → (kept,).

    Frames of 20 ms at the ends that lie more than 45 dB below the loudest are cut off; what is left
    gets a root mean square of -20 dB re full scale over its sounding frames, and is turned down
    where its peak would exceed 1. Digital silence is returned as it is.
    """
    width = max(1, round(0.02 * sample_rate))
    frames = fit(waveform, -(-len(waveform) // width) * width).reshape(-1, width)
    power = np.mean(np.square(frames, dtype=np.float64), axis=1)
    sounding = np.flatnonzero(power > power.max(initial=0) * 10 ** (-TRIM_DB / 10))
    if not len(sounding):
        return waveform
    kept = waveform[sounding[0] * width : (sounding[-1] + 1) * width]
    gain = 10 ** (LEVEL_DB / 20) / np.sqrt(power[sounding].mean())
    return (kept * min(gain, 1 / np.abs(kept).max())).astype(np.float32)


def check_audio(path: str | os.PathLike) -> None:
    """Raise `AudioError` unless a file is there, whole, and by its header audio.

    Takes a fraction of a millisecond: the samples are not decoded.
    """
    _check_is_whole_file(Path(path))
    with _opened(Path(path)):
        pass


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """The file, opened for decoding; whatever goes wrong is an `AudioError`."""
    import soundfile

    try:
        # Opened by us, because libsndfile cannot take every name that Python can.
        with path.open("rb") as handle, soundfile.SoundFile(handle) as sound:
            if sound.frames == 0:
                raise AudioError(path, "holds no samples; download, record or export it again")
            if sound.samplerate < LOWEST_RATE:
                raise AudioError(path, f"claims a sample rate of {sound.samplerate} Hz")
            yield sound
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a headerless .raw file
        reason = getattr(error, "error_string", "no header")
        reason = f"cannot be decoded as audio ({reason}); convert it to WAV or FLAC"
        raise AudioError(path, reason) from None


def _decode(path: Path, duration: float | None) -> tuple[np.ndarray, int]:
    """The first ``duration`` seconds as mono float32 at the file's own rate, and that rate."""
    _check_is_whole_file(path)
    with _opened(path) as sound:
        rate, promised = sound.samplerate, sound.frames
        wanted = promised if duration is None else min(promised, int(duration * rate) + 1)
        channels = sound.read(wanted, dtype="float32", always_2d=True)
    if len(channels) < wanted:
        raise AudioError(
            path, f"is truncated: its header promises {promised} samples, found {len(channels)}"
        )
    if duration is not None:  # as librosa.load cuts
        channels = channels[: max(1, int(duration * rate))]
    if not np.isfinite(channels).all():
        raise AudioError(path, "holds NaN or infinite samples; export it again")
    return mono(channels), rate


def mono(channels: np.ndarray) -> np.ndarray:
    """The mean of all channels, (samples, channels) → (samples,)."""
    if channels.shape[1] == 1:
        return channels[:, 0]
    # Channel by channel: NumPy's mean over a short last axis takes longer than the decoding.
    total = channels[:, 0] + channels[:, 1]
    for channel in channels.T[2:]:
        total += channel
    total /= channels.shape[1]
    return total


def _check_is_whole_file(path: Path) -> None:
    """Catch what libsndfile reports unclearly or not at all."""
    try:
        with path.open("rb") as handle:
            size = path.stat().st_size
            missing = _missing_bytes(handle, size)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: NUL in its name
        raise AudioError(path, "no such file") from None
    except OSError as error:
        if os.path.isdir(path):
            raise AudioError(path, "is a folder, expected an audio file") from None
        raise AudioError.unreadable(path, error) from None
    if size == 0:
        raise AudioError(path, "is empty (0 bytes); download or record it again")
    if missing:
        raise AudioError(
            path, f"is truncated: {missing} bytes of its samples are missing; download it again"
        )


def _missing_bytes(handle, size: int) -> int:
    """Bytes that a WAV, AIFF or AU header promises beyond the end; libsndfile goes without them.

    Encoders that write to a pipe leave the length at 0 or near 2³¹ or 2³²: unknown, not missing.
    """
    magic, begin, length = struct.unpack(">4sII", handle.read(12).ljust(12, b"\0"))
    if magic in CHUNKS:
        (layout, samples), name = CHUNKS[magic], b""
        while name != samples:
            if len(header := handle.read(8)) < 8:
                return 0
            name, length = struct.unpack(layout, header)
            begin = handle.tell()
            handle.seek(length + length % 2, os.SEEK_CUR)
    elif magic != b".snd":  # AU says at once where its samples begin
        return 0
    return 0 if length >= 0x7EFF_F000 else max(0, begin + length - size)
