"""Ready systems; each is a `QVIMModel`.

Notebook: 03_baselines.
"""

from __future__ import annotations

import hashlib
import inspect
from typing import TYPE_CHECKING

import numpy as np

from qvim_kit.systems.embedding import EmbeddingSystem
from qvim_kit.systems.fusion import Fusion, FusionError
from qvim_kit.systems.interface import QVIMModel, as_similarities, score
from qvim_kit.systems.mvggish import MVGGish

if TYPE_CHECKING:
    import torch

__all__ = [
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
    def from_pretrained(cls, name: str = "mn10_as", *, device: str | None = None) -> EncoderSystem:
        """A ready system from an AudioSet checkpoint, cached or downloaded, such as "mn04_as".

        Raises as `models.mobilenet.load_audioset`.
        """
        from qvim_kit.models.mobilenet import load_audioset

        return cls(load_audioset(name), name=name, device=device)

    def embed_batch(self, waveforms: np.ndarray, side: str) -> np.ndarray:
        import torch

        with torch.inference_mode():
            log_mel = self.front_end(torch.from_numpy(waveforms).to(self.device))
            _, embeddings = self.encoder(log_mel[:, None])
        return embeddings.float().cpu().numpy()

    def fingerprint(self, side: str) -> str | None:
        """Duration, structure, and a hash of all weights and filters as they are now.

        None for a front end or encoder of another make, whose code may hold anything.
        """
        from qvim_kit.features import LogMel

        own = type(self.encoder).__module__.startswith("qvim_kit.")
        if type(self.front_end) is not LogMel or not own:
            return None
        digest = hashlib.sha256(f"v2 {self.front_end} {self.duration} {self.encoder}".encode())
        for module in (self.front_end, self.encoder):
            for name, tensor in (*module.named_parameters(), *module.named_buffers()):
                digest.update(name.encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()
