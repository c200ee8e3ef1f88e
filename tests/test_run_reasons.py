"""What the one line says of a run of the template that failed, and at which stage it did."""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from submissions.building import filled, write
from test_runner import limits, make_data

from qvim_kit.cli import organiser
from qvim_kit.submission.running import run_submission
from qvim_kit.submission.running.judging import joined, one_line

MODEL = """
import os
import shutil
from pathlib import Path

class Mine(QVIMModel):
    def compute_similarities(self, items, queries):
        return {query: {item: SCORE for item in items} for query in queries}

    def deeper(self):
        np.zeros(3)
"""
WIPE = "shutil.rmtree(Path(DATA_PATH, 'Items', 'A')) or 1 / 0"
COLOURED = "(_ for _ in ()).throw(ValueError('\\x1b[31mred\\x1b[0m\\x07'))"
ABSENT = "__import__('no_such_module')"
LOST = "open(os.path.join(ROOT_PATH, 'w.pt'))"

# name: (what stands for a score, stage, parts of the reason)
CASES = {
    "nan": ("float('nan')", "scores", ["; ", "a-0-q.wav", "NaN", "cell 15"]),
    "text": ("'0.5'", "scores", ["not a plain number"]),
    "inner": ("self.deeper()", "cells", ["cell 11 (import os), line 11, called from cell 15"]),
    "wiped": (WIPE, "data", ["Items/A/a-0.wav is gone; Items/A/a-1.wav is gone"]),
    "coloured": (COLOURED, "cells", ["ValueError: red�"]),
    "absent": (ABSENT, "cells", ["'no_such_module'; add %pip install no_such_module==VERSION to"]),
    "lost": (LOST, "cells", ["No such file", "--root"]),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    def one(case):
        name, (score, *_) = case
        folder, lines = tmp_path_factory.mktemp(name), []
        notebook = filled(
            set_up="", implementation=MODEL.replace("SCORE", score), instance="QBVIM_MODEL = Mine()"
        )
        notebook["cells"][1]["source"] = "1"  # what it imports takes seconds
        path, data = write(notebook, folder), make_data(folder / "data")
        output = folder / "out"
        run = run_submission(path, data, output=output, limits=limits(), say=lines.append)
        return name, (run, lines)

    with ThreadPoolExecutor(2) as pool:
        return dict(pool.map(one, CASES.items()))


@pytest.mark.parametrize("name", CASES)
def test_stage_and_reason(runs, name):
    (run, _), (_, stage, said) = runs[name], CASES[name]
    assert run.stage == stage, run.headline
    assert all(part in run.reason for part in said), run.reason
    assert "problem" not in run.headline and "\x1b" not in run.headline


def test_all_problems_are_in_the_details(runs):
    run, _ = runs["nan"]
    assert "1 more" in run.reason and run.details.count("\n  query ") == 4
    run, _ = runs["wiped"]
    assert "besides, cells: " in run.details and "ZeroDivisionError" in run.details


def test_pages_hold_no_orders_for_a_terminal(runs):
    page = (runs["coloured"][0].output / "report.html").read_text()
    assert "ValueError: red" in page and "\x1b" not in page and "\x07" not in page


def test_a_cell_is_named_when_it_starts(runs):
    _, lines = runs["inner"]
    assert any(line.startswith("cell  15   running") for line in lines)
    assert not any(line.startswith("cell  15") and " s  " in line for line in lines)


def test_cells_that_failed_are_not_called_ok(runs):
    page = (runs["nan"][0].output / "report.html").read_text()
    assert (
        "<td>not finished</td>" in page
        and json.loads((runs["nan"][0].output / "report.json").read_text())["stage"] == "scores"
    )


def test_what_check_finds_is_told_and_the_run_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    notebook = filled(implementation=MODEL.replace("SCORE", "1"), instance="QBVIM_MODEL = Mine()")
    notebook["cells"][1]["source"] = "1"
    write(notebook, tmp_path)
    parser = argparse.ArgumentParser()
    organiser.add_to_submission(parser.add_subparsers())
    data = str(make_data(tmp_path / "data"))
    options = parser.parse_args(["run", "humming-birds_1.ipynb", "--data", data, "--output", "out"])
    assert options.run(options) == 0
    told, report, headline = capsys.readouterr().out.splitlines()[-3:]
    assert told.startswith("check: 1 error: cell 2, line 1: this cell of the template was edited")
    assert "out/report.html" in report and " passed: MRR " in headline
    found = json.loads(Path("out/report.json").read_text())["check"]
    assert (found["ok"], found["rules"]["cell-changed"]) == (False, 1)
    page = Path("out/report.html").read_text()
    assert "this cell of the template was edited" in page and "qvim submission check" in page


def test_problems_are_joined_and_counted():
    assert joined(["a", "b", "c", "d", "e"], 24) == "a; b; c; and 21 more"
    assert joined(["a"], 1) == "a" and joined(["a" * 400, "b"], 2).endswith("…; and 1 more")
    listed = "data: 4 problems:\n  missing a;\n  missing b;\n  missing c;\n  missing d.\nUnpack."
    assert one_line(listed) == "data: missing a; missing b; missing c; and 1 more"
    assert one_line("data: 1,002 problems:\n  no a;\n  no b.") == "data: no a; no b; and 1000 more"
    assert one_line("two\n lines") == "two lines"
