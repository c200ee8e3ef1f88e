"""`fit`: train a dual encoder, and keep the epoch that finds most on the validation set."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from qvim_kit.augment import Recipe
from qvim_kit.datasets.tables import RetrievalDataset
from qvim_kit.evaluation import relevance
from qvim_kit.training.checking import (
    check_arguments,
    check_resumed,
    parts_of,
    settings_of,
    what_matters,
)
from qvim_kit.training.leakage import guard
from qvim_kit.training.result import FitResult, finish, told
from qvim_kit.training.schedules import WarmupCosine
from qvim_kit.training.waveform_cache import WaveformCache

if TYPE_CHECKING:
    from qvim_kit.models.dual_encoder import DualEncoder

# Without weight decay, as the AES AIMLA 2025 baseline.
adamw = functools.partial(torch.optim.AdamW, betas=(0.9, 0.999), weight_decay=0.0)


def fit(
    model: DualEncoder,
    train: RetrievalDataset,
    validation: RetrievalDataset,
    *,
    folder: str | os.PathLike,
    test: RetrievalDataset | None = None,
    epochs: int = 15,
    batch_size: int = 16,
    accumulate: int = 1,
    loss: Callable[..., torch.Tensor] | None = None,
    labels: str | None = "item",
    optimizer: Callable[..., torch.optim.Optimizer] = adamw,
    schedule: Callable[[int, int], float] | None = None,
    augment_queries: Recipe | None = None,
    augment_items: Recipe | None = None,
    random_crops: bool = False,
    cached_embeddings: bool = False,
    leakage: str = "refuse",
    seed: int = 0,
    early_stop: int | None = None,
    resume: bool | str | os.PathLike | None = None,
    overwrite: bool = False,
    precision: str = "32-true",
    channels_last: bool = False,
    workers: int = 0,
    cache: WaveformCache | None = None,
    logger: Any = "csv",
    progress: bool = True,
    callbacks: Sequence[Any] = (),
    record: dict | None = None,
    **trainer: Any,
) -> FitResult:
    """Train a dual encoder contrastively; returns it with the weights of its best epoch.

    Best is the epoch of the highest MRR of the validation queries among all validation items. The
    same arguments give the same weights on the same machine, also where the run is interrupted
    and resumed. Notebook: 04_finetune.

    Args:
        model: is trained in place, in whichever mode it comes.
        train: one pair for each of its queries.
        validation: chooses the epoch. Take a fold of the training set, never the test set.
        folder: for checkpoints, history and logs.
        test: measured once, at the end; the guard keeps its sounds out of both others.
        batch_size: pairs a step, in each process.
        accumulate: steps whose gradients are averaged before the optimizer moves.
        loss: ``loss(queries, items, labels)``; `losses.NTXent` if left out.
        labels: pairs of the same "item" or "class" are not each other's negatives; None masks
            nothing.
        optimizer: called ``optimizer(parameters, lr=…)``; AdamW without weight decay.
        schedule: learning rate by step, see `schedules`; `WarmupCosine` if left out.
        augment_queries, augment_items: none if left out.
        random_crops: cut clips at random places rather than at their beginnings.
        cached_embeddings: embed all clips once and train the projection on that. The trunk must
            be frozen; nothing is augmented.
        leakage: what the guard does about shared sounds, see `leakage.guard`.
        early_stop: end after so many epochs without a new best one.
        resume: True continues from the folder's last.ckpt; or the path of a checkpoint. All that
            the result depends on must be as before, but for epochs.
        overwrite: begin anew in a folder that holds a run.
        precision: Lightning's, such as "bf16-mixed". Validation is always single precision.
        channels_last: memory layout that is faster on most machines.
        workers: processes that read audio.
        cache: of decoded audio, at the model's rate; in the cache folder if left out.
        logger: "csv", "tensorboard", "wandb" (offline), a Lightning logger, or None.
        progress: show progress bars.
        callbacks: Lightning's, in addition.
        record: anything to keep on the record, such as the preset's name.
        **trainer: for Lightning's Trainer: devices, strategy, num_nodes, limit_train_batches, …

    Raises `LeakageError` naming files that must not be shared, `AudioErrors` naming all that
    cannot be read, `FileExistsError` for a folder with another run, `ValueError` for bad
    arguments, all at once, and for those that differ from the run to be resumed.
    """
    check_arguments(given := dict(locals()))  # before anything else is local
    from qvim_kit.training.keeping import noted_in, starting_point
    from qvim_kit.training.pairs import PairData, Pairs

    augment = {"query": augment_queries or Recipe(), "item": augment_items or Recipe()}
    schedule, loss = schedule or WarmupCosine(), _loss(loss)
    folder = Path(folder).absolute()
    checkpoint = starting_point(folder, resume, overwrite)
    before = noted_in(checkpoint)
    start = (before["done"]["epoch"], before["done"]["batches"])
    if epochs < start[0]:
        raise ValueError(f"epochs: found {epochs}, but the run to resume has done {start[0]}")
    settings = settings_of(given, loss, schedule, augment)
    lasting = what_matters({**settings, **parts_of(model, train, validation)})
    check_resumed(checkpoint, before.get("settings", {}), lasting)
    parts = [part for part in (train, validation, test) if part is not None]
    cache = _cache_for(model, cache)
    guarded = _guard(parts, cache, leakage, progress)
    kind, source = _kind_of_training(model, parts, cache, cached_embeddings, augment)
    samples = round(model.duration * model.sample_rate)
    data = PairData(
        Pairs(train, source, samples, labels=labels, random_crops=random_crops, seed=seed),
        validation,
        batch_size=batch_size,
        workers=workers,
        seed=seed,
        start=start,
    )
    module = kind(
        model.to(memory_format=torch.channels_last) if channels_last else model,
        loss,
        schedule=schedule,
        optimizer=optimizer,
        augment=augment,
        seed=seed,
        relevant=relevance(validation)[0],
    )
    module.settings = lasting
    limits = {"max_epochs": epochs, "accumulate_grad_batches": accumulate, "precision": precision}
    options = {**limits, "enable_progress_bar": progress, **trainer}
    interrupted = _train(module, data, folder, checkpoint, logger, early_stop, callbacks, options)
    record = {**(record or {}), "settings": settings, "leakage": guarded}
    result = finish(module, parts, source, folder, interrupted, record)
    settings["loss"] = told(loss)  # with the temperature that the best epoch had learnt
    return result


def _loss(loss: Callable[..., torch.Tensor] | None) -> Callable[..., torch.Tensor]:
    from qvim_kit.losses import NTXent

    return NTXent() if loss is None else loss


def _cache_for(model: DualEncoder, given: WaveformCache | None) -> WaveformCache:
    """The cache that was given, if it holds what the model hears; else that in the cache folder."""
    rate, prepared = model.sample_rate, getattr(model, "prepared", False)
    if given is None:
        return WaveformCache(sample_rate=rate, prepared=prepared)
    if (given.sample_rate, given.prepared) != (rate, prepared):
        raise ValueError(
            f"cache: found sample_rate {given.sample_rate} and prepared {given.prepared}, expected "
            f"{rate} and {prepared}, as the model's"
        )
    return given


def _guard(
    parts: list[RetrievalDataset], cache: WaveformCache, policy: str, progress: bool
) -> list[dict]:
    """Decode all audio, and keep validation apart from training, and the test set from both.

    Shared items are for validation only: with a test set they would be a result that fools.
    """
    tables = [table for part in parts for table in (part.items, part.queries)]
    cache.add([path for table in tables for path in table["path"]], progress)
    train, validation, *test = parts
    strict = "allow" if policy == "allow" else "refuse"
    return [
        guard(train, validation, cache, policy),
        *(guard(part, test[0], cache, strict) for part in (train, validation) if test),
    ]


def _kind_of_training(
    model: DualEncoder,
    parts: list[RetrievalDataset],
    cache: WaveformCache,
    cached_embeddings: bool,
    augment: dict[str, Recipe],
) -> tuple[type, Any]:
    """The Lightning module, and where it reads: waveforms or embeddings."""
    from qvim_kit.training.frozen_head import Embeddings, HeadOnly
    from qvim_kit.training.module import Contrastive

    if not cached_embeddings:
        return Contrastive, cache
    if any(str(recipe) != str(Recipe()) for recipe in augment.values()):
        raise ValueError("cached_embeddings: found augmentations, expected none: it embeds once")
    return HeadOnly, Embeddings(model, parts)


def _train(
    module: Any,
    data: Any,
    folder: Path,
    checkpoint: Path | None,
    logger: Any,
    early_stop: int | None,
    callbacks: Sequence[Any],
    options: dict[str, Any],
) -> bool:
    """Run Lightning's Trainer; returns whether Ctrl-C ended it."""
    from lightning.pytorch import Trainer

    from qvim_kit.training.keeping import EarlyStopping, Interrupted, Keeper, make_logger, quiet

    module.train()  # an earlier run or a system has left the model in evaluation mode
    keeper = Keeper(folder, checkpoint)
    defaults = {"default_root_dir": folder, "log_every_n_steps": 1, "enable_model_summary": False}
    stopping = [EarlyStopping("val_mrr", mode="max", patience=early_stop)] if early_stop else []
    # The caller's random numbers go on as if nothing had happened.
    gpus = range(torch.cuda.device_count())
    with quiet(), keeper.listening(), torch.random.fork_rng(devices=gpus):
        trainer = Trainer(
            logger=make_logger(logger, folder),
            callbacks=[*callbacks, *stopping, keeper],
            num_sanity_val_steps=0,
            use_distributed_sampler=False,  # `EpochOrder` shares out by itself
            **{**defaults, **options},
        )
        try:
            trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        except Interrupted:
            print(f"Interrupted; resume=True (--resume) continues in {folder}")
            return True
    return False
