"""`qvim doctor` and `qvim tutorial`."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_to(commands: argparse._SubParsersAction) -> None:
    doctor = commands.add_parser("doctor", help="check this machine, with a remedy for each fault")
    doctor.set_defaults(run=_doctor)

    tutorial = commands.add_parser("tutorial", help="run all notebooks and make pages of them")
    tutorial.add_argument("--output", type=Path, help="where (default: build/tutorial)")
    tutorial.set_defaults(run=_tutorial)


def _doctor(options: argparse.Namespace) -> int:
    from qvim_kit.doctor import diagnose

    findings = diagnose()
    print("\n".join(map(str, findings)))
    return int(any(finding.fatal and not finding.ok for finding in findings))


def _tutorial(options: argparse.Namespace) -> int:
    from qvim_kit.tutorial import run_tutorial

    return run_tutorial(options.output)
