"""Sentence embeddings, computed once and kept beside the embeddings of sounds.

Notebook: 07_search_by_text.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Sequence

import numpy as np

from qvim_kit.models.text import TextEncoder, TextWarning, clean, name_of
from qvim_kit.systems.cache import EmbeddingCache


class SentenceCache(EmbeddingCache):
    """An `EmbeddingCache` by what a sentence says."""

    def look_up_text(self, text: str) -> tuple[str, np.ndarray | None]:
        """The key of a cleaned sentence, and its embedding (dim,) or None."""
        key = hashlib.sha256(text.encode()).hexdigest()
        try:
            return key, np.load(self._file(key), allow_pickle=False)
        except (OSError, ValueError, EOFError):  # not there, or half there after a power cut
            return key, None


class Sentences:
    """A text encoder that embeds each sentence once, and says what it hardly understands.

    Args:
        encoder: as `load_text_encoder` returns it. It is not even loaded where all is cached.
    """

    def __init__(self, encoder: TextEncoder):
        self.encoder = encoder
        self.cache = SentenceCache(f"text v1 {encoder.fingerprint}")

    def embed(self, texts: Iterable[str], names: Sequence[str] | None = None) -> np.ndarray:
        """Sentences → (sentences, dim) float32; equal sentences are embedded once.

        Args:
            names: of the sentences in messages; "row 0" and so on if left out.

        Warns (`TextWarning`) of sentences that are too long or hold nothing that the encoder
        knows; each time, as these are not cached. Raises as `models.text.clean`, and `ValueError`
        where there are none.
        """
        texts = clean(texts, names)
        if not texts:
            raise ValueError("texts: found none, expected at least one")
        keys, known = {}, {}
        for text in dict.fromkeys(texts):
            keys[text], found = self.cache.look_up_text(text)
            if found is not None:
                known[text] = found
        new = [text for text in keys if text not in known]
        if new:
            doubts = self.encoder.doubts(new)
            for row, (text, embedding) in enumerate(zip(new, self.encoder.embed(new), strict=True)):
                known[text] = embedding
                if row not in doubts:
                    self.cache.store(keys[text], embedding)
            _warn([f"{name_of(texts.index(new[row]), names)} {why}" for row, why in doubts.items()])
        return np.stack([known[text] for text in texts])


def _warn(doubts: list[str]) -> None:
    if doubts:
        more = f" and {len(doubts) - 5} more" if len(doubts) > 5 else ""
        warnings.warn(TextWarning(f"texts: {'; '.join(doubts[:5])}{more}"), stacklevel=3)
