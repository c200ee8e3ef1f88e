"""Ready systems; each is a `QVIMModel`.

Notebook: 03_baselines.
"""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qvim_kit.audio import prepare
from qvim_kit.systems.embedding import EmbeddingSystem
from qvim_kit.systems.fusion import Fusion, FusionError
from qvim_kit.systems.interface import QVIMModel, as_similarities, score
from qvim_kit.systems.mvggish import MVGGish

if TYPE_CHECKING:
    import torch

    from qvim_kit.models.dual_encoder import DualEncoder

__all__ = [
    "DualEncoderSystem",
    "EmbeddingSystem",
    "EncoderSystem",
    "Fusion",
    "FusionError",
    "MVGGish",
    "QVIMModel",
    "Random",
    "TwoDFT",
    "score",
]
PREPARED_SECONDS = 15.0  # of a file's beginning, from which silence is trimmed


class Random(QVIMModel):
    """Random similarities: what a score is worth when nothing is heard.

    The scores depend on ``seed`` and the ids, not on their order.
    """

    name = "random"

    def __init__(self, seed: int = 0):
        self.seed = seed

    def compute_similarities(
        self, items: dict[str, str], queries: dict[str, str]
    ) -> dict[str, dict[str, float]]:
        rng = np.random.default_rng(self.seed)
        scores = rng.random((len(queries), len(items)))
        return as_similarities(scores, sorted(queries), sorted(items))


class TwoDFT(EmbeddingSystem):
    """The 2DFT baseline: cosine of `features.two_dft` fingerprints; nothing is trained.

    With its defaults as in the AES AIMLA 2025 baseline; Greif et al. 2024 use 15.4 s.
    """

    name = "2DFT"

    def __init__(self, sample_rate: int = 8_000, duration: float = 5.0):
        self.sample_rate, self.duration = sample_rate, duration

    def embed_batch(self, waveforms: np.ndarray, side: str) -> np.ndarray:
        from qvim_kit.features import two_dft

        return two_dft(waveforms, self.sample_rate)

    def fingerprint(self, side: str) -> str:
        from qvim_kit import features

        return f"{self.sample_rate} Hz {self.duration} s {inspect.getsource(features)}"


class _EngineSystem(EmbeddingSystem):
    """A system whose encoders `models.engine.Engine` runs."""

    batch_size = 16  # the engine divides it
    prepared = False  # whether clips pass `audio.prepare`

    @property
    def heard(self) -> float:
        """As for `EmbeddingSystem`; 15 s where silence is trimmed from them."""
        return PREPARED_SECONDS if self.prepared else self.duration

    def ready(self, waveform: np.ndarray) -> np.ndarray:
        """As for `EmbeddingSystem`, without silence and at one level if the model is so trained."""
        return super().ready(prepare(waveform, self.sample_rate) if self.prepared else waveform)

    def _placed(self, module: torch.nn.Module, device: str | None, engine: str) -> torch.nn.Module:
        """A module ready to run where, and by what, this system runs."""
        import torch

        from qvim_kit.models.engine import Engine

        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.engine = Engine(engine, self.device)
        return module.to(self.device, memory_format=torch.channels_last).eval()

    def _content(self, front_end: torch.nn.Module, encoder: torch.nn.Module) -> str | None:
        """Tells all that the embeddings depend on, as it is now; None if code may differ."""
        from qvim_kit.features import LogMel
        from qvim_kit.models.graphs import content_hash, of_the_kit

        if type(front_end) is not LogMel or not (of_the_kit(front_end) and of_the_kit(encoder)):
            return None
        content = f"{self.duration} s, {self.engine.choice}, {content_hash(front_end, encoder)}"
        return f"prepared v3 {content}" if self.prepared else f"v3 {content}"


