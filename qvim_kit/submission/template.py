"""The template: which cells it has, how they are recognised, and how to start from it.

The kit's template is ``notebooks/05_submission.ipynb``; an installed package has a copy beside
this file, which a test holds equal. Of the organisers' official template the package knows type
and SHA-256 of each cell (``official_template_cells.json``), so notebooks made from either can be
checked.

Notebook: 05_submission.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from qvim_kit.paths import REPOSITORY, in_checkout

FOLDER = Path(__file__).parent
OFFICIAL = FOLDER / "official_template_cells.json"
PARTS = ("paths", "set-up", "implementation", "instance")
MOST_FILES = 3  # of one team
FILE_NAME = re.compile(r"(?P<team>\w[\w-]*)_(?P<number>[0-9]+)")
RECOGNISED = 1 / 3  # of the protected cells are there unchanged

# What it costs to take one list of cells for an edited copy of the other.
SLIGHT, DOUBTFUL, CHANGED, ONE_SIDED, NEVER = 0.05, 0.3, 1.1, 1.0, 2.5


@dataclass(frozen=True)
class Cell:
    """A cell of a template or a notebook.

    ``part``: which of the participant's four cells it is, or None. A template's `source` is ""
    where only the hash is known.
    """

    kind: str
    digest: str
    part: str | None = None
    source: str = ""

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it, as in the cell that Jupyter adds below the last."""
        return not self.source.strip()

    @property
    def title(self) -> str:
        """A few words to find the cell by."""
        line = next((line for line in self.source.splitlines() if line.strip()), "")
        return f"{self.kind} cell" + (f" {line.strip()[:40]!r}" if line else "")


@dataclass(frozen=True)
class Template:
    """The cells of "the kit's" or "the official" template, in their order."""

    name: str
    cells: tuple[Cell, ...]

    def kept(self, cells: list[Cell]) -> float:
        """Which share of the protected cells a notebook has, unchanged."""
        protected = [cell.digest for cell in self.cells if not cell.part]
        there = {cell.digest for cell in cells}
        return sum(digest in there for digest in protected) / len(protected)


def normalised(source: str) -> str:
    """A cell's text without what an editor may change unasked.

    Line ends become ``\\n``; white space at the end of lines and blank lines at the beginning and
    end go.
    """
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    lines = [line.rstrip() for line in lines]
    while lines and not lines[0]:
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    return "\n".join(lines)


def digest(source: str) -> str:
    """SHA-256 of a cell's text, `normalised`, in UTF-8."""
    return hashlib.sha256(normalised(source).encode("utf-8", "surrogatepass")).hexdigest()


def template_path() -> Path:
    """The kit's template: the notebook of the clone, or the copy in the installed package."""
    if in_checkout():
        return REPOSITORY / "notebooks" / "05_submission.ipynb"
    return FOLDER / "template.ipynb"


def kit_template() -> Template:
    """The kit's template, read from `template_path`."""
    notebook = json.loads(template_path().read_text(encoding="utf-8"))
    return Template("kit", tuple(map(cell_of, notebook["cells"])))


@functools.cache
def official_template() -> Template:
    """The organisers' template of 2025, as far as its hashes tell."""
    cells = json.loads(OFFICIAL.read_text(encoding="utf-8"))["cells"]
    return Template(
        "official",
        tuple(Cell(cell["type"], cell["sha256"], cell.get("participant")) for cell in cells),
    )


def cell_of(cell: dict) -> Cell:
    """A notebook's cell, as nbformat 4 stores it, for comparison."""
    source = source_of(cell)
    tags = cell.get("metadata", {}).get("tags", [])
    parts = [tag for tag in tags if tag in PARTS] if isinstance(tags, list) else []
    part = parts[0] if parts and "participant" in tags else None
    return Cell(cell["cell_type"], digest(source), part, source)


