"""Finds what is wrong with a submission, without running any of it.

`check` reads one notebook and lists all problems, each with its cell, line and remedy; `RULES`
says what is looked for. It is meant to find honest mistakes before the organisers do. It sees
through aliases, f-strings and most disguises, but code can always be written so that only a run
tells what it does: a notebook that passes is not thereby harmless.

Notebook: 05_submission.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from qvim_kit.submission.checking.bringing import answers_read
from qvim_kit.submission.checking.differences import compare
from qvim_kit.submission.checking.files import (
    NotANotebook,
    display_problems,
    kernel_problems,
    load,
    name_problems,
)
from qvim_kit.submission.checking.helper_calls import download_folders
from qvim_kit.submission.checking.imports import import_problems
from qvim_kit.submission.checking.literals import literal_faults
from qvim_kit.submission.checking.locations import Folders, is_absolute, parts
from qvim_kit.submission.checking.models import model_problems
from qvim_kit.submission.checking.names import undefined_names
from qvim_kit.submission.checking.problems import REMEDIES, Problem, Problems
from qvim_kit.submission.checking.rules import judge
from qvim_kit.submission.reading.statements import Reading, read
from qvim_kit.submission.reading.texts import ROOT, shown
from qvim_kit.submission.template import MOST_FILES, cell_of, recognise, split_name

AGAIN = "start from a fresh copy: qvim submission new NAME"
PATH_RULES = {"ROOT_PATH": "root-path", "DATA_PATH": "data-path"}


def check(path: Path | str) -> Problems:
    """All problems of a submission, in the order of its cells. Runs nothing; never raises.

    >>> check("humming-birds_1.ipynb")  # doctest: +SKIP
    humming-birds_1.ipynb: no problems found (made from the kit template)
    """
    path = Path(path)
    found = list(name_problems(path))
    try:
        notebook = load(path)
    except NotANotebook as error:
        remedy = AGAIN if path.is_file() else f"give the path of your notebook, or {AGAIN}"
        return Problems(path, [*found, Problem(None, None, "file", str(error), remedy)])
    found += kernel_problems(notebook)
    for number, cell in enumerate(notebook["cells"], start=1):
        found += display_problems(number, cell)
    cells = [cell_of(cell) for cell in notebook["cells"]]
    template = recognise(cells)
    if template is None:
        message = "made from neither the kit's nor the official template"
        found.append(Problem(None, None, "template", message, AGAIN))
    parts_of, different = compare(template, cells)
    code = {number: cell.source for number, cell in enumerate(cells, 1) if cell.kind == "code"}
    found += [*different, *_code_problems(code, parts_of, path.parent)]
    return Problems(path, found, template.name if template else None)


def check_all(paths: Iterable[Path | str]) -> list[Problems]:
    """Check several files; also that no team hands in more than it may."""
    results = [check(path) for path in paths]
    files = {os.path.abspath(result.path): split_name(result.path.stem) for result in results}
    names = [(name[0].casefold(), name[1]) for name in files.values() if name]
    teams, numbers = Counter(team for team, _ in names), Counter(names)
    remedy = "choose up to three files, and give each a number of its own"
    for index, result in enumerate(results):
        name = split_name(result.path.stem)
        if not name:
            continue
        files_there, same = teams[name[0].casefold()], numbers[name[0].casefold(), name[1]]
        faults = []
        if files_there > MOST_FILES:
            faults.append(f"{files_there} files of team {name[0]}; expected at most {MOST_FILES}")
        if same > 1:
            faults.append(f"{same} files of team {name[0]} with number {name[1]}")
        more = [Problem(None, None, "too-many", fault, remedy) for fault in faults]
        results[index] = Problems(result.path, [*result, *more], result.template)
    return results


def _code_problems(
    code: dict[int, str], parts_of: dict[int, str], folder: Path
) -> Iterator[Problem]:
    """Problems in the participant's cells; the others are read for the names that they bind."""
    reading = read(code)
    theirs = {number for number, part in parts_of.items() if part}
    for number, error in reading.errors.items():
        if number in theirs:
            message = f"not valid Python: {shown(str(error))}"
            remedy = "mend it: the cell must run in Jupyter"
            yield Problem(number, error.line, "syntax", message, remedy)
    yield from _definitions(reading, parts_of)
    literals: set[str] = set()
    for number in sorted(theirs & reading.trees.keys()):
        for line, text, rule, message in literal_faults(reading.trees[number]):
            literals.add(text)
            remedy, severity = REMEDIES[rule], "error"
            if parts_of[number] == "paths" and rule == "outside":
                remedy = "keep the default; the organisers put their own folders there anyway"
                severity = "warning"
            yield Problem(number, line, rule, message, remedy, severity)
    folders = Folders(download_folders(reading.calls), _data_parts(reading, parts_of))
    for call in reading.calls:
        if call.cell in theirs:
            yield from judge(call, folders, literals)
    for number in sorted(theirs & reading.trees.keys()):
        if parts_of[number] in ("implementation", "instance"):
            yield from answers_read(number, reading.trees[number])
    yield from import_problems(reading, theirs, folder)
    yield from _unread(reading, theirs)
    if reading.complete and reading.finished:
        known = {*reading.names, *reading.bound} | {*PATH_RULES, "QBVIM_MODEL"}  # reported above
        yield from undefined_names(reading.trees, theirs, known)


def _unread(reading: Reading, theirs: set[int]) -> Iterator[Problem]:
    for number, line, what in reading.unread:
        if number in theirs:
            message, remedy = f"only a run can tell {what}", "write it so that it can be read"
            yield Problem(number, line, "unreadable", message, remedy, "warning")
    if not reading.finished:
        message = "the code is too long or too deeply nested to be checked to its end"
        yield Problem(None, None, "unreadable", message, "shorten it, or put it into a package")


def _definitions(reading: Reading, parts_of: dict[int, str]) -> Iterator[Problem]:
    """Are the three names there, and are the paths left to the paths cell?"""
    cell_of_part = {part: number for number, part in parts_of.items() if part}
    unrecognised = "?" in cell_of_part
    for name, rule in PATH_RULES.items():
        home, cells = cell_of_part.get("paths"), reading.bound.get(name, {})
        if (home or unrecognised) and home not in cells and not (unrecognised and cells):
            yield from _undefined(name, "paths", home, reading)
        for number in sorted(cells):
            if home and number != home and parts_of.get(number):
                message = f"{name} is set again, over what the organisers put there"
                remedy = "remove it; only the paths cell sets it"
                yield Problem(number, None, rule, message, remedy)
    home = cell_of_part.get("instance")
    if (home or unrecognised) and "QBVIM_MODEL" not in reading.names:
        yield from _undefined("QBVIM_MODEL", "instance", home, reading)
    yield from model_problems(reading, home)


def _undefined(name: str, part: str, home: int | None, reading: Reading) -> Iterator[Problem]:
    if reading.complete:
        remedy = f"write {name} = … in your {part} cell"
        yield Problem(home, None, "undefined", f"{name} is not defined", remedy)


def _data_parts(reading: Reading, parts_of: dict[int, str]) -> tuple[str, ...]:
    """The parts of what the notebook sets DATA_PATH to."""
    for number, value in reading.bound.get("DATA_PATH", {}).items():
        text = value.removeprefix(ROOT) if isinstance(value, str) else "/"
        if parts_of.get(number) in ("paths", "?") and not is_absolute(text) and text[:1] != "~":
            return tuple(parts(text))
    return ()
