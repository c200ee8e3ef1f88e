"""Runs the notebooks in order and leaves their pages and one with all results.

`make tutorial` calls this. Each notebook runs in a folder of its own under the output folder, so
that the clone stays as it is. The page of results gathers each `Report` that is shown, and the
tables below the cells that are tagged "result".
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.metadata import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from qvim_kit.evaluation.report import REPORT_MIME
from qvim_kit.paths import REPOSITORY, in_checkout, kernel_environment

if TYPE_CHECKING:
    import pandas as pd

    from qvim_kit.datasets.tables import RetrievalDataset

EXAMPLE = "Siren/Siren_7_imitation_1.wav"  # what the notebooks follow
TIMEOUT = 1_800  # s a cell
COLUMNS = ("notebook", "system", "data set", "MRR", "95 % interval", "random MRR", "class NDCG")


@dataclass
class Run:
    """What became of one notebook: state is "passed", "skipped" or "failed"."""

    notebook: Path
    state: str
    seconds: float
    reason: str = ""
    reports: list[dict] = field(default_factory=list)
    tables: list[tuple[str, str]] = field(default_factory=list)  # section, HTML

    @property
    def page(self) -> str:
        return f"{self.notebook.stem}.html"

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """One row of the results table for each report that the notebook shows."""
        rows: list[tuple[str, ...]] = []
        for report in self.reports:
            mrr, ndcg = report["metrics"]["MRR"], report["metrics"]["class NDCG"]
            numbers = (
                f"{mrr['value']:.3f}",
                f"{mrr['low']:.3f} – {mrr['high']:.3f}",
                f"{mrr['random']:.3f}",
                f"{ndcg['value']:.3f}",
            )
            rows.append((self.notebook.stem, report["system"], report["dataset"], *numbers))
        return rows


def example_query(dataset: RetrievalDataset) -> pd.Series:
    """The row of the query that all notebooks follow; in a data set without it, the first."""
    found = dataset.queries[dataset.queries["query_id"] == EXAMPLE]
    return (found if len(found) else dataset.queries).iloc[0]


def notebooks() -> list[Path]:
    """The tutorial's notebooks in order, then the filled-in submissions.

    Raises `FileNotFoundError` where the package is not in a clone of the repository.
    """
    folder = REPOSITORY / "notebooks"
    if not in_checkout():
        urls = metadata("qvim-kit").get_all("Project-URL", [])
        address = "".join(url.partition(", ")[2] for url in urls if url.startswith("Repository"))
        remedy = f"they come with a clone (git clone {address}) that the kit is installed from"
        raise FileNotFoundError(f"{folder}: no notebooks; {remedy}")
    return sorted(folder.glob("[0-9]*.ipynb")) + sorted((folder / "submissions").glob("*.ipynb"))


def chosen(names: Sequence[str]) -> list[Path]:
    """Those of `notebooks` that are named, by path, name or how it begins ("04"); all for none.

    Raises `ValueError` with all names for what is none of them.
    """
    found = notebooks()
    for name in names:
        if not any(path.stem.startswith(Path(name).stem) for path in found):
            expected = ", ".join(path.stem for path in found)
            raise ValueError(f"notebook: found {name}, expected one of {expected}")
    begun = tuple(Path(name).stem for name in names)
    return [path for path in found if path.stem.startswith(begun)] if names else found


def run_tutorial(output: Path | None = None, names: Sequence[str] = ()) -> int:
    """Run the notebooks, write pages and an index to ``output``, print the results table.

    A notebook that needs weights which are neither cached nor to be had is skipped, and says so.

    Args:
        output: build/tutorial in the clone if left out.
        names: only these notebooks, as `chosen` takes them.

    Returns 0, or 1 if a notebook failed.
    """
    paths = chosen(names)
    output = output or REPOSITORY / "build" / "tutorial"
    output.mkdir(parents=True, exist_ok=True)
    runs = []
    for number, path in enumerate(paths, start=1):
        print(f"[{number}/{len(paths)}] {path.relative_to(REPOSITORY)} …", flush=True)
        runs.append(run_notebook(path, output))
        run = runs[-1]
        print(f"      {run.state} in {run.seconds:.0f} s {run.reason}".rstrip(), flush=True)
    index = output / "index.html"
    index.write_text(_index(runs), encoding="utf-8")
    print(f"\n{results_table(runs)}\n\nPages: {index}")
    return int(any(run.state == "failed" for run in runs))


def run_notebook(path: Path, output: Path) -> Run:
    """Run one notebook and write its page; whatever it wrote by then is on the page."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
    from tqdm import tqdm

    notebook = nbformat.read(path, as_version=4)
    folder = output / "work" / path.stem
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    start, state, reason = time.monotonic(), "passed", ""
    with tqdm(total=cells, unit="cell", leave=False, disable=None) as bar:
        client = NotebookClient(
            notebook,
            timeout=TIMEOUT,
            kernel_name="python3",
            extra_arguments=["--log-level=ERROR"],  # its warnings are for people who run servers
            resources={"metadata": {"path": str(folder)}},
            on_cell_executed=lambda **_: bar.update(),
        )
        try:
            client.execute(env=kernel_environment())
        except CellExecutionError as error:
            state = "skipped" if error.ename == "DownloadError" else "failed"
            reason = f"({error.ename}: {error.evalue})"
        except (RuntimeError, TimeoutError) as error:  # its kernel died, or a cell never ended
            first = next(iter(str(error).splitlines()), "")
            state, reason = "failed", f"({type(error).__name__}: {first})"
    run = Run(path, state, time.monotonic() - start, reason, _reports(notebook), _tables(notebook))
    _write_page(notebook, output / run.page)
    return run


