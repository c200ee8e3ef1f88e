"""`qvim data`: make, fetch and check data sets."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path


def add_to(commands: argparse._SubParsersAction) -> None:
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

    imitate = data.add_parser("imitate", help="imitate a library of sounds with a virtual voice")
    imitate.add_argument("sources", type=Path, nargs="+", help="folders of sounds")
    imitate.add_argument("-o", "--output", type=Path, required=True, help="the data set's folder")
    imitate.add_argument("--takes", type=int, default=8, help="imitations of each sound: 8")
    imitate.add_argument(
        "--versions",
        type=int,
        default=1,
        help="items of each sound: 1, itself; any more are changed",
    )
    imitate.add_argument(
        "--voices",
        type=Path,
        help="a folder of recorded voices (SPEAKER/FILE or SPEAKER__FILE), for half of the takes",
    )
    imitate.add_argument("--mosaic", type=float, help="the share of takes from --voices: 0.5")
    imitate.add_argument("--seed", type=int, default=0, help="of the speakers: 0")
    imitate.add_argument(
        "--exclude",
        nargs="+",
        default=[],
        metavar="PATTERN",
        help="sounds to leave out, by class and path: '*bell*' 'Rain/*' (name the sources before)",
    )
    imitate.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    imitate.set_defaults(run=_data_imitate)

    check = data.add_parser(
        "check",
        help="find missing, broken, silent and repeated sounds",
        epilog="The exit code is 1 where files are missing or broken, or a data set is not as its "
        "layout asks.",
    )
    check.add_argument(
        "folder", help="the name of a data set, its folder, or a folder of any sounds"
    )
    check.set_defaults(run=_data_check)


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


def _data_imitate(options: argparse.Namespace) -> None:
    from qvim_kit.datasets.imitated import imitate_sounds

    dataset = imitate_sounds(
        options.sources,
        options.output,
        takes=options.takes,
        versions=options.versions,
        seed=options.seed,
        voices=options.voices,
        mosaic=options.mosaic,
        workers=options.workers,
        exclude=options.exclude,
    )
    print(f"{dataset}\nin {options.output}; qvim train --data {options.output} trains on it")
    record = json.loads((options.output / "sources.json").read_text(encoding="utf-8"))
    for reason in record["left_out"]:
        print(f"left out: {reason}", file=sys.stderr)


def _data_check(options: argparse.Namespace) -> int:
    from qvim_kit.datasets.audit import audit

    result = audit(options.folder)
    print(result)
    return int(not result.whole)
