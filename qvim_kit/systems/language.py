"""Search by text: a system whose queries are sentences.

Notebook: 07_search_by_text.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qvim_kit.audio import AudioError, check_audio, load_audio
from qvim_kit.systems import EmbeddingSystem, EncoderSystem
from qvim_kit.systems.sentences import Sentences

if TYPE_CHECKING:
    import torch

    from qvim_kit.models.language import LanguageModel
    from qvim_kit.models.text import TextEncoder

TOLD_APART_S = 10.0  # of a sound


def sound_digests(paths: Iterable[str | os.PathLike]) -> list[str]:
    """16 hexadecimal digits for each sound, equal for equal sounds; "" for silence.

    Of the decoded first ten seconds without the zeros after them, so that names and containers do
    not matter; what was cut at its beginning, resampled or changed in level is another sound. What
    cannot be read counts as silence.
    """
    import soundfile
    from tqdm.auto import tqdm

    def digest(path: str | os.PathLike) -> str:
        try:
            check_audio(path)
            with open(path, "rb") as handle, soundfile.SoundFile(handle) as file:
                rate = file.samplerate  # resampling would blur where the zeros begin
            sound = np.trim_zeros(load_audio(path, rate, TOLD_APART_S), "b")
        except AudioError:
            return ""
        told = f"{rate} Hz".encode() + sound.tobytes()
        return hashlib.sha256(told).hexdigest()[:16] if len(sound) else ""

    paths = list(paths)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        bar = tqdm(pool.map(digest, paths), "telling sounds apart", len(paths), delay=2)
        return list(bar)


class AudioTrunk(EncoderSystem):
    """A frozen audio encoder whose embeddings are cached, whichever of the kit's it is."""

    def fingerprint(self, side: str) -> str | None:
        """As `EncoderSystem`, and a hash of weights and filters for a CNN14 too."""
        from qvim_kit.models.cnn14 import Cnn14, DcaseLogMel
        from qvim_kit.models.graphs import digest_weights

        if type(self.front_end) is not DcaseLogMel or type(self.encoder) is not Cnn14:
            return super().fingerprint(side)
        digest = hashlib.sha256(f"cnn14 v1 {self.duration} {self.encoder.halvings}".encode())
        for module in (self.front_end, self.encoder):
            digest_weights(digest, module)
        return digest.hexdigest()


