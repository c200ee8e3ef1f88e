"""The `qvim` command. Each subcommand is a few lines over the package; one file a group."""

from __future__ import annotations

import argparse
import os
import sys

from qvim_kit import __version__
from qvim_kit.cli import data, demo, machine, organiser, search, submission, systems, train


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
    for group in (machine, data, systems, search, train, submission, organiser, demo):
        group.add_to(commands)
    return parser
