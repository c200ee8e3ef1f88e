"""`qvim evaluate`, `qvim embed` and `qvim test`: what a system is worth."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from qvim_kit.paths import beside


def add_to(commands: argparse._SubParsersAction) -> None:
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

    test = commands.add_parser("test", help="test a system by a published protocol")
    protocols = ("coarse", "fine", "qvim-dev", "clotho")
    test.add_argument("--protocol", required=True, choices=protocols)
    test.add_argument("--system", required=True, help="2dft, m-vggish, mn10_as, a folder or file")
    test.add_argument("--data", required=True, help="a folder, or the name of a data set")
    test.add_argument("--fold", default="all", help="of the coarse protocol (default: all)")
    test.add_argument("--folds", type=Path, help="the folder with the published fold files")
    test.add_argument("--sample-rate", type=int, default=8_000, help="of the 2dft, Hz")
    test.add_argument("--duration", type=float, help="of clips, s (2dft: 5, m-vggish: 15.4)")
    test.set_defaults(run=_test)


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

    paths = sounds_in(options.folder)
    output = _output_file(options.output, ".npz")
    done, errors = system_by_name(options.system).embed_files(paths)
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


def sounds_in(folder: Path) -> list[Path]:
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


def system_by_name(name: str, sample_rate: int = 8_000, duration: float | None = None):
    """A system by its name, or the folder or published checkpoint that it is loaded from."""
    from qvim_kit.models.language import is_language_model
    from qvim_kit.models.mobilenet import AUDIOSET_CHECKPOINTS
    from qvim_kit.models.storage import shipped
    from qvim_kit.systems import DualEncoderSystem, EncoderSystem, MVGGish, TwoDFT
    from qvim_kit.systems.language import LanguageSystem

    if name.lower() == "2dft":
        return TwoDFT(sample_rate, 5.0 if duration is None else duration)
    if name.lower() == "m-vggish":
        return MVGGish(duration=15.4 if duration is None else duration)
    if Path(name).is_file():
        from qvim_kit.models.published import load_published

        return DualEncoderSystem(load_published(name), name=Path(name).stem)
    if name not in (names := [*shipped(), *AUDIOSET_CHECKPOINTS]) and not Path(name).is_dir():
        known = ", ".join(names)
        raise ValueError(f"--system {name}: expected 2dft, m-vggish, {known}, a folder or a file")
    if is_language_model(name):
        return LanguageSystem.from_pretrained(name)
    return EncoderSystem.from_pretrained(name)


def _output_file(path: Path, suffix: str) -> Path:
    """Where a result goes, checked before the work is done."""
    path = path if path.suffix == suffix else path.with_name(path.name + suffix)
    if path.is_dir() or path.with_suffix("").is_dir():
        raise ValueError(f"-o {path}: is a folder, expected a file such as {path / 'out'}{suffix}")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise ValueError(f"-o {path}: {path.parent} is no folder that can be written")
    return path


def _test(options: argparse.Namespace) -> None:
    from qvim_kit import protocols
    from qvim_kit.clotho_protocol import run_clotho
    from qvim_kit.datasets import open_dataset

    dataset = open_dataset(options.data)
    system = system_by_name(options.system, options.sample_rate, options.duration)
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
        table = run_clotho(system, dataset)
    else:
        table = protocols.run_qvim_dev(system, dataset, system.name)
    print(f"{system.name} on {dataset!r}\n\n{table.round(4).to_string()}")
    if note := protocols.doubt(options.protocol, dataset):
        print(f"\n{note}")
    published = "MRR"
    if options.protocol == "clotho":
        published = "(DCASE 2023 task 6b baseline, which trains CNN14 too; not verified here)"
    print(f"\npublished {published}\n{protocols.beside_published(options.protocol)}")
