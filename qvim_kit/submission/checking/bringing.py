"""What a run has no use for: downloads by own means, questions, writing to the data, answers.

Notebook: 05_submission.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qvim_kit.submission.checking.problems import Problem, problem_at
from qvim_kit.submission.reading.bindings import Call
from qvim_kit.submission.reading.source import Code
from qvim_kit.submission.reading.texts import DATA, shown, words

ASKING = words("input getpass.getpass")
DOWNLOADS = words(
    """requests.get requests.post requests.request urllib.request.urlretrieve
    urllib.request.urlopen wget.download gdown.download gdown.download_folder httpx.get
    torch.hub.load torch.hub.load_state_dict_from_url torch.hub.download_url_to_file
    torch.utils.model_zoo.load_url huggingface_hub.hf_hub_download
    huggingface_hub.snapshot_download"""
)
GOOGLE = words("gdown.download gdown.download_folder")
CODE = words("torch.hub.load huggingface_hub.snapshot_download")
# They take a path to what is there, or to what may be.
HARMLESS = words("os.open sqlite3.connect")
ABOUT_LINKS = words("os.link os.symlink pathlib.Path.symlink_to pathlib.Path.hardlink_to")
FOLDERS = words("os.mkdir os.makedirs pathlib.Path.mkdir")
TABLE = "DEV Dataset.csv"


def asked(call: Call) -> Iterator[Problem]:
    """`input` and the like."""
    if call.name in ASKING:
        yield problem_at(call, "input", f"{call.name} waits for an answer, which fails in a run")


def downloaded(call: Call) -> Iterator[Problem]:
    """A download that is not of helpers."""
    if call.name in DOWNLOADS:
        name = "google_drive_download" if call.name in GOOGLE else "wget_download"
        name = "git_clone_checkout" if call.name in CODE else name
        message = f"{call.name} downloads by its own means; the rules want helpers for that"
        remedy = f"use helpers.{name}, and load it from ROOT_PATH"
        yield problem_at(call, "download", message, remedy, "warning")


def data_written(call: Call, text: str) -> Iterator[Problem]:
    """A path that a call surely writes to or removes, where that is in DATA_PATH."""
    harmless = call.name in HARMLESS | ABOUT_LINKS or (call.name in FOLDERS and text == DATA)
    if text[:1] == DATA and not harmless:
        name = call.name.rpartition(".")[2]
        yield problem_at(call, "data-written", f"{name} changes {shown(text)!r} of the data set")


def answers_read(number: int, code: Code) -> Iterator[Problem]:
    """Where the implementation reads which item each query imitates."""
    nodes = list(ast.walk(code.tree))
    own = {node.arg for node in nodes if isinstance(node, ast.arg)}
    own |= {n.id for n in nodes if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    for node in nodes:
        what = ""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            what = f"{TABLE!r}" if node.value.endswith(TABLE) else ""
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            mine = node.value.id != "dataset" or "dataset" in own
            what = "dataset.queries" if node.attr == "queries" and not mine else ""
        if what and isinstance(node, ast.expr):
            message = f"{what} tells which item each query imitates"
            remedy = "work from the sounds alone; the organisers will ask about this line"
            yield Problem(number, code.line(node.lineno), "answers", message, remedy, "warning")
