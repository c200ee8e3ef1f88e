"""Exercise: the mean reciprocal rank by hand. Notebook: 03_baselines."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qvim_kit import metrics
from qvim_kit.exercises.comparing import Case, compare


def judge(answer: Callable) -> str:
    """``answer(scores, right)``: scores (queries, items), right (queries,) columns → one number."""
    rng = np.random.default_rng(3)
    few = np.array([[0.1, 0.9, 0.3], [0.2, 0.5, 0.8]])
    some = np.array([[0.8, 0.1, -0.3, 0.6], [0.5, 0.4, 0.9, 0.2], [0.3, 0.7, 0.6, -0.1]])
    inputs = {
        "Two queries among three items": (few, np.array([1, 1])),
        "Three queries among four items": (some, np.array([0, 0, 3])),
        "Twenty queries among thirty items": (rng.normal(size=(20, 30)), rng.integers(30, size=20)),
    }
    cases = []
    for words, (scores, right) in inputs.items():
        relevant = np.arange(scores.shape[1]) == right[:, None]
        expected = np.asarray(metrics.mean_reciprocal_rank(scores, relevant))
        cases.append(Case(words, {"scores": scores, "right": right}, expected))
    hint = (
        "work the first case out on paper: at which place does each query's right item stand, "
        "counted from the highest score? `right` holds its column."
    )
    compare(answer, cases, _mistakes(), hint)
    return "your MRR is the kit's. (Where scores tie, the kit takes the expected rank.)"


def _mistakes() -> dict[str, list[Callable]]:
    def ranks(scores, right):
        own = scores[np.arange(len(right)), right]
        return 1 + (scores > own[:, None]).sum(1)

    def item_at_place(scores, right):
        return 1.0 + np.argsort(-scores)[np.arange(len(right)), right]

    def down_the_columns(scores, right):
        own = scores[np.arange(len(right)), right]
        return np.array([1 + (scores[:, r] > o).sum() for r, o in zip(right, own, strict=True)])

    return {
        "does the best place have rank 1? A place in a list or an array begins at 0.": [
            lambda s, r: np.mean(1 / (ranks(s, r) - 1.0)),
            lambda s, r: sum(1 / (int(rank) - 1) for rank in ranks(s, r)) / len(r),
        ],
        "the best place has rank 1; yours has 2.": [lambda s, r: np.mean(1 / (ranks(s, r) + 1))],
        "that is upside down: a higher score is closer, but sorting begins with the lowest.": [
            lambda s, r: np.mean(1 / ranks(-s, r)),
        ],
        "`argsort` answers which item is at a place; you need at which place an item is.": [
            lambda s, r: np.mean(1 / item_at_place(s, r)),
            lambda s, r: np.mean(1 / item_at_place(-s, r)),
        ],
        "that is 1 / the mean of the ranks; take 1 / rank of each query first, then the mean.": [
            lambda s, r: 1 / np.mean(ranks(s, r)),
        ],
        "that is Recall@1, how often the right item comes first; a second place counts, too.": [
            lambda s, r: np.mean(ranks(s, r) == 1),
        ],
        "that is the mean rank; take the mean of the reciprocals.": [
            lambda s, r: np.mean(ranks(s, r)),
        ],
        "the mean over the queries is missing.": [lambda s, r: 1 / ranks(s, r)],
        "those are the ranks; what is their reciprocals' mean?": [ranks],
        "that is the sum over the queries; asked is the mean.": [
            lambda s, r: np.sum(1 / ranks(s, r)),
        ],
        "that is a mean over the items; the mean is over the queries.": [
            lambda s, r: np.sum(1 / ranks(s, r)) / s.shape[1],
        ],
        "that compares queries, down a column; a query's items stand in its row.": [
            lambda s, r: np.mean(1 / down_the_columns(s, r)),
        ],
    }