def source_of(cell: dict) -> str:
    """A cell's text; nbformat stores it as one text or as a list of lines."""
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def recognise(cells: list[Cell]) -> Template | None:
    """The template that a notebook was made from, or None."""
    templates = [kit_template(), official_template()]
    best = max(templates, key=lambda template: template.kept(cells))
    return best if best.kept(cells) >= RECOGNISED else None


def align(template: Template, cells: list[Cell]) -> list[tuple[int | None, int | None]]:
    """Which cell of a notebook is which of the template, as pairs of indices, in order.

    None stands for a cell that the other side lacks. The pairs are those of the least total cost
    (Wagner and Fischer, "The string-to-string correction problem", 1974).
    """
    rows, columns = len(template.cells), len(cells)
    cost = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    change = _changes(template, cells)
    for row in range(rows + 1):
        for column in range(columns + 1):
            if row or column:
                cost[row][column] = min(_steps(change, cells, cost, row, column))[0]
    pairs: list[tuple[int | None, int | None]] = []
    row, column = rows, columns
    while row or column:
        _, down, right = min(_steps(change, cells, cost, row, column))
        pairs.append((row - 1 if down else None, column - 1 if right else None))
        row, column = row - down, column - right
    return pairs[::-1]


def _steps(
    change: list[list[float]], cells: list[Cell], cost: list[list[float]], row: int, column: int
) -> list[tuple[float, int, int]]:
    """(total cost, cells of the template, cells of the notebook) of each last step."""
    steps = []
    if row and column:
        steps.append((cost[row - 1][column - 1] + change[row - 1][column - 1], 1, 1))
    if row:
        steps.append((cost[row - 1][column] + ONE_SIDED, 1, 0))
    if column:
        alone = SLIGHT if cells[column - 1].empty else ONE_SIDED
        steps.append((cost[row][column - 1] + alone, 0, 1))
    return steps


def _changes(template: Template, cells: list[Cell]) -> list[list[float]]:
    """What it costs to take each cell of the notebook for an edit of each of the template's."""
    unedited = {cell.digest for cell in template.cells}

    def change(original: Cell, cell: Cell) -> float:
        if original.kind == cell.kind and original.digest == cell.digest:
            return 0.0
        if original.kind != cell.kind or cell.digest in unedited:
            return NEVER
        if not original.part:
            return CHANGED
        if cell.part:
            return SLIGHT if cell.part == original.part else NEVER
        return DOUBTFUL

    return [[change(original, cell) for cell in cells] for original in template.cells]


def split_name(stem: str) -> tuple[str, int] | None:
    """``audio-alchemy_2`` → ("audio-alchemy", 2); None for what is no {teamName}_{number}.

    >>> split_name("my_team_1"), split_name("my_team_01"), split_name("my team")
    (('my_team', 1), None, None)
    """
    match = FILE_NAME.fullmatch(stem)
    if not match or (match["number"] != "0" and match["number"].startswith("0")):
        return None
    return match["team"], int(match["number"][:9])


def new_submission(name: str, folder: Path | str = ".") -> Path:
    """Copy the template to ``folder/NAME.ipynb``; nothing is ever overwritten.

    Raises `ValueError` for a name that is no {teamName}_{number} with a number from 1 to 3,
    `FileNotFoundError` without the folder, and `FileExistsError` if the file is there.
    """
    stem = name.removesuffix(".ipynb")
    found = split_name(stem)
    if not found or not 1 <= found[1] <= MOST_FILES:
        raise ValueError(
            f"{name!r}: expected {{teamName}}_{{number}} with a number from 1 to {MOST_FILES}, "
            "such as humming-birds_1 (letters, digits, - and _)"
        )
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder; make it first")
    path = Path(folder) / f"{stem}.ipynb"
    try:
        with path.open("xb") as file:
            file.write(template_path().read_bytes())
    except FileExistsError:
        raise FileExistsError(f"{path} is there already; choose another number") from None
    return path
