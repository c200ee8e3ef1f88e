import json
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from qvim_kit import tutorial

SHOW = """
from IPython.display import display
metrics = {m: {"value": 0.5, "low": 0.4, "high": 0.6, "random": 0.1} for m in ("MRR", "class NDCG")}
report = {"system": "<toy>", "dataset": "tiny", "metrics": metrics}
display({"application/vnd.qvim.report+json": report, "text/plain": "report"}, raw=True)
"""
NO_WEIGHTS = """
from qvim_kit.downloads import DownloadError
raise DownloadError("put weights.pt into /cache")
"""


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    """Three notebooks: one shows a result and writes a file, one lacks weights, one is broken."""
    paths = []
    for name, source in (
        ("01_good", SHOW + "open('written.txt', 'w').close()"),
        ("02_skip", NO_WEIGHTS),
        ("03_bad", "print('before')\n1 / 0"),
    ):
        paths.append(tmp_path / "notebooks" / f"{name}.ipynb")
        paths[-1].parent.mkdir(exist_ok=True)
        nbformat.write(new_notebook(cells=[new_code_cell(source)]), paths[-1])
    monkeypatch.setattr(tutorial, "notebooks", lambda: paths)
    monkeypatch.setattr(tutorial, "REPOSITORY", tmp_path)
    return paths


def test_runs_all_and_says_what_became_of_each(notebooks, tmp_path, capsys):
    output = tmp_path / "pages"
    assert tutorial.run_tutorial(output) == 1
    out = capsys.readouterr().out
    assert "[1/3] notebooks/01_good.ipynb" in out and "passed" in out
    assert "skipped" in out and "put weights.pt into /cache" in out
    assert "failed" in out and "ZeroDivisionError" in out
    assert "| 01_good | <toy> | tiny | 0.500 | 0.400 – 0.600 | 0.100 | 0.500 |" in out
    index = (output / "index.html").read_text()
    assert "&lt;toy&gt;" in index and "<toy>" not in index
    for path in notebooks:
        page = (output / f"{path.stem}.html").read_text()
        assert f'href="{path.stem}.html"' in index and "<html" in page
    assert "before" in (output / "03_bad.html").read_text()  # what came before the fault
    assert (output / "work" / "01_good" / "written.txt").exists()  # and not in the clone


def test_success_without_failures(notebooks, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tutorial, "notebooks", lambda: notebooks[:2])
    assert tutorial.run_tutorial(tmp_path / "pages") == 0


def test_notebooks_come_in_order():
    names = [path.name for path in tutorial.notebooks()]
    assert names.index("05_submission.ipynb") < names.index("mobilenet.ipynb")
    assert all(json.loads(Path(path).read_text())["cells"] for path in tutorial.notebooks())
