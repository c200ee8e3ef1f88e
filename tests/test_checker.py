import subprocess
import sys
from pathlib import Path

import pytest
from submissions.broken import BROKEN, WARNINGS
from submissions.building import code_cell, filled, template, write
from submissions.evasions import EVASIONS
from submissions.innocent import SET_UP

import qvim_kit.submission
from qvim_kit.submission import template as templates
from qvim_kit.submission.checking import RULES, check, imports

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """Packages that are taken for not installed here; all others are."""
    absent = {"openl3"}
    monkeypatch.setattr(imports, "is_installed", lambda module: module not in absent)
    return absent


def rules(problems):
    return sorted({problem.rule for problem in problems})


def checked(tmp_path, **parts):
    return check(write(filled(**parts), tmp_path))


@pytest.mark.parametrize(
    "notebook", [NOTEBOOKS / "05_submission.ipynb", *sorted(NOTEBOOKS.glob("submissions/*.ipynb"))]
)
def test_the_kits_own_notebooks_pass_but_for_their_names(notebook, tmp_path):
    copied = write(notebook.read_bytes(), tmp_path)
    assert list(check(copied)) == [] and check(copied).template == "kit"
    assert rules(check(notebook)) == ["name"]


@pytest.mark.parametrize("name", BROKEN)
def test_each_broken_notebook_trips_one_rule(name, tmp_path):
    rule, cell, line, change = BROKEN[name]
    problems = check(write(change(template()), tmp_path))
    assert rules(problems) == [rule] and rule in RULES
    if cell is not None:
        assert (cell, line) in [(p.cell, p.line) for p in problems] or line is None
        assert cell in [problem.cell for problem in problems]
    assert problems.ok == (name in WARNINGS)
    assert all(problem.message and problem.remedy for problem in problems)


def test_every_rule_has_a_broken_notebook():
    elsewhere = {"name", "too-many"}
    assert {rule for rule, *_ in BROKEN.values()} | elsewhere == set(RULES)


CASES = [(rule, code) for rule, codes in EVASIONS.items() for code in codes]


@pytest.mark.parametrize(("rule", "code"), CASES)
def test_disguises_are_seen_through(rule, code, tmp_path):
    problems = checked(tmp_path, set_up=code)
    assert rules(problems) == [rule]
    assert {problem.cell for problem in problems} == {8}
    lines = len(code.splitlines())
    assert all(problem.line is None or 1 <= problem.line <= lines for problem in problems)


@pytest.mark.parametrize("code", SET_UP)
def test_innocent_code_passes(code, tmp_path):
    problems = checked(tmp_path, set_up=code)
    assert list(problems) == [], str(problems)


def test_lines_are_the_cells_own(tmp_path):
    code = "!pip install a==1 \\\n  b==2 \\\n  c==3\nx = 1\n%cd x\n\n\n"
    code += "if x:\n    !ls\nimport os\nos.chdir('y')"
    found = [(p.line, p.rule) for p in checked(tmp_path, set_up=code)]
    assert found == [(5, "chdir"), (9, "shell"), (11, "chdir")]
    body = "%%time\nx = 1\n\nimport os\nos.chdir('x')"
    assert [p.line for p in checked(tmp_path, set_up=body)] == [5]


def test_all_problems_are_listed_in_order(tmp_path):
    notebook = filled(
        set_up="!ls\n%cd x\n%pip install timm",
        instance="import requests\nQBVIM_MODEL = requests.get('http://example.org')",
    )
    notebook["cells"][17]["source"] = "report"
    notebook["cells"].insert(11, code_cell("x = 1"))
    problems = check(write(notebook, tmp_path, "humming birds_4.ipynb"))
    assert [(p.cell, p.rule) for p in problems] == [
        (None, "name"),
        (8, "shell"),
        (8, "chdir"),
        (8, "unpinned"),
        (12, "cell-added"),
        (14, "url"),
        (19, "cell-changed"),
    ]
    assert (problems.errors, problems.warnings, problems.ok) == (6, 1, False)
    assert "cell 8, line 2" in str(problems) and "→ " in str(problems)
    page = problems._repr_html_()
    assert page.count("<tr>") == 8 and "cell 14, line 2" in page


