"""The `qvim` command. Each subcommand is a few lines over the package; one file a group."""

from __future__ import annotations

import argparse
import os
import re
import sys
import warnings
from pathlib import Path

from qvim_kit import __version__
from qvim_kit.cli import data, demo, machine, organiser, search, student, submission, systems, train


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code. What a user can mend prints no traceback."""
    options = _parsed(arguments)
    if arguments is None and not sys.stderr.isatty():  # a line a minute, not ten a second, in a log
        os.environ.setdefault("TQDM_MININTERVAL", "60")
        os.environ.setdefault("TQDM_MAXINTERVAL", "60")
    shown, warnings.formatwarning = warnings.formatwarning, _warning
    try:
        return options.run(options) or 0
    except (ValueError, OSError, RuntimeError, ArithmeticError) as error:
        if os.environ.get("QVIM_DEBUG"):
            raise
        print(f"qvim: {_in_options(str(error), options)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("qvim: stopped", file=sys.stderr)
        return 130
    finally:
        warnings.formatwarning = shown


def _warning(message: Warning | str, *where: object) -> str:
    """One line, without the source that warns: it is not the user's."""
    return f"qvim: warning: {' '.join(str(message).split())}\n"


def _in_options(message: str, options: argparse.Namespace) -> str:
    """What the package calls ``overwrite=True`` is ``--overwrite`` to who types a command."""

    def option(found: re.Match) -> str:
        return f"--{found[1].replace('_', '-')}" if hasattr(options, found[1]) else found[0]

    return re.sub(r"\b([a-z_]+)=True\b(?: \(--[a-z-]+\))?", option, message)


def _parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The arguments; a recording may also follow options, which argparse does not allow it."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if len(rest) == 1 and rest[0][:1] != "-" and getattr(options, "query", options) is None:
        options.query, rest = Path(rest[0]), []
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qvim", description="Query by vocal imitation: hum a sound, find the one you meant."
    )
    parser.add_argument("--version", action="version", version=f"qvim-kit {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (machine, student, data, systems, search, train, submission, organiser, demo):
        group.add_to(commands)
    return parser
