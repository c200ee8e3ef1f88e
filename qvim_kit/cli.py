"""The `qvim` command. Each subcommand is a few lines over the package."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from qvim_kit import __version__
from qvim_kit.paths import beside


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code. What a user can mend prints no traceback."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except (ValueError, OSError, RuntimeError, ArithmeticError) as error:
        if os.environ.get("QVIM_DEBUG"):
            raise
        print(f"qvim: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("qvim: stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qvim", description="Query by vocal imitation: hum a sound, find the one you meant."
    )
    parser.add_argument("--version", action="version", version=f"qvim-kit {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    doctor = commands.add_parser("doctor", help="check this machine, with a remedy for each fault")
    doctor.set_defaults(run=_doctor)

    data = commands.add_parser("data", help="fetch, make and check data sets").add_subparsers(
        required=True, metavar="WHAT"
    )
    mini = data.add_parser("mini", help="build the synthesised mini data set")
    mini.add_argument("--folder", type=Path, help="where (default: qvim-mini in the data folder)")
    mini.set_defaults(run=_data_mini)

    from qvim_kit.downloads.catalogue import SOURCES

    fetch = data.add_parser("fetch", help="download, unpack and check a public data set")
    fetch.add_argument("name", choices=SOURCES)
    fetch.add_argument("--folder", type=Path, help="where (default: NAME in the data folder)")
    fetch.add_argument("--verify", action="store_true", help="also compare every file's hash")
    fetch.add_argument("--keep-archives", action="store_true", help="keep what was downloaded")
    fetch.set_defaults(run=_data_fetch)

    check = data.add_parser("check", help="find missing, broken, silent and repeated sounds")
    check.add_argument("folder", help="a folder, or the name of a data set")
    check.set_defaults(run=_data_check)

    evaluate = commands.add_parser("evaluate", help="score a similarities.json")
    evaluate.add_argument("similarities", type=Path, help="query id → item id → score, as JSON")
    evaluate.add_argument("--data", required=True, help="a folder, or the name of a data set")
    evaluate.add_argument("--name", help="of the system (default: the file's)")
    evaluate.add_argument(
        "--pool", choices=("all", "imitated"), default="all", help="which items are ranked"
    )
    evaluate.add_argument(
        "--missing", choices=("error", "worst"), default="error", help="missing scores"
    )
    evaluate.add_argument("--markdown", action="store_true", help="print a Markdown table")
    evaluate.set_defaults(run=_evaluate)

    embed = commands.add_parser("embed", help="embed every audio file of a folder")
    embed.add_argument("folder", type=Path)
    embed.add_argument("-o", "--output", type=Path, required=True, help=".npz: paths, embeddings")
    embed.add_argument(
        "--system",
        default="mn04_as",
        help="2dft, m-vggish, an AudioSet checkpoint's name, a folder or file",
    )
    embed.set_defaults(run=_embed)

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

    test = commands.add_parser("test", help="test a system by a published protocol")
    test.add_argument("--protocol", required=True, choices=("coarse", "fine", "qvim-dev"))
    test.add_argument("--system", required=True, help="2dft, m-vggish, mn10_as, a folder or file")
    test.add_argument("--data", required=True, help="a folder, or the name of a data set")
    test.add_argument("--fold", default="all", help="of the coarse protocol (default: all)")
    test.add_argument("--folds", type=Path, help="the folder with the published fold files")
    test.add_argument("--sample-rate", type=int, default=8_000, help="of the 2dft, Hz")
    test.add_argument("--duration", type=float, help="of clips, s (2dft: 5, m-vggish: 15.4)")
    test.set_defaults(run=_test)

    tutorial = commands.add_parser("tutorial", help="run all notebooks and make pages of them")
    tutorial.add_argument("--output", type=Path, help="where (default: build/tutorial)")
    tutorial.set_defaults(run=_tutorial)
    return parser


def _doctor(options: argparse.Namespace) -> int:
    from qvim_kit.doctor import diagnose

    findings = diagnose()
    print("\n".join(map(str, findings)))
    return int(any(finding.fatal and not finding.ok for finding in findings))


def _data_mini(options: argparse.Namespace) -> None:
    from qvim_kit.datasets import load_mini

    dataset = load_mini(options.folder)
    print(dataset)
    print(f"in {Path(dataset.items['path'][0]).parents[2]}")


def _data_fetch(options: argparse.Namespace) -> None:
    from qvim_kit.downloads.sources import fetch_dataset

    folder = fetch_dataset(
        options.name, options.folder, verify=options.verify, keep_archives=options.keep_archives
    )
    print(folder)


def _data_check(options: argparse.Namespace) -> int:
    from qvim_kit.datasets.audit import audit

    result = audit(options.folder)
    print(result)
    return int(not result.whole)


def _evaluate(options: argparse.Namespace) -> None:
    from qvim_kit.datasets import open_dataset
    from qvim_kit.evaluation import evaluate

    report = evaluate(
        options.similarities,
        open_dataset(options.data),
        system=options.name or options.similarities.stem,
        pool=options.pool,
        missing=options.missing,
    )
    print(report.to_markdown() if options.markdown else report)


def _embed(options: argparse.Namespace) -> int:
    import numpy as np

    paths = _sounds(options.folder)
    output = _output_file(options.output, ".npz")
    done, errors = _system(options.system).embed_files(paths)
    if done:
        names = [str(Path(path).relative_to(options.folder)) for path in done]
        with beside(output) as part, part.open("wb") as handle:
            np.savez(handle, paths=names, embeddings=np.stack(list(done.values())))
        print(f"{output}: {len(done)} embeddings of {options.system}")
    for error in errors:
        print(f"not embedded: {error}", file=sys.stderr)
    if errors:
        print(f"{len(errors)} of {len(paths)} files could not be embedded", file=sys.stderr)
    return int(bool(errors))


def _sounds(folder: Path) -> list[Path]:
    from qvim_kit.audio import AUDIO_SUFFIXES

    if not folder.is_dir():
        raise ValueError(f"{folder}: {'a file' if folder.exists() else 'nothing'}, no folder")
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file() and path.name[0] != "."
    )
    if not paths:
        kinds = " ".join(sorted(AUDIO_SUFFIXES))
        raise ValueError(f"{folder}: no audio files in it (looked for {kinds})")
    return paths


def _system(name: str, sample_rate: int = 8_000, duration: float | None = None):
    """A system by its name, or the folder or published checkpoint that it is loaded from."""
    from qvim_kit.models.mobilenet import AUDIOSET_CHECKPOINTS
    from qvim_kit.systems import DualEncoderSystem, EncoderSystem, MVGGish, TwoDFT

    if name.lower() == "2dft":
        return TwoDFT(sample_rate, 5.0 if duration is None else duration)
    if name.lower() == "m-vggish":
        return MVGGish(duration=15.4 if duration is None else duration)
    if Path(name).is_file():
        from qvim_kit.models.published import load_published

        return DualEncoderSystem(load_published(name), name=Path(name).stem)
    if name not in AUDIOSET_CHECKPOINTS and not Path(name).is_dir():
        known = ", ".join(AUDIOSET_CHECKPOINTS)
        raise ValueError(f"--system {name}: expected 2dft, m-vggish, {known}, a folder or a file")
    return EncoderSystem.from_pretrained(name)


def _output_file(path: Path, suffix: str) -> Path:
    """Where a result goes, checked before the work is done."""
    path = path if path.suffix == suffix else path.with_name(path.name + suffix)
    if path.is_dir() or path.with_suffix("").is_dir():
        raise ValueError(f"-o {path}: is a folder, expected a file such as {path / 'out'}{suffix}")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise ValueError(f"-o {path}: {path.parent} is no folder that can be written")
    return path


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


def _test(options: argparse.Namespace) -> None:
    from qvim_kit import protocols
    from qvim_kit.datasets import open_dataset

    dataset = open_dataset(options.data)
    system = _system(options.system, options.sample_rate, options.duration)
    if options.protocol == "coarse":
        folds = protocols.coarse_folds(dataset, options.folds)
        if options.fold != "all":
            numbers = [str(number) for number in range(len(folds))]
            if options.fold not in numbers:
                raise ValueError(f"--fold {options.fold}: expected all or 0 to {len(folds) - 1}")
            folds = [folds[int(options.fold)]]
        table = protocols.run_coarse(system, folds)
    elif options.protocol == "fine":
        table = protocols.run_fine(system, dataset)
    else:
        table = protocols.run_qvim_dev(system, dataset, system.name)
    print(f"{system.name} on {dataset!r}\n\n{table.round(4).to_string()}")
    print(f"\npublished MRR\n{protocols.beside_published(options.protocol)}")


def _tutorial(options: argparse.Namespace) -> int:
    from qvim_kit.tutorial import run_tutorial

    return run_tutorial(options.output)