def test_what_a_notebook_says_is_escaped(tmp_path):
    problems = checked(tmp_path, set_up="open('/<script>alert(1)</script>')")
    assert "<script>" in str(problems) and "<script>" not in problems._repr_html_()
    assert "no problems found" in checked(tmp_path)._repr_html_()


def test_files_that_are_none(tmp_path):
    assert rules(check(tmp_path / "absent_1.ipynb")) == ["file"]
    (tmp_path / "folder_1.ipynb").mkdir()
    assert rules(check(tmp_path / "folder_1.ipynb")) == ["file"]
    giant = tmp_path / "giant_1.ipynb"
    with giant.open("wb") as file:
        file.truncate(30_000_000)
    assert "30 MB" in str(check(giant))


def official(**parts):
    """A notebook of the official template's shape; its protected texts stand for their hashes."""
    cells = []
    for number, cell in enumerate(templates.official_template().cells):
        source = parts.get((cell.part or "").replace("-", "_"), f"# official {number}")
        kind = {} if cell.kind == "markdown" else {"outputs": [], "execution_count": None}
        cells.append({"cell_type": cell.kind, "metadata": {}, "source": source, **kind})
    return {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}


@pytest.fixture
def official_hashes(monkeypatch):
    cells = templates.official_template().cells
    known = {f"# official {number}": cell.digest for number, cell in enumerate(cells)}
    real = templates.digest
    monkeypatch.setattr(templates, "digest", lambda text: known.get(text) or real(text))


OFFICIAL = {
    "paths": 'import os\nROOT_PATH = "."\nDATA_PATH = os.path.join("data", "qvim-dev")',
    "set_up": "from helpers import *\n"
    'wget_download(filename="n.ckpt", shared_url="https://example.org/n", relative_dir="weights")',
    "instance": "QBVIM_MODEL = Net()",
}


def implementation(path):
    return (
        "import os\nfrom code_of_mine import Module\nclass Net:\n    def __init__(self):\n"
        f"        self.net = Module.load_from_checkpoint(\n            {path}\n        )\n"
        "    def compute_similarities(self, items, queries):\n        return {}\n"
    )


def test_a_notebook_from_the_official_template_is_recognised(tmp_path, official_hashes):
    good = implementation('os.path.join(ROOT_PATH, "weights", "n.ckpt")')
    problems = check(write(official(**OFFICIAL, implementation=good), tmp_path))
    assert list(problems) == [] and problems.template == "official"


def test_what_is_wrong_with_the_official_examples_is_found(tmp_path, official_hashes):
    bad = implementation('os.path.join("weights", "n.ckpt")')
    notebook = official(**OFFICIAL, implementation=bad)
    notebook["cells"][1]["source"] = "! pip install librosa numpy torch==2.5.0"
    problems = check(write(notebook, tmp_path))
    assert [(p.cell, p.line, p.rule) for p in problems] == [
        (2, None, "cell-changed"),
        (15, 5, "root-path"),
    ]
    assert "weights/n.ckpt" in problems[1].message and "ROOT_PATH" in problems[1].remedy


def test_the_official_templates_empty_model_is_found(tmp_path, official_hashes):
    empty = {
        **OFFICIAL,
        "instance": "QBVIM_MODEL = None # store your model here",
        "set_up": "# TODO",
    }
    assert rules(check(write(official(**empty, implementation="# TODO"), tmp_path))) == [
        "undefined"
    ]


@pytest.mark.parametrize("path", ["/somewhere", "~/x", ".", "data", "", "C:/data"])
def test_any_data_path_may_be_the_participants_own(path, tmp_path):
    code = f'ROOT_PATH = "."\nDATA_PATH = "{path}"'
    opened = "import os\nos.listdir(os.path.join(ROOT_PATH, 'x'))\nos.listdir(DATA_PATH)"
    problems = checked(tmp_path, paths=code, set_up=opened)
    assert problems.ok and set(rules(problems)) <= {"outside"}


