"""`qvim train`: fit a dual encoder by a preset."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_to(commands: argparse._SubParsersAction) -> None:
    train = commands.add_parser("train", help="train a dual encoder by a published recipe")
    train.add_argument("--preset", required=True, help="greif-coarse, aes-baseline, dcase-6b, …")
    train.add_argument("--data", required=True, help="a folder, or the name of a data set")
    train.add_argument("--fold", type=int, default=0, help="of the category-disjoint folds")
    train.add_argument("--folds", type=Path, help="the folder with the published fold files")
    train.add_argument(
        "--hold-out", nargs="+", metavar="CLASS", help="classes for validation, instead of folds"
    )
    train.add_argument("--roll", action="store_true", help="shift imitations in time (greif-*)")
    train.add_argument("--epochs", type=int, help="instead of the preset's")
    train.add_argument("--batch-size", type=int, help="instead of the preset's")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--encoder", help="of sounds, for dcase-6b: cnn14 (default), mn04_as, …")
    train.add_argument("--text-encoder", help="for dcase-6b (default: all-mpnet-base-v2)")
    train.add_argument("--duration", type=float, help="of the clips, s, for dcase-6b (default: 30)")
    train.add_argument("--resume", action="store_true", help="continue an interrupted run")
    train.add_argument("-o", "--output", type=Path, required=True, help="folder of the run")
    train.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> int:
    from qvim_kit.datasets import open_dataset
    from qvim_kit.datasets.splits import hold_out
    from qvim_kit.protocols import training_parts
    from qvim_kit.training.language_presets import LANGUAGE_PRESETS
    from qvim_kit.training.presets import PRESETS

    presets = {**PRESETS, **LANGUAGE_PRESETS}
    if options.preset not in presets:
        raise ValueError(f"--preset {options.preset}: expected one of {', '.join(presets)}")
    rolls = {"roll": True} if options.roll else {}
    if rolls and not options.preset.startswith("greif"):
        raise ValueError(f"--roll: the preset {options.preset} does not know it")
    made = dict(rolls)
    if options.epochs is not None and options.preset in ("laptop", "frozen-head", "virtual-voice"):
        made["epochs"] = options.epochs  # their schedules follow
    of_words = ("encoder", "text_encoder", "duration")
    asked = {
        name: getattr(options, name) for name in of_words if getattr(options, name) is not None
    }
    if asked and options.preset not in LANGUAGE_PRESETS:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in asked)
        raise ValueError(f"{names}: the preset {options.preset} does not know it")
    if options.resume and options.preset in LANGUAGE_PRESETS:
        raise ValueError(f"--resume: the preset {options.preset} takes a minute; begin anew")
    preset = presets[options.preset](**made, **asked)
    data = open_dataset(options.data)
    if options.hold_out:
        train, validation = hold_out(data, options.hold_out, imitations=2)
        test = None
    else:
        train, validation, test = training_parts(options.preset, data, options.fold, options.folds)
    print("\n".join(repr(part) for part in (train, validation, test) if part is not None))
    changes = {"epochs": options.epochs, "batch_size": options.batch_size}
    if options.preset not in LANGUAGE_PRESETS:
        changes["resume"] = options.resume or None
    result = preset.fit(
        train,
        validation,
        test=test,
        folder=options.output,
        seed=options.seed,
        **{name: value for name, value in changes.items() if value is not None},
    )
    if result.interrupted:
        print(f"interrupted; the same command with --resume continues in {options.output}")
        return 130
    result.save(options.output / "model", {"training_data": train.name})
    print(result.history.to_string(index=False))
    tested = f", test MRR {result.record['test']['MRR']:.4f}" if test is not None else ""
    print(f"best validation MRR {result.best_mrr:.4f}{tested}")
    print(f"saved in {options.output / 'model'}")
    return 0
