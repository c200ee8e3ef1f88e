"""`qvim train`: fit a dual encoder by a preset."""

from __future__ import annotations

import argparse
import dataclasses
import re
from difflib import get_close_matches
from pathlib import Path

from qvim_kit.cli.systems import add_allow_missing
from qvim_kit.downloads import DownloadError

# Told without loading torch; the settings are in `training.presets` and `language_presets`.
PRESETS = {
    "greif-coarse": "Greif et al. 2024 on VimSketch, tested on unseen concepts",
    "greif-fine": "Greif et al. 2024 on VocalSketch, for the fine protocol",
    "aes-baseline": "the AES AIMLA 2025 baseline, on all of VimSketch",
    "frozen-head": "a projection on a frozen encoder's embeddings: seconds an epoch",
    "laptop": "mn04 and 4-s crops: minutes on two cores",
    "virtual-voice": "as the shipped qvim-mn04, on what `qvim data imitate` made",
    "dcase-6b": "search by words: projections of a text and an audio encoder",
}
OF_WORDS = ("dcase-6b",)
FEWEST = 5  # items; random scores of 4 have an MRR of 0.52
WITH_SCHEDULE = ("laptop", "frozen-head", "virtual-voice")  # that follows the number of epochs


def add_to(commands: argparse._SubParsersAction) -> None:
    width = max(map(len, PRESETS))
    train = commands.add_parser(
        "train",
        help="train a dual encoder by a published recipe",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="presets:\n" + "\n".join(f"  {n:{width}}  {line}" for n, line in PRESETS.items()),
    )
    train.add_argument("--preset", required=True, help="one of those below")
    train.add_argument("--data", required=True, help="a folder, or the name of a data set")
    add_allow_missing(train)
    train.add_argument("--fold", type=int, default=0, help="of the category-disjoint folds")
    train.add_argument("--folds", type=Path, help="the folder with the published fold files")
    train.add_argument(
        "--hold-out", nargs="+", metavar="CLASS", help="classes for validation, instead of folds"
    )
    train.add_argument("--roll", action="store_true", help="shift imitations in time (greif-*)")
    train.add_argument("--epochs", type=int, help="instead of the preset's")
    train.add_argument("--batch-size", type=int, help="instead of the preset's")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument(
        "--encoder", help="of sounds, for dcase-6b: cnn14 (default), mn04_as, qvim-mn04, …"
    )
    train.add_argument("--text-encoder", help="for dcase-6b (default: all-mpnet-base-v2)")
    train.add_argument("--duration", type=float, help="of the clips, s, for dcase-6b (default: 30)")
    anew = train.add_mutually_exclusive_group()
    anew.add_argument("--resume", action="store_true", help="continue an interrupted run")
    anew.add_argument("--overwrite", action="store_true", help="begin anew in a run's folder")
    train.add_argument("-o", "--output", type=Path, required=True, help="folder of the run")
    train.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> int:
    made = _preset_options(options)
    _check_output(options)
    from qvim_kit.training.language_presets import LANGUAGE_PRESETS
    from qvim_kit.training.presets import PRESETS as VOICE_PRESETS

    parts = train, validation, test = _parts(options)
    print("\n".join(repr(part) for part in parts if part is not None))
    if few := _too_few(validation, test):
        print(few, flush=True)
    preset = {**VOICE_PRESETS, **LANGUAGE_PRESETS}[options.preset](**made)
    changes = {"epochs": options.epochs, "batch_size": options.batch_size}
    changes |= {"resume": options.resume or None, "overwrite": options.overwrite or None}
    changes = {name: value for name, value in changes.items() if value is not None}
    try:
        result = preset.fit(
            train, validation, test=test, folder=options.output, seed=options.seed, **changes
        )
    except DownloadError as error:
        raise DownloadError(re.sub(r"\bencoder='([\w-]+)'", r"--encoder \1", str(error))) from None
    if result.interrupted:
        return 130
    result.save(options.output / "model", {"training_data": train.name})
    print(result.history.to_string(index=False))
    print(_results(result, test))
    print(f"saved in {options.output / 'model'}")
    return 0


