"""The contrastive training step, as a Lightning module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule

from qvim_kit import metrics
from qvim_kit.augment import Recipe


class Contrastive(LightningModule):
    """Trains a dual encoder so that a query lies nearer to the item it imitates than to others.

    Source: Greif et al. 2024; the AES AIMLA 2025 baseline. Notebook: 04_finetune.

    Args:
        model: with ``front_end`` and ``embed_log_mel(log_mel, side)``, as `DualEncoder`.
        loss: called ``loss(queries, items, labels)``; its parameters are learnt, too.
        schedule: learning rate of each step, see `schedules`.
        optimizer: called ``optimizer(parameters, lr=…)``.
        augment: the recipe of each side, "query" and "item".
        seed: of the augmentations; each batch of each process draws its own.
        relevant: (queries, items) booleans of the validation set.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        loss: Callable[..., torch.Tensor],
        *,
        schedule: Callable[[int, int], float],
        optimizer: Callable[..., torch.optim.Optimizer],
        augment: dict[str, Recipe],
        seed: int,
        relevant: np.ndarray,
    ):
        super().__init__()
        self.model, self.loss = model, loss
        self.schedule, self.optimizer, self.augment = schedule, optimizer, augment
        self.seed, self.relevant = seed, relevant
        self.history: list[dict[str, float]] = []
        self.settings: dict[str, Any] = {}  # what a run that resumes this one must be given, too
        self.done = {"epoch": 0, "batches": 0, "loss": 0.0}  # of an epoch that is not over

    def configure_optimizers(self) -> torch.optim.Optimizer:
        parameters = [p for p in self.parameters() if p.requires_grad]
        return self.optimizer(parameters, lr=self.schedule(0, 1))

    def training_step(self, batch: tuple[torch.Tensor, ...], batch_idx: int) -> torch.Tensor:
        steps = self.trainer.num_training_batches
        self.rate = self.schedule(self.current_epoch * steps + batch_idx, steps)
        for group in self.optimizers(use_pl_optimizer=False).param_groups:
            group["lr"] = self.rate
        entropy = [self.seed, self.current_epoch, batch_idx, self.global_rank]
        number = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        torch.manual_seed(number)  # for dropout
        generator = torch.Generator().manual_seed(number)
        queries, items, labels = batch
        queries = self._embed(queries, "query", generator)
        loss = self.loss(queries, self._embed(items, "item", generator), labels)
        self.done["batches"] = batch_idx + 1
        self.done["loss"] = self.done["loss"] + loss.detach()  # stays on its device
        self.log("train_loss", loss.detach(), prog_bar=True)
        self.log("lr", self.rate)
        return loss

    def on_validation_epoch_start(self) -> None:
        self.embedded: tuple[list, list] = ([], [])

    def validation_step(self, batch: list, batch_idx: int, dataloader_idx: int = 0) -> None:
        embedded = self._embed(batch[1], ("query", "item")[dataloader_idx])
        self.embedded[dataloader_idx].append((batch[0], embedded))

    def on_validation_epoch_end(self) -> None:
        queries, items = map(self._gathered, self.embedded, self.relevant.shape)
        similarity = queries @ items.T
        if not np.isfinite(similarity).all():
            raise FloatingPointError("embeddings are not finite; lower the learning rate")
        self.mrr = float(metrics.mean_reciprocal_rank(similarity, self.relevant))
        self.log("val_mrr", self.mrr, prog_bar=True)

    def on_train_epoch_end(self) -> None:
        loss = float(self.done["loss"]) / self.done["batches"]
        row = {"epoch": self.current_epoch, "step": self.global_step, "lr": self.rate}
        self.history.append({**row, "train_loss": loss, "val_mrr": self.mrr})
        self.done = {"epoch": self.current_epoch + 1, "batches": 0, "loss": 0.0}

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        done = {**self.done, "loss": float(self.done["loss"])}
        checkpoint["qvim"] = {"history": self.history, "done": done, "settings": self.settings}

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.history, self.done = list(checkpoint["qvim"]["history"]), checkpoint["qvim"]["done"]

    def _embed(
        self, waveforms: torch.Tensor, side: str, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """Waveforms (batch, samples) → (batch, dim) float32; augmented if a generator is given.

        The front end is never in half precision; validation, without a generator, is not at all.
        """
        recipe = self.augment[side] if generator else Recipe()
        with torch.autocast(self.device.type, enabled=False):
            log_mel = recipe(waveforms, self.model.front_end, generator)
            if not generator:
                return self.model.embed_log_mel(log_mel, side)
        return self.model.embed_log_mel(log_mel, side).float()

    def _gathered(self, batches: list, rows: int) -> np.ndarray:
        """The embeddings of all processes in order, (rows, dim)."""
        numbers, embedded = (torch.cat(parts) for parts in zip(*batches, strict=True))
        if self.trainer.world_size > 1:
            numbers, embedded = (self.all_gather(t).flatten(0, 1) for t in (numbers, embedded))
        out = np.empty((rows, embedded.shape[1]))
        out[numbers.cpu().numpy()] = embedded.cpu().numpy()
        return out
