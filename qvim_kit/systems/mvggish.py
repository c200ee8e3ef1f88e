"""M-VGGish: what VGGish hears on its way, not what it concludes.

Notebook: 03_baselines.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from qvim_kit.systems.embedding import EmbeddingSystem

if TYPE_CHECKING:
    import torch

    from qvim_kit.models.vggish import VGGish

FIRST, SECOND = 12, 14  # layers up to the fifth and the sixth convolution, without their ReLU
SEGMENT = 192  # frames of log-mel: 2 s, of which VGGish's frames of 0.96 s fill 1.92


class MVGGish(EmbeddingSystem):
    """The M-VGGish baseline: activations inside VGGish, averaged over time; nothing is trained.

    The log-mel of a clip is cut into segments of 192 frames. What the fifth and the sixth
    convolution make of a segment, before the ReLU, is laid end to end; the embedding is the mean
    over all segments.

    **Silence counts.** A clip shorter than ``duration`` is padded with zeros, and the segments
    of the padding are part of the mean as in the published baseline: clips of like length thus
    come out a little more alike. Frames at the end that fill no segment are left out (2 of 1538
    by default).

    An embedding has 196 608 numbers, 0.8 MB of cache for each clip.

    Source: Kim & Pardo, "Improving Content-based Audio Retrieval by Vocal Imitation Feedback",
    ICASSP 2019; with 15.4 s as in Greif et al., "Improving Query-by-Vocal Imitation with
    Contrastive Learning and Audio Pretraining", DCASE 2024.

    Args:
        vggish: the network; if left out, the published weights from the cache or downloaded.
        duration: to which clips are cropped or zero-padded, s; at least one segment, 1.935 s.
        device: where to run; a GPU if there is one, unless given.

    Raises `DownloadError`, which says which file to put where, if the weights cannot be had.
    """

    name = "M-VGGish"

    def __init__(
        self, vggish: VGGish | None = None, *, duration: float = 15.4, device: str | None = None
    ):
        import torch

        from qvim_kit.models import vggish as model

        if not isinstance(vggish, (model.VGGish, type(None))):
            found = type(vggish).__name__
            raise TypeError(f"vggish: found {found}, expected a models.vggish.VGGish or None")
        shortest = ((SEGMENT - 1) * model.HOP + model.WINDOW) / model.SAMPLE_RATE
        if not duration >= shortest:
            raise ValueError(
                f"duration: found {duration} s, expected at least {shortest} s, one segment"
            )
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.front_end = model.VGGishLogMel().to(self.device)
        # The layers above are 94 % of the weights and not needed.
        layers = (vggish or model.load_vggish()).features[:SECOND].eval()
        self.layers = layers.to(self.device, memory_format=torch.channels_last)
        self.sample_rate, self.duration = model.SAMPLE_RATE, duration

    def embed_batch(self, waveforms: np.ndarray, side: str) -> np.ndarray:
        import torch

        with torch.inference_mode():
            log_mel = self.front_end(torch.from_numpy(waveforms).to(self.device))
            count = log_mel.shape[1] // SEGMENT
            segments = log_mel[:, : count * SEGMENT].reshape(-1, 1, SEGMENT, log_mel.shape[2])
            # Most clips end in silence: equal segments are computed once.
            distinct, place = torch.unique(segments, dim=0, return_inverse=True)
            activations = self._activations(distinct)[place]
            embeddings = activations.reshape(len(waveforms), count, -1).mean(1)
        return embeddings.float().cpu().numpy()

    def _activations(self, segments: torch.Tensor) -> torch.Tensor:
        """Segments (n, 1, frames, mels) → both layers' activations, flattened (n, dim)."""
        import torch

        fifth = self.layers[:FIRST](segments)
        sixth = self.layers[FIRST:SECOND](fifth)
        return torch.cat([fifth.flatten(1), sixth.flatten(1)], dim=1)

    def fingerprint(self, side: str) -> str | None:
        """Duration, layers, and a hash of the weights and filters as they are now.

        None for layers of another make, whose code may hold anything.
        """
        from qvim_kit.models.graphs import digest_weights

        if not all(type(layer).__module__.startswith("torch.nn.") for layer in self.layers):
            return None
        digest = hashlib.sha256(f"m-vggish v1 {self.duration} {self.layers}".encode())
        for module in (self.front_end, self.layers):
            digest_weights(digest, module)
        return digest.hexdigest()
