"""Which differences of a leaderboard are real: the gap of two data sets, tests against a baseline.

Notebook: 05_submission.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from qvim_kit.evaluation import compare

if TYPE_CHECKING:
    from qvim_kit.evaluation.report import Report


def gap(table: pd.DataFrame, prefix: str) -> pd.DataFrame:
    """MRR minus held-out MRR with a 95 % interval made of those of the two.

    ``table`` has MRR, low and high, and the same with the prefix of the held-out set.

    The queries are not the same ones, so the two errors are independent. Source: Zou & Donner,
    "Construction of confidence limits about effect measures", Statistics in Medicine 27, 2008.
    """
    one, other = table, table.filter(like=prefix).rename(columns=lambda n: n[len(prefix) :])
    found = one["MRR"] - other["MRR"]
    below = np.hypot(one["MRR"] - one["low"], other["high"] - other["MRR"])
    above = np.hypot(one["high"] - one["MRR"], other["MRR"] - other["low"])
    return pd.DataFrame({"gap": found, "gap low": found - below, "gap high": found + above})


def tests_against(reports: dict[str, Report], baseline: str) -> pd.DataFrame:
    """Each against the baseline: difference in MRR, p, and p corrected after Holm (1979)."""
    ranked = dict(reports)
    columns = ["minus baseline", "p", "p (Holm)"]
    reference = ranked.pop(baseline, None)
    if reference is None:
        return pd.DataFrame(columns=columns, dtype=float)
    found = {name: compare(report, reference) for name, report in ranked.items()}
    ordered = sorted(found, key=lambda name: found[name].p_value)
    rows, highest = {}, 0.0
    for place, name in enumerate(ordered):
        p = found[name].p_value
        highest = max(highest, min(1.0, p * (len(ordered) - place)))
        rows[name] = (found[name].difference, p, highest)
    return pd.DataFrame.from_dict(rows, "index", columns=columns, dtype=float)
