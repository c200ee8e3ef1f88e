"""`qvim doctor` and `qvim tutorial`."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_to(commands: argparse._SubParsersAction) -> None:
    doctor = commands.add_parser("doctor", help="check this machine, with a remedy for each fault")
    doctor.set_defaults(run=_doctor)

    tutorial = commands.add_parser("tutorial", help="run all notebooks and make pages of them")
    tutorial.add_argument(
        "names", nargs="*", metavar="NOTEBOOK", help="only these, such as 04 (default: all)"
    )
    tutorial.add_argument("-o", "--output", type=Path, help="where (default: build/tutorial)")
    tutorial.set_defaults(run=_tutorial)


def _doctor(options: argparse.Namespace) -> int:
    from qvim_kit.doctor import diagnose

    broken = 0
    for finding in diagnose():
        print(finding, flush=True)  # as it comes: the first import of torch takes its time
        broken += finding.fatal and not finding.ok
    if broken:
        print("\nNot ready: do what the arrows under FAIL say, from the first on.")
    else:
        print("\nReady: nothing that the notebooks need is missing.")
    return int(broken > 0)


def _tutorial(options: argparse.Namespace) -> int:
    from qvim_kit.tutorial import run_tutorial

    if options.output and options.output.is_file():
        raise ValueError(f"--output: {options.output} is a file, expected a folder")
    return run_tutorial(options.output, options.names)
