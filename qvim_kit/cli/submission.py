"""`qvim submission`: start a submission, check it; `organiser` adds what the organisers do."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_to(commands: argparse._SubParsersAction) -> None:
    submission = commands.add_parser("submission", help="start, check and run a submission")
    subcommands = submission.add_subparsers(required=True, metavar="WHAT")

    new = subcommands.add_parser("new", help="copy the template to NAME.ipynb")
    new.add_argument("name", metavar="NAME", help="{teamName}_{number}, such as humming-birds_1")
    new.add_argument("--folder", type=Path, default=Path(), help="where (default: this folder)")
    new.set_defaults(run=_new)

    check = subcommands.add_parser(
        "check",
        help="list all that is wrong with a submission, without running it",
        description=(
            "Lists all that is wrong with submissions, each with cell, line and remedy. Nothing is "
            "run. The exit code is 1 if there are errors; warnings alone are 0. A notebook that "
            "passes keeps the rules as far as that can be told without running it."
        ),
    )
    check.add_argument("files", metavar="FILE", nargs="+", type=Path)
    check.add_argument("--json", action="store_true", help="print JSON, for programs")
    check.set_defaults(run=_check)

    from qvim_kit.cli import organiser

    organiser.add_to_submission(subcommands)


def _new(options: argparse.Namespace) -> None:
    from qvim_kit.submission.template import new_submission

    path = new_submission(options.name, options.folder)
    print(
        f"{path}\nFill in its four cells, run it from the top, then: qvim submission check {path}"
    )


def _check(options: argparse.Namespace) -> int:
    import json

    from qvim_kit.submission.checking import check_all

    results = check_all(options.files)
    if options.json:
        print(json.dumps([result.summary() for result in results], indent=1))
    else:
        print("\n\n".join(map(str, results)))
    return int(not all(result.ok for result in results))
