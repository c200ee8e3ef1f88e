"""What `fit` is given, checked before an hour of work; and what a resumed run was given before."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qvim_kit.datasets.tables import RetrievalDataset
from qvim_kit.training.leakage import POLICIES
from qvim_kit.training.result import told
from qvim_kit.training.waveform_cache import WaveformCache

LOGGERS = ("csv", "tensorboard", "wandb")
FREE = ("epochs",)  # may change when a run is resumed
# Options of Lightning's Trainer that `fit` sets itself: it validates once, wholly, each epoch.
FIXED = {
    "max_epochs": "epochs",
    "max_steps": "epochs, or fewer batches an epoch by limit_train_batches",
    "accumulate_grad_batches": "accumulate",
    "enable_progress_bar": "progress",
    "limit_val_batches": "a smaller validation set",
    **dict.fromkeys(
        ("check_val_every_n_epoch", "val_check_interval", "num_sanity_val_steps"),
        "nothing: each epoch ends with one validation",
    ),
    **dict.fromkeys(("fast_dev_run", "overfit_batches"), "epochs=1 and limit_train_batches"),
    "use_distributed_sampler": "nothing: pairs are shared out among the processes",
}
Check = tuple[str, Callable[[Any], bool]]


def _whole(least: int) -> Check:
    def met(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value >= least

    return f"a whole number of {least} or more", met


def _called(example: str) -> Check:
    # A class is called, too, but what comes of it is something else.
    return f"{example}, or another to be called", lambda v: callable(v) and not _is_class(v)


def _is_class(value: Any) -> bool:
    return isinstance(value, type)


def _or_none(check: Check) -> Check:
    expected, met = check
    return f"{expected}, or None", lambda value: value is None or met(value)


def _one_of(*values: Any) -> Check:
    expected = ", ".join(map(repr, values[:-1])) + f" or {values[-1]!r}"
    return expected, lambda value: isinstance(value, (str, type(None))) and value in values


def _is_model(value: Any) -> bool:
    needed = ("front_end", "embed_log_mel", "sample_rate", "duration")
    return all(hasattr(value, name) for name in needed) and not _is_class(value)


def _is_logger(value: Any) -> bool:
    return value in (None, False, *LOGGERS) or hasattr(value, "log_metrics")


def _are_callbacks(value: Any) -> bool:
    listed = isinstance(value, Sequence) and not isinstance(value, str)
    return listed and all(hasattr(one, "on_fit_start") and not _is_class(one) for one in value)


DATASET: Check = ("a RetrievalDataset", lambda value: isinstance(value, RetrievalDataset))
YES_OR_NO: Check = ("True or False", lambda v: isinstance(v, (bool, np.bool_)) or v in (0, 1))
PATH: Check = ("a path", lambda value: isinstance(value, (str, os.PathLike)))
# Argument of `fit` → what is expected, whether it is met.
CHECKS: dict[str, Check] = {
    "model": ("a DualEncoder", _is_model),
    "train": DATASET,
    "validation": DATASET,
    "test": _or_none(DATASET),
    "folder": PATH,
    "seed": _whole(0),
    "epochs": _whole(1),
    "batch_size": _whole(1),
    "accumulate": _whole(1),
    "workers": _whole(0),
    "early_stop": _or_none(_whole(1)),
    "loss": _or_none(_called("an NTXent()")),
    "labels": _one_of("item", "class", None),
    "optimizer": ("torch.optim.Adam, or another to be called", callable),
    "schedule": _or_none(_called("a Constant(1e-3)")),
    "augment_queries": _or_none(_called("a Recipe()")),
    "augment_items": _or_none(_called("a Recipe()")),
    "leakage": _one_of(*POLICIES),
    "resume": _or_none(("True or a checkpoint's path", lambda v: v in (True, False) or PATH[1](v))),
    "precision": ("text such as 'bf16-mixed'", lambda value: isinstance(value, (str, int))),
    "cache": _or_none(("a WaveformCache", lambda value: isinstance(value, WaveformCache))),
    "logger": (f"None, a Lightning logger, {', '.join(map(repr, LOGGERS))}", _is_logger),
    "callbacks": ("a list of Lightning callbacks", _are_callbacks),
    "record": _or_none(("a dict", lambda value: isinstance(value, Mapping))),
    **dict.fromkeys(("random_crops", "cached_embeddings", "overwrite"), YES_OR_NO),
    **dict.fromkeys(("channels_last", "progress"), YES_OR_NO),
}


def check_arguments(given: Mapping[str, Any]) -> None:
    """Raise one `ValueError` with every argument of `fit` that is of the wrong kind."""
    problems = [
        f"{name}: found {given['trainer'][name]!r} for the Trainer, expected {instead}"
        for name, instead in FIXED.items()
        if name in given["trainer"]
    ]
    for name, (expected, met) in CHECKS.items():
        value = given[name]
        try:
            fits = bool(met(value))
        except (TypeError, ValueError):  # an array asked whether it is one of some words
            fits = False
        if not fits:
            shown = repr(value)
            found = shown if len(shown) < 60 and " at 0x" not in shown else f"a {_kind(value)}"
            problems.append(f"{name}: found {found}, expected {expected}")
    if problems:
        raise ValueError("; ".join(problems))


def _kind(value: Any) -> str:
    return f"class {value.__name__}" if _is_class(value) else type(value).__name__


def settings_of(
    given: Mapping[str, Any], loss: Any, schedule: Any, augment: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of `fit` on which the result depends, with its defaults in place of None."""
    return {
        "epochs": given["epochs"], "batch_size": given["batch_size"],
        "accumulate": given["accumulate"], "labels": given["labels"],
        "optimizer": told(given["optimizer"]), "schedule": str(schedule), "loss": told(loss),
        "augment_queries": str(augment["query"]), "augment_items": str(augment["item"]),
        "random_crops": given["random_crops"], "cached_embeddings": given["cached_embeddings"],
        "seed": given["seed"], "precision": given["precision"],
        "channels_last": given["channels_last"], "duration": given["model"].duration,
    }  # fmt: skip


