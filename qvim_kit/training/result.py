"""What `fit` returns, and how it is put together."""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qvim_kit.datasets.tables import RetrievalDataset

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from qvim_kit.figures import CaptionedFigure


@dataclass(frozen=True, eq=False)
class FitResult:
    """A finished or interrupted training. Notebook: 04_finetune.

    Attributes:
        model: with the weights of the best epoch, in evaluation mode on the CPU.
        history: one row an epoch: epoch, step (of the optimizer), lr, train_loss, val_mrr,
            seconds.
        folder: holds best.ckpt, last.ckpt, history.csv and the logs.
        record: settings, data sets, versions, results, and what the leakage guard found and was
            told; numbers and text only, for the model's card.
        interrupted: stopped by Ctrl-C; ``fit(…, resume=True)`` continues.
    """

    model: torch.nn.Module
    history: pd.DataFrame
    folder: Path
    record: dict
    interrupted: bool = False

    @property
    def best_checkpoint(self) -> Path | None:
        """The Lightning checkpoint of the highest validation MRR; None before the first epoch."""
        path = self.folder / "best.ckpt"
        return path if path.is_file() else None

    @property
    def last_checkpoint(self) -> Path | None:
        """The latest state, from which training continues; None if there is none yet."""
        path = self.folder / "last.ckpt"
        return path if path.is_file() else None

    @property
    def best_mrr(self) -> float:
        """The highest validation MRR; NaN before the first epoch has ended."""
        return float(self.history["val_mrr"].max()) if len(self.history) else float("nan")

    def save(self, folder: str | os.PathLike, card: dict | None = None) -> None:
        """Save the best model by its ``save_pretrained``, with the record on its card.

        Args:
            card: what else a reader should know, such as the licence; it wins over the record.
        """
        measured = {"validation MRR": self.record["validation"]["MRR"]}
        if "test" in self.record:
            measured["test MRR"] = self.record["test"]["MRR"]
        own = {"training_data": self.record["training data"], "metrics": measured}
        self.model.save_pretrained(folder, {**own, "training": self.record, **(card or {})})

    def plot(self) -> CaptionedFigure:
        """Loss and validation MRR by epoch; the best epoch, chance and the test are marked."""
        from qvim_kit.plots import plot_history

        test = self.record.get("test", {}).get("MRR")
        return plot_history(self.history, self.record["validation"]["random MRR"], test)


def finish(
    module: Any,
    parts: list[RetrievalDataset],
    source: Any,
    folder: Path,
    interrupted: bool,
    record: dict,
) -> FitResult:
    """The best weights into the model, the test set measured, the record written."""
    import lightning
    import pandas as pd
    import torch

    history = pd.DataFrame(columns=["epoch", "step", "lr", "train_loss", "val_mrr", "seconds"])
    if (folder / "history.csv").is_file():
        history = pd.read_csv(folder / "history.csv")
    if (folder / "best.ckpt").is_file():
        stored = torch.load(folder / "best.ckpt", map_location="cpu", weights_only=True)
        module.load_state_dict(stored["state_dict"])
    module.cpu().eval()
    test = parts[2:] if len(history) and not interrupted else []
    tested = measured_mrr(module, test[0], source) if test else None
    record |= noted(parts, history, tested)
    record["versions"]["lightning"] = lightning.__version__
    return FitResult(module.model, history, folder, record, interrupted)


def noted(
    parts: Sequence[RetrievalDataset], history: pd.DataFrame, tested: float | None
) -> dict[str, Any]:
    """What a record says of the data sets, of what was measured on them, and of the versions.

    Args:
        parts: training, validation, and the test set if there is one.
        tested: the MRR of the test set, if it was measured.
    """
    import torch

    from qvim_kit import __version__
    from qvim_kit.evaluation.intervals import random_reciprocal_rank

    train, validation, *test = parts
    best = float(history["val_mrr"].max()) if len(history) else None
    versions = {"qvim_kit": __version__, "torch": torch.__version__}
    record = {
        "training data": {"name": train.name, "pairs": len(train.queries)},
        "validation": {
            "name": validation.name,
            "fingerprint": validation.fingerprint(),
            "MRR": best,
            "random MRR": random_reciprocal_rank(len(validation.items)),
        },
        "versions": {**versions, "python": platform.python_version()},
    }
    if tested is not None and best is not None:
        name, print_ = test[0].name, test[0].fingerprint()
        gap = best - tested
        record["test"] = {"name": name, "fingerprint": print_, "MRR": tested, "gap": gap}
    return record


def measured_mrr(module: Any, dataset: RetrievalDataset, source: Any) -> float:
    """MRR of a data set's queries among its items, by a Lightning module's towers as they are."""
    import torch

    from qvim_kit import metrics
    from qvim_kit.evaluation import relevance

    samples = round(module.model.duration * module.model.sample_rate)

    @torch.inference_mode()
    def embed(paths: Sequence[str], side: str) -> np.ndarray:
        batches = [paths[first : first + 8] for first in range(0, len(paths), 8)]
        rows = [
            module._embed(torch.from_numpy(np.stack([source.read(p, samples) for p in b])), side)
            for b in batches
        ]
        return torch.cat(rows).numpy().astype(float)

    queries = embed(dataset.queries["path"].map(str).tolist(), "query")
    items = embed(dataset.items["path"].map(str).tolist(), "item")
    return float(metrics.mean_reciprocal_rank(queries @ items.T, relevance(dataset)[0]))


def told(one: Any) -> str:
    """A setting as text, without places in memory."""
    import torch

    if isinstance(one, functools.partial):
        options = [f"{key}={value}" for key, value in one.keywords.items()]
        return f"{one.func.__name__}({', '.join(options)})"
    with torch.no_grad():  # a learnt temperature is told as a number
        return getattr(one, "__name__", None) or str(one)
