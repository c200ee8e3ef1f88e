"""The template, notebooks made from it, and the commands `new` and `check`."""

import json
import random
from pathlib import Path

import pytest
from submissions.building import PARTS, code_cell, filled, template, write

from qvim_kit.cli import main
from qvim_kit.submission import template as templates
from qvim_kit.submission.checking import check, check_all

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
PACKAGE = ROOT / "qvim_kit" / "submission"


def rules(problems):
    return sorted({problem.rule for problem in problems})


def test_the_copy_of_the_template_is_equal():
    original, copy = NOTEBOOKS / "05_submission.ipynb", PACKAGE / "template.ipynb"
    command = f"cp {original.relative_to(ROOT)} {copy.relative_to(ROOT)}"
    assert copy.read_bytes() == original.read_bytes(), f"the notebook was edited; run {command}"


def test_the_hashes_of_the_official_template_are_those_published(shared):
    published = shared / "golden" / "official_template_cells.json"
    assert json.loads(templates.OFFICIAL.read_text()) == json.loads(published.read_text())


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("humming-birds_1.ipynb", []),
        ("the_humming_birds_3.ipynb", []),
        ("Zürich_2.ipynb", []),
        ("humming-birds_0.ipynb", ["name"]),
        ("humming-birds_4.ipynb", ["name"]),
        ("humming-birds_01.ipynb", ["name"]),
        ("humming-birds.ipynb", ["name"]),
        ("humming-birds_1-Copy1.ipynb", ["name"]),
        ("humming-birds_1 (1).ipynb", ["name"]),
        ("humming birds_1.ipynb", ["name"]),
        ("_1.ipynb", ["name"]),
        ("humming-birds_1.json", ["name"]),
        ("humming-birds_99999999999999999999.ipynb", ["name"]),
    ],
)
def test_names(name, found, tmp_path):
    assert rules(check(write(template(), tmp_path, name))) == found


def test_no_more_than_three_of_a_team_and_each_number_once(tmp_path):
    (tmp_path / "a").mkdir()
    three = [write(template(), tmp_path, f"team_{n}.ipynb") for n in (1, 2, 3)]
    other = write(template(), tmp_path, "other_1.ipynb")
    assert all(result.ok for result in check_all([*three, other, three[0]]))
    again = write(template(), tmp_path / "a", "Team_1.ipynb")
    found = [rules(result) for result in check_all([*three, again, other])]
    assert found == [["too-many"]] * 4 + [[]]
    found = [rules(result) for result in check_all([three[0], again])]
    assert found == [["too-many"]] * 2


def test_half_of_a_template_is_recognised_and_less_is_not(tmp_path):
    notebook = template()
    notebook["cells"] = notebook["cells"][:13]
    assert check(write(notebook, tmp_path)).template == "kit"
    notebook["cells"] = notebook["cells"][:3]
    assert "template" in rules(check(write(notebook, tmp_path)))


def test_hashes_forgive_what_editors_change(tmp_path):
    notebook = template()
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        cell["source"] = "\r\n\r\n" + source.replace("\n", "  \r\n") + "\t\n\n"
        cell.pop("id", None)
        cell["metadata"] = {"execution": {"iopub.status.idle": "2025"}, "scrolled": True}
    assert list(check(write(notebook, tmp_path))) == []


def test_an_edited_text_is_told_from_the_line_where_it_differs(tmp_path):
    notebook = template()
    notebook["cells"][5]["source"] = "".join(notebook["cells"][5]["source"]).replace(
        "helpers.ROOT_PATH = ROOT_PATH", "helpers.ROOT_PATH = '.'"
    )
    (problem,) = check(write(notebook, tmp_path))
    assert (problem.cell, problem.line) == (6, 5)
    assert "helpers.ROOT_PATH = ROOT_PATH" in problem.message


def test_an_added_cell_is_one_problem_whatever_is_in_it(tmp_path):
    notebook = template()
    notebook["cells"].insert(8, code_cell("!ls\n%cd x"))
    assert [(p.cell, p.rule) for p in check(write(notebook, tmp_path))] == [(9, "cell-added")]


def test_the_template_survives_any_order_of_its_cells(tmp_path):
    for seed in range(10):
        notebook = template()
        random.Random(seed).shuffle(notebook["cells"])
        found = rules(check(write(notebook, tmp_path)))
        assert set(found) <= {"cell-moved", "undefined"} and "cell-moved" in found


def test_parts_are_where_the_tests_take_them_to_be():
    tags = {part: template()["cells"][index]["metadata"]["tags"] for part, index in PARTS.items()}
    assert all(part.replace("_", "-") in found for part, found in tags.items())


def test_new_copies_the_template_and_never_overwrites(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["submission", "new", "humming-birds_1"]) == 0
    path = tmp_path / "humming-birds_1.ipynb"
    assert path.read_bytes() == (NOTEBOOKS / "05_submission.ipynb").read_bytes()
    path.write_text("mine")
    assert main(["submission", "new", "humming-birds_1.ipynb"]) == 1
    assert "is there already" in capsys.readouterr().err and path.read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["team", "team_4", "team_0", "a/b_1", "../team_1", "_1", "te am_1"]
)
def test_new_refuses_other_names(name, tmp_path, capsys):
    assert main(["submission", "new", name, "--folder", str(tmp_path)]) == 1
    assert "{teamName}_{number}" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_new_wants_a_folder_that_is_there(tmp_path, capsys):
    assert main(["submission", "new", "team_1", "--folder", str(tmp_path / "none")]) == 1
    assert "there is no such folder; make it first" in capsys.readouterr().err


def test_without_a_clone_the_package_has_the_template(monkeypatch):
    monkeypatch.setattr(templates, "in_checkout", lambda: False)
    assert templates.template_path() == PACKAGE / "template.ipynb"
    assert len(templates.kit_template().cells) == 21


def test_what_the_package_needs_is_installed_with_it():
    line = next(
        line for line in (ROOT / "pyproject.toml").read_text().splitlines() if '"weights/*"' in line
    )
    assert '"submission/*.json"' in line and '"submission/*.ipynb"' in line
    assert templates.OFFICIAL.is_file() and (PACKAGE / "template.ipynb").is_file()


def test_the_command_prints_all_and_exits_with_1_for_errors_only(tmp_path, capsys):
    good = write(template(), tmp_path, "team_1.ipynb")
    warned = write(filled(set_up="%pip install timm"), tmp_path, "team_2.ipynb")
    bad = write(filled(set_up="!ls"), tmp_path, "team_3.ipynb")
    assert main(["submission", "check", str(good), str(warned)]) == 0
    out = capsys.readouterr().out
    assert "no problems found" in out and "0 errors, 1 warning" in out
    assert main(["submission", "check", str(good), str(bad), str(tmp_path / "none_1.ipynb")]) == 1
    out = capsys.readouterr().out
    assert "cell 8, line 1: the command runs 'ls' [shell]" in out and "no such file" in out


def test_the_command_prints_json(tmp_path, capsys):
    bad = write(filled(set_up="!ls"), tmp_path, "team_3.ipynb")
    assert main(["submission", "check", "--json", str(bad)]) == 1
    (result,) = json.loads(capsys.readouterr().out)
    assert (result["errors"], result["warnings"], result["ok"]) == (1, 0, False)
    assert result["template"] == "kit" and result["rules"] == {"shell": 1}
    (problem,) = result["problems"]
    assert (problem["cell"], problem["line"], problem["severity"]) == (8, 1, "error")
