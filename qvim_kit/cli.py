"""The `qvim` command. Each subcommand is a few lines over the package."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from qvim_kit import __version__


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code. What a user can mend prints no traceback."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except (ValueError, OSError, RuntimeError) as error:
        if os.environ.get("QVIM_DEBUG"):
            raise
        print(f"qvim: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("qvim: stopped; what was embedded or downloaded so far is kept", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qvim", description="Query by vocal imitation: hum a sound, find the one you meant."
    )
    parser.add_argument("--version", action="version", version=f"qvim-kit {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    doctor = commands.add_parser("doctor", help="check this machine, with a remedy for each fault")
    doctor.set_defaults(run=_doctor)

    data = commands.add_parser("data", help="make data sets").add_subparsers(
        required=True, metavar="WHAT"
    )
    mini = data.add_parser("mini", help="build the synthesised mini data set")
    mini.add_argument("--folder", type=Path, help="where (default: qvim-mini in the data folder)")
    mini.set_defaults(run=_data_mini)

    evaluate = commands.add_parser("evaluate", help="score a similarities.json")
    evaluate.add_argument("similarities", type=Path, help="query id → item id → score, as JSON")
    evaluate.add_argument("--data", type=Path, required=True, help="folder with Items and Queries")
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
    embed.add_argument("--system", default="mn04_as", help="2dft or an AudioSet checkpoint's name")
    embed.set_defaults(run=_embed)

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


def _evaluate(options: argparse.Namespace) -> None:
    from qvim_kit.datasets import read_qvim_dev
    from qvim_kit.evaluation import evaluate

    report = evaluate(
        options.similarities,
        read_qvim_dev(options.data),
        system=options.similarities.stem,
        pool=options.pool,
        missing=options.missing,
    )
    print(report.to_markdown() if options.markdown else report)


def _embed(options: argparse.Namespace) -> int:
    import numpy as np

    from qvim_kit.audio import AUDIO_SUFFIXES
    from qvim_kit.systems import EncoderSystem, TwoDFT

    if not options.folder.is_dir():
        raise ValueError(f"{options.folder}: no such folder")
    paths = sorted(
        path
        for path in options.folder.rglob("*")
        if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file()
    )
    if not paths:
        kinds = " ".join(sorted(AUDIO_SUFFIXES))
        raise ValueError(f"{options.folder}: no audio files in it (looked for {kinds})")
    output = options.output if options.output.suffix == ".npz" else Path(f"{options.output}.npz")
    if not output.parent.is_dir():
        raise ValueError(f"{output.parent}: no such folder for the output")
    system = TwoDFT() if options.system == "2dft" else EncoderSystem.from_pretrained(options.system)
    done, errors = system.embed_files(paths)
    if done:
        names = [str(Path(path).relative_to(options.folder)) for path in done]
        part = output.with_name(output.name + ".part.npz")
        np.savez(part, paths=names, embeddings=np.stack(list(done.values())))
        os.replace(part, output)
        print(f"{output}: {len(done)} embeddings of {options.system}")
    for error in errors:
        print(f"not embedded: {error}", file=sys.stderr)
    if errors:
        print(f"{len(errors)} of {len(paths)} files could not be embedded", file=sys.stderr)
    return int(bool(errors))


def _tutorial(options: argparse.Namespace) -> int:
    from qvim_kit.tutorial import run_tutorial

    return run_tutorial(options.output)
