"""The notebooks' exercises: your function is run, and the answer is given in words.

- `running`: runs what a student wrote, whatever it does
- `comparing`: compares it with the kit's own function, case by case, and looks for the mistake
- `copies`: the notebooks without their solutions, for `qvim student`
- one module for each exercise, whose function `judge` says what is right or raises `NotYet`
"""

from __future__ import annotations

from collections.abc import Callable

from qvim_kit.exercises import (
    average_precision,
    broken_submission,
    fusion,
    gap,
    leak,
    mrr,
    nt_xent,
    rocchio,
    two_dft,
)
from qvim_kit.exercises.running import NotYet, require_current

__all__ = ["NotYet", "check"]

# In the order of the notebooks.
EXERCISES = {
    "two_dft": two_dft.judge,
    "leak": leak.judge,
    "gap": gap.judge,
    "mrr": mrr.judge,
    "broken_submission": broken_submission.judge,
    "nt_xent": nt_xent.judge,
    "rocchio": rocchio.judge,
    "average_precision": average_precision.judge,
    "fusion": fusion.judge,
}


def check(exercise: str, answer: Callable) -> None:
    """Run your answer to an exercise on small and random input, and say how it does.

    Prints a line that begins with "Right:". Else raises `NotYet`, of which a notebook shows the
    words alone: what was found and expected, the case that fails, and a hint.

    Args:
        exercise: its name; a wrong one lists all.
        answer: the function or class itself, without brackets after its name.

    Raises `ValueError` for an exercise that there is not.

    >>> check("mrr", lambda scores, right: 1.0)
    Traceback (most recent call last):
        ...
    qvim_kit.exercises.running.NotYet: Not yet. Two queries among three items:
        scores = [[0.1 0.9 0.3]
                  [0.2 0.5 0.8]]
        right = [1 1]
      found 1, expected 0.75
    Hint: work the first case out on paper: at which place does each query's right item \
stand, counted from the highest score? `right` holds its column.
    """
    if not isinstance(exercise, str) or exercise not in EXERCISES:
        swapped = isinstance(answer, str) and answer in EXERCISES
        hint = "; the name comes first, then the function" if swapped else ""
        names = ", ".join(EXERCISES)
        raise ValueError(f"exercise: found {exercise!r}, expected one of {names}{hint}")
    require_current(answer)
    print("Right:", EXERCISES[exercise](answer))