def test_names_of_protected_cells_are_known_in_the_participants(tmp_path):
    problems = checked(tmp_path, set_up="helpers.os.chdir(helpers.ROOT_PATH)\nopen_root('a/b')")
    assert [(p.cell, p.line, p.rule) for p in problems] == [(8, 1, "chdir")]


def test_check_is_offered_by_the_package_and_loads_no_data_sets():
    code = (
        "import sys, qvim_kit.submission; print('qvim_kit.submission.checking' in sys.modules);"
        "print(qvim_kit.submission.check.__name__, *{'pandas', 'torch', 'scipy'} & {*sys.modules})"
    )
    out = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert out.split() == ["False", "check"]
    with pytest.raises(AttributeError, match="no_such_thing"):
        qvim_kit.submission.no_such_thing  # noqa: B018


def test_nothing_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "import os, builtins\nopen('ran', 'w').write('x')\n!touch ran\nos.mkdir('ran')"
    assert not checked(tmp_path, set_up=code).ok
    assert [path.name for path in tmp_path.iterdir()] == ["humming-birds_1.ipynb"]


LACKING = [
    "import openl3",
    "import numpy, openl3.models as m",
    "from openl3 import get_audio_embedding",
    "%pip install numpy\nimport openl3",
    "import helpers\nhelpers.wget_download('n.pt', 'https://8.8.8.8/n.pt', 'a')\nimport openl3",
]
PROVIDED = [
    "%pip install openl3==0.4.2\nimport openl3",
    "%pip install what-brings-openl3==1\nimport openl3",
    "%pip install 'numpy[openl3]==2.0.0'\nimport openl3",
    "!pip install -q {ROOT_PATH}/code\nimport openl3",
    "%conda install -y openl3=0.4.2\nimport openl3",
    "import subprocess\nsubprocess.run(['pip', 'install', 'openl3==0.4.2'])\nimport openl3",
    "try:\n    import openl3\nexcept ImportError:\n    openl3 = None",
    "def f():\n    import openl3",
    "import os, sys\nsys.path.append(os.path.join(ROOT_PATH, 'code'))\nimport openl3",
    "import helpers\nhelpers.git_clone_checkout('openl3', 'https://8.8.8.8/a.git', 'main',"
    f"\n    '{'0123456789' * 4}')\nimport openl3",
]


@pytest.mark.parametrize("code", LACKING)
def test_an_import_that_nothing_brings_is_a_warning(code, tmp_path):
    (found,) = [p for p in checked(tmp_path, set_up=code) if p.rule == "import"]
    assert (found.cell, found.line, found.severity) == (8, len(code.splitlines()), "warning")
    assert "openl3 is not installed here, and no %pip install" in found.message
    assert "add %pip install openl3==VERSION" in found.remedy


@pytest.mark.parametrize("code", PROVIDED)
def test_an_import_that_may_be_brought_is_not_doubted(code, tmp_path):
    assert "import" not in rules(checked(tmp_path, set_up=code))


@pytest.mark.parametrize("name", ["openl3.py", "openl3/__init__.py"])
def test_a_module_beside_the_notebook_is_there(name, tmp_path):
    assert rules(checked(tmp_path, set_up="import openl3")) == ["import"]
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("")
    assert rules(checked(tmp_path, set_up="import openl3")) == []


def test_what_is_installed_is_known_without_importing_it():
    program = """if True:
        import sys
        from qvim_kit.submission.checking.imports import is_installed
        names = ("torch", "no_such_module_anywhere", "os", "winreg", "__main__")
        print(*map(is_installed, names), "torch" in sys.modules)
    """
    out = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert out.split() == ["True", "False", "True", "True", "True", "False"]


