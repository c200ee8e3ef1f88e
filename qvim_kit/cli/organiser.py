"""`qvim submission run` and `qvim leaderboard`: what the organisers do."""

from __future__ import annotations

import argparse
from pathlib import Path

HOUR = 3_600
WHAT_RUN_DOES = """\
Runs a submission as the organisers do: a fresh kernel in an empty folder, --data and --root in
its paths cell, limits of time and memory; then checks and scores similarities.json. The file
itself is only read. What `qvim submission check` finds in it is told and stands in the report; it
changes neither the run nor its exit code.

This is no sandbox: the submission's code runs with all your rights, installs packages into this
Python, and can read the answers in --data. Read it first, or use --isolate."""


def add_to_submission(subcommands: argparse._SubParsersAction) -> None:
    run = subcommands.add_parser(
        "run",
        help="run and score a submission as the organisers do",
        description=WHAT_RUN_DOES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("file", type=Path, help="the notebook, {teamName}_{submissionNumber}.ipynb")
    run.add_argument("--data", required=True, help="a folder, or qvim-dev or qvim-mini; DATA_PATH")
    run.add_argument(
        "--root", type=Path, help="ROOT_PATH, kept afterwards (default: a fresh folder, removed)"
    )
    run.add_argument(
        "--timeout",
        type=float,
        default=HOUR,
        metavar="S",
        help="seconds for its cells (default: 3600)",
    )
    run.add_argument(
        "--memory", type=float, metavar="GB", help="10⁹ bytes (default: ¾ of this machine's)"
    )
    run.add_argument(
        "--isolate",
        action="store_true",
        help="with bubblewrap: no network, only the run's own folder and --root can be written; "
        "packages and downloads must be there from an earlier run with --root",
    )
    run.add_argument(
        "-o", "--output", type=Path, help="of reports, log, scores (default: runs/FILE-TIME)"
    )
    run.set_defaults(run=_run)
    plain = run.format_help

    def with_exit_codes() -> str:  # only when asked for, as the import takes a second
        from qvim_kit.submission.running.stages import exit_codes

        run.epilog = f"exit codes:\n{exit_codes()}"
        return plain()

    run.format_help = with_exit_codes


def _run(options: argparse.Namespace) -> int:
    from datetime import datetime

    from qvim_kit.submission.running import Limits, run_submission
    from qvim_kit.submission.running.limits import default_memory

    now = datetime.now().strftime("%Y%m%d-%H%M%S")
    memory = default_memory() if options.memory is None else int(options.memory * 1e9)
    run = run_submission(
        options.file,
        options.data,
        output=options.output or Path("runs") / f"{options.file.stem}-{now}",
        root=options.root,
        limits=Limits(options.timeout, memory),
        isolate=options.isolate,
    )
    lines = [run.checked, f"report: {run.output / 'report.html'}", run.headline]
    print("\n".join(filter(None, lines)))
    return run.code


def add_to(commands: argparse._SubParsersAction) -> None:
    board = commands.add_parser(
        "leaderboard",
        help="rank submissions, on one data set or on two",
        description=(
            "Ranks submissions by MRR, with intervals and paired permutation tests against a "
            "baseline. FILE: the report.json of `qvim submission run`, which names team and "
            "number, or a similarities.json, named after its file or folder."
        ),
        epilog="example: qvim leaderboard dev/*/report.json --data qvim-dev "
        "--held-out eval/*/report.json --held-out-data DIR -o leaderboard.html",
    )
    board.add_argument("files", nargs="+", type=Path, metavar="FILE", help="on --data")
    board.add_argument("--data", required=True, help="a folder, or the name of a data set")
    board.add_argument(
        "--baseline", help="one of FILE, or its name (default: the first FILE that can be ranked)"
    )
    board.add_argument(
        "--held-out",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="the same submissions on --held-out-data, which then decides the order",
    )
    board.add_argument("--held-out-data", metavar="DATA", help="a second data set")
    board.add_argument("-o", "--output", type=Path, help=".md, .html or .csv (default: print it)")
    board.set_defaults(run=_leaderboard)


def _leaderboard(options: argparse.Namespace) -> int:
    import sys

    from qvim_kit.datasets import open_dataset
    from qvim_kit.submission.leaderboard import rank
    from qvim_kit.submission.standings import FORMATS, to_markdown, write_leaderboard

    if bool(options.held_out) != bool(options.held_out_data):
        raise ValueError("--held-out FILE … and --held-out-data DATA: give both, or neither")
    if options.output and options.output.suffix.lower() not in FORMATS:
        raise ValueError(f"-o {options.output}: expected a name that ends in {', '.join(FORMATS)}")
    _check_files([*options.files, *options.held_out])
    board = rank(
        options.files,
        open_dataset(options.data),
        baseline=options.baseline,
        held_out_files=options.held_out,
        held_out=open_dataset(options.held_out_data) if options.held_out_data else None,
    )
    if options.output:
        write_leaderboard(board, options.output)
        print(options.output)
    else:
        print(to_markdown(board), end="")
    for name, why in board.not_ranked:
        print(f"not ranked: {name}: {why}", file=sys.stderr)
    return int(bool(board.not_ranked))


def _check_files(files: list[Path]) -> None:
    """Raise `ValueError` for patterns that fit nothing, for folders and notebooks."""
    problems = []
    for file in files:
        if file.is_dir():
            inside = sorted(file.glob("**/report.json"))[:1]
            likely = file / ("report.json" if (file / "report.json") in inside else "*/report.json")
            problems.append(f"{file}: is a folder, expected its files: write {likely}")
        elif file.suffix == ".ipynb":
            remedy = "run it (qvim submission run) and give its report.json"
            problems.append(f"{file} is a notebook; {remedy}")
        elif set("*?[") & set(str(file)) and not file.exists():
            problems.append(f"{file}: no file fits; expected one such as dev/*/report.json")
    if problems:
        raise ValueError("\n".join(problems))
