"""Training of the two projections between words and sounds, on embeddings computed once.

After the DCASE 2023 baseline for language-based audio retrieval (Xie et al.,
https://github.com/xieh97/dcase2023-audio-retrieval). Notebook: 07_search_by_text.
"""

from __future__ import annotations

import copy
import functools
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from qvim_kit import metrics
from qvim_kit.datasets.tables import RetrievalDataset
from qvim_kit.losses import nt_xent
from qvim_kit.paths import beside
from qvim_kit.systems.language import AudioTrunk
from qvim_kit.systems.sentences import Sentences
from qvim_kit.training.language_data import Embedded, guard_sounds
from qvim_kit.training.result import FitResult, noted

if TYPE_CHECKING:
    from qvim_kit.models.language import LanguageModel
    from qvim_kit.models.text import TextEncoder


def language_loss(
    texts: torch.Tensor, sounds: torch.Tensor, labels: torch.Tensor, temperature: float = 0.07
) -> torch.Tensor:
    """The baseline's loss: words → sound plus sound → words, each a masked `nt_xent`.

    Pairs of one label, which are captions of one sound, are not each other's negatives.

    Shape: (batch, dim) twice, labels (batch,) → a scalar.
    """
    return 2 * nt_xent(texts, sounds, labels, temperature=temperature, symmetric=True)


def fit_language(
    model: LanguageModel,
    text_encoder: TextEncoder,
    train: RetrievalDataset,
    validation: RetrievalDataset,
    *,
    test: RetrievalDataset | None = None,
    folder: str | os.PathLike | None = None,
    epochs: int = 80,
    batch_size: int = 32,
    rate: float = 1e-3,
    factor: float = 0.1,
    patience: int = 5,
    temperature: float = 0.07,
    leakage: str = "refuse",
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = True,
    record: Mapping[str, Any] | None = None,
) -> FitResult:
    """Train the two projections; returns the model with those of its best epoch.

    All sentences and sounds are embedded first, once, and kept in the cache folder; then an epoch
    takes a second or less. Best is the epoch of the highest MRR of the validation captions among
    all validation items. The same arguments give the same weights.

    Args:
        model: is trained in place.
        text_encoder: its sentence encoder, which stays as it is.
        train: one pair for each of its queries, which need a column ``text``.
        validation: chooses the epoch, and by its loss the learning rate.
        test: measured once, at the end.
        folder: for history.csv; none is written if left out.
        epochs, batch_size, rate: of Adam.
        factor, patience: the rate is multiplied by ``factor`` where the validation loss has not
            fallen by 0.005 for more than ``patience`` epochs; never below 1e-6.
        temperature: of `language_loss`.
        leakage: "refuse" sounds that training or validation share with what they are tested on,
            or "allow" them.
        seed: of the order of the pairs.
        overwrite: begin anew in a folder that holds a run.
        progress: show a progress bar.
        record: anything to keep on the record.

    Raises `LeakageError` naming shared sounds, `FileExistsError` for a folder with a run,
    `DatasetError` for queries without words, `AudioErrors` naming all sounds that cannot be read.
    """
    numbers = {"epochs": epochs, "batch_size": batch_size}
    _check({**numbers, "patience": patience}, leakage)
    folder = None if folder is None else Path(folder).absolute()
    if folder and (folder / "history.csv").exists() and not overwrite:
        raise FileExistsError(
            f"{folder}: holds history.csv of an earlier run; say overwrite=True to begin anew, or "
            "choose another folder"
        )
    trunk = AudioTrunk(model.trunk, model.front_end, duration=model.duration, name="sounds")
    sentences = Sentences(text_encoder)
    parts = [part for part in (train, validation, test) if part is not None]
    data = [Embedded.of(part, trunk, sentences) for part in parts]
    guarded = guard_sounds(parts, data, leakage)
    if model.heard is not None:  # else nobody knows what else it was trained on
        model.heard |= {digest for part in data[:2] for digest in part.digests if digest}
    model.cpu()
    loss = functools.partial(language_loss, temperature=temperature)
    rates = {"rate": rate, "factor": factor, "patience": patience}
    history = _train(model, data[0], data[1], loss, **numbers, **rates, seed=seed, bar=progress)
    settings = {**numbers, **rates, "temperature": temperature, "seed": seed}
    settings |= {"optimizer": "Adam", "text_encoder": text_encoder.name}
    record = {**(record or {}), "settings": settings, "leakage": guarded}
    return _finish(model.eval(), parts, data, history, folder, record)


