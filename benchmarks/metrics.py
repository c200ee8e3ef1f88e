"""The metrics beside a pandas sort for every query.

python benchmarks/metrics.py [--rounds 5] [--threads 2]
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from side_by_side import Table, arguments

from qvim_kit import metrics


def sorted_by_pandas(similarity: np.ndarray, relevant: np.ndarray) -> float:
    """Mean reciprocal rank as one writes it first: a table and a sort for each query."""
    found = []
    for row, good in zip(similarity, relevant, strict=True):
        table = pd.DataFrame({"item": np.arange(len(row)), "similarity": row, "relevant": good})
        table = table.sort_values("similarity", ascending=False).reset_index(drop=True)
        found.append(1 / (table["relevant"].idxmax() + 1))
    return float(np.mean(found))


def main() -> None:
    options = arguments(__doc__).parse_args()
    table, rng = Table(options), np.random.default_rng(0)
    for queries, items, aim in ((985, 121, 100), (2000, 5000, 60)):
        similarity = rng.standard_normal((queries, items))
        relevant = np.arange(items) == rng.integers(items, size=(queries, 1))
        kit = metrics.mean_reciprocal_rank(similarity, relevant)
        assert abs(sorted_by_pandas(similarity, relevant) - kit) < 1e-12
        table.compare(
            f"MRR of {queries:,} queries × {items:,} items",
            lambda s=similarity, r=relevant: sorted_by_pandas(s, r),
            lambda s=similarity, r=relevant: metrics.mean_reciprocal_rank(s, r),
            aim=aim,
            beside="a pandas sort a query",
        )
    table.finish()


if __name__ == "__main__":
    main()
