"""Audio decoded and resampled once: one memory-mapped int16 file for all epochs and workers.

Reading a 10-s clip is then a copy of 640 kB instead of 8 ms of decoding and resampling.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from qvim_kit.audio import AudioError, AudioErrors, load_audio, prepare
from qvim_kit.downloads.locks import locked
from qvim_kit.paths import beside, cache_folder
from qvim_kit.systems import PREPARED_SECONDS

VERSION = 1  # of the files' format
AT_ONCE = 64  # files decoded before they are written
STEPS = 32_768  # of 16 bits on either side of zero


class Clip(NamedTuple):
    """Where a sound lies in the file.

    Attributes:
        start, samples: its place, counted in samples.
        scale: stored values times scale / 32768 are the waveform. A power of two, so that 16-bit
            audio comes back exactly; above 1 for float audio beyond full scale, below 1 for
            quiet sounds, which thus keep their precision.
        digest: equal for equal sounds, in whatever container and with whatever silence around
            them; empty for digital silence.
    """

    start: int
    samples: int
    scale: float
    digest: str


class WaveformCache:
    """Waveforms at one sample rate, in a folder: ``audio.int16`` and ``index.json``.

    Files are known by their content, so that one that moved, or is in several data sets, is
    stored once. What is stored never changes; new files are added at the end. Several processes
    may add and read. Objects may be sent to other processes.

    Args:
        folder: a folder of ``waveforms`` in the cache folder if left out.
        sample_rate: Hz.
        prepared: store what `audio.prepare` makes of each sound's beginning, as a
            `DualEncoderSystem` hears it.

    >>> cache = WaveformCache(sample_rate=32_000)  # doctest: +SKIP
    >>> cache.add(dataset.items["path"])  # doctest: +SKIP
    >>> cache.read(dataset.items["path"][0], samples=320_000).shape  # doctest: +SKIP
    (320000,)
    """

    def __init__(
        self,
        folder: str | os.PathLike | None = None,
        sample_rate: int = 32_000,
        prepared: bool = False,
    ):
        self.heard = PREPARED_SECONDS if prepared else None  # s of each file
        name = f"{sample_rate}-prepared-{self.heard:g}s" if prepared else str(sample_rate)
        self.folder = Path(folder or cache_folder() / "waveforms" / name).absolute()
        self.sample_rate, self.prepared = sample_rate, prepared
        self._audio: np.memmap | None = None
        self._take(self._stored_index())

    def add(self, paths: Iterable[str | os.PathLike], progress: bool = True) -> int:
        """Decode whatever is not here yet, several files at a time; returns how many were new.

        Args:
            progress: show a progress bar.

        Raises `AudioErrors` at the end, listing every file that cannot be used; all others are
        stored by then.
        """
        paths = sorted({os.path.abspath(path) for path in paths})
        if not any(map(self._is_new, paths)):
            return 0
        self.folder.mkdir(parents=True, exist_ok=True)
        errors: list[AudioError] = []
        with locked(self.folder / "index.json"):
            self._take(self._stored_index())
            before = len(self._clips)
            try:
                for path, known, sound in self._decoded(paths, errors, progress):
                    if known[2] not in self._clips:
                        self._clips[known[2]] = self._append(sound)
                    self._files[path] = known
            finally:  # what is decoded is kept, also on Ctrl-C
                self._store_index()
        if errors:
            raise AudioErrors(errors)
        return len(self._clips) - before

    def clip(self, path: str | os.PathLike) -> Clip:
        """Where a file's sound is stored. Raises `KeyError` if it was not added."""
        path = os.path.abspath(path)
        if path not in self._files:
            raise KeyError(f"{path} is not in {self.folder}; add it first")
        return self._clips[self._files[path][2]]

    def read(
        self,
        path: str | os.PathLike,
        samples: int | None = None,
        rng: np.random.Generator | None = None,
    ) -> np.ndarray:
        """A file's waveform, float32, fitted to a length: (samples,).

        Args:
            samples: the length; None for the whole sound.
            rng: a longer sound is cut at a random place, a shorter one put at a random place
                between zeros; without it the beginning is kept and zeros follow, as `load_audio`.
        """
        clip = self.clip(path)
        wanted = clip.samples if samples is None else samples
        spare = clip.samples - wanted
        offset = 0 if rng is None or not spare else int(rng.integers(abs(spare) + 1))
        kept = min(wanted, clip.samples)
        first = clip.start + (offset if spare > 0 else 0)
        place = offset if spare < 0 else 0
        out = np.zeros(wanted, dtype=np.float32)
        if self._audio is None or len(self._audio) < first + kept:
            self._audio = np.memmap(self.folder / "audio.int16", dtype="<i2", mode="r")
        np.multiply(
            self._audio[first : first + kept],
            np.float32(clip.scale / STEPS),
            out=out[place : place + kept],
        )
        return out

    def __getstate__(self) -> dict:
        return {**vars(self), "_audio": None}  # each process maps the file for itself

    def _is_new(self, path: str) -> bool:
        """Unknown, or changed since: as git does, by size and time."""
        try:
            status = os.stat(path)
        except OSError:
            return True
        return self._files.get(path, ())[:2] != (status.st_size, status.st_mtime_ns)

    def _decoded(
        self, paths: list[str], errors: list[AudioError], progress: bool
    ) -> Iterator[tuple[str, tuple[int, int, str], np.ndarray | None]]:
        """(path, (size, time, content hash), waveform) of new files; no waveform if stored."""
        from tqdm.auto import tqdm

        def load(path: str) -> tuple[tuple[int, int, str], np.ndarray | None] | AudioError:
            try:
                status = os.stat(path)
                key = hashlib.sha256(Path(path).read_bytes()).hexdigest()
                sound = None if key in self._clips else self._load(path)
                return (status.st_size, status.st_mtime_ns, key), sound
            except AudioError as error:
                return error
            except OSError as error:
                return AudioError.unreadable(path, error)

        new = [path for path in paths if self._is_new(path)]
        quiet = {} if progress else {"disable": True}  # else TQDM_DISABLE has the word
        bar = tqdm(total=len(new), desc="decoding", unit="file", **quiet)
        with bar, ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for first in range(0, len(new), AT_ONCE):
                group = new[first : first + AT_ONCE]
                for path, loaded in zip(group, pool.map(load, group), strict=True):
                    if isinstance(loaded, AudioError):
                        errors.append(loaded)
                    else:
                        yield path, *loaded
                    bar.update()

    def _load(self, path: str) -> np.ndarray:
        sound = load_audio(path, self.sample_rate)
        if self.heard is None:
            return sound
        if len(sound) > self.heard * self.sample_rate:  # cut, then resampled: as systems read it
            sound = load_audio(path, self.sample_rate, self.heard)
        return prepare(sound, self.sample_rate)

    def _append(self, waveform: np.ndarray) -> Clip:
        stored, scale = to_int16(waveform)
        target, start = self.folder / "audio.int16", self._end
        if not start:
            target.unlink(missing_ok=True)  # whoever still reads an older one keeps it
        with target.open("ab") as handle:
            handle.truncate(start * 2)  # drops what an interrupted run left behind
            stored.tofile(handle)
        self._end += len(stored)
        return Clip(start, len(stored), scale, digest(stored, scale))

    def _stored_index(self) -> dict:
        empty = {**self._kind(), "clips": {}, "files": {}}
        try:
            index = json.loads((self.folder / "index.json").read_text(encoding="utf-8"))
            size = (self.folder / "audio.int16").stat().st_size
            ends = [clip[0] + clip[1] for clip in index["clips"].values()]
        except (OSError, ValueError, KeyError, TypeError):  # not there, or damaged: begin anew
            return empty
        right = all(index.get(key) == value for key, value in self._kind().items())
        return index if right and size >= 2 * max(ends, default=0) else empty

    def _kind(self) -> dict:
        """What an index must say for its sounds to be those of this cache."""
        return {"version": VERSION, "sample_rate": self.sample_rate, "heard": self.heard}

    def _take(self, index: dict) -> None:
        self._clips = {key: Clip(*clip) for key, clip in index["clips"].items()}
        self._files = {path: tuple(known) for path, known in index["files"].items()}
        self._end = max((clip.start + clip.samples for clip in self._clips.values()), default=0)

    def _store_index(self) -> None:
        index = {**self._kind(), "clips": self._clips, "files": self._files}
        with beside(self.folder / "index.json") as part:
            part.write_text(json.dumps(index), encoding="utf-8")


def to_int16(waveform: np.ndarray) -> tuple[np.ndarray, float]:
    """A waveform (samples,) as int16, and its scale: waveform ≈ int16 · scale / 32768."""
    peak = float(np.abs(waveform).max(initial=0.0))
    exponent = int(np.frexp(peak)[1]) if peak else 0
    exponent = max(-14, min(exponent, 0) if peak <= 1 else exponent)
    scale = 2.0**exponent
    stored = np.rint(waveform * (STEPS / scale))
    return np.clip(stored, -STEPS, STEPS - 1).astype("<i2"), scale


def digest(stored: np.ndarray, scale: float) -> str:
    """A hash of a sound without the zeros around it; empty if there is nothing else."""
    heard = np.flatnonzero(stored)
    if not len(heard):
        return ""
    sound = stored[heard[0] : heard[-1] + 1]
    return hashlib.sha256(f"{scale}".encode() + sound.tobytes()).hexdigest()
