"""What can be told of a notebook's file and cells without reading its code.

Notebook: 05_submission.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from qvim_kit.submission.checking.problems import Problem
from qvim_kit.submission.reading.texts import words
from qvim_kit.submission.template import MOST_FILES, source_of, split_name

LARGEST_FILE = 20_000_000  # bytes
LARGEST_OUTPUT = 1_000_000  # bytes of one cell's outputs
MOST_CELLS = 1_000
HIDDEN = ("source_hidden", "outputs_hidden")  # in metadata.jupyter; the others in metadata
HIDDEN_ELSEWHERE = ("collapsed", "hide_input", "inputHidden", "outputHidden")
HIDING_TAGS = words(
    """hide hide-cell hide-input hide-output hide_cell hide_input hide_output remove-cell
    remove-input remove-output remove_cell remove_input remove_output"""
)
# They turn the order of letters round, so that code reads as something else (CVE-2021-42574).
TURNING = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class NotANotebook(ValueError):
    """Why a file cannot be checked at all."""


def load(path: Path) -> dict:
    """The notebook in a file, its parts of the expected types. Raises `NotANotebook`."""
    content = _content(path)
    try:
        return _validated(json.loads(content.decode("utf-8")))
    except UnicodeDecodeError:
        raise NotANotebook("is no notebook: not in UTF-8") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, {error.msg}"
        raise NotANotebook(f"is no notebook: no JSON ({place})") from None
    except NotANotebook:
        raise
    except (RecursionError, ValueError):  # also numbers of thousands of digits
        raise NotANotebook("is no notebook: holds what no notebook holds") from None


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise NotANotebook("is no file" if path.exists() else "there is no such file")
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise NotANotebook(f"{size / 1e6:.0f} MB; expected at most {LARGEST_FILE / 1e6:.0f}")
        if not size:
            raise NotANotebook("the file is empty")
        return path.read_bytes()
    except OSError as error:
        raise NotANotebook(f"cannot be read ({error.strerror})") from None


def _validated(notebook: object) -> dict:
    if not isinstance(notebook, dict) or "nbformat" not in notebook:
        raise NotANotebook("is no notebook: JSON without nbformat")
    if notebook["nbformat"] != 4:
        found = str(notebook["nbformat"])[:20]
        raise NotANotebook(f"is in nbformat {found}, expected 4; open it in Jupyter and save it")
    cells = notebook.get("cells")
    if not isinstance(cells, list) or not isinstance(notebook.get("metadata", {}), dict):
        raise NotANotebook("is no notebook: it has no list of cells")
    if len(cells) > MOST_CELLS:
        raise NotANotebook(f"{len(cells)} cells; expected at most {MOST_CELLS}")
    for number, cell in enumerate(cells, start=1):
        if not isinstance(cell, dict) or cell.get("cell_type") not in ("code", "markdown", "raw"):
            raise NotANotebook(f"is no notebook: cell {number} is neither code, markdown nor raw")
        source = cell.get("source")
        lines = isinstance(source, list) and all(isinstance(line, str) for line in source)
        if not isinstance(source, str) and not lines:
            raise NotANotebook(f"is no notebook: cell {number} has no text")
        if not isinstance(cell.get("metadata", {}), dict):
            raise NotANotebook(f"is no notebook: the metadata of cell {number} are no object")
    return notebook


def name_problems(path: Path) -> Iterator[Problem]:
    """Is the file called as the challenge wants?"""
    remedy = "name it {teamName}_{number}.ipynb, number from 1 to 3, such as humming-birds_1.ipynb"
    found = split_name(path.stem)
    if path.suffix != ".ipynb" or not found:
        message = f"{path.name or str(path)!r} is not {{teamName}}_{{number}}.ipynb"
        yield Problem(None, None, "name", message, remedy)
    elif not 1 <= found[1] <= MOST_FILES:
        message = f"number {found[1]}: a team has {MOST_FILES} submissions"
        yield Problem(None, None, "name", message, remedy)


def kernel_problems(notebook: dict) -> Iterator[Problem]:
    """Is the notebook for Python?"""
    for name, key in (("kernelspec", "language"), ("language_info", "name")):
        section = notebook.get("metadata", {}).get(name)
        language = section.get(key) if isinstance(section, dict) else None
        if isinstance(language, str) and language.lower() not in ("python", "ipython", ""):
            message = f"the notebook is for {language[:30]!r}, expected Python"
            yield Problem(None, None, "file", message, "choose a Python kernel and save it")
            return


def display_problems(number: int, cell: dict) -> Iterator[Problem]:
    """Is anything in a cell hidden from its reader, or too large?"""
    if hidden := _hidden_by(cell.get("metadata", {})):
        remedy = "show the whole cell, in Jupyter with View → Expand, and save"
        yield Problem(number, None, "hidden", f"the cell is hidden by {', '.join(hidden)}", remedy)
    if cell.get("attachments"):
        remedy = "remove the attached files from the cell"
        yield Problem(number, None, "hidden", "files are attached to the cell", remedy)
    for line, text in enumerate(source_of(cell).splitlines(), start=1):
        if TURNING & set(text):
            message = "a character here turns the reading order round"
            yield Problem(number, line, "hidden", message, "write the line again")
    try:
        size = len(json.dumps(cell.get("outputs") or [], ensure_ascii=False))
    except RecursionError:
        size = LARGEST_FILE
    if size > LARGEST_OUTPUT:
        message = f"{size / 1e6:.1f} MB of outputs; expected at most {LARGEST_OUTPUT / 1e6:.0f}"
        yield Problem(number, None, "oversized", message, "clear the cell's outputs and save")


def _hidden_by(metadata: dict) -> list[str]:
    jupyter, tags = metadata.get("jupyter"), metadata.get("tags")
    found = [key for key in HIDDEN if isinstance(jupyter, dict) and jupyter.get(key)]
    found += [key for key in HIDDEN_ELSEWHERE if metadata.get(key) is True]
    found += ["cellView"] if metadata.get("cellView") == "form" else []  # Colab
    if isinstance(tags, list):
        found += [tag for tag in tags if isinstance(tag, str) and tag in HIDING_TAGS]
    return found
