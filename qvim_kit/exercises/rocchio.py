"""Exercise: marks move the query. Notebook: 06_search_by_voice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qvim_kit.exercises.comparing import Case, compare

NAMES = ("query", "right", "wrong", "alpha", "beta", "gamma")


def judge(answer: Callable) -> str:
    """``answer(query, right, wrong, alpha, beta, gamma)``: (dim,), (number, dim) twice → (dim,)."""
    from qvim_kit.search.rocchio import rocchio

    rows = np.random.default_rng(6).normal(size=(8, 16))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    x, y, z, between = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0.8, 0]], dtype=float)
    textbook = 1.0, 0.75, 0.15
    inputs = {
        "One marked right, one wrong": (x, y[None], z[None], *textbook),
        "Two marked right, two wrong": (x, np.array([y, between]), np.array([z, -y]), *textbook),
        "Nothing marked wrong": (x, between[None], np.zeros((0, 3)), *textbook),
        "Nothing marked right": (x, np.zeros((0, 3)), between[None], *textbook),
        "Sixteen dimensions, other weights": (rows[0], rows[1:4], rows[4:], 0.8, 0.5, 0.3),
    }
    cases = [
        Case(words, dict(zip(NAMES, values, strict=True)), rocchio(*values))
        for words, values in inputs.items()
    ]
    hint = (
        "write down the formula above; a mean over the rows has shape (dim,). In the end, scale "
        "to length 1."
    )
    compare(answer, cases, _mistakes(), hint)
    return "your query moves as the kit's does."


def _mistakes() -> dict[str, list[Callable]]:
    def mean(rows):
        return rows.mean(0) if len(rows) else 0

    def move(mean=mean, sign=-1, unit=True):
        def wrong(query, right, others, alpha, beta, gamma):
            moved = alpha * query + beta * mean(right) + sign * gamma * mean(others)
            return moved / np.linalg.norm(moved) if unit else moved

        return wrong

    def either(mean=mean, **how):
        return [move(mean, unit=unit, **how) for unit in (True, False)]

    return {
        "the direction is right; scale the result to length 1.": [move(unit=False)],
        "the mean of no rows is no number: where nothing is marked right, or wrong, leave that "
        "term out. (And is the result of length 1?)": either(lambda rows: rows.mean(0)),
        "take the mean of the rows, not their sum: ten marks are not to weigh ten times as "
        "much.": either(lambda rows: rows.sum(0)),
        "away from what is wrong: that term is subtracted.": either(sign=1),
        "right and wrong have changed places.": [
            lambda q, r, w, *weights: move()(q, w, r, *weights),
            lambda q, r, w, *weights: move(unit=False)(q, w, r, *weights),
        ],
        "take the mean over the rows, `axis=0`; it has shape (dim,), as the query has.": [
            *either(np.mean),
            *either(lambda rows: rows.mean() if len(rows) else 0),
            *either(lambda rows: rows.mean(1)),
            *either(lambda rows: rows.mean(1) if len(rows) else 0),
        ],
        "what is marked wrong has no effect.": [
            lambda q, r, w, *weights: move()(q, r, w[:0], *weights),
        ],
        "what is marked right has no effect.": [
            lambda q, r, w, *weights: move()(q, r[:0], w, *weights),
        ],
        "are beta and gamma the wrong way round?": [
            lambda q, r, w, a, b, c: move()(q, r, w, a, c, b),
        ],
        "where are the weights?": [lambda q, r, w, a, b, c: move()(q, r, w, 1, 1, 1)],
    }
