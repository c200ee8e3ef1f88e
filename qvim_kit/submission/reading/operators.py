"""What operators make of values.

Notebook: 05_submission.
"""

from __future__ import annotations

import ast

from qvim_kit.submission.reading.texts import PathText, as_text, concatenated, join, limited, plain
from qvim_kit.submission.reading.values import MOST_OPTIONS, UNKNOWN, merge, options


def constant(value: object) -> object:
    """A constant of the code, as a value."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if isinstance(value, str):
        return limited(plain(value))
    return value if value is None or isinstance(value, (bool, int, float)) else UNKNOWN


def combine(operator: ast.operator, left: object, right: object) -> object:
    """``left operator right``, for texts, paths and sequences."""
    pairs = [(one, two) for one in options(left) for two in options(right)]
    return merge([_binary(operator, *pair) for pair in pairs[:MOST_OPTIONS]])


def _binary(operator: ast.operator, left: object, right: object) -> object:
    texts = isinstance(left, str) or isinstance(right, str)
    match operator:
        case ast.Div() if texts and (isinstance(left, PathText) or isinstance(right, str)):
            return PathText(join([left, right]))
        case ast.Div() if isinstance(right, PathText):
            return PathText(join([left, right]))
        case ast.Add() if isinstance(left, tuple) or isinstance(right, tuple):
            sides = [side if isinstance(side, tuple) else (UNKNOWN,) for side in (left, right)]
            return limited((*sides[0], *sides[1]))
        case ast.Add() if texts:
            return concatenated([as_text(left), as_text(right)])
        case ast.Mod() if isinstance(left, str):
            return _percent(left, right if isinstance(right, tuple) else (right,))
        case ast.Add() | ast.Sub() if isinstance(left, int) and isinstance(right, int):
            small = max(abs(left), abs(right)) < 10**9
            both = left + right if isinstance(operator, ast.Add) else left - right
            return both if small else UNKNOWN
    return UNKNOWN


def _percent(template: str, values: tuple) -> str:
    """``template % values`` where the fields are plain %s or %d; others are unknown text."""
    pieces = template.replace("%d", "%s").split("%s")
    if len(pieces) != len(values) + 1 or "%" in "".join(pieces):
        return concatenated([pieces[0].split("%")[0], as_text(UNKNOWN)])
    filled = [
        part for pair in zip(pieces, values, strict=False) for part in (pair[0], as_text(pair[1]))
    ]
    return concatenated([*filled, pieces[-1]])
