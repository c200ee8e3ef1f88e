"""Compares a student's function with the kit's own, and finds out which mistake it makes.

Each exercise lists mistakes that are often made, as functions that make them. What a student's
function returns in all cases is compared with theirs, and the one that agrees is the hint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qvim_kit.exercises.running import NotYet, Outcome, run

SMALL = 40  # numbers of an argument that are still shown
FEW = 12  # of an answer


@dataclass(frozen=True)
class Case:
    """Arguments by name, in their order, and what to return; ``words`` says what they are."""

    words: str
    arguments: dict[str, object]
    expected: np.ndarray


def compare(
    function: Callable, cases: list[Case], mistakes: dict[str, list[Callable]], hint: str
) -> None:
    """Raise `NotYet` unless a function returns in all cases what is expected.

    ``mistakes``: hint → functions that make the mistake. ``hint`` is given where none of them
    explains what was returned. The cases stand in order of size, so that the first that fails is
    the easiest to look at.
    """
    outcomes = [run(function, case.arguments, _shape(case.expected)) for case in cases]
    pairs = zip(cases, outcomes, strict=True)
    failed = next((pair for pair in pairs if not _right(*pair)), None)
    if failed is None:
        return
    case, outcome = failed
    reason = outcome.problem or _difference(outcome.array, np.asarray(case.expected))
    advice = _advice(cases, outcomes, mistakes) or _factor(cases, outcomes) or hint
    raise NotYet(
        f"Not yet. {case.words}:\n{shown(case.arguments)}\n  {reason}\nHint: {advice}"
    ) from None


def shown(arguments: dict[str, object]) -> str:
    """Arguments by name, those that are large by their shape alone."""
    return "\n".join(_argument(name, value) for name, value in arguments.items())


def _argument(name: str, value: object) -> str:
    if hasattr(value, "to_string"):  # a table
        text = value.to_string() if value.size <= SMALL else f"a table of {len(value)} rows"
        start = f"    {name} = "
        return start + text.replace("\n", "\n" + " " * len(start))
    array = np.asarray(value)
    if array.ndim == 0:
        return f"    {name} = {value}"
    if array.size > SMALL:
        return f"    {name}: numbers of shape {array.shape}"
    text = np.array2string(array, precision=3, suppress_small=True, prefix=f"    {name} = ")
    return f"    {name} = {text if array.size else f'no rows, shape {array.shape}'}"


def _right(case: Case, outcome: Outcome) -> bool:
    return not outcome.problem and _same(outcome.array, case.expected)


def _same(found: np.ndarray, expected: np.ndarray) -> bool:
    """Equal but for rounding; one number may also come as an array of one."""
    found, expected = np.asarray(found), np.asarray(expected)
    if found.size == expected.size == 1:
        found, expected = found.reshape(()), expected.reshape(())
    if found.shape != expected.shape:
        return False
    finite = np.isfinite(expected)
    scale = np.abs(expected[finite]).max(initial=0)
    close = np.isclose(found, expected, rtol=1e-3, atol=1e-5 * scale + 1e-9)
    return bool((close | ~finite & ~np.isfinite(found)).all())


def _difference(found: np.ndarray, expected: np.ndarray) -> str:
    """What was found and expected: shapes, or numbers, few of them."""
    if found.shape != expected.shape and found.size * expected.size != 1:
        return f"found {_shape(found)}, expected {_shape(expected)}"
    if np.iscomplexobj(found) and not np.iscomplexobj(expected):
        return "found complex numbers, expected real ones"
    if expected.size <= FEW and expected.ndim > 1:
        return "\n  ".join(_rows(word, x) for word, x in (("found", found), ("expected", expected)))
    if expected.size <= FEW:
        return f"found {_numbers(found)}, expected {_numbers(expected)}"
    wrong = ~np.isclose(found, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())
    place = tuple(int(n) for n in np.argwhere(wrong)[0])
    at = place[0] if len(place) == 1 else list(place)
    numbers = f"found {_numbers(found[place])}, expected {_numbers(expected[place])}"
    return f"{wrong.sum()} of {wrong.size} numbers differ, the first at {at}: {numbers}"


def _shape(array: np.ndarray) -> str:
    shape = np.shape(array)
    return f"shape {shape}" if shape else "one number"


def _rows(word: str, table: np.ndarray) -> str:
    start = f"{word:9}"
    return start + np.array2string(table, precision=3, suppress_small=True, prefix="  " + start)


def _numbers(array: np.ndarray) -> str:
    if np.size(array) == 1 and not np.iscomplexobj(array):
        return f"{float(np.asarray(array).item()):.4g}"
    return np.array2string(np.asarray(array), precision=3, suppress_small=True)


def _advice(cases: list[Case], outcomes: list[Outcome], mistakes: dict[str, list[Callable]]) -> str:
    """The hint of the first mistake that explains every case."""
    for hint, functions in mistakes.items():
        for function in functions:
            if all(map(_explains, [function] * len(cases), cases, outcomes)):
                return hint
    return ""


def _explains(mistake: Callable, case: Case, outcome: Outcome) -> bool:
    """Whether a mistake has the same outcome: the same numbers, or the same exception."""
    made = run(mistake, case.arguments, "")
    if made.array is None or outcome.array is None:
        return made.failure != "" and made.failure == outcome.failure
    return _same(outcome.array, made.array)


def _factor(cases: list[Case], outcomes: list[Outcome]) -> str:
    """Whether the answer is off by one factor everywhere, as for a sign or a mean forgotten."""
    factors = []
    for case, outcome in zip(cases, outcomes, strict=True):
        found, expected = outcome.array, np.asarray(case.expected, dtype=float)
        if found is None or found.shape != expected.shape or not np.abs(expected).sum() > 0:
            return ""
        factor = float(np.real((found * expected).sum() / (expected * expected).sum()))
        if not np.isfinite(factor) or not _same(found, factor * expected):
            return ""
        factors.append(factor)
    if not np.allclose(factors, factors[0], rtol=1e-3) or abs(factors[0]) < 1e-3:
        return ""
    if np.isclose(factors[0], -1, rtol=1e-3):
        return "everywhere it is the right number with the wrong sign."
    return f"everywhere it is {factors[0]:.3g} times the right number."
