"""One change to the template for each rule: rule, what is wrong, the change, where it is found.

The change takes the template as JSON and returns it, or returns the file's whole content.
"""

from __future__ import annotations

from submissions.building import code_cell, filled


def _delete(index):
    def change(notebook):
        del notebook["cells"][index]
        return notebook

    return change


def _insert(index, cell):
    def change(notebook):
        notebook["cells"].insert(index, cell)
        return notebook

    return change


def _swap(one, two):
    def change(notebook):
        cells = notebook["cells"]
        cells[one], cells[two] = cells[two], cells[one]
        return notebook

    return change


def _edit(index, before, after):
    def change(notebook):
        source = "".join(notebook["cells"][index]["source"])
        assert before in source
        notebook["cells"][index]["source"] = source.replace(before, after)
        return notebook

    return change


def _metadata(index, **entries):
    def change(notebook):
        notebook["cells"][index]["metadata"].update(entries)
        return notebook

    return change


def _cell(index, **entries):
    def change(notebook):
        notebook["cells"][index].update(entries)
        return notebook

    return change


def _top(**entries):
    def change(notebook):
        notebook.update(entries)
        return notebook

    return change


def _kernel(language):
    def change(notebook):
        notebook["metadata"]["kernelspec"]["language"] = language
        return notebook

    return change


def _with(**parts):
    return lambda notebook: filled(**parts)


def _content(content):
    return lambda notebook: content


PICTURE = {"output_type": "display_data", "metadata": {}, "data": {"image/png": "A" * 1_200_000}}
PATHS = 'ROOT_PATH = "."\nDATA_PATH = "data/qvim-dev"\n'
MODEL = "class Mine(QVIMModel):\n    def compute_similarities(self, items, queries): return {}\n"
FETCH = 'import helpers\nhelpers.wget_download("n.pt", "https://example.org/n.pt", "models")\n'

