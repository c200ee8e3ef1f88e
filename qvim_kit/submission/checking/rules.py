"""What a submission's code may not do, judged by the calls that `reading` found in it.

Notebook: 05_submission.
"""

from __future__ import annotations

from collections.abc import Iterator

from qvim_kit.submission.checking.addresses import url_fault
from qvim_kit.submission.checking.bringing import asked, data_written, downloaded
from qvim_kit.submission.checking.commands import IPYTHON, RUNNERS, command_problems
from qvim_kit.submission.checking.helper_calls import helper, helper_problems
from qvim_kit.submission.checking.locations import (
    CONTAINER_METHODS,
    FILE_CALLS,
    FILE_METHODS,
    INTO_WORKING_DIRECTORY,
    MESSAGE_METHODS,
    PATH_KEYWORDS,
    TEXT_CALLS,
    TEXT_MODULES,
    WRITTEN_KEYWORDS,
    Folders,
    is_machine_path,
    path_problem,
)
from qvim_kit.submission.checking.problems import Problem, problem_at
from qvim_kit.submission.reading.bindings import Call
from qvim_kit.submission.reading.texts import DATA, HOME, ROOT, shown, words
from qvim_kit.submission.reading.values import UNBOUND, Ref, options

CHDIR = words("os.chdir os.fchdir os.chroot contextlib.chdir %cd %pushd %popd")
# An f-string in a magic would not help: `%%writefile` takes what follows as it stands.
MAGICS = words("%writefile %file %run %load %loadpy %save %logstart %notebook")
JOINED = ("root-path", "data-path")
IN_THE_CELL = "put the code into the cell instead"
# They do not call what they are given, or `reading` makes the calls that they make.
NOT_CALLING = words("isinstance issubclass print repr hasattr callable map functools.partial")


def judge(call: Call, folders: Folders, literals: set[str]) -> Iterator[Problem]:
    """The problems with one call. ``literals``: texts that were reported where they stand."""
    found = [*asked(call), *_judged(call, folders, literals)]
    texts = [value for value in _flat((call.args, call.kwargs)) if isinstance(value, str)]
    yield from found if found or literals.intersection(texts) else downloaded(call)


def _judged(call: Call, folders: Folders, literals: set[str]) -> Iterator[Problem]:
    if call.name in CHDIR:
        what = call.name.split(".")[-1]
        yield problem_at(call, "chdir", f"{what} changes the working directory")
    yield from command_problems(call, folders)
    yield from _handed_over(call)
    last = call.name.rpartition(".")[2]
    if name := helper(call):
        yield from helper_problems(call, name)
    elif call.name == "helpers.ROOT_PATH=" and call.args[0] != ROOT:
        message = "helpers.ROOT_PATH is set to something else than ROOT_PATH"
        yield problem_at(call, "root-path", message, "remove it; the notebook has set it already")
    elif call.name in ("%env", "%set_env"):
        for value in call.args[0].replace("=", " ").split()[1:2]:
            if is_machine_path(value):
                yield problem_at(call, "outside", f"the path {shown(value)!r} is outside ROOT_PATH")
    elif call.name in FILE_CALLS or not _takes_text(call.name, last):
        yield from _addresses(call, literals)
        if call.name in FILE_CALLS or last not in CONTAINER_METHODS:
            yield from _paths(call, folders, literals)


def _takes_text(name: str, last: str) -> bool:
    return (
        name in TEXT_CALLS
        or name in RUNNERS
        or name in CHDIR
        or name.startswith(TEXT_MODULES)
        or last in MESSAGE_METHODS
        or last.endswith(("Error", "Exception", "Warning"))
    )


def _flat(values: object, depth: int = 4) -> Iterator[object]:
    """All values inside tuples, dicts and alternatives."""
    for value in options(values):
        if isinstance(value, (tuple, dict)) and depth:
            for each in tuple(value.values() if isinstance(value, dict) else value)[:200]:
                yield from _flat(each, depth - 1)
        else:
            yield value


def _handed_over(call: Call) -> Iterator[Problem]:
    """Functions that are not called here but given to something that will call them."""
    if call.name in NOT_CALLING:
        return
    for value in _flat((call.args, tuple(call.kwargs.values()))):
        name = value.name if isinstance(value, Ref) else ""
        if name in CHDIR or name in RUNNERS | IPYTHON:
            rule = "chdir" if name in CHDIR else "shell"
            yield problem_at(call, rule, f"{name} is handed to {shown(call.name)}")


def _uses(call: Call) -> Iterator[tuple[object, bool, bool]]:
    """(value, whether it is written to, whether it surely is a path) for each argument."""
    last = call.name.rpartition(".")[2]
    use = FILE_CALLS.get(call.name) or (FILE_METHODS.get(last, "") if last != call.name else "")
    kinds = {int(place): kind for kind, place in zip(use[::2], use[1::2], strict=True)}
    mode = call.argument(1, "mode")
    opened = isinstance(mode, str) and set(mode) & set("wax+") != set()
    writes = "w" in use or ("m" in use and opened) or not use
    for position, value in enumerate(call.args):
        kind = kinds.get(position)
        yield value, writes and kind != "r", kind is not None
    for keyword, value in call.kwargs.items():
        if keyword in WRITTEN_KEYWORDS:
            yield value, True, True
        elif keyword in PATH_KEYWORDS or not use:
            yield value, writes, bool(use)


def _paths(call: Call, folders: Folders, literals: set[str]) -> Iterator[Problem]:
    every = [value for value in _flat((call.args, call.kwargs)) if isinstance(value, str)]
    starts_well = any(text[:1] in (ROOT, DATA) for text in every)
    yield from _by_default(call)
    for value, writes, sure in _uses(call):
        texts = [text for text in _flat(value) if isinstance(text, str)]
        for text in texts if writes and sure else ():
            yield from data_written(call, text)
        faults = [path_problem(text, folders, writes, sure) for text in texts]
        for text, fault in zip(texts, faults, strict=True):
            # A path that may also be a good one, or that may be joined to a good one in there.
            doubtful = None in faults or (starts_well and not sure)
            if not fault or (fault[0] in ("root-path", "data-path") and doubtful):
                continue
            if not any(_spells(text, literal) for literal in literals):
                remedy = IN_THE_CELL if call.name in MAGICS and fault[0] in JOINED else ""
                yield problem_at(call, fault[0], f"the path {shown(text)!r} {fault[1]}", remedy)


def _by_default(call: Call) -> Iterator[Problem]:
    last = call.name.rpartition(".")[2]
    place = INTO_WORKING_DIRECTORY.get(call.name) or INTO_WORKING_DIRECTORY.get(last)
    if place and call.argument(*place) is UNBOUND:
        message = f"{last} writes into the working directory, not into ROOT_PATH"
        yield problem_at(call, "root-path", message, f"give it {place[1]}, in ROOT_PATH")


def _spells(text: str, literal: str) -> bool:
    return text.startswith((literal, literal.replace("~", HOME, 1)))


def _addresses(call: Call, literals: set[str]) -> Iterator[Problem]:
    for value in _flat((call.args, call.kwargs)):
        text = value if isinstance(value, str) else ""
        fault = url_fault(text)
        if fault and not text.startswith(tuple(literals)):
            yield problem_at(call, "url", fault)
