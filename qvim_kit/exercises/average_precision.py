"""Exercise: average precision at k by hand. Notebook: 07_search_by_text."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qvim_kit import metrics
from qvim_kit.exercises.comparing import Case, compare


def judge(answer: Callable) -> str:
    """``answer(right, k)``: right (places,) booleans, the best place first → one number."""
    drawn = np.random.default_rng(5).permutation(30) < 12
    inputs = {
        "Right answers at places 1 and 3": (np.array([1, 0, 1, 0, 0], bool), 10),
        "The only right answer at place 2": (np.array([0, 1, 0, 0], bool), 10),
        "Three right answers, one of them beyond k = 3": (np.array([0, 1, 1, 0, 1, 0], bool), 3),
        "No right answer among the first ten": (np.arange(14) > 10, 10),
        "Twelve right answers, at places drawn at random": (drawn, 10),
    }
    cases = []
    for words, (right, k) in inputs.items():
        falling = -np.arange(len(right), dtype=float)
        expected = metrics.average_precision_at_k(falling[None], right[None], k)
        cases.append(Case(words, {"right": right, "k": k}, np.asarray(expected)))
    hint = (
        "at each place up to k that holds a right answer, take the share of right ones up to "
        "there; add these up, and divide by the number of all right answers."
    )
    compare(answer, cases, _mistakes(), hint)
    return "your average precision is the kit's; its mean over all queries is the mAP@k."


def _mistakes() -> dict[str, list[Callable]]:
    def terms(right, k=None, first=1):
        right = np.asarray(right, dtype=float)[:k]
        return right * np.cumsum(right) / np.arange(first, first + len(right))

    def shares(right, k):
        return np.cumsum(right[:k]) / np.arange(1, len(right[:k]) + 1)

    def reciprocals(right, k):
        return np.asarray(right[:k]) / np.arange(1, len(right[:k]) + 1)

    return {
        "divide by the number of all right answers, also of those that k leaves out.": [
            lambda r, k: terms(r, k).sum() / np.sum(r[:k]),
            lambda r, k: terms(r, k).sum() / int(np.sum(r[:k])) if r[:k].any() else 1 // 0,
            lambda r, k: terms(r, k).sum() / max(1, np.sum(r[:k])),
            lambda r, k: terms(r, k).sum() / min(k, np.sum(r)),
        ],
        "divide by the number of right answers, not of places.": [
            lambda r, k: terms(r, k).sum() / k,
            lambda r, k: terms(r, k).mean(),
            lambda r, k: terms(r, k).sum() / len(r),
        ],
        "the sum is right; divide it by the number of right answers.": [
            lambda r, k: terms(r, k).sum(),
        ],
        "that looks beyond place k.": [lambda r, k: terms(r).sum() / np.sum(r)],
        "places begin at 1: a right answer at the first has precision 1 / 1.": [
            lambda r, k: terms(r, k, first=0).sum() / np.sum(r),
            lambda r, k: (np.cumsum(r[:k]) / np.arange(len(r[:k])))[r[:k]].sum() / r.sum(),
            lambda r, k: 1 // 0 if r[0] else terms(r, k, first=0).sum() / np.sum(r),
        ],
        "places begin at 1, not at 2.": [lambda r, k: terms(r, k, first=2).sum() / np.sum(r)],
        "that takes the precision at every place; take it only where the answer is right.": [
            lambda r, k: shares(r, k).sum() / np.sum(r),
            lambda r, k: shares(r, k).mean(),
        ],
        "that adds up 1 / place; the precision at a place is the share of right answers up to "
        "there.": [lambda r, k: reciprocals(r, k).sum() / np.sum(r)],
        "that is the precision at k alone; asked is one for each right answer.": [
            lambda r, k: np.sum(r[:k]) / k,
            lambda r, k: np.mean(r[:k]),
        ],
        "that is the recall at k; each right answer counts with the precision at its place.": [
            lambda r, k: np.sum(r[:k]) / np.sum(r),
        ],
    }
