"""Ready systems; each is a `QVIMModel`.

Notebook: 03_baselines.
"""

from __future__ import annotations

import hashlib
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

        source = inspect.getsource(features.cqt) + inspect.getsource(features.two_dft)
        return f"{self.sample_rate} Hz {self.duration} s {source}"


class EncoderSystem(EmbeddingSystem):
    """A neural encoder on log-mel spectrograms, one for both sides.

    Args:
        encoder: module whose forward maps (batch, 1, mels, frames) to (logits, embedding).
        front_end: module that maps waveforms (batch, samples) to (batch, mels, frames), with an
            attribute ``sample_rate`` in Hz; `features.LogMel` if left out.
        duration: to which clips are cropped or zero-padded, s.
        name: for tables.
        device: where to run; a GPU if there is one, unless given.
    """

    def __init__(
        self,
        encoder: torch.nn.Module,
        front_end: torch.nn.Module | None = None,
        *,
        duration: float = 10.0,
        name: str = "encoder",
        device: str | None = None,
    ):
        import torch

        from qvim_kit.features import LogMel

        if not isinstance(encoder, torch.nn.Module):
            raise TypeError(
                f"encoder: found {type(encoder).__name__}, expected a torch module; for a name "
                "such as 'mn04_as' use EncoderSystem.from_pretrained"
            )
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.front_end = (front_end or LogMel()).to(self.device).eval()
        self.encoder = encoder.to(self.device, memory_format=torch.channels_last).eval()
        self.sample_rate, self.duration, self.name = self.front_end.sample_rate, duration, name

    @classmethod
    def from_pretrained(
        cls, name: str | os.PathLike = "mn10_as", *, device: str | None = None
    ) -> EncoderSystem | DualEncoderSystem:
        """A ready system by its name: an AudioSet checkpoint's, such as "mn04_as", which is
        cached or downloaded; else what `DualEncoderSystem.from_pretrained` takes.

        Raises as `load_audioset`; `ValueError` for a name that nothing has.
        """
        from qvim_kit.models.mobilenet import AUDIOSET_CHECKPOINTS, CheckpointError, load_audioset

        if name not in AUDIOSET_CHECKPOINTS:
            try:
                return DualEncoderSystem.from_pretrained(name, device=device)
            except CheckpointError as error:
                known = ", ".join(AUDIOSET_CHECKPOINTS)
                raise ValueError(f"{error}; AudioSet names: expected one of {known}") from None
        return cls(load_audioset(name), name=name, device=device)

    def embed_batch(self, waveforms: np.ndarray, side: str) -> np.ndarray:
        import torch

        with torch.inference_mode():
            log_mel = self.front_end(torch.from_numpy(waveforms).to(self.device))
            _, embeddings = self.encoder(log_mel[:, None])
        return embeddings.float().cpu().numpy()

    def fingerprint(self, side: str) -> str | None:
        """Duration, structure and weights; None for a front end or encoder of another make."""
        return _fingerprint(self.front_end, self.encoder, self.duration)


class DualEncoderSystem(EmbeddingSystem):
    """A trained dual encoder: queries through one tower, items through the other.

    Notebook: 04_finetune.

    Args:
        model: a `models.dual_encoder.DualEncoder`; it is put into evaluation mode.
        name: for tables.
        device: where to run; a GPU if there is one, unless given.
    """

    def __init__(
        self, model: DualEncoder, *, name: str = "dual encoder", device: str | None = None
    ):
        import torch

        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.to(self.device, memory_format=torch.channels_last).eval()
        self.sample_rate, self.duration, self.name = model.sample_rate, model.duration, name

    @property
    def heard(self) -> float:
        """As for `EmbeddingSystem`; 15 s where silence is trimmed from them."""
        return max(15.0, self.duration) if self.model.prepared else self.duration

    def ready(self, waveform: np.ndarray) -> np.ndarray:
        """As for `EmbeddingSystem`, without silence and at one level if the model is so trained."""
        if self.model.prepared:
            waveform = prepare(waveform, self.sample_rate)
        return super().ready(waveform)

    @classmethod
    def from_pretrained(
        cls, name_or_folder: str | os.PathLike, *, device: str | None = None
    ) -> DualEncoderSystem:
        """A system from a folder that ``save_pretrained`` wrote, or a shipped one by its name.

        Raises as `DualEncoder.from_pretrained`.
        """
        from qvim_kit.models.dual_encoder import DualEncoder

        model = DualEncoder.from_pretrained(name_or_folder)
        return cls(model, name=Path(name_or_folder).name, device=device)

    def embed_batch(self, waveforms: np.ndarray, side: str) -> np.ndarray:
        import torch

        embed = self.model.embed_queries if side == "query" else self.model.embed_items
        with torch.inference_mode():
            return embed(torch.from_numpy(waveforms).to(self.device)).float().cpu().numpy()

    def fingerprint(self, side: str) -> str | None:
        """Duration, structure and weights of this side's tower; as `EncoderSystem`."""
        tower = self.model.query_tower if side == "query" else self.model.item_tower
        found = _fingerprint(self.model.front_end, tower, self.duration)
        return f"prepared {found}" if found and self.model.prepared else found


def _fingerprint(
    front_end: torch.nn.Module, encoder: torch.nn.Module, duration: float
) -> str | None:
    """A hash of all that the embeddings depend on, as it is now; None if code may differ."""
    from qvim_kit.features import LogMel

    if type(front_end) is not LogMel or not type(encoder).__module__.startswith("qvim_kit."):
        return None
    digest = hashlib.sha256(f"v2 {front_end} {duration} {encoder}".encode())
    for module in (front_end, encoder):
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