# rule, cell and line (counted from 1) where it is reported, change
BROKEN = {
    "empty file": ("file", None, None, _content(b"")),
    "text": ("file", None, None, _content(b"import os\n")),
    "half a notebook": ("file", None, None, _content(b'{"cells": [')),
    "UTF-16": ("file", None, None, _content('{"cells": []}'.encode("utf-16"))),
    "a list": ("file", None, None, _content(b"[1, 2]")),
    "other JSON": ("file", None, None, _content(b'{"a": 1}')),
    "deeply nested": ("file", None, None, _content(b"[" * 100_000)),
    "a number of many digits": ("file", None, None, _content(b'{"a": ' + b"9" * 9_999 + b"}")),
    "an old format": ("file", None, None, _top(nbformat=3)),
    "no cells": ("file", None, None, _top(cells=None)),
    "a cell of no kind": ("file", None, None, _insert(3, {"source": "x", "metadata": {}})),
    "a cell without text": ("file", None, None, _insert(3, {"cell_type": "code", "metadata": {}})),
    "too many cells": ("file", None, None, _top(cells=[code_cell("")] * 1_001)),
    "another language": ("file", None, None, _kernel("R")),
    "a notebook of one's own": (
        "template",
        None,
        None,
        _top(cells=[code_cell(PATHS + "QBVIM_MODEL = print")]),
    ),
    "edited code": ("cell-changed", 15, 4, _edit(14, "print(", "result = (")),
    "edited text": ("cell-changed", 3, None, _edit(2, "three submissions", "four submissions")),
    "a line more": ("cell-changed", 18, 2, _cell(17, source="report.plot()\nprint(1)")),
    "a cell less": ("cell-missing", 16, None, _delete(16)),
    "the first cell gone": ("cell-missing", 1, None, _delete(0)),
    "no instance cell": ("cell-missing", 12, None, _delete(12)),
    "cells swapped": ("cell-moved", None, None, _swap(16, 17)),
    "own cells swapped": ("cell-moved", None, None, _swap(10, 12)),
    "a cell more": ("cell-added", 12, None, _insert(11, code_cell("x = 1"))),
    "text more": (
        "cell-added",
        1,
        None,
        _insert(0, {"cell_type": "markdown", "metadata": {}, "source": "Mine"}),
    ),
    "an empty cell more": ("cell-added", 22, None, _insert(21, code_cell(""))),
    "a template's cell twice": ("cell-added", None, None, _insert(17, code_cell("report.plot()"))),
    "code out of sight": ("hidden", 11, None, _metadata(10, jupyter={"source_hidden": True})),
    "outputs out of sight": ("hidden", 15, None, _metadata(14, jupyter={"outputs_hidden": True})),
    "collapsed": ("hidden", 15, None, _metadata(14, collapsed=True)),
    "a form of Colab": ("hidden", 11, None, _metadata(10, cellView="form")),
    "a tag that hides": ("hidden", 17, None, _metadata(16, tags=["remove-cell"])),
    "an attached file": ("hidden", 1, None, _cell(0, attachments={"a.png": {"image/png": "AA"}})),
    "letters turned round": ("hidden", 8, 1, _with(set_up="x = 1  # \u202e evil \u2066")),
    "large outputs": ("oversized", 17, None, _cell(16, outputs=[PICTURE])),
    "no Python": ("syntax", 11, 2, _with(implementation="x = 1\ndef f(:\n")),
    "return outside a function": ("syntax", 11, 2, _with(implementation="x = 1\nreturn x\n")),
    "a NUL": ("syntax", 11, None, _with(implementation="x = '\0'\n")),
    "half a letter": ("syntax", 11, None, _with(implementation="x = '\ud800'\n")),
    "no ROOT_PATH": ("undefined", 5, None, _with(paths='DATA_PATH = "data/qvim-dev"')),
    "no DATA_PATH": ("undefined", 5, None, _with(paths='ROOT_PATH = "."')),
    "no model": ("undefined", 13, None, _with(instance="model = MeanSpectrum()")),
    "a model in a function": (
        "undefined",
        13,
        None,
        _with(instance="def make():\n    QBVIM_MODEL = MeanSpectrum()\nmake()"),
    ),
    "the model is None": ("undefined", 13, None, _with(instance="QBVIM_MODEL = None")),
    "the model is a class": (
        "undefined",
        13,
        None,
        _with(implementation=MODEL, instance="QBVIM_MODEL = Mine"),
    ),
    "no import": ("undefined", 11, 1, _with(set_up="", implementation="x = np.zeros(3)")),
    "a class renamed": ("undefined", 13, 1, _with(instance="QBVIM_MODEL = MeanSpectra()")),
    "a model under if False": (
        "undefined",
        13,
        None,
        _with(instance="if False:\n    QBVIM_MODEL = MeanSpectrum()"),
    ),
    "the model is a text": ("model", 13, None, _with(instance='QBVIM_MODEL = "MeanSpectrum"')),
    "a model without the method": (
        "model",
        11,
        1,
        _with(implementation=MODEL.replace("compute_", "find_"), instance="QBVIM_MODEL = Mine()"),
    ),
    "a method of one argument": (
        "model",
        11,
        2,
        _with(implementation=MODEL.replace(", queries", ""), instance="QBVIM_MODEL = Mine()"),
    ),
    "a method that returns nothing": (
        "model",
        11,
        2,
        _with(implementation=MODEL.replace("return {}", "pass"), instance="QBVIM_MODEL = Mine()"),
    ),
    "a question": ("input", 8, 1, _with(set_up="name = input('name?')")),
    "a download of one's own": (
        "download",
        8,
        2,
        _with(set_up='import requests\nrequests.get("https://example.org/n.pt")'),
    ),
    "data removed": (
        "data-written",
        8,
        2,
        _with(set_up="import shutil\nshutil.rmtree(DATA_PATH)"),
    ),
    "data written": (
        "data-written",
        8,
        2,
        _with(set_up="import os\nopen(os.path.join(DATA_PATH, 'x.csv'), 'w')"),
    ),
    "the answers": (
        "answers",
        11,
        3,
        _with(
            set_up="",
            implementation=MODEL + "answers = dataset.queries",
            instance="QBVIM_MODEL = Mine()",
        ),
    ),
    "a magic's file": ("root-path", 8, 1, _with(set_up="%%writefile model.py\nx = 1")),
    "a cell of another type": ("cell-changed", 15, None, _cell(14, cell_type="markdown")),
    "another directory": ("chdir", 8, 2, _with(set_up="import os\nos.chdir('x')")),
    "a command": ("shell", 8, 1, _with(set_up="!ls")),
    "no version": ("unpinned", 8, 1, _with(set_up="%pip install timm")),
    "into output": (
        "output",
        8,
        2,
        _with(set_up='import os\nos.mkdir(os.path.join(ROOT_PATH, "output"))'),
    ),
    "somebody's folder": ("outside", 8, 1, _with(set_up='open("/home/me/net.pt")')),
    "somebody's ROOT_PATH": (
        "outside",
        5,
        1,
        _with(paths='ROOT_PATH = "/home/me"\nDATA_PATH = "data/qvim-dev"'),
    ),
    "a checkpoint that ignores ROOT_PATH": (
        "root-path",
        13,
        2,
        _with(
            set_up=FETCH,
            implementation="from mine import Net",
            instance='import os\nQBVIM_MODEL = Net.load(os.path.join("models", "n.pt"))',
        ),
    ),
    "ROOT_PATH set again": ("root-path", 8, None, _with(set_up='ROOT_PATH = "."')),
    "data that ignore DATA_PATH": (
        "data-path",
        8,
        2,
        _with(set_up='from pathlib import Path\nlist(Path("data/qvim-dev").iterdir())'),
    ),
    "plain http": (
        "url",
        8,
        2,
        _with(set_up=FETCH.replace("https", "http")),
    ),
    "half a commit": (
        "helpers",
        8,
        2,
        _with(
            set_up="import helpers\nhelpers.git_clone_checkout"
            '("code", "https://example.org/code.git", "main", "0f0f0f")'
        ),
    ),
    "no package": ("import", 8, 2, _with(set_up="import os\nimport openl3")),
    "what nobody can read": (
        "unreadable",
        8,
        1,
        _with(set_up="exec(str(object()))"),
    ),
    "too much to read": ("unreadable", None, None, _with(set_up="x = print" + "()" * 700)),
}


WARNINGS = {
    "a download of one's own",
    "the answers",
    "an empty cell more",
    "no package",
    "no version",
    "somebody's ROOT_PATH",
    "what nobody can read",
}
