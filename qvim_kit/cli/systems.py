"""`qvim evaluate`, `qvim embed` and `qvim test`: what a system is worth."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from qvim_kit.cli.search import add_system
from qvim_kit.paths import beside


def add_to(commands: argparse._SubParsersAction) -> None:
    evaluate = commands.add_parser("evaluate", help="score a similarities.json")
    evaluate.add_argument("similarities", type=Path, help="query id → item id → score, as JSON")
    evaluate.add_argument("--data", required=True, help="a folder, or the name of a data set")
    add_allow_missing(evaluate)
    evaluate.add_argument("--name", help="of the system (default: the file's)")
    evaluate.add_argument(
        "--pool", choices=("all", "imitated"), default="all", help="which items are ranked"
    )
    evaluate.add_argument(
        "--missing", choices=("error", "worst"), default="error", help="missing scores"
    )
    evaluate.add_argument("--markdown", action="store_true", help="print a Markdown table")
    evaluate.set_defaults(run=_evaluate)

    embed = commands.add_parser(
        "embed",
        help="embed every audio file of a folder",
        epilog="Files that cannot be embedded are named on stderr, and the exit code is 1; the "
        "embeddings of all others are written.",
    )
    embed.add_argument("folder", type=Path)
    embed.add_argument("-o", "--output", type=Path, required=True, help=".npz: paths, embeddings")
    add_system(embed)
    embed.set_defaults(run=_embed)

    test = commands.add_parser("test", help="test a system by a published protocol")
    protocols = ("coarse", "fine", "qvim-dev", "clotho")
    test.add_argument("--protocol", required=True, choices=protocols)
    test.add_argument("--system", required=True, help="2dft, m-vggish, mn10_as, a folder or file")
    test.add_argument("--data", required=True, help="a folder, or the name of a data set")
    add_allow_missing(test)
    test.add_argument("--fold", default="all", help="of the coarse protocol (default: all)")
    test.add_argument("--folds", type=Path, help="the folder with the published fold files")
    test.add_argument("--sample-rate", type=int, default=8_000, help="of the 2dft, Hz")
    test.add_argument("--duration", type=float, help="of clips, s (2dft: 5, m-vggish: 15.4)")
    test.set_defaults(run=_test)


def add_allow_missing(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--allow-missing", action="store_true", help="leave out of the data what has no file"
    )


def _evaluate(options: argparse.Namespace) -> None:
    from qvim_kit.datasets import open_dataset
    from qvim_kit.evaluation import evaluate

    report = evaluate(
        options.similarities,
        open_dataset(options.data, allow_missing=options.allow_missing),
        system=options.name or options.similarities.stem,
        pool=options.pool,
        missing=options.missing,
    )
    print(report.to_markdown() if options.markdown else report)


def _embed(options: argparse.Namespace) -> int:
    import numpy as np

    from qvim_kit.search.library import Library
    from qvim_kit.systems.named import system_by_name

    sounds, unlisted = Library.of(options.folder).scan()
    names = {sound.path: sound.name for sound in sounds}
    output = _output_file(options.output, ".npz")
    done, errors = system_by_name(options.system).embed_files(list(names))
    if done:
        embeddings = np.stack(list(done.values()))
        with beside(output) as part, part.open("wb") as handle:
            np.savez(handle, paths=[names[path] for path in done], embeddings=embeddings)
        print(f"{output}: {len(done)} embeddings of {options.system}")
    for error in (*unlisted, *errors):
        print(f"not embedded: {error}", file=sys.stderr)
    if errors:
        print(f"{len(errors)} of {len(sounds)} files could not be embedded", file=sys.stderr)
    return int(bool(errors or unlisted))


def _output_file(path: Path, suffix: str) -> Path:
    """Where a result goes, checked before the work is done."""
    if path.is_dir():
        raise ValueError(f"-o {path}: is a folder, expected a file such as {path / 'out'}{suffix}")
    if path.suffix not in ("", suffix):
        raise ValueError(
            f"-o {path}: found {path.suffix}, expected {suffix}, the only kind that is written"
        )
    path = path.with_suffix(suffix)
    if path.is_dir():
        raise ValueError(f"-o {path}: is a folder, expected a file")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise ValueError(f"-o {path}: {path.parent} is no folder that can be written")
    return path


def _test(options: argparse.Namespace) -> None:
    from qvim_kit import clotho_protocol, protocols
    from qvim_kit.datasets import open_dataset
    from qvim_kit.systems.named import system_by_name

    dataset = open_dataset(options.data, allow_missing=options.allow_missing)
    system = system_by_name(options.system, options.sample_rate, options.duration)
    published = f"published MRR\n{protocols.beside_published(options.protocol)}"
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
    elif options.protocol == "clotho":
        dataset = clotho_protocol.held_out(system, dataset)
        table = clotho_protocol.measure_words(system, dataset)
        published = clotho_protocol.about_published(dataset)
    else:
        table = protocols.run_qvim_dev(system, dataset, system.name)
    print(f"{system.name} on {dataset!r}\n\n{table.round(4).to_string(na_rep='')}")
    for note in filter(None, (protocols.doubt(options.protocol, dataset), published)):
        print(f"\n{note}")
