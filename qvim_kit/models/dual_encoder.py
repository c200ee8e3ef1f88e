"""One or two towers on log-mel spectrograms, which embed queries and items.

The architecture of Greif et al., "Improving Query-by-Vocal Imitation with Contrastive Learning
and Audio Pretraining", DCASE 2024, and of the AES AIMLA 2025 baseline. Notebook: 04_finetune.
"""

from __future__ import annotations

import copy
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

import qvim_kit
from qvim_kit.features import LogMel
from qvim_kit.models.mobilenet import CheckpointError, MobileNet
from qvim_kit.models.storage import (
    CARD,
    FORMAT,
    WEIGHTS,
    differences,
    find_files,
    is_natural,
    is_positive,
    read_card,
    read_weights,
    write_model,
)
from qvim_kit.models.tower import Tower

FRONT_END = ("sample_rate", "mels", "fmin", "fmax")


class DualEncoder(nn.Module):
    """A tower for queries and one for items, or one for both; the score is a pair's cosine.

    Args:
        encoder: a MobileNet, from `load_audioset` or `mobilenet`; it is copied.
        shared: one tower for both sides. Else two that start as copies and share no weights.
        projection: dimensions of a linear layer on top of each tower, without bias; none if
            left out.
        freeze_trunk: train nothing below the projection: no gradients, and batch norms stay in
            evaluation mode.
        freeze_statistics: train the trunk, the batch norms' scales and shifts too, but keep their
            means and variances as the encoder has them. Else each batch is normalised by its own
            in training and by running averages in use; in a shared tower those mix queries with
            items. ``freeze_trunk`` implies it.
        front_end: waveform → log-mel, the default `LogMel` if left out. A subclass should do in
            evaluation mode what LogMel does, which is what a saved model is loaded with.
        duration: of the clips that the towers are trained for, s; others work.
        prepared: that the clips they are trained for have passed `audio.prepare`, so that a
            system should prepare what it embeds.

    Attributes:
        query_tower, item_tower: `Tower` modules, the same one if shared.
        sample_rate: of the waveforms, Hz.
        dim: of the embeddings.
        card: what a loaded model's card says, else empty.

    Shape:
        - Input: waveforms of queries and of items, (batch, samples) each.
        - Output: embeddings of both, unit rows (batch, dim) each.
    """

    def __init__(
        self,
        encoder: MobileNet,
        *,
        shared: bool = False,
        projection: int | None = None,
        freeze_trunk: bool = False,
        freeze_statistics: bool = False,
        front_end: LogMel | None = None,
        duration: float = 10.0,
        prepared: bool = False,
    ):
        super().__init__()
        front_end = LogMel() if front_end is None else front_end
        if not isinstance(encoder, MobileNet) or not isinstance(front_end, LogMel):
            raise TypeError(
                f"DualEncoder: found encoder {type(encoder).__name__} and front_end "
                f"{type(front_end).__name__}, expected a MobileNet (for a name such as 'mn04_as' "
                "use load_audioset) and a LogMel"
            )
        if not (projection is None or is_natural(projection)) or not is_positive(duration):
            raise ValueError(
                f"DualEncoder: found projection {projection!r} and duration {duration!r}, "
                "expected None or a positive whole number, and a positive number of seconds"
            )
        self.front_end, self.sample_rate, self.duration = front_end, front_end.sample_rate, duration
        self.prepared = prepared
        self.shared, self.width = shared, encoder.width
        self.freeze_trunk, self.freeze_statistics = freeze_trunk, freeze_statistics
        self.dim = encoder.dim if projection is None else projection
        self.query_tower = Tower(encoder, projection, freeze_trunk, freeze_statistics)
        self.item_tower = self.query_tower if shared else copy.deepcopy(self.query_tower)
        self.card: dict[str, Any] = {}

    def forward(
        self, queries: torch.Tensor, items: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self.embed_queries(queries), self.embed_items(items)

    def embed_queries(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Vocal imitations (batch, samples) → unit rows (batch, dim)."""
        return self.embed_log_mel(self._log_mel(waveforms), "query")

    def embed_items(self, waveforms: torch.Tensor) -> torch.Tensor:
        """Sound effects (batch, samples) → unit rows (batch, dim)."""
        return self.embed_log_mel(self._log_mel(waveforms), "item")

    def embed_log_mel(self, log_mel: torch.Tensor, side: str) -> torch.Tensor:
        """What the front end returned (batch, mels, frames) → unit rows (batch, dim).

        ``side`` is "query" or "item". Raises ValueError for another, and for another shape.
        """
        if side not in ("query", "item") or log_mel.ndim != 3:
            raise ValueError(
                f"embed_log_mel: found side {side!r} and log_mel of shape {tuple(log_mel.shape)}, "
                "expected 'query' or 'item', and (batch, mels, frames)"
            )
        return (self.query_tower if side == "query" else self.item_tower)(log_mel)

    def _log_mel(self, waveforms: torch.Tensor) -> torch.Tensor:
        with torch.autocast(waveforms.device.type, enabled=False):  # powers overflow in half
            return self.front_end(waveforms)

    def save_pretrained(
        self, folder: str | os.PathLike, card: Mapping[str, Any] | None = None
    ) -> Path:
        """Write ``model.safetensors`` and ``card.json`` into a folder; both or neither.

        Args:
            folder: made if missing; files of these names are replaced.
            card: what a reader should know: training_data, metrics, licence and whatever else.
                What the model knows of itself (architecture, front end, versions, …) is added,
                and wins. NumPy's numbers are fine; NaN becomes null.

        Raises ValueError where weights are not finite, OSError where a file cannot be written.
        """
        weights = {
            name: tensor.detach().cpu().contiguous() for name, tensor in _stored(self).items()
        }
        folder = Path(folder).expanduser()
        self.card = write_model(folder, weights, {**(card or {}), **self._facts()})
        return folder

    def _facts(self) -> dict[str, Any]:
        front_end = {key: getattr(self.front_end, key) for key in FRONT_END}
        head = self.query_tower.projection
        return {
            "format": FORMAT,
            "architecture": {"name": "mobilenet", "width": self.width},
            "shared": self.shared,
            "projection": self.dim if isinstance(head, nn.Linear) else None,
            "freeze_trunk": self.freeze_trunk,
            "freeze_statistics": self.freeze_statistics,
            "dim": self.dim,
            "front_end": {"name": "LogMel", **front_end},
            "duration": self.duration,
            "prepared": self.prepared,
            "versions": {
                "qvim_kit": qvim_kit.__version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        }

    @classmethod
    def from_pretrained(cls, name_or_folder: str | os.PathLike) -> DualEncoder:
        """The model that `save_pretrained` wrote, in evaluation mode, on the CPU.

        Args:
            name_or_folder: a folder, or the name of a checkpoint that comes with the package.

        Raises `CheckpointError` that lists all that is wrong with card and weights.
        """
        weights_file, card_file = find_files(name_or_folder)
        card, problems = read_card(card_file)
        weights, more = read_weights(weights_file, card.get("sha256"))
        problems += more
        if not any(problem.startswith(CARD) for problem in problems):
            try:
                front_end = LogMel(**{key: card["front_end"][key] for key in FRONT_END})
                # First without memory: the sizes on a damaged card may be any.
                with torch.device("meta"):
                    planned = _stored(cls._from_card(card, front_end))
            except (ValueError, RuntimeError) as error:
                problems.append(f"{CARD}: {error}")
            else:
                shapes = {name: tuple(tensor.shape) for name, tensor in planned.items()}
                wrong = [] if weights is None else differences(weights, shapes)
                problems += [f"{WEIGHTS}: {problem}" for problem in wrong]
        if problems:
            raise CheckpointError(f"{card_file.parent}: " + "; ".join(problems))
        model = cls._from_card(card, front_end)
        if model.shared:
            twins = {name.replace("query_", "item_", 1): weights[name] for name in weights}
            weights = {**weights, **twins}
        model.load_state_dict(weights)
        model.card = card
        return model.eval()

    @classmethod
    def _from_card(cls, card: dict[str, Any], front_end: LogMel) -> DualEncoder:
        options = {key: card[key] for key in ("shared", "projection", "freeze_trunk", "duration")}
        for key in ("prepared", "freeze_statistics"):
            options[key] = card.get(key, False)  # older cards do not say it
        return cls(MobileNet(card["architecture"]["width"]), front_end=front_end, **options)


def _stored(model: DualEncoder) -> dict[str, torch.Tensor]:
    """The state dict, with a shared tower once: under the name of the query tower."""
    return {
        name: tensor
        for name, tensor in model.state_dict().items()
        if not (model.shared and name.startswith("item_tower."))
    }
