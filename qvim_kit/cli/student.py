"""`qvim student`: the notebooks with the solutions taken out."""

from __future__ import annotations

import argparse
from pathlib import Path

STATES = {
    "new": "written",
    "renewed": "renewed, as the kit's has changed and you had not touched yours",
    "there": "there already, untouched",
    "kept": "kept, with what you wrote or ran in it",
}


def add_to(commands: argparse._SubParsersAction) -> None:
    student = commands.add_parser(
        "student",
        help="copy the notebooks to a folder, with the exercises for you to solve",
        description=(
            "Copies the notebooks to FOLDER without the solutions of their exercises. A copy in "
            "which you wrote or ran anything is never touched again: for a fresh one rename or "
            "delete yours, or name another folder."
        ),
    )
    student.add_argument("folder", metavar="FOLDER", type=Path, help="where; made if missing")
    student.set_defaults(run=_student)


def _student(options: argparse.Namespace) -> None:
    from qvim_kit.exercises.copies import copy_for_student

    copies = copy_for_student(options.folder)
    for state, words in STATES.items():
        names = [str(one.path.relative_to(options.folder)) for one in copies if one.state == state]
        if names:
            print(f"{words}:", *names, sep="\n  ")
    if any(one.state == "kept" for one in copies):
        print("For a fresh copy of one that was kept, rename or delete it and run this again.")
    print(f"Begin with: jupyter lab {copies[0].path}")
