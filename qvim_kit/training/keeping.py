"""What a run leaves in its folder, and how it ends in order: checkpoints, Ctrl-C, loggers."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer, callbacks
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

from qvim_kit.paths import beside

BEST, LAST, HISTORY = "best.ckpt", "last.ckpt", "history.csv"
HARMLESS = (  # of Lightning: what we do on purpose, or what is of no use on a small machine
    ".*does not have many workers.*",
    ".*smaller than the logging interval.*",
    ".*Experiment logs directory.*",
    ".*that ended before the epoch ended.*",  # the order of pairs knows where it was
    ".*module.*in eval mode.*",  # a frozen trunk
    ".*exists and is not empty.*",
    ".*isinstance.treespec, LeafSpec.*",
    ".*pin_memory.*",
    ".*recommended to use `self.log.*sync_dist.*",  # all processes hold the same MRR
)


class Interrupted(Exception):
    """Ctrl-C; the state is saved."""


class EarlyStopping(callbacks.EarlyStopping):  # the name under which checkpoints keep its state
    """Lightning's, by which a run that had ended also ends when it is resumed.

    Its patience is what is given, not what the checkpoint was made with.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class Keeper(callbacks.Checkpoint):
    """Saves ``last.ckpt`` after each epoch, and as ``best.ckpt`` that of the highest MRR.

    Of equal MRRs the first one is the best. On Ctrl-C the step is finished, ``last.ckpt`` saved
    in the middle of the epoch, and `Interrupted` raised; a second Ctrl-C does not wait.
    """

    def __init__(self, folder: Path, checkpoint: Path | None = None):
        self.folder, self.best, self.best_epoch = folder, -1.0, -1
        self.checkpoint = checkpoint  # to continue from; without, a run in the folder ends here
        self.asked_to_stop = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take Ctrl-C as a wish to stop; only the main thread hears it."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _ask(self, number: int, frame: Any) -> None:
        if self.asked_to_stop:
            raise Interrupted
        self.asked_to_stop = True

    def on_fit_start(self, trainer: Trainer, module: LightningModule) -> None:
        """A run that goes on in another folder is first brought there."""
        self.started = time.monotonic()
        home = self.checkpoint.parent if self.checkpoint else self.folder
        if trainer.is_global_zero and home.resolve() != self.folder.resolve():
            if (home / BEST).is_file():
                _copy(home / BEST, self.folder / BEST)
            write_history(module.history, self.folder)
            _copy(self.checkpoint, self.folder / LAST)

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Only now is everything checked that could refuse the new run."""
        if not self.checkpoint and trainer.is_global_zero:
            for name in (BEST, LAST, HISTORY):
                (self.folder / name).unlink(missing_ok=True)

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Between two steps of the optimizer, but not where the epoch is about to end anyway."""
        done = batch_idx + 1
        if done % trainer.accumulate_grad_batches or done == trainer.num_training_batches:
            return
        if self._must_stop(trainer):
            self._save(trainer)
            raise Interrupted

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        row = module.history[-1]
        row["seconds"] = time.monotonic() - self.started
        self.started = time.monotonic()
        improved = row["val_mrr"] > self.best
        if improved:
            self.best, self.best_epoch = row["val_mrr"], row["epoch"]
        self._save(trainer)
        if trainer.is_global_zero:
            if improved:
                _copy(self.folder / LAST, self.folder / BEST)
            write_history(module.history, self.folder)
        trainer.strategy.barrier()  # whoever reads the folder next finds it complete
        if self._must_stop(trainer):
            raise Interrupted

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.best_epoch = state["best"], state["best_epoch"]

    def _must_stop(self, trainer: Trainer) -> bool:
        if trainer.world_size > 1:  # all processes at the same step
            return trainer.strategy.reduce_boolean_decision(self.asked_to_stop, all=False)
        return self.asked_to_stop

    def _save(self, trainer: Trainer) -> None:
        part = self.folder / f"{LAST}.part"
        trainer.save_checkpoint(part)
        if trainer.is_global_zero:
            os.replace(part, self.folder / LAST)


