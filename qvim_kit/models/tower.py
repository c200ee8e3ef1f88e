"""One side of a dual encoder: log-mel spectrograms in, unit vectors out."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional as F

from qvim_kit.models.mobilenet import MobileNet


class Tower(nn.Module):
    """The convolutions of a MobileNet and, if wanted, a linear layer on their embedding.

    The layer has no bias: where only it is trained, similarity is a bilinear form of the trunk's
    embeddings. The classifier is left out, as no similarity depends on it. The arguments are those
    of `DualEncoder`.

    Shape: (batch, mels, frames) → unit rows (batch, dim), at least single precision.
    """

    def __init__(
        self,
        encoder: MobileNet,
        projection: int | None = None,
        freeze_trunk: bool = False,
        freeze_statistics: bool = False,
    ):
        super().__init__()
        self.trunk = copy.deepcopy(encoder).requires_grad_(not freeze_trunk)
        self.trunk.classifier = nn.Sequential()
        self.projection = (
            nn.Identity() if projection is None else nn.Linear(encoder.dim, projection, bias=False)
        )
        self.trunk_evaluates = freeze_trunk or freeze_statistics
        self.train()  # whatever the encoder was in

    def train(self, mode: bool = True) -> Tower:
        """As for any module, but a trunk of frozen statistics stays in evaluation mode."""
        super().train(mode)
        if self.trunk_evaluates:
            self.trunk.eval()  # the classifier's dropout is gone: this changes batch norms only
        return self

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        _, embeddings = self.trunk(log_mel[:, None])
        embeddings = self.projection(embeddings)
        return F.normalize(embeddings.to(torch.promote_types(embeddings.dtype, torch.float32)))
