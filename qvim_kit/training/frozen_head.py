"""Training of a projection alone, on embeddings that are computed once: seconds an epoch.

Source: the QMUL system of AES AIMLA 2025, which won the listening test. Notebook: 04_finetune.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from qvim_kit.datasets.tables import RetrievalDataset
from qvim_kit.training.module import Contrastive

if TYPE_CHECKING:
    from qvim_kit.models.dual_encoder import DualEncoder


class Embeddings:
    """What a model's frozen trunks make of the files of some data sets: path → (dim,).

    They are kept in the cache folder, so that a second training starts at once. A file that is a
    query and an item alike goes through the trunk of the items.

    Raises `ValueError` if the model's trunk is not frozen or it has no projection.
    """

    def __init__(self, model: DualEncoder, datasets: Iterable[RetrievalDataset]):
        from qvim_kit.systems import EncoderSystem

        towers = {"query": model.query_tower, "item": model.item_tower}
        trained = any(p.requires_grad for t in towers.values() for p in t.trunk.parameters())
        if trained or not any(p.requires_grad for p in model.parameters()):
            raise ValueError(
                "cached_embeddings: found a model whose trunk is trained or that has no "
                "projection, expected DualEncoder(…, projection=256, freeze_trunk=True)"
            )
        datasets = list(datasets)
        self.by_path: dict[str, np.ndarray] = {}
        for side, tower in towers.items():
            system = EncoderSystem(
                tower.trunk,
                model.front_end,
                duration=model.duration,
                prepared=model.prepared,
                name="frozen encoder",
            )
            tables = [d.queries if side == "query" else d.items for d in datasets]
            paths = sorted({str(path) for table in tables for path in table["path"]})
            embeddings = system.embed_queries(paths) if side == "query" else None
            embeddings = system.embed_items(paths) if side == "item" else embeddings
            self.by_path.update(zip(paths, embeddings, strict=True))

    def read(
        self,
        path: str | os.PathLike,
        samples: int | None = None,
        rng: np.random.Generator | None = None,
    ) -> np.ndarray:
        """A file's embedding (dim,); the other arguments are for waveforms."""
        return self.by_path[str(path)]


class HeadOnly(Contrastive):
    """`Contrastive` where batches hold embeddings (batch, dim) instead of waveforms."""

    def _embed(
        self, waveforms: torch.Tensor, side: str, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        tower = self.model.query_tower if side == "query" else self.model.item_tower
        if generator:
            return F.normalize(tower.projection(waveforms).float())
        with torch.autocast(self.device.type, enabled=False):
            return F.normalize(tower.projection(waveforms))
