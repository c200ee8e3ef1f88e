"""ROOT_PATH and DATA_PATH in a copy, however the participant wrote them."""

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from qvim_kit.submission.running.substitution import PathsError, read_notebook, substitute_paths

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
ROOT, DATA = "/organisers/it's root", '/organisers/"data" é'


def values(*cells, run=0):
    """What the names hold after the paths cell, which is the cell ``run``."""
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    before = nbformat.writes(notebook)
    fresh, index = substitute_paths(notebook, ROOT, DATA)
    assert index == run and nbformat.writes(notebook) == before
    names = {}
    exec(fresh.cells[index].source, names)
    return names


@pytest.mark.parametrize(
    "cell",
    [
        'ROOT_PATH = "."  # mine\nDATA_PATH = "data/qvim-dev"',
        "ROOT_PATH, DATA_PATH = '.', 'data'",
        "(ROOT_PATH, [x, DATA_PATH]) = ('.', (1, 'data'))",
        "ROOT_PATH = '.'; DATA_PATH = ROOT_PATH + '/data'; x = 1",
        "ROOT_PATH: str = '.'\nDATA_PATH: 'str' = (\n    'data/'\n    'qvim-dev'\n)",
        "é = 'ü'; ROOT_PATH = 'é'; DATA_PATH = 'ä'",
        "import os\nROOT_PATH = os.environ['NO_SUCH']\nDATA_PATH = f'''{ROOT_PATH}\n/data'''",
        "if False:\n    ROOT_PATH = 'a'\nelse:\n    ROOT_PATH = 'b'\ntry:\n    DATA_PATH = 1 / 0\n"
        "except ZeroDivisionError:\n    DATA_PATH = 'c'",
        "ROOT_PATH = 'first'\nDATA_PATH = 'first'\nROOT_PATH = 'second'\nDATA_PATH = 'second'",
        "project = ROOT_PATH = '.'\r\nDATA_PATH = 'data'",
        "def f():\n    ROOT_PATH = 'local'\n    return ROOT_PATH\nROOT_PATH = f()\nDATA_PATH = f()",
        "ROOT_PATH = OTHER_PATH = '.'\nDATA_PATH = [path for path in 'x'][0]",
    ],
)
def test_wherever_they_are_assigned(cell):
    names = values(cell)
    assert (names["ROOT_PATH"], names["DATA_PATH"]) == (ROOT, DATA)


def test_everything_else_in_the_cell_stays():
    names = values("ROOT_PATH, x, DATA_PATH = '.', 7, 'data'\ny = project = ROOT_PATH")
    assert (names["x"], names["y"], names["project"]) == (7, ROOT, ROOT)


def test_the_cell_is_found_by_what_it_does():
    cells = ("ROOT_PATH", "print(1)\n# ROOT_PATH = 1; DATA_PATH = 2", "x = 'ROOT_PATH = DATA_PATH'")
    values(*cells, "DATA_PATH = 'data'\nROOT_PATH = '.'", "ROOT_PATH = str(ROOT_PATH)", run=3)


def test_magics_do_not_hide_the_assignments():
    notebook = new_notebook(cells=[new_code_cell("%cd /tmp\n!ls\nROOT_PATH = 1\nDATA_PATH = 2")])
    source = substitute_paths(notebook, ROOT, DATA)[0].cells[0].source
    assert repr(ROOT) in source and repr(DATA) in source and "run_line_magic('cd'" in source


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("ROOT_PATH = '.'", "no cell assigns DATA_PATH"),
        ("x = 1", "no cell assigns ROOT_PATH and DATA_PATH"),
        ("def f():\n    ROOT_PATH = DATA_PATH = 1", "no cell assigns ROOT_PATH and DATA_PATH"),
        ("%%time\nROOT_PATH = DATA_PATH = 1", "no cell assigns ROOT_PATH and DATA_PATH"),
        ("ROOT_PATH = '.'\nDATA_PATH =", "no cell assigns ROOT_PATH and DATA_PATH"),
        ("(" * 10_000, "no cell assigns"),
        ("\n\nROOT_PATH = DATA_PATH = '.'", "cell 1, line 3: DATA_PATH gets its value in a way"),
        ("ROOT_PATH = '.'\nDATA_PATH = 'd'\nDATA_PATH += '/x'", "line 3: DATA_PATH"),
        ("DATA_PATH = 'd'\nif (ROOT_PATH := '.'):\n    pass", "line 2: ROOT_PATH"),
        ("DATA_PATH = 'd'\nfor ROOT_PATH in '.':\n    pass", "line 2: ROOT_PATH"),
        ("DATA_PATH = 'd'\nROOT_PATH, *rest = '.', 1", "line 2: ROOT_PATH"),
        ("DATA_PATH = 'd'\nfrom os import sep as ROOT_PATH", "line 2: ROOT_PATH"),
    ],
)
def test_what_cannot_be_replaced_is_named(cell, message):
    with pytest.raises(PathsError, match=message):
        substitute_paths(new_notebook(cells=[new_code_cell(cell)]), ROOT, DATA)


def test_in_two_cells_they_are_no_paths_cell():
    cells = [new_code_cell("ROOT_PATH = '.'"), new_code_cell("DATA_PATH = 'd'")]
    with pytest.raises(PathsError, match="no one cell assigns both"):
        substitute_paths(new_notebook(cells=cells), ROOT, DATA)


def test_the_copy_has_no_outputs_and_no_tag_that_hides_a_failure():
    cell = new_code_cell("ROOT_PATH = 1\nDATA_PATH = 2", execution_count=3)
    cell.metadata["tags"] = ["participant", "skip-execution", "raises-exception"]
    cell.outputs = [nbformat.v4.new_output("stream", text="MRR: 0.9")]
    notebook = new_notebook(cells=[new_markdown_cell("text"), cell])
    fresh = substitute_paths(notebook, ROOT, DATA)[0].cells[1]
    assert (fresh.outputs, fresh.execution_count) == ([], None)
    assert fresh.metadata.tags == ["participant"] and cell.outputs


@pytest.mark.parametrize(
    "path",
    [NOTEBOOKS / "05_submission.ipynb", *sorted((NOTEBOOKS / "submissions").glob("*.ipynb"))],
)
def test_the_kits_own_notebooks(path):
    notebook = read_notebook(path)
    fresh, index = substitute_paths(notebook, ROOT, DATA)
    assert "paths" in notebook.cells[index].metadata.tags
    others = [n for n in range(len(notebook.cells)) if n != index]
    assert all(fresh.cells[n].source == notebook.cells[n].source for n in others)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no notebook of version 4"),
        ('{"cells": 3, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "no notebook"),
        ('{"cells": [{"cell_type": "code"}], "nbformat": 4, "metadata": {}}', "no notebook"),
        ("\udcff", "no notebook of version 4"),
        ("[" * 100_000, "no notebook of version 4"),
        (nbformat.writes(new_notebook(cells=[new_code_cell(" ")])), "no cell with code"),
        (
            nbformat.writes(
                new_notebook(
                    cells=[new_code_cell("x")],
                    metadata={"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}},
                )
            ),
            "a notebook in R, expected Python",
        ),
    ],
)
def test_what_is_no_notebook(tmp_path, text, message):
    path = tmp_path / "team_1.ipynb"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=message):
        read_notebook(path)
    with pytest.raises(ValueError, match="cannot be read"):
        read_notebook(tmp_path)
