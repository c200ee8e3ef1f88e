import json
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

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


TABLE = """
import pandas as pd
print("said")
pd.DataFrame({"<column>": [0.25]})
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


def test_a_kernel_that_dies_and_a_cell_without_end_fail_alone(
    notebooks, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(tutorial, "TIMEOUT", 3)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QVIM_DATA", "data")
    sources = (
        "print('before')\nimport os, time\ntime.sleep(0.5)\nos._exit(1)",
        "print('before', flush=True)\nimport time\ntime.sleep(60)",
        "from qvim_kit.paths import data_folder\nprint(data_folder())",
    )
    for path, source in zip(notebooks, sources, strict=True):
        nbformat.write(new_notebook(cells=[new_code_cell(source)]), path)
    output = tmp_path / "pages"
    assert tutorial.run_tutorial(output) == 1
    said = [
        line for line in capsys.readouterr().out.splitlines() if " s" in line and " in " in line
    ]
    assert "failed" in said[0] and "(DeadKernelError: " in said[0]
    assert "failed" in said[1] and "(CellTimeoutError: " in said[1] and said[1].endswith(")")
    assert "passed" in said[2]
    assert (output / "index.html").is_file()
    pages = [(output / f"{path.stem}.html").read_text() for path in notebooks]
    assert "before" in pages[0] and "before" in pages[1]
    assert str((tmp_path / "data").resolve()) in pages[2]  # not below the notebook's own folder


def test_without_a_clone_the_error_says_where_to_get_one(tmp_path, monkeypatch):
    urls = {"Project-URL": ["Documentation, https://no", "Repository, https://host/kit"]}
    said = type("Metadata", (), {"get_all": lambda self, name, default: urls.get(name, default)})
    monkeypatch.setattr(tutorial, "in_checkout", lambda: False)
    monkeypatch.setattr(tutorial, "metadata", lambda name: said())
    with pytest.raises(FileNotFoundError, match=r"git clone https://host/kit\)"):
        tutorial.notebooks()


def test_success_without_failures(notebooks, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tutorial, "notebooks", lambda: notebooks[:2])
    assert tutorial.run_tutorial(tmp_path / "pages") == 0


def test_the_index_gathers_tagged_tables_under_their_heading_and_what_is_published(tmp_path):
    path = tmp_path / "01_one.ipynb"
    cells = [
        new_markdown_cell("# One\n[02](02_two.ipynb), [x](submissions/x.ipynb), [a](#b)\n## A & B"),
        new_code_cell(TABLE, metadata={"tags": ["result"]}),
        new_markdown_cell("no heading"),
        new_code_cell(TABLE.replace("0.25", "0.75")),  # not tagged
    ]
    nbformat.write(new_notebook(cells=cells), path)
    run = tutorial.run_notebook(path, tmp_path)
    ((heading, table),) = run.tables
    assert heading == "A & B" and "0.25" in table
    index = tutorial._index([run])
    assert "A &amp; B" in index and "&lt;column&gt;" in index and "0.75" not in index
    assert "<td>2DFT</td><td>0.1262</td>" in index and "not to be compared" in index
    page = (tmp_path / run.page).read_text()
    assert 'href="02_two.html"' in page and 'href="x.html"' in page and 'href="#b"' in page
    assert "<title>01_one</title>" in page


def test_every_notebook_follows_one_query_and_links_to_its_neighbours():
    paths = [path for path in tutorial.notebooks() if path.name[0].isdigit()]
    texts = [path.read_text(encoding="utf-8") for path in paths]
    for n, text in enumerate(texts):
        assert all(word in text for word in ("**Time:**", "**Needs:**", "**You can skip")), paths[n]
        if paths[n].name.startswith("05"):  # whose copies lie anywhere, for any data
            continue
        neighbours = paths[max(0, n - 1) : n] + paths[n + 1 : n + 2]
        assert all(f"({other.name})" in text for other in neighbours), paths[n]
        assert "example_query(" in text, paths[n]
        assert n == 0 or "(01_explore_the_data.ipynb#Terms)" in text, paths[n]


def test_the_query_that_is_followed(dataset):
    from qvim_kit.datasets import load_mini

    assert tutorial.example_query(load_mini())["query_id"] == tutorial.EXAMPLE
    assert tutorial.example_query(dataset)["query_id"] == dataset.queries["query_id"][0]


def test_notebooks_come_in_order():
    names = [path.name for path in tutorial.notebooks()]
    assert names.index("05_submission.ipynb") < names.index("mobilenet.ipynb")
    assert all(json.loads(Path(path).read_text())["cells"] for path in tutorial.notebooks())


def test_notebooks_can_be_chosen_by_number_name_or_path(notebooks):
    assert [path.stem for path in tutorial.chosen(["03", "notebooks/01_good.ipynb"])] == [
        "01_good",
        "03_bad",
    ]
    assert len(tutorial.chosen([])) == 3
    with pytest.raises(ValueError, match="found 05, expected one of 01_good, 02_skip, 03_bad"):
        tutorial.chosen(["03", "05"])
