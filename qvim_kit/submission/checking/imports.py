"""Packages that a notebook imports and nothing brings: not installed here, and not by the notebook.

Only what is sure is said: imports on the top level of the participant's cells. Where an install
of a package that is not here, a clone or a change of ``sys.path`` may bring more, nothing is found.

Notebook: 05_submission.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from qvim_kit.submission.checking.commands import (
    GIT_CLONES,
    RUNNERS,
    SHELL_OTHER,
    commands_of,
    installs_of,
)
from qvim_kit.submission.checking.helper_calls import helper
from qvim_kit.submission.checking.installs import NotAnInstall
from qvim_kit.submission.checking.problems import Problem
from qvim_kit.submission.reading.bindings import Call
from qvim_kit.submission.reading.source import Code
from qvim_kit.submission.reading.statements import Reading
from qvim_kit.submission.reading.texts import shown

# Signs that modules may be found in other places, or be written by the notebook.
ELSEWHERE = re.compile(
    r"sys\.path|sys\.modules|from sys import|meta_path|addsitedir|PYTHONPATH|\.py\b|chdir|"
    r"line_magic\('(cd|pushd)'"
)


def install_remedy(module: str) -> str:
    """What to do for a module that is not there."""
    return f"add %pip install {shown(module)}==VERSION to the set-up cell, by its name on PyPI"


def import_problems(reading: Reading, theirs: set[int], folder: Path) -> Iterator[Problem]:
    """A warning for each module that ``theirs`` cells import and that is nowhere.

    ``folder`` is the notebook's: modules beside it are there.
    """
    if not reading.finished or reading.errors or reading.unread:
        return
    if any(map(_brings_more, reading.calls)) or _looks_elsewhere(reading.trees):
        return
    said = {"helpers"}
    for number in sorted(theirs & reading.trees.keys()):
        code = reading.trees[number]
        for node in code.tree.body:
            for module in _imported(node):
                if module in said or is_installed(module) or _is_beside(folder, module):
                    continue
                said.add(module)
                message = f"{shown(module)} is not installed here, and no %pip install names it"
                line, remedy = code.line(node.lineno), install_remedy(module)
                yield Problem(number, line, "import", message, remedy, "warning")


def is_installed(module: str) -> bool:
    """Whether a module of this name, without dots, can be imported here; imports nothing."""
    try:
        return module in sys.stdlib_module_names or find_spec(module) is not None
    except (ImportError, ValueError):  # loaded in a way of its own
        return True


def _imported(node: ast.stmt) -> list[str]:
    """The first parts of the modules that a statement imports."""
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        names = [node.module]
    return [name.partition(".")[0] for name in names]


def _is_beside(folder: Path, module: str) -> bool:
    return any(os.path.exists(folder / name) for name in (module, f"{module}.py"))


def _brings_more(call: Call) -> bool:
    """Whether a call may bring modules that are not here; which ones cannot be told."""
    if call.name in GIT_CLONES | SHELL_OTHER:
        return True
    if call.name not in RUNNERS:
        return helper(call) in ("git_clone_checkout", "unpack_file")
    try:
        found = [one for command in commands_of(call) for one in installs_of(call, command)]
    except NotAnInstall:
        return True
    return any(
        one.paths or one.urls or one.unquoted or not all(map(_is_here, one.packages))
        for one in found
    )


def _is_here(requirement: str) -> bool:
    """Whether a package is installed here already, so that its install brings nothing more."""
    name = re.match(r"[A-Za-z0-9][\w.-]*", requirement)
    if not name or "[" in requirement:
        return False
    try:
        return distribution(name[0]) is not None
    except PackageNotFoundError:
        return False


def _looks_elsewhere(trees: dict[int, Code]) -> bool:
    try:
        return any(ELSEWHERE.search(ast.unparse(code.tree)) for code in trees.values())
    except (RecursionError, MemoryError, ValueError):
        return True
