"""Means, wins and the sign test, against numbers by hand and scipy's."""

from __future__ import annotations

from math import comb

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qvim_kit.evaluation.intervals import bootstrap_interval
from qvim_kit.search.judging import Standings, head_to_head, mean_scores, sign_test


@given(wins=st.integers(0, 30), losses=st.integers(0, 30))
@settings(deadline=None, max_examples=40)
def test_sign_test_by_counting_coins(wins, losses):
    n, more = wins + losses, max(wins, losses)
    tail = sum(comb(n, heads) for heads in range(more, n + 1)) / 2**n
    assert sign_test(wins, losses) == pytest.approx(min(1, 2 * tail))
    assert sign_test(wins, losses) == sign_test(losses, wins)


def test_means_leave_out_what_was_not_judged():
    scores = pd.DataFrame({"a": [1, 2, np.nan, 3.0], "b": [5, np.nan, np.nan, np.nan]})
    table = mean_scores(scores, "MOS")
    low, high = bootstrap_interval(np.array([[1.0], [2], [3]]), np.arange(3))[:, 0]
    assert table.loc["a"].tolist() == pytest.approx([3, 2, low, high])
    assert table.loc["b", ["queries", "MOS"]].tolist() == [1, 5]
    assert table.loc["b", ["low", "high"]].isna().all()  # one query says nothing of others


def test_wins_ties_and_the_paired_difference():
    scores = pd.DataFrame({"a": [3, 1, 2, np.nan], "b": [1, 1 + 1e-12, 5, 7], "c": [np.nan] * 4})
    (pair,) = head_to_head(scores).to_dict("records")
    assert (pair["a"], pair["b"], pair["queries"]) == ("a", "b", 3)
    assert (pair["a wins"], pair["ties"], pair["b wins"]) == (1, 1, 1)
    assert pair["difference"] == pytest.approx(-1 / 3)
    assert pair["low"] <= pair["difference"] <= pair["high"]


def test_a_known_score_outweighs_a_preference():
    scores = pd.DataFrame({"a": [3.0, np.nan], "b": [1.0, np.nan]}, index=["q0", "q1"])
    preferences = [("q0", "b", "a"), ("q1", "b", "a"), ("q1", "b", "a")]
    (pair,) = head_to_head(scores, iter(preferences)).to_dict("records")
    assert (pair["queries"], pair["a wins"], pair["b wins"]) == (2, 1, 1)


def test_shown_names_are_escaped():
    table = mean_scores(pd.DataFrame({"<b>": [1.0, 2.0]}), "MRR")
    shown = Standings("<title>", table, head_to_head(pd.DataFrame()), {"queries": 2})._repr_html_()
    assert "&lt;title&gt;" in shown and "&lt;b&gt;" in shown and "2 queries" in shown
