"""Exercise: does a split leak? Notebook: 01_explore_the_data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from qvim_kit.exercises.comparing import Case, compare

if TYPE_CHECKING:
    import pandas as pd


def judge(answer: Callable) -> str:
    """``answer(train, test)``: two tables of queries → the share of test whose item train has."""
    inputs = {
        "One of two test queries has its item in training": ("AAB", "BC", 3),
        "No item on both sides, but their class": ("AB", "CD", 2),
        "Every test query has its item in training": ("ABC", "AAB", 3),
        "One of five, and row numbers that both tables have": ("ABCD", "AEEFG", 2),
    }
    cases = []
    for words, (first, second, start) in inputs.items():
        expected = np.mean([item in first for item in second])
        tables = {"train": _queries(first, 0), "test": _queries(second, start)}
        cases.append(Case(words, tables, np.asarray(expected)))
    hint = (
        "for each query of test, is its item_id among the item_ids of train? The answer is the "
        "mean of that."
    )
    compare(answer, cases, _mistakes(), hint)
    return "your function finds the leak."


def _queries(items: str, start: int) -> pd.DataFrame:
    """One query for each letter, an item; the rows count from ``start``."""
    import pandas as pd

    columns = {
        "query_id": [f"{item}_by_{start + n}.wav" for n, item in enumerate(items)],
        "class": "Bell",
        "item_id": [f"{item}.wav" for item in items],
    }
    return pd.DataFrame(columns, index=range(start, start + len(items)))


def _mistakes() -> dict[str, list[Callable]]:
    def shared(train, test):
        return test["item_id"].isin(train["item_id"])

    def common(train, test):
        return len({*train["item_id"]} & {*test["item_id"]})

    return {
        "it finds nothing anywhere. Compare item_id: no query_id is on both sides. And mind that "
        "`x in column` looks among the column's row numbers; use `isin`.": [lambda a, b: 0.0],
        "compare the items: a class on both sides is no leak of this kind.": [
            lambda a, b: b["class"].isin(a["class"]).mean(),
        ],
        "that compares row numbers, which mean nothing here; compare item_id.": [
            lambda a, b: b.index.isin(a.index).mean(),
        ],
        "that is the share of the training queries; asked is the share of the test queries.": [
            lambda a, b: shared(b, a).mean(),
            lambda a, b: shared(a, b).sum() / len(a),
        ],
        "that is a number; asked is the share of the test queries, from 0 to 1.": [
            lambda a, b: shared(a, b).sum(),
            common,
        ],
        "that is in percent; asked is a share, from 0 to 1.": [
            lambda a, b: 100 * shared(a, b).mean(),
        ],
        "that counts each item once; asked is the share of the queries.": [
            lambda a, b: common(a, b) / b["item_id"].nunique(),
            lambda a, b: common(a, b) / len(b),
            lambda a, b: common(a, b) / len({*a["item_id"], *b["item_id"]}),
        ],
        "that is the share that does *not* leak.": [lambda a, b: 1 - shared(a, b).mean()],
        "that answers for each query; take the mean.": [shared],
        "whether anything leaks is not enough; asked is how much.": [
            lambda a, b: shared(a, b).any(),
        ],
    }