class LanguageSystem(EmbeddingSystem):
    """Finds sounds by words: sentences and items as unit rows of one space.

    Queries are those of a data set with a column ``text``, whose `query_paths` are `Worded`: the
    words are read, a file beside them is not. Sounds are embedded by the model's trunk, once,
    and projected anew after each training.

    >>> system = LanguageSystem.from_pretrained("runs/words/model")  # doctest: +SKIP
    >>> items = system.embed_items(paths)  # doctest: +SKIP
    >>> items @ system.embed_text(["a small dog barks twice"])[0]  # doctest: +SKIP

    Args:
        model: a `models.language.LanguageModel`.
        text_encoder: what it was trained with; the one that the model names, if left out, which
            is then loaded when the first sentence comes.
        name: for tables.
        device: of the audio encoder; a GPU if there is one, unless given.

    Raises `ValueError` where the text encoder is not the one that the model was trained with.
    """

    def __init__(
        self,
        model: LanguageModel,
        text_encoder: TextEncoder | None = None,
        *,
        name: str = "words",
        device: str | None = None,
    ):
        self.model, self.name = model.eval(), name
        self.trunk = AudioTrunk(
            model.trunk, model.front_end, duration=model.duration, name=name, device=device
        )
        self.model.to(self.trunk.device)
        self.sample_rate, self.duration = model.sample_rate, model.duration
        self._sentences = self._checked(text_encoder) if text_encoder else None

    @classmethod
    def from_pretrained(
        cls, name_or_folder: str | os.PathLike, *, device: str | None = None
    ) -> LanguageSystem:
        """A system from a folder that ``save_pretrained`` wrote; raises as that model's."""
        from qvim_kit.models.language import LanguageModel

        model = LanguageModel.from_pretrained(name_or_folder)
        return cls(model, name=Path(name_or_folder).name, device=device)

    def has_heard(self, paths: Iterable[str | os.PathLike]) -> np.ndarray:
        """Which sounds the model was trained on or chosen by, (sounds,) bool; see `sound_digests`.

        Raises `ValueError` where its card does not say.
        """
        if self.model.heard is None:
            raise ValueError(f"{self.name}: its card does not say what it was trained on")
        return np.array([digest in self.model.heard for digest in sound_digests(paths)], bool)

    def embed_text(
        self, sentences: Sequence[str], names: Sequence[str] | None = None
    ) -> np.ndarray:
        """Sentences → unit rows (sentences, dim) float32, in the space of `embed_items`.

        Args:
            names: of the sentences in messages, such as query ids; "row 3" and so on if left out.

        Raises `ValueError` listing the rows that are empty or no text; warns as
        `sentences.Sentences.embed`.
        """
        if self._sentences is None:
            from qvim_kit.models.text import load_text_encoder

            self._sentences = self._checked(load_text_encoder(self.model.text_encoder))
        return self._project(self._sentences.embed(sentences, names), "text")

    def embed_queries(self, paths: Iterable[str | os.PathLike]) -> np.ndarray:
        """The words of queries → (queries, dim).

        ``paths`` are `Worded`, as `RetrievalDataset.query_paths` holds them. Raises `ValueError`
        for queries without words.
        """
        queries = list(paths)
        wordless = [str(query) for query in queries if not getattr(query, "text", "")]
        if wordless:
            raise ValueError(
                f"{self.name}: {len(wordless)} of {len(queries)} queries have no words, such as "
                f"{wordless[0]}; expected a data set with a column 'text' (datasets.captions)"
            )
        return self.embed_text([query.text for query in queries])

    def embed_batch(self, waveforms: np.ndarray, side: str) -> np.ndarray:
        return self._project(self.trunk.embed_batch(waveforms, side), "audio")

    def embed_each(
        self,
        paths: Iterable[str | os.PathLike],
        side: str = "item",
        known: Mapping[str, np.ndarray] | None = None,
    ) -> Iterator[tuple[str, str, np.ndarray | AudioError]]:
        """Sounds, by way of the trunk's embeddings, which are cached whatever is trained."""
        known = known or {}
        for path, key, embedding in self.trunk.embed_each(paths, side, known):
            if isinstance(embedding, np.ndarray) and key not in known:
                embedding = self._project(embedding[None], "audio")[0]
            yield path, key, embedding

    def fingerprint(self, side: str) -> str | None:
        """Trunk and both projections."""
        trunk = self.trunk.fingerprint(side)
        if trunk is None:
            return None
        digest = hashlib.sha256(trunk.encode())
        for layer in (self.model.audio_projection, self.model.text_projection):
            for weights in (layer.weight, layer.bias):
                digest.update(weights.detach().cpu().numpy().tobytes())
        return digest.hexdigest()

    def _checked(self, encoder: TextEncoder) -> Sentences:
        wanted = self.model.text_fingerprint
        if wanted and encoder.fingerprint != wanted:
            raise ValueError(
                f"{self.name}: trained with the text encoder {self.model.text_encoder} "
                f"({wanted}), found {encoder.name} ({encoder.fingerprint}); take the same one, or "
                "train again"
            )
        return Sentences(encoder)

    def _project(self, embeddings: np.ndarray, kind: str) -> np.ndarray:
        import torch

        project: torch.nn.Module = getattr(self.model, f"project_{kind}")
        with torch.inference_mode():
            rows = torch.from_numpy(np.ascontiguousarray(embeddings)).to(self.trunk.device)
            return project(rows).float().cpu().numpy()
