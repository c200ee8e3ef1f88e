"""Runs what a student wrote: whatever it does, the answer is in words."""

from __future__ import annotations

import ast
import copy
import inspect
import os
import re
import sys
import sysconfig
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

KIT = Path(__file__).resolve().parents[1]
LONGEST = 300  # characters of an exception's message


class NotYet(Exception):
    """What is not right yet about an answer, in words."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: the words, for where they were raised helps nobody."""
        return str(self).splitlines()


@dataclass(frozen=True)
class Outcome:
    """What came of one call: an array, or a problem in words.

    ``failure``: the exception's name, if there was one; ``raw``: what the function returned.
    """

    array: np.ndarray | None
    problem: str = ""
    failure: str = ""
    raw: object = None


def run(function: Callable, arguments: dict[str, object], expected: str) -> Outcome:
    """Call a function with copies of the arguments, in their order.

    ``expected`` says in words what it is to return. Raises `NotYet` for what is no function, is
    not written yet or does not take these arguments: no other case would say more.
    """
    require_takes(function, list(arguments))
    given = copy.deepcopy(arguments)
    raw, error = called(function, *given.values())
    if error:
        return Outcome(None, told_error(error), type(error).__name__)
    changed = [name for name in given if not _equal(given[name], arguments[name])]
    if changed:
        name = changed[0]
        return Outcome(None, f"it changes its argument {name}; work on a copy of it", raw=raw)
    array, problem = as_array(raw)
    return Outcome(array, problem and f"it returned {problem}, expected {expected}", raw=raw)


def called(function: Callable, *given: object) -> tuple[object, BaseException | None]:
    """What a function returns, and the exception if there was one.

    Raises `NotYet` for a function that is not written yet.
    """
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # a mean of nothing, say: the comparison tells of it
            return function(*given), None
    except NotImplementedError:
        name = getattr(function, "__qualname__", "your function").rpartition("<locals>.")[2]
        raise NotYet(
            f"Your turn: {name} is not written yet. Put your lines in the place of `raise "
            "NotImplementedError`, run that cell, and then this one again."
        ) from None
    except (Exception, SystemExit) as error:
        return None, error


def require_current(function: object) -> None:
    """Check, in a notebook, that the last cell with this function was understood by Python.

    Else the name still stands for what an earlier cell made of it, and the answer would be about
    code that is on the screen no more.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    if not shell or not (name := getattr(function, "__name__", "")):
        return
    code = getattr(function, "__code__", None)
    if code and os.path.isfile(code.co_filename):  # imported, or of a script: not from a cell
        return
    # "def", or what was meant to be it; at the beginning of a line or further in.
    begins = re.compile(rf"^[ \t]*[A-Za-z]+ {re.escape(name)}\b *[(:]", re.MULTILINE)
    for cell in reversed(shell.history_manager.input_hist_raw):
        if begins.search(cell):
            lines = re.sub(r"\A%%.*", "pass", cell)  # below %%time is Python, too
            try:
                ast.parse(shell.transform_cell(lines))
            except SyntaxError as error:
                raise NotYet(
                    f"Not yet. The cell with {name} has {_article(type(error).__name__)} in its "
                    f"line {error.lineno} ({error.msg}), so that Python kept the {name} of before. "
                    "Mend it, run that cell, and then this one again."
                ) from None
            return


def require_takes(function: object, names: list[str]) -> None:
    """Check that something can be called with so many arguments."""
    if not callable(function):
        raise NotYet(
            f"Not yet. Found {kind(function)}, expected the function itself: write its name "
            "without brackets after it."
        )
    try:
        inspect.signature(function).bind(*names)
    except TypeError as error:
        name = getattr(function, "__name__", type(function).__name__)
        raise NotYet(
            f"Not yet. {name}{inspect.signature(function)} does not take what it is given "
            f"({error}); expected {name}({', '.join(names)})."
        ) from None
    except ValueError:  # a built-in that does not tell
        pass


def as_array(value: object) -> tuple[np.ndarray | None, str]:
    """Numbers of any kind as an array, or None and what was found instead, in words."""
    if value is None:
        return None, "None (is there a `return` in front of the result?)"
    if value is ...:
        return None, "`...`"
    if hasattr(value, "detach"):  # a tensor, with a gradient or not, anywhere
        value = value.detach().cpu()
        value = (value.float() if value.is_floating_point() else value).numpy()
    if isinstance(value, (str, bytes, dict, set)) or callable(value):
        return None, kind(value)
    try:
        array = np.asarray(value)
        if array.dtype == object:
            array = np.asarray([_number(one) for one in value])
    except Exception:  # ragged lists, and whatever a class of their own may do
        return None, f"{kind(value)} that is no array of numbers"
    if array.dtype.kind not in "fiubc":
        return None, f"{kind(value)} of {array.dtype}"
    return array, ""


def told_error(error: BaseException) -> str:
    """An exception with its line in the student's code."""
    where = ""
    theirs = [f for f in traceback.extract_tb(error.__traceback__) if not _foreign(f.filename)]
    if theirs:
        where = f" in line {theirs[-1].lineno}"
        where += f":\n    {theirs[-1].line}\n " if theirs[-1].line else ":"
    message = str(error)
    message = message if len(message) <= LONGEST else message[:LONGEST] + " …"
    return f"it stopped with {_article(type(error).__name__)}{where or ':'} {message}".rstrip(" :")


def _number(value: object) -> object:
    return value.item() if hasattr(value, "item") else value


def _foreign(filename: str) -> bool:
    """Whether a line of code is of a library, and not the student's."""
    libraries = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    return filename.startswith(("<frozen", "<__array", *libraries, f"{KIT}{os.sep}"))


def kind(value: object) -> str:
    """ "a list", "an ndarray", "None"."""
    return "None" if value is None else _article(type(value).__name__)


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'AEIOaeio' or name == 'ndarray' else 'a'} {name}"


def _equal(one: object, other: object) -> bool:
    """Whether an argument is as it was: arrays, tensors, tables, plain values."""
    if hasattr(one, "equals"):
        return one.equals(other)
    return np.shape(one) == np.shape(other) and bool(np.all(np.asarray(one == other)))