class EncoderSystem(_EngineSystem):
    """A neural encoder on log-mel spectrograms, one for both sides.

    Args:
        encoder: module whose forward maps (batch, 1, mels, frames) to (logits, embedding).
        front_end: module that maps waveforms (batch, samples) to (batch, mels, frames), with an
            attribute ``sample_rate`` in Hz; `features.LogMel` if left out.
        duration: to which clips are cropped or zero-padded, s. The padding is heard, by squeeze-
            excitation and by the mean over time: short clips left unpadded have other embeddings
            (cosine .7 for mn04_as), which retrieve worse.
        prepared: whether clips pass `audio.prepare`.
        name: for tables.
        device: where to run; a GPU if there is one, unless given.
        engine: what computes: "auto", "onnx" or "torch"; see `models.engine.Engine`.
    """

    def __init__(
        self,
        encoder: torch.nn.Module,
        front_end: torch.nn.Module | None = None,
        *,
        duration: float = 10.0,
        prepared: bool = False,
        name: str = "encoder",
        device: str | None = None,
        engine: str = "auto",
    ):
        import torch

        from qvim_kit.features import LogMel

        if not isinstance(encoder, torch.nn.Module):
            raise TypeError(
                f"encoder: found {type(encoder).__name__}, expected a torch module; for a name "
                "such as 'mn04_as' use EncoderSystem.from_pretrained"
            )
        self.encoder = self._placed(encoder, device, engine)
        self.front_end = (front_end or LogMel()).to(self.device).eval()
        self.sample_rate, self.duration = self.front_end.sample_rate, duration
        self.prepared, self.name = prepared, name

    @classmethod
    def from_pretrained(
        cls,
        name: str | os.PathLike = "mn10_as",
        *,
        device: str | None = None,
        engine: str = "auto",
    ) -> EncoderSystem | DualEncoderSystem:
        """A ready system by its name: an AudioSet checkpoint's, such as "mn04_as", which is
        cached or downloaded; else what `DualEncoderSystem.from_pretrained` takes.

        Raises as `load_audioset`; `ValueError` for a name that nothing has.
        """
        from qvim_kit.models.mobilenet import AUDIOSET_CHECKPOINTS, CheckpointError, load_audioset

        if name not in AUDIOSET_CHECKPOINTS:
            try:
                return DualEncoderSystem.from_pretrained(name, device=device, engine=engine)
            except CheckpointError as error:
                known = ", ".join(AUDIOSET_CHECKPOINTS)
                raise ValueError(f"{error}; AudioSet names: expected one of {known}") from None
        return cls(load_audioset(name), name=name, device=device, engine=engine)

    def embed_batch(self, waveforms: np.ndarray, side: str) -> np.ndarray:
        from qvim_kit.systems.silence import log_mels

        return self.engine(self.encoder, log_mels(self.front_end, waveforms, self.device)[:, None])

    def fingerprint(self, side: str) -> str | None:
        """Duration, structure, weights, engine; None for a front end or encoder of other make."""
        return self._content(self.front_end, self.encoder)


class DualEncoderSystem(_EngineSystem):
    """A trained dual encoder: queries through one tower, items through the other.

    Notebook: 04_finetune.

    Args:
        model: a `models.dual_encoder.DualEncoder`; it is put into evaluation mode.
        name: for tables.
        device: where to run; a GPU if there is one, unless given.
        engine: what computes: "auto", "onnx" or "torch"; see `models.engine.Engine`.
    """

    def __init__(
        self,
        model: DualEncoder,
        *,
        name: str = "dual encoder",
        device: str | None = None,
        engine: str = "auto",
    ):
        self.model = self._placed(model, device, engine)
        self.sample_rate, self.duration, self.name = model.sample_rate, model.duration, name
        self.prepared = model.prepared

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | os.PathLike,
        *,
        device: str | None = None,
        engine: str = "auto",
    ) -> DualEncoderSystem:
        """A system from a folder that ``save_pretrained`` wrote, or a shipped one by its name.

        Raises as `DualEncoder.from_pretrained`.
        """
        from qvim_kit.models.dual_encoder import DualEncoder

        model = DualEncoder.from_pretrained(name_or_folder)
        return cls(model, name=Path(name_or_folder).name, device=device, engine=engine)

    def embed_batch(self, waveforms: np.ndarray, side: str) -> np.ndarray:
        from qvim_kit.systems.silence import log_mels

        front_end = self.model.front_end
        return self.engine(self._tower(side), log_mels(front_end, waveforms, self.device))

    def fingerprint(self, side: str) -> str | None:
        """Duration, structure, weights of this side's tower, and engine; as `EncoderSystem`."""
        return self._content(self.model.front_end, self._tower(side))

    def _tower(self, side: str) -> torch.nn.Module:
        return self.model.query_tower if side == "query" else self.model.item_tower
