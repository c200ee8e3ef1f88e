"""How a notebook differs from its template, apart from the participant's cells.

Notebook: 05_submission.
"""

from __future__ import annotations

from qvim_kit.submission.checking.problems import Problem
from qvim_kit.submission.reading.texts import shown
from qvim_kit.submission.template import Cell, Template, align, normalised


def compare(template: Template | None, cells: list[Cell]) -> tuple[dict[int, str], list[Problem]]:
    """Which cell of the participant each cell is ("" for none), and how the others differ.

    Cells that should not be as they are get no entry: once they are mended, so is all in them.
    """
    if template is None:
        return dict.fromkeys(range(1, len(cells) + 1), "?"), []
    pairs = align(template, cells)
    missing = [one for one, two in pairs if two is None]
    parts_of: dict[int, str] = {}
    found: list[Problem] = []
    for one, two in pairs:
        if two is None:
            continue
        number, cell = two + 1, cells[two]
        original = None if one is None else template.cells[one]
        origin = None if original else _origin(template, missing, cell)
        if origin is not None:
            missing.remove(origin)
            of_type = cell.kind == template.cells[origin].kind
            found.append(
                _moved(number, template, origin)
                if of_type
                else _retyped(number, template.cells[origin], cell)
            )
            parts_of[number] = template.cells[origin].part or ""
        elif original is None:
            found.append(_added(number, cell))
        elif original.part or original.digest == cell.digest:
            parts_of[number] = original.part or ""
        else:
            found.append(_changed(number, original, cell))
    return parts_of, found + [_missing(pairs, index, template) for index in missing]


def _origin(template: Template, missing: list[int], cell: Cell) -> int | None:
    """Which of the template's missing cells a cell is."""
    for index in missing:
        original = template.cells[index]
        if cell.digest == original.digest or (cell.part and cell.part == original.part):
            return index
    return None


def _changed(number: int, original: Cell, cell: Cell) -> Problem:
    before = normalised(original.source).split("\n")
    after = normalised(cell.source).split("\n")
    line = None
    if original.source:
        differ = [n for n, (a, b) in enumerate(zip(before, after, strict=False), 1) if a != b]
        line = differ[0] if differ else min(len(before), len(after)) + 1
    message = "this cell of the template was edited"
    if line and line <= len(before):
        message += f"; it had {shown(before[line - 1])!r} here"
    remedy = "copy this cell of the template again; only your four cells may differ"
    return Problem(number, line, "cell-changed", message, remedy)


def _moved(number: int, template: Template, index: int) -> Problem:
    where = f"below cell {index} of the template" if index else "to the beginning"
    if index and template.cells[index - 1].source:
        where += f", the {template.cells[index - 1].title}"
    message = "this cell of the template is not in its place"
    return Problem(number, None, "cell-moved", message, f"move it {where}")


def _retyped(number: int, original: Cell, cell: Cell) -> Problem:
    message = f"this cell of the template became a {cell.kind} cell, expected {original.kind}"
    remedy = f"select it and choose {original.kind.capitalize()} as its type"
    return Problem(number, None, "cell-changed", message, remedy)


def _added(number: int, cell: Cell) -> Problem:
    message = f"this {'empty ' if cell.empty else ''}cell is not in the template"
    remedy = (
        "remove it" if cell.empty else "move its code into one of your four cells, or remove it"
    )
    return Problem(
        number, None, "cell-added", message, remedy, "warning" if cell.empty else "error"
    )


def _missing(pairs: list, index: int, template: Template) -> Problem:
    before = [two for one, two in pairs if one is not None and one < index and two is not None]
    cell = template.cells[index]
    what = f"your {cell.part} cell" if cell.part else f"a {cell.title} of the template"
    where = "below this cell" if before else "at the beginning"
    message = f"{what} is missing {where}"
    remedy = f"copy cell {index + 1} of the {template.name} template here again"
    return Problem(before[-1] + 1 if before else 1, None, "cell-missing", message, remedy)
