"""Calls of the functions of ``helpers``: what they bring, and whether they will accept it.

Notebook: 05_submission.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from qvim_kit.downloads.safety import branch_problem, filename_problem, url_problem
from qvim_kit.submission.checking.addresses import url_fault
from qvim_kit.submission.checking.locations import climbs, is_absolute, parts
from qvim_kit.submission.checking.problems import Problem, problem_at
from qvim_kit.submission.reading.bindings import Call
from qvim_kit.submission.reading.texts import DATA, HOME, ROOT, SOME, shown
from qvim_kit.submission.reading.values import options

HELPERS = {
    "google_drive_download": ("filename", "shared_url", "relative_dir"),
    "wget_download": ("filename", "shared_url", "relative_dir"),
    "git_clone_checkout": ("output_dir", "url", "branch", "commit_sha"),
    "unpack_file": ("file_path", "output_dir"),
    "check_download_file_info": ("filename", "shared_url", "relative_dir", "url_prefix"),
}


def helper(call: Call) -> str | None:
    """The name of the function of helpers that is called, or None."""
    module, _, name = call.name.rpartition(".")
    return name if name in HELPERS and module in ("helpers", "") else None


def helper_arguments(call: Call, name: str) -> dict[str, list[str]]:
    """Parameter → the texts that a call of a function of helpers may give it."""
    given = {
        keyword: call.argument(position, keyword) for position, keyword in enumerate(HELPERS[name])
    }
    return {
        keyword: [option for option in options(value) if isinstance(option, str)]
        for keyword, value in given.items()
    }


def download_folders(calls: list[Call]) -> set[str]:
    """The first parts, below ROOT_PATH, of what the functions of helpers bring there."""
    found = set()
    for call in calls:
        if name := helper(call):
            given = helper_arguments(call, name)
            folders = given.get("relative_dir") or given.get("output_dir") or []
            for folder in folders:
                names = parts(folder.lstrip(ROOT))
                found.update(names[:1] or given.get("filename", []))
    return {name for name in found if SOME not in name and name != ".."}


def helper_problems(call: Call, name: str) -> Iterator[Problem]:
    """The problems with what a function of helpers is given."""
    given = helper_arguments(call, name)
    for keyword in ("shared_url", "url"):
        for url in given.get(keyword, ()):
            fault = url_fault(url) or (SOME not in url and url_problem(url, local=False))
            if fault:
                yield problem_at(call, "url", fault)
            elif name == "google_drive_download" and urlsplit(url).hostname != "drive.google.com":
                remedy = "use wget_download for other addresses"
                yield problem_at(call, "helpers", f"{shown(url)!r} is not at Google Drive", remedy)
    for keyword in ("relative_dir", "output_dir", "file_path", "filename"):
        for path in given.get(keyword, ()):
            yield from _helper_path(call, keyword, path)
    for fault in _version_faults(given):
        remedy = "give a branch, and all 40 digits of `git rev-parse HEAD`"
        yield problem_at(call, "helpers", fault, remedy)


def _version_faults(given: dict[str, list[str]]) -> Iterator[str]:
    for branch in given.get("branch", ()):
        if SOME not in branch and (fault := branch_problem(branch)):
            yield fault
    for commit in given.get("commit_sha", ()):
        digits = len(commit) == 40 and not set(commit.lower()) - set("0123456789abcdef")
        if SOME not in commit and not digits:
            yield f"{shown(commit)!r} is no full commit"


def _helper_path(call: Call, keyword: str, path: str) -> Iterator[Problem]:
    names = parts(path)
    remedy = 'name the folder alone, as in "models"; helpers put it below ROOT_PATH'
    if path[:1] == SOME:
        return
    if path[:1] == ROOT:
        message = f"{keyword} starts at ROOT_PATH, which helpers put before it again"
        yield problem_at(call, "root-path", message, remedy)
    elif path[:1] in ("~", HOME, DATA) or is_absolute(path) or climbs(names):
        yield problem_at(call, "outside", f"{keyword} {shown(path)!r} is not in ROOT_PATH", remedy)
    elif keyword != "file_path" and names and names[0].casefold() == "output":
        yield problem_at(call, "output", f"{keyword} {shown(path)!r} is ROOT_PATH/output")
    elif keyword == "filename" and SOME not in path and (fault := filename_problem(path)):
        yield problem_at(call, "helpers", fault, "give one file name, valid on every system")
