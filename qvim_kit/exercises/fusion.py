"""Exercise: two systems as one. Notebook: 07_search_by_text."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from qvim_kit.exercises.comparing import Case, compare
from qvim_kit.systems.fusion import Fusion
from qvim_kit.systems.interface import QVIMModel, as_similarities


def judge(answer: Callable) -> str:
    """``answer(voice, words, weight)``: (queries, items) twice and 0 … 1 → (queries, items)."""
    rng = np.random.default_rng(8)
    voice = np.array([[0.9, 0.8, 0.4], [0.1, 0.3, 0.2]])
    words = np.array([[2.0, 8.0, 5.0], [7.0, 1.0, 1.0]])
    silent = voice * [[1.0], [0.0]]
    many = rng.normal(0.7, 0.1, (10, 12)), rng.normal(size=(10, 12))
    cases = [
        _case("One query, equal weights", voice[:1], words[:1], 0.5),
        _case("Two queries, three quarters for the voice", voice, words, 0.75),
        _case("The voice scores all items of the second query alike", silent, words, 0.5),
        _case("Ten queries", *many, 0.3),
    ]
    hint = (
        "of each system, bring each query's scores to mean 0 and deviation 1 over the items, then "
        "add weight times the voice's and 1 - weight times the words'."
    )
    compare(answer, cases, _mistakes(), hint)
    return "your fusion is the kit's, on scores."


class _Says(QVIMModel):
    """A system with given scores, (queries, items)."""

    def __init__(self, scores: np.ndarray):
        self.scores = scores

    def compute_similarities(self, items: dict, queries: dict) -> dict:
        return as_similarities(self.scores, list(queries), list(items))


def _case(told: str, voice: np.ndarray, words: np.ndarray, weight: float) -> Case:
    queries, items = ([str(n) for n in range(size)] for size in voice.shape)
    both = Fusion([_Says(voice), _Says(words)], [weight, 1 - weight], on="scores")
    rows = both.compute_similarities(dict.fromkeys(items, ""), dict.fromkeys(queries, ""))
    expected = np.array([[rows[query][item] for item in items] for query in queries])
    return Case(told, {"voice": voice, "words": words, "weight": weight}, expected)


def _mistakes() -> dict[str, list[Callable]]:
    from scipy.stats import rankdata

    def fuse(measure):
        return lambda v, t, weight: weight * measure(v) + (1 - weight) * measure(t)

    def standard(x, axis=1, ddof=0, least=1e-300):
        deviation = np.maximum(x.std(axis, ddof=ddof, keepdims=True), least)
        return (x - x.mean(axis, keepdims=True)) / deviation

    def stretched(x):
        low, high = x.min(1, keepdims=True), x.max(1, keepdims=True)
        return (x - low) / (high - low)

    def both_ways(**how):
        return [fuse(partial(standard, least=least, **how)) for least in (0, 1e-300)]

    return {
        "the scores of two systems do not compare: bring each query's scores to mean 0 and "
        "deviation 1 first.": [fuse(lambda x: x)],
        "all is right but where a system scores all items of a query alike: its deviation is 0, "
        "and 0 / 0 is no number. Such a system has no say: let its scores be 0 there.": [
            fuse(lambda x: standard(x, least=0)),
        ],
        "that goes down the columns; a query's scores stand in its row.": both_ways(axis=0),
        "take mean and deviation of each query's row, not of the whole table.": both_ways(
            axis=None
        ),
        "that divides by items - 1, as torch and pandas do unless told (`correction=0`, "
        "`ddof=0`).": both_ways(ddof=1),
        "the mean is not taken off.": [fuse(lambda x: x / x.std(1, keepdims=True))],
        "the deviation is not divided by.": [fuse(lambda x: x - x.mean(1, keepdims=True))],
        "that divides by the variance; its square root is the deviation.": [
            fuse(lambda x: (x - x.mean(1, keepdims=True)) / x.var(1, keepdims=True)),
        ],
        "that stretches each row from 0 to 1, a fair rule, too; asked is mean 0, deviation 1.": [
            fuse(stretched),
        ],
        "those are ranks, a fair rule, too; asked are scores of mean 0 and deviation 1.": [
            fuse(lambda x: rankdata(x, axis=1)),
        ],
        "the weights are the wrong way round: weight is the voice's.": [
            lambda v, t, weight: fuse(standard)(v, t, 1 - weight),
            lambda v, t, weight: fuse(lambda x: standard(x, least=0))(v, t, 1 - weight),
        ],
        "where is the weight?": [
            lambda v, t, weight: standard(v) + standard(t),
            lambda v, t, weight: (standard(v) + standard(t)) / 2,
        ],
    }
