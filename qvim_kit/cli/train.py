"""`qvim train`: fit a dual encoder by a preset."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_to(commands: argparse._SubParsersAction) -> None:
    train = commands.add_parser("train", help="train a dual encoder by a published recipe")
    train.add_argument("--preset", required=True, help="greif-coarse, greif-fine, aes-baseline, …")
    train.add_argument("--data", required=True, help="a folder, or the name of a data set")
    train.add_argument("--fold", type=int, default=0, help="of the category-disjoint folds")
    train.add_argument("--folds", type=Path, help="the folder with the published fold files")
    train.add_argument("--roll", action="store_true", help="shift imitations in time (greif-*)")
    train.add_argument("--epochs", type=int, help="instead of the preset's")
    train.add_argument("--batch-size", type=int, help="instead of the preset's")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--resume", action="store_true", help="continue an interrupted run")
    train.add_argument("-o", "--output", type=Path, required=True, help="folder of the run")
    train.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> int:
    from qvim_kit.datasets import open_dataset
    from qvim_kit.protocols import training_parts
    from qvim_kit.training.presets import PRESETS

    if options.preset not in PRESETS:
        raise ValueError(f"--preset {options.preset}: expected one of {', '.join(PRESETS)}")
    rolls = {"roll": True} if options.roll else {}
    if rolls and not options.preset.startswith("greif"):
        raise ValueError(f"--roll: the preset {options.preset} does not know it")
    made = dict(rolls)
    if options.epochs is not None and options.preset in ("laptop", "frozen-head"):
        made["epochs"] = options.epochs  # their schedules follow
    preset = PRESETS[options.preset](**made)
    data = open_dataset(options.data)
    train, validation, test = training_parts(options.preset, data, options.fold, options.folds)
    print(f"{train!r}\n{validation!r}\n{test!r}")
    changes = {"epochs": options.epochs, "batch_size": options.batch_size}
    result = preset.fit(
        train,
        validation,
        test=test,
        folder=options.output,
        seed=options.seed,
        resume=options.resume or None,
        **{name: value for name, value in changes.items() if value is not None},
    )
    if result.interrupted:
        print(f"interrupted; the same command with --resume continues in {options.output}")
        return 130
    result.save(options.output / "model", {"training_data": train.name})
    print(result.history.to_string(index=False))
    found = result.record["test"]
    print(f"best validation MRR {result.best_mrr:.4f}, test MRR {found['MRR']:.4f}")
    print(f"saved in {options.output / 'model'}")
    return 0