def starting_point(
    folder: Path, resume: bool | str | os.PathLike | None, overwrite: bool
) -> Path | None:
    """The checkpoint to continue from; makes the folder. An earlier run in it stays for now.

    Raises `FileExistsError` for a run that is neither to be resumed nor overwritten, and
    `FileNotFoundError` where there is nothing to resume.
    """
    if resume and overwrite:
        raise ValueError("resume and overwrite: give one of them")
    checkpoint = None
    if resume:
        checkpoint = folder / LAST if resume is True else Path(resume).absolute()
        if not checkpoint.is_file():
            raise FileNotFoundError(f"resume: there is no {checkpoint}; begin without it")
    another = checkpoint is None or checkpoint.parent.resolve() != folder.resolve()
    present = [name for name in (BEST, LAST, HISTORY) if (folder / name).exists()]
    if another and present and not overwrite:
        raise FileExistsError(
            f"{folder}: holds {', '.join(present)} of an earlier run; continue it with "
            "resume=True (--resume), begin anew with overwrite=True, or choose another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return checkpoint


def _copy(source: Path, target: Path) -> None:
    with beside(target) as part:
        shutil.copyfile(source, part)


def noted_in(checkpoint: Path | None) -> dict[str, Any]:
    """What a run noted in its checkpoint: history, done (epoch, batches), settings.

    Those of older versions have no settings; without a checkpoint a run begins at its beginning.
    """
    import torch

    if checkpoint is None:
        return {"history": [], "done": {"epoch": 0, "batches": 0}}
    stored = torch.load(checkpoint, map_location="cpu", weights_only=True)
    if "qvim" not in stored:
        raise ValueError(f"resume: {checkpoint} was not written by fit")
    return stored["qvim"]


def write_history(history: list[dict[str, float]], folder: Path) -> None:
    """``history.csv``: one row an epoch."""
    import pandas as pd

    with beside(folder / HISTORY) as part:
        pd.DataFrame(history).to_csv(part, index=False)


def make_logger(kind: str | Logger | bool | None, folder: Path) -> Logger | bool:
    """The logger called "csv", "tensorboard" or "wandb"; a logger, or none, as it is.

    Weights & Biases writes to the folder only (``wandb sync`` sends it later), unless the
    environment says WANDB_MODE=online and holds a key; so it never asks for a login.

    Raises `ValueError` for another name, and `ModuleNotFoundError` with the remedy where the
    logger's package is not installed.
    """
    if isinstance(kind, Logger) or not kind:
        return kind or False
    if kind == "csv":
        return CSVLogger(folder, name="logs")
    if kind == "tensorboard":
        _require("tensorboard")
        return TensorBoardLogger(folder, name="logs")
    if kind == "wandb":
        _require("wandb")
        online = os.environ.get("WANDB_MODE") == "online" and bool(os.environ.get("WANDB_API_KEY"))
        os.environ["WANDB_MODE"] = "online" if online else "offline"
        return WandbLogger(project="qvim-kit", save_dir=folder, offline=not online)
    raise ValueError(f"logger: found {kind!r}, expected 'csv', 'tensorboard', 'wandb' or None")


def _require(package: str) -> None:
    import importlib

    try:
        importlib.import_module(package)
    except ImportError:
        raise ModuleNotFoundError(
            f"logger={package!r} needs a package that is not here: pip install {package}, or "
            "choose logger='csv'"
        ) from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without Lightning's advertisements and the warnings that are of no use here."""
    names = ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch", "lightning.fabric")
    loggers = [logging.getLogger(name) for name in names]
    levels = [one.level for one in loggers]
    with warnings.catch_warnings():
        for message in HARMLESS:
            warnings.filterwarnings("ignore", message)
        for one in loggers:
            one.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for one, level in zip(loggers, levels, strict=True):
                one.setLevel(level)