def _train(
    model: LanguageModel,
    train: Embedded,
    validation: Embedded,
    loss: Callable[..., torch.Tensor],
    *,
    epochs: int,
    batch_size: int,
    rate: float,
    factor: float,
    patience: int,
    seed: int,
    bar: bool,
) -> list[dict[str, float]]:
    """The epochs; leaves the best one's weights in the model."""
    from tqdm.auto import trange

    heads = [model.text_projection, model.audio_projection]
    parameters = [p for head in heads for p in head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=rate)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=factor, patience=patience, threshold=0.005, threshold_mode="abs",
        min_lr=1e-6,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    history, best, kept = [], -1.0, None
    started = time.monotonic()
    for epoch in (epochs_shown := trange(epochs, desc="projections", disable=not bar)):
        total, batches = 0.0, _batches(rng.permutation(len(train.texts)), batch_size)
        for rows in batches:
            value = _loss(model, train, rows, loss)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total += value.item()
        with torch.no_grad():
            ordered = _batches(
                np.random.default_rng(0).permutation(len(validation.texts)), batch_size
            )
            val_loss = float(np.mean([_loss(model, validation, r, loss).item() for r in ordered]))
        mrr, now = measured_mrr(model, validation), optimizer.param_groups[0]["lr"]
        plateau.step(val_loss)
        seconds, started = time.monotonic() - started, time.monotonic()
        row = {"epoch": epoch, "step": (epoch + 1) * len(batches), "lr": now}
        row |= {"train_loss": total / len(batches), "val_loss": val_loss, "val_mrr": mrr}
        history.append({**row, "seconds": seconds})
        epochs_shown.set_postfix(val_mrr=f"{mrr:.3f}", refresh=False)
        if mrr > best:
            best, kept = mrr, copy.deepcopy([head.state_dict() for head in heads])
    for head, state in zip(heads, kept, strict=True):
        head.load_state_dict(state)
    return history


def _batches(order: np.ndarray, size: int) -> list[torch.Tensor]:
    """Shares of an order; a last one that is not full is left out, unless it is the only one."""
    whole = len(order) // size * size or len(order)
    return [torch.from_numpy(order[n : n + size]) for n in range(0, whole, size)]


def _loss(
    model: LanguageModel, data: Embedded, rows: torch.Tensor, loss: Callable[..., torch.Tensor]
) -> torch.Tensor:
    place = data.place[rows]
    texts, sounds = model.project_text(data.texts[rows]), model.project_audio(data.sounds[place])
    return loss(texts, sounds, place)


@torch.no_grad()
def measured_mrr(model: LanguageModel, data: Embedded) -> float:
    """MRR of a data set's captions among its sounds."""
    cosines = model.project_text(data.texts) @ model.project_audio(data.sounds).T
    relevant = data.place[:, None] == torch.arange(len(data.sounds))
    return float(metrics.mean_reciprocal_rank(cosines.double().numpy(), relevant.numpy()))


def _finish(
    model: LanguageModel,
    parts: list[RetrievalDataset],
    data: list[Embedded],
    history: list[dict[str, float]],
    folder: Path | None,
    record: dict[str, Any],
) -> FitResult:
    import pandas as pd

    table = pd.DataFrame(history)
    record |= noted(parts, table, measured_mrr(model, data[2]) if len(parts) == 3 else None)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        with beside(folder / "history.csv") as part:
            table.to_csv(part, index=False)
    return FitResult(model, table, folder or Path(), record)


def _check(numbers: dict[str, int], leakage: str) -> None:
    problems = [
        f"{name}: found {value!r}, expected a whole number of 1 or more"
        for name, value in numbers.items()
        if not isinstance(value, int) or value < 1
    ]
    if leakage not in ("refuse", "allow"):
        problems.append(f"leakage: found {leakage!r}, expected 'refuse' or 'allow'")
    if problems:
        raise ValueError("; ".join(problems))
