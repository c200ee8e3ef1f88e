"""Embeddings on disk, so that no file is embedded twice.

One small file an embedding, named by what it depends on and moved into place when complete: it
survives Ctrl-C at any moment, and several processes may share the folder.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path

import numpy as np

from qvim_kit.audio import AudioError
from qvim_kit.paths import beside, cache_folder


class EmbeddingCache:
    """The embeddings of one system, by content of the audio file.

    Args:
        fingerprint: text that changes with whatever the embeddings depend on but the audio;
            None if that cannot be told, then nothing is kept.
    """

    def __init__(self, fingerprint: str | None):
        self.used = fingerprint is not None
        system = hashlib.sha256(str(fingerprint).encode()).hexdigest()[:16]
        self.folder = cache_folder() / "embeddings" / system
        self.writable = True  # until it turns out not to be

    def look_up(self, path: str | os.PathLike) -> tuple[str, np.ndarray | None]:
        """The key of an audio file's content, and its embedding (dim,) or None.

        Raises `AudioError` for a file that cannot be read.
        """
        try:
            key = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except OSError as error:
            raise AudioError.unreadable(path, error) from None
        if not self.used:
            return key, None
        try:
            return key, np.load(self._file(key), allow_pickle=False)
        except (OSError, ValueError, EOFError):  # not there, or half there after a power cut
            return key, None

    def store(self, key: str, embedding: np.ndarray) -> None:
        """Keep an embedding (dim,) of finite numbers; one that cannot be kept stops nothing."""
        if not (self.used and self.writable and np.isfinite(embedding).all()):
            return
        target = self._file(key)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with beside(target) as part, part.open("wb") as handle:
                np.save(handle, embedding)
        except OSError as error:
            self.writable = False
            warnings.warn(f"{self.folder}: embeddings are not cached ({error})", stacklevel=2)

    def _file(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.npy"