def test_a_cell_that_is_no_python_is_called_so(tmp_path):
    (found,) = checked(tmp_path, set_up="if True\n    pass")
    assert found.message == "not valid Python: expected ':'"


LONG = "class Base:\n    def compute_similarities(self, items, queries): return {}\n"
GOOD_MODELS = [
    LONG + "class Mine(Base):\n    pass\nQBVIM_MODEL = Mine()",
    "from mine import Base\nclass Mine(Base):\n    pass\nQBVIM_MODEL = Mine()",
    "class Mine:\n    def __getattr__(self, name): return print\nQBVIM_MODEL = Mine()",
    "class Mine:\n    def __init__(self): self.compute_similarities = print\nQBVIM_MODEL = Mine()",
    "class Mine:\n    def compute_similarities(self, *a): yield 1\nQBVIM_MODEL = Mine()",
    "class Mine:\n    def compute_similarities(self, a, b, c=1, **d):\n"
    "        raise ValueError\nQBVIM_MODEL = Mine()",
    "class Mine:\n    @staticmethod\n    def compute_similarities(a, b): return {}\n"
    "QBVIM_MODEL = Mine()",
    "class Mine:\n    pass\nMine.compute_similarities = print\nQBVIM_MODEL = Mine()",
    "class Mine:\n    pass\nQBVIM_MODEL = Mine()\nQBVIM_MODEL.compute_similarities = print",
    "class Mine:\n    pass\nsetattr(Mine, 'compute_similarities', print)\nQBVIM_MODEL = Mine()",
    "from mine import load\nQBVIM_MODEL = load(1) if load else 3",
    "from mine import load\nif True:\n    QBVIM_MODEL = load()\nif False:\n    QBVIM_MODEL = 1",
]


@pytest.mark.parametrize("code", GOOD_MODELS)
def test_a_model_that_may_answer_passes(code, tmp_path):
    assert list(checked(tmp_path, instance=code)) == []


DOWNLOADS = {
    "from huggingface_hub import hf_hub_download as get\nget('me/net', 'n.pt')": "wget_download",
    "import torch\ntorch.hub.load('me/code', 'net', trust_repo=True)": "git_clone_checkout",
    "import requests\nrequests.get('https://8.8.8.8/n.pt')": "wget_download",
}


@pytest.mark.parametrize("code", DOWNLOADS)
def test_a_download_by_own_means_is_a_warning_that_names_the_helper(code, tmp_path):
    problems = checked(tmp_path, set_up=code)
    assert problems.ok and rules(problems) == ["download"]
    assert f"helpers.{DOWNLOADS[code]}" in problems[0].remedy


def test_an_undefined_name_is_said_once_with_what_to_write(tmp_path):
    problems = checked(tmp_path, set_up="a = np.ones(1) + np.ones(2)\npd", implementation=LONG)
    found = [(p.line, p.message, p.remedy) for p in problems if p.cell == 8]
    message = "NameError at run: {} is not defined anywhere in the notebook"
    assert found == [
        (1, message.format("np"), "write import numpy as np in your set-up cell"),
        (2, message.format("pd"), "write import pandas as pd in your set-up cell"),
    ]
    (renamed,) = [p for p in problems if p.cell == 13]
    assert "MeanSpectrum is not defined" in renamed.message


def test_remedies_can_be_followed(tmp_path):
    (magic,) = checked(tmp_path, set_up="%run other.py")
    assert magic.remedy == "put the code into the cell instead"
    notebook = filled()
    notebook["cells"][14]["cell_type"] = "markdown"
    (retyped,) = check(write(notebook, tmp_path))
    assert "became a markdown cell, expected code" in retyped.message
    assert "move" not in retyped.remedy


def test_no_orders_for_a_terminal_are_printed(tmp_path):
    problems = check(write(filled(), tmp_path, "a\x1b[31mb_1.ipynb"))
    assert "\x1b" not in str(problems) and "\x1b" not in problems._repr_html_()