def results_table(runs: list[Run]) -> str:
    """All results as a Markdown table, and what is not in it and why."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    lines += [f"| {' | '.join(row)} |" for run in runs for row in run.rows]
    lines += [f"{run.notebook.name} {run.state} {run.reason}" for run in runs if run.reason]
    return "\n".join(lines)


def _reports(notebook) -> list[dict]:
    outputs = (o for cell in notebook.cells for o in cell.get("outputs", ()))
    return [o["data"][REPORT_MIME] for o in outputs if REPORT_MIME in o.get("data", {})]


def _tables(notebook) -> list[tuple[str, str]]:
    """The tables of the cells tagged "result", each with the heading that it stands under."""
    heading, tables = "", []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            heading = (re.findall(r"^#+ (.+)$", cell.source, re.MULTILINE) or [heading])[-1]
        elif "result" in cell.metadata.get("tags", ()):
            pages = (output.get("data", {}).get("text/html", "") for output in cell.outputs)
            tables += [(heading, page) for page in pages if "<table" in page]
    return tables


def _write_page(notebook, path: Path) -> None:
    from nbconvert import HTMLExporter

    name = {"metadata": {"name": path.stem}}
    page, _ = HTMLExporter().from_notebook_node(notebook, resources=name)
    page = re.sub(r'href="(?:submissions/)?(\w+)\.ipynb([#"])', r'href="\1.html\2', page)
    path.write_text(page, encoding="utf-8")


def _published() -> list[tuple[str, ...]]:
    """What others have measured: data, system or metric, value."""
    from qvim_kit.protocols import PUBLISHED

    data = {
        "qvim-dev": "QVIM-dev, MRR among its 121 imitated items",
        "coarse": "VimSketch, coarse protocol, MRR",
        "fine": "Vocal Imitation Set, fine protocol, MRR",
        "clotho": "Clotho, words → sound, DCASE 2023 task 6b baseline (not verified)",
    }
    return [
        (data[part], escape(name), f"{value:.4f}")
        for part in data
        for name, value in PUBLISHED[part].items()
    ]


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    cells = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    names = "".join(f'<th scope="col">{name}</th>' for name in head)
    return f"<table><tr>{names}</tr>{cells}</table>"


def _index(runs: list[Run]) -> str:
    pages = [
        (
            f'<a href="{run.page}">{escape(run.notebook.stem)}</a>',
            f"{run.state} in {run.seconds:.0f} s",
            escape(run.reason),
        )
        for run in runs
    ]
    results = [tuple(map(escape, row)) for run in runs for row in run.rows]
    gathered = [
        f'<h3><a href="{run.page}">{escape(run.notebook.stem)}</a> · {escape(heading)}</h3>{table}'
        for run in runs
        for heading, table in run.tables
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>qvim-kit tutorial</title>'
        "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;"
        "padding:0 1rem}table{border-collapse:collapse}td,th{padding:.3rem .8rem;text-align:left;"
        "border-bottom:1px solid #bbb}</style><h1>qvim-kit: the tutorial, executed</h1>"
        f"{_table(('notebook', 'state', 'reason'), pages)}"
        f"<h2>Results</h2>{_table(COLUMNS, results)}"
        "<h2>Published</h2><p>Results of others, on other data: <b>not to be compared</b> with "
        "those above, unless the data set is the same and whole. The MRR of guessing says how "
        "much of a number is the size of the data set.</p>"
        f"{_table(('data and measure', 'system', 'value'), _published())}"
        f"<h2>Tables of the notebooks</h2>{''.join(gathered)}</html>\n"
    )