def _preset_options(options: argparse.Namespace) -> dict:
    """What the preset is made with; raises `ValueError` for options that it does not know."""
    name = options.preset
    if name not in PRESETS:
        close = get_close_matches(name, PRESETS, 1)
        meant = f"did you mean {close[0]}? " if close else ""
        raise ValueError(f"--preset {name}: {meant}expected one of {', '.join(PRESETS)}")
    asked = {key: getattr(options, key) for key in ("encoder", "text_encoder", "duration")}
    asked = {key: value for key, value in asked.items() if value is not None}
    unknown = [] if name in OF_WORDS else list(asked)
    unknown += ["roll"] if options.roll and not name.startswith("greif") else []
    if unknown:
        names = ", ".join(f"--{key.replace('_', '-')}" for key in unknown)
        raise ValueError(f"{names}: the preset {name} does not know it")
    if "encoder" in asked and not unknown:
        from qvim_kit.training.language_presets import check_sound_encoder

        try:
            check_sound_encoder(options.encoder)
        except ValueError as error:
            raise ValueError(f"--{error}") from None
    if options.resume and name in OF_WORDS:
        raise ValueError(
            f"--resume: the preset {name} has nothing to continue from; begin anew with "
            "--overwrite: what was embedded is not embedded again, and an epoch takes a second"
        )
    made = {**asked, **({"roll": True} if options.roll else {})}
    if options.epochs is not None and name in WITH_SCHEDULE:
        made["epochs"] = options.epochs
    return made


def _check_output(options: argparse.Namespace) -> None:
    """Before any work, which may be the download of weights."""
    from qvim_kit.training.keeping import BEST, HISTORY, LAST

    present = [name for name in (BEST, LAST, HISTORY) if (options.output / name).exists()]
    if present and not (options.resume or options.overwrite):
        going_on = "" if options.preset in OF_WORDS else "continue it with --resume, "
        raise FileExistsError(
            f"-o {options.output}: holds {', '.join(present)} of an earlier run; {going_on}"
            "begin anew with --overwrite, or choose another folder"
        )


def _parts(options: argparse.Namespace) -> tuple:
    """(train, validation, test or None), each called by the data's name and its part's."""
    from qvim_kit.clotho_protocol import with_words
    from qvim_kit.datasets import open_dataset
    from qvim_kit.datasets.splits import hold_out
    from qvim_kit.protocols import training_parts

    data = open_dataset(options.data, allow_missing=options.allow_missing)
    if options.hold_out:
        spoken = options.preset in OF_WORDS
        data = with_words(data) if spoken else data
        return *hold_out(data, options.hold_out, imitations=None if spoken else 2), None
    parts = training_parts(options.preset, data, options.fold, options.folds)
    return tuple(
        # A part of a part bears the names of both.
        dataclasses.replace(part, name=f"{data.name}, seed {options.fold}: {name}")
        if part.name.count(": ") > 1
        else part
        for part, name in zip(parts, ("train", "validation", "test"), strict=True)
    )


def _too_few(validation, test) -> str:
    """What to say of parts whose MRR means nothing, "" if nothing: by chance it is over a half."""
    from qvim_kit.wording import counted

    parts = {"the validation": validation, "the test": test}
    sizes = {name: len(part.items) for name, part in parts.items() if part is not None}
    few = [f"{name} ranks {counted(n, 'item')}" for name, n in sizes.items() if n < FEWEST]
    return f"{' and '.join(few)}: nothing can be measured with so few" if few else ""


def _results(result, test) -> str:
    from qvim_kit.evaluation.intervals import random_reciprocal_rank

    told = {"best validation MRR": (result.best_mrr, result.record["validation"]["random MRR"])}
    if test is not None:
        told["test MRR"] = (result.record["test"]["MRR"], random_reciprocal_rank(len(test.items)))
    return ", ".join(f"{what} {mrr:.4f} (random {low:.4f})" for what, (mrr, low) in told.items())
