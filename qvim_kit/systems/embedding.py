"""Systems that embed queries and items and compare the embeddings.

Notebook: 03_baselines.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np

from qvim_kit.audio import AudioError, AudioErrors, fit, load_audio
from qvim_kit.systems.cache import EmbeddingCache
from qvim_kit.systems.interface import QVIMModel, as_similarities
from qvim_kit.systems.reading import AT_ONCE, read_each, threads


class EmbeddingSystem(QVIMModel):
    """A system that embeds queries and items and compares them by cosine.

    A subclass sets ``sample_rate`` (Hz) and ``duration`` (s), to which every file is fitted, and
    implements `embed_batch`. Files are decoded in parallel, and a file that cannot be used, for
    whatever reason, costs no other file its embedding. Where a system says by `fingerprint` what
    its embeddings depend on, they are kept in the cache folder. A subclass that embeds in another
    way without a fingerprint of its own is never served from the cache.
    """

    name: str = "embeddings"  # for tables and progress bars
    sample_rate: int
    duration: float
    batch_size: int = 4  # clips a forward; larger batches are slower on a CPU

    @abstractmethod
    def embed_batch(self, waveforms: np.ndarray, side: str) -> np.ndarray:
        """Embed waveforms (batch, samples) → (batch, dim); side is "query" or "item"."""

    def fingerprint(self, side: str) -> str | None:
        """Text that changes with whatever the embeddings of this side depend on.

        None, the default, if that cannot be told: then nothing is cached.
        """
        return None

    @property
    def heard(self) -> float:
        """How much of a file's beginning is read, s."""
        return self.duration

    def ready(self, waveform: np.ndarray) -> np.ndarray:
        """What was read, at the system's rate, as `embed_batch` takes it: (samples,)."""
        return fit(waveform, max(1, round(self.duration * self.sample_rate)))

    def load(self, path: str | os.PathLike) -> np.ndarray:
        """A file as `embed_batch` takes it, (samples,). Raises as `load_audio`."""
        return self.ready(load_audio(path, self.sample_rate, self.heard))

    def embed_queries(self, paths: Iterable[str | os.PathLike]) -> np.ndarray:
        """Embed vocal imitations: paths → (queries, dim) float32.

        Raises `AudioErrors` at the end, listing every file that cannot be used; the embeddings of
        all others are cached by then.
        """
        return self._embed(paths, "query")

    def embed_items(self, paths: Iterable[str | os.PathLike]) -> np.ndarray:
        """Embed sound effects: paths → (items, dim) float32. Raises as `embed_queries`."""
        return self._embed(paths, "item")

    def compute_similarities(
        self, items: dict[str, str], queries: dict[str, str]
    ) -> dict[str, dict[str, float]]:
        """Cosine of each query's and each item's embedding; see `QVIMModel`.

        Raises `AudioErrors` listing every bad file among both.
        """
        embedded, errors = [], []
        for embed, paths in ((self.embed_queries, queries), (self.embed_items, items)):
            try:
                embedded.append(unit_rows(embed(paths.values())))
            except AudioErrors as error:
                errors += error.errors
        if errors:
            raise AudioErrors(errors)
        return as_similarities(embedded[0] @ embedded[1].T, list(queries), list(items))

    def embed_files(
        self, paths: Sequence[str | os.PathLike], side: str = "item"
    ) -> tuple[dict[str, np.ndarray], list[AudioError]]:
        """Embed all files that can be read: path → (dim,), and the errors of those that cannot."""
        from tqdm.auto import tqdm

        if isinstance(paths, (str, os.PathLike, Mapping)):
            found = type(paths).__name__
            raise TypeError(f"paths: found {found}, expected a list of paths, such as [path]")
        done: dict[str, np.ndarray] = {}
        errors: list[AudioError] = []
        with tqdm(total=len(paths), desc=f"{self.name}: {side}", unit="file") as bar:
            for path, _, embedding in self.embed_each(paths, side):
                if isinstance(embedding, AudioError):
                    errors.append(embedding)
                else:
                    done[path] = embedding
                bar.update()
        return done, errors

    def embed_each(
        self,
        paths: Iterable[str | os.PathLike],
        side: str = "item",
        known: Mapping[str, np.ndarray] | None = None,
    ) -> Iterator[tuple[str, str, np.ndarray | AudioError]]:
        """Embed files one after another, in memory that does not grow with their number.

        Yields (path, SHA-256 of its content, embedding (dim,)), or (path, "", the error) for a
        file that cannot be used; what is cached overtakes what is not. All that was embedded is
        cached before it is yielded, so a walk that was interrupted goes on where it was.

        Args:
            known: content's hash → embedding, asked before the cache.
        """
        cache, waiting = EmbeddingCache(self.trusted_fingerprint(side)), []

        def look_up(path: str) -> tuple[str, str, np.ndarray | None]:
            key, embedding = cache.look_up(path)
            return path, key, embedding if known is None else known.get(key, embedding)

        with threads() as pool:
            for group in _batches(map(str, paths), AT_ONCE):
                for found in read_each(pool, look_up, group):
                    if isinstance(found, AudioError):
                        yield found.path, "", found
                    elif found[2] is None:
                        waiting.append(found[:2])
                    else:
                        yield found
                if len(waiting) >= AT_ONCE:
                    yield from self._embed_group(waiting[:AT_ONCE], side, cache)
                    del waiting[:AT_ONCE]
        if waiting:
            yield from self._embed_group(waiting, side, cache)

    def _embed_group(
        self, group: list[tuple[str, str]], side: str, cache: EmbeddingCache
    ) -> Iterator[tuple[str, str, np.ndarray | AudioError]]:
        """(path, key) → (path, key, embedding) or (path, "", error), for a few files."""
        errors: list[AudioError] = []
        decoded = self._decode(group, errors)
        yield from ((error.path, "", error) for error in errors)
        for batch in _batches(decoded, self.batch_size):
            waveforms = np.stack([waveform for _, _, waveform in batch])
            embeddings = self._embedded(waveforms, side)
            done = [(path, key, row) for (path, key, _), row in zip(batch, embeddings, strict=True)]
            for _, key, embedding in done:
                cache.store(key, embedding)
            yield from done

    def trusted_fingerprint(self, side: str) -> str | None:
        """The fingerprint, unless a class below the one that defines it embeds differently."""
        ways = {"embed_batch", "embed_queries", "embed_items", "embed_files", "embed_each"}
        ways |= {"heard", "ready", "load", "_decode"}
        if ways & vars(self).keys():
            return None
        for one in type(self).__mro__:
            if "fingerprint" in vars(one):
                return self.fingerprint(side)
            if ways & vars(one).keys():
                return None
        return None

    def _embedded(self, waveforms: np.ndarray, side: str) -> np.ndarray:
        embeddings = np.asarray(self.embed_batch(waveforms, side), dtype=np.float32)
        if embeddings.ndim != 2 or len(embeddings) != len(waveforms):
            raise ValueError(
                f"{type(self).__name__}.embed_batch: found shape {embeddings.shape}, "
                f"expected ({len(waveforms)}, dim)"
            )
        return embeddings

    def _embed(self, paths: Iterable[str | os.PathLike], side: str) -> np.ndarray:
        paths = paths if isinstance(paths, (str, os.PathLike, Mapping)) else list(paths)
        done, errors = self.embed_files(paths, side)
        if errors:
            causes = [error.__cause__ for error in errors if error.__cause__]
            raise AudioErrors(errors) from (causes[0] if causes else None)
        if not done:
            raise ValueError(f"{side}: found no files, expected at least one")
        return np.stack([done[str(path)] for path in paths])

    def _decode(
        self, group: list[tuple[str, str]], errors: list[AudioError]
    ) -> list[tuple[str, str, np.ndarray]]:
        """(path, key) → (path, key, waveform) for each file that decodes."""
        # Never while torch computes: its threads spin while they wait for each other, and on a
        # machine whose cores are all busy decoding they wait ten times as long as they work.
        with threads() as pool:
            loaded = read_each(pool, self.load, [path for path, _ in group])
        errors += [waveform for waveform in loaded if isinstance(waveform, AudioError)]
        return [
            (path, key, waveform)
            for (path, key), waveform in zip(group, loaded, strict=True)
            if not isinstance(waveform, AudioError)
        ]


def unit_rows(embeddings: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1, (rows, dim); a row of zeros (silence) stays zero."""
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings / np.where(lengths > 0, lengths, 1)


def _batches(entries: Iterable, size: int) -> Iterator[list]:
    entries = iter(entries)
    while batch := list(islice(entries, size)):
        yield batch