def parts_of(model: Any, train: RetrievalDataset, validation: RetrievalDataset) -> dict[str, str]:
    """The architecture of a model, and which pairs it learns from and is chosen by, as text."""
    named = ("width", "shared", "projection", "freeze_trunk", "freeze_statistics", "prepared")
    built = {name: getattr(model, name) for name in named if hasattr(model, name)}
    built["dim"] = getattr(model, "dim", None)
    architecture = ", ".join(f"{name} {value}" for name, value in built.items())
    pairs = {"training pairs": _pairs(train), "validation pairs": _pairs(validation)}
    return {"model": f"{type(model).__name__}: {architecture}", **pairs}


def _pairs(dataset: RetrievalDataset) -> str:
    """How many, and a hash of their ids: the files' content would take minutes to read."""
    lines = sorted(map("\t".join, dataset.queries[["query_id", "item_id"]].astype(str).to_numpy()))
    digest = hashlib.sha256(
        "\n".join([*lines, *sorted(map(str, dataset.items["item_id"]))]).encode()
    )
    return f"{len(lines)}, {digest.hexdigest()[:8]}"


def what_matters(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as a checkpoint can hold them: numbers and text, without places in memory."""
    simple = json.loads(json.dumps({**settings}, default=str))
    return {
        key: re.sub(r" at 0x[0-9a-fA-F]+", "", value) if isinstance(value, str) else value
        for key, value in simple.items()
    }


def check_resumed(checkpoint: Path | None, before: Mapping[str, Any], now: dict[str, Any]) -> None:
    """Raise `ValueError` with every setting that differs from the run to be resumed.

    ``before`` is what its checkpoint holds, {} where an older version of the kit wrote it; the
    number of epochs may change.
    """
    differing = [
        f"{key}: found {now.get(key)!r}, the run has {before.get(key)!r}"
        for key in before
        if key not in FREE and before[key] != now.get(key)
    ]
    if differing:
        raise ValueError(
            f"resume: {checkpoint} is of a run with other settings; " + "; ".join(differing) + ". "
            "Give those of the run, or begin anew in another folder"
        )
