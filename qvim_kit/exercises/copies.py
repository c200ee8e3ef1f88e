"""Copies of the notebooks without the solutions, for `qvim student`.

A cell with the tag "solution" holds functions, or a class with methods. Their copies keep
signature and docstring, and instead of the body raise NotImplementedError("your turn").
"""

from __future__ import annotations

import ast
import copy
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from qvim_kit.paths import REPOSITORY, beside
from qvim_kit.tutorial import notebooks

BLANK = 'raise NotImplementedError("your turn")'
ELSEWHERE = "https://colab.research.google.com/"
SOLUTION, EXERCISE = "solution", "exercise"


@dataclass(frozen=True)
class Copied:
    """What became of one file: state is "new", "there", "renewed" or "kept"."""

    path: Path
    state: str


def blanked(source: str) -> str:
    """A solution cell's text with the bodies of its functions taken out.

    Raises `ValueError` for a cell without a function, or with its body on the line of its name.

    >>> print(blanked("def twice(x):\\n    '''2 x.'''\\n    return 2 * x"))
    def twice(x):
        '''2 x.'''
        raise NotImplementedError("your turn")
    """
    lines = source.splitlines()
    functions = list(_functions(ast.parse(source)))
    first = source.strip().partition("\n")[0]
    if not functions:
        raise ValueError(f"solution cell {first!r}: found no function, expected one to blank")
    for function in reversed(functions):
        body = function.body
        if body[0].lineno == function.lineno:
            raise ValueError(f"solution cell {first!r}: put the body of a function on its own line")
        indent = " " * body[0].col_offset
        start = body[0].end_lineno if ast.get_docstring(function) else _header_end(function, lines)
        lines[start : function.end_lineno] = [indent + BLANK]
    return "\n".join(lines)


def student_version(notebook: dict) -> dict:
    """A notebook (nbformat 4, as JSON) with its solution cells blanked and tagged "exercise".

    Without the links that open the solved one elsewhere.
    """
    notebook = copy.deepcopy(notebook)
    for cell in notebook["cells"]:
        lines = "".join(cell["source"]).splitlines(keepends=True)
        cell["source"] = [line for line in lines if ELSEWHERE not in line]
        tags = cell["metadata"].get("tags", [])
        if SOLUTION in tags:
            cell["source"] = blanked("".join(cell["source"])).splitlines(keepends=True)
            cell["metadata"]["tags"] = [EXERCISE if tag == SOLUTION else tag for tag in tags]
    notebook["metadata"]["qvim"] = {"student": _content(notebook)}
    return notebook


def copy_for_student(folder: Path) -> list[Copied]:
    """Write the student version of every notebook below a folder, which is made if missing.

    A file in which anything was written or run is kept; one that is as it was copied is renewed
    when the kit's notebook has changed since. Raises `ValueError` for the folder of the notebooks
    themselves, or below it.
    """
    originals = REPOSITORY / "notebooks"
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: found a file, expected a folder")
    if folder.resolve().is_relative_to(originals):
        raise ValueError(f"{folder}: the notebooks themselves are there; name another folder")
    copies = []
    for path in notebooks():
        target = folder / path.relative_to(originals)
        version = student_version(json.loads(path.read_text(encoding="utf-8")))
        state = _state(target, version)
        if state in ("new", "renewed"):
            target.parent.mkdir(parents=True, exist_ok=True)
            with beside(target) as part:
                text = json.dumps(version, indent=1, ensure_ascii=False) + "\n"
                part.write_text(text, encoding="utf-8")
        copies.append(Copied(target, state))
    return copies


def _state(target: Path, version: dict) -> str:
    if not target.exists():
        return "new"
    try:
        found = json.loads(target.read_text(encoding="utf-8"))
        content = _content(found)
        written = found["metadata"]["qvim"]["student"]
    except (ValueError, TypeError, LookupError, AttributeError):  # no notebook, or not ours
        return "kept"
    if content != written:
        return "kept"
    return "there" if written == version["metadata"]["qvim"]["student"] else "renewed"


def _content(notebook: dict) -> str:
    """SHA-256 of what a student can change: text, kind and outputs of the cells, in order."""
    cells = [
        (cell["cell_type"], "".join(cell["source"]), cell.get("outputs", []))
        for cell in notebook["cells"]
    ]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def _header_end(function: ast.FunctionDef, lines: list[str]) -> int:
    """The last line of a signature, counted from 1: comments and decorators may follow it."""
    decorators = getattr(function.body[0], "decorator_list", [])
    line = min(node.lineno for node in (function.body[0], *decorators)) - 1
    while not lines[line - 1].strip() or lines[line - 1].lstrip().startswith("#"):
        line -= 1
    return line


def _functions(node: ast.AST) -> list[ast.FunctionDef]:
    """Functions and methods, in order, without those inside of functions."""
    found = []
    for child in getattr(node, "body", []):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.append(child)
        elif isinstance(child, ast.ClassDef):
            found += _functions(child)
    return found
