"""What feedback is worth, measured with a simulated user.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd

from qvim_kit import metrics
from qvim_kit.datasets.tables import RetrievalDataset
from qvim_kit.evaluation import relevance
from qvim_kit.evaluation.intervals import bootstrap_interval, paired_permutation_test
from qvim_kit.search.rocchio import rocchio
from qvim_kit.systems.embedding import unit_rows

# What a simulated user marks. Each gets which of the shown items are of the wanted class, best
# first, and random numbers; and gives what is marked right and what is marked wrong.
Marks = tuple[np.ndarray, np.ndarray]


def _first_right(same: np.ndarray, rng: np.random.Generator) -> Marks:
    return np.flatnonzero(same)[:1], np.flatnonzero([])


def _all_wrong(same: np.ndarray, rng: np.random.Generator) -> Marks:
    return np.flatnonzero([]), np.flatnonzero(~same)


def _all_shown(same: np.ndarray, rng: np.random.Generator) -> Marks:
    return np.flatnonzero(same), np.flatnonzero(~same)


def _careless(same: np.ndarray, rng: np.random.Generator) -> Marks:
    return rng.integers(len(same), size=1), np.flatnonzero([])


USERS: dict[str, Callable[[np.ndarray, np.random.Generator], Marks]] = {
    "first right": _first_right,
    "all wrong": _all_wrong,
    "all shown": _all_shown,
    "careless": _careless,
}


@dataclass(frozen=True, eq=False, repr=False)
class FeedbackGain:
    """What `simulate_feedback` found.

    Attributes:
        title: the protocol, in words.
        table: two rows. "residual": the queries whose item was not among the shown, ranked
            among what was not shown. "frozen": all queries, ranks as the user meets them. Columns:
            queries, before and after (MRR), gain, low and high (its paired 95 % interval),
            p-value (paired permutation test).
        per_query: query_id, class, item_id, found (among the shown), right and wrong (marks),
            and each protocol's reciprocal ranks; NaN in "residual" where the item was found.
        counts: of queries, found ones, and those that the user marked something for.
    """

    title: str
    table: pd.DataFrame
    per_query: pd.DataFrame
    counts: dict[str, int]

    @property
    def footnote(self) -> str:
        """Counts and the kind of interval, in words."""
        counts = ", ".join(f"{count} {what}" for what, count in self.counts.items())
        return f"{counts}. Interval of the gain: paired bootstrap over items."

    def __repr__(self) -> str:
        return "\n".join([self.title, self.table.round(4).to_string(), self.footnote])

    def _repr_html_(self) -> str:
        table = self.table.to_html(float_format="{:.4f}".format, border=0)
        return f"<b>{escape(self.title)}</b>{table}<p>{escape(self.footnote)}</p>"


def simulate_feedback(
    queries: np.ndarray,
    items: np.ndarray,
    dataset: RetrievalDataset,
    *,
    k: int = 5,
    user: str = "first right",
    alpha: float = 1.0,
    beta: float = 0.75,
    gamma: float = 0.15,
    seed: int = 0,
) -> FeedbackGain:
    """What marking results is worth: the MRR of the wanted item before and after `rocchio`.

    For each query the first k items are shown. If the wanted item is among them, the search ends.
    Else the simulated user marks some of them, the query is moved, and all items that were *not*
    shown are ranked again. The marks must not earn anything by themselves:

    - Shown items leave the pool, before as well as after, whether marked or not. Otherwise they
      would rise (marked right) or clear the way (marked wrong) although the user has seen them:
      residual collection evaluation. In the row "frozen" they keep their places instead, so that
      its "before" is the ordinary MRR, and an item can at best come at place k + 1.
    - The wanted item itself is never marked. Right is another item of its class.
    - Queries for which there is nothing to mark count, with a gain of nothing.
    - A "careless" user, who marks any shown item as right, shows what the procedure alone does.

    A real user errs, and knows no classes, so this is more than feedback is worth to people.
    Source: Chang, Cirillo & Razon, "Evaluation of Feedback Retrieval Using Modified Freezing,
    Residual Collection, and Test and Control Groups", in Salton (ed.), The SMART Retrieval
    System, 1971; Introduction to Information Retrieval, section 9.1.5.

    Args:
        queries: (queries, dim) embeddings, in the order of ``dataset.queries``.
        items: (items, dim) embeddings, in the order of ``dataset.items``.
        dataset: who wants what, and the classes.
        k: how many results are shown.
        user: "first right" marks the first shown item of the wanted class; "all wrong" marks all
            of other classes; "all shown" does both for all; "careless" as above.
        alpha, beta, gamma: as in `rocchio`. Do not choose them by this table's own queries.
        seed: of the careless user, and of the order of items that tie at the edge of the page.

    Raises `ValueError` for embeddings that do not fit the data set, are not finite, or for
    another user or k.
    """
    queries, items = _checked(queries, items, dataset, k, user)
    rng = np.random.default_rng(seed)
    exact, same_class = relevance(dataset)
    before = queries @ items.T
    shown = _first(before, k, rng)  # (queries, k)
    found = np.take_along_axis(exact, shown, axis=1)
    marked = np.zeros((len(queries), 2), dtype=int)
    moved = queries.copy()
    for number in np.flatnonzero(~found.any(axis=1)):
        right, wrong = USERS[user](same_class[number, shown[number]], rng)
        marked[number] = len(right), len(wrong)
        if len(right) or len(wrong):
            right, wrong = (items[shown[number, places]] for places in (right, wrong))
            moved[number] = rocchio(queries[number], right, wrong, alpha, beta, gamma)
    after = np.where(marked.any(axis=1)[:, None], moved @ items.T, before)
    values = {
        f"{protocol} {when}": value
        for when, scores in (("before", before), ("after", after))
        for protocol, value in _reciprocal_ranks(scores, exact, shown, found).items()
    }
    per_query = dataset.queries[["query_id", "class", "item_id"]].assign(
        found=found.any(axis=1), right=marked[:, 0], wrong=marked[:, 1], **values
    )
    counts = {
        "queries": len(queries),
        "found among the shown": int(found.any(axis=1).sum()),
        "marked": int(marked.any(axis=1).sum()),
    }
    title = f"Feedback simulated: {k} of {len(items)} items shown, user marks {user!r}"
    rows = {protocol: _gain(per_query, protocol) for protocol in ("residual", "frozen")}
    return FeedbackGain(title, pd.DataFrame.from_dict(rows, orient="index"), per_query, counts)


def _checked(
    queries: np.ndarray, items: np.ndarray, dataset: RetrievalDataset, k: int, user: str
) -> tuple[np.ndarray, np.ndarray]:
    queries, items = (np.asarray(rows, dtype=np.float64) for rows in (queries, items))
    wanted = len(dataset.queries), len(dataset.items)
    problems = []
    fitting = queries.ndim == items.ndim == 2 and queries.shape[1] == items.shape[1]
    if not fitting or (len(queries), len(items)) != wanted:
        found = f"found queries {queries.shape} and items {items.shape}"
        problems.append(f"{found}, expected ({wanted[0]}, dim) and ({wanted[1]}, dim)")
    elif not (np.isfinite(queries).all() and np.isfinite(items).all()):
        problems.append("found NaN or infinite embeddings, expected finite ones")
    if not isinstance(k, int) or not 1 <= k < wanted[1]:
        problems.append(f"k: found {k!r}, expected 1 to {wanted[1] - 1}, fewer than the items")
    if user not in USERS:
        problems.append(f"user: found {user!r}, expected one of {', '.join(USERS)}")
    if problems:
        raise ValueError("simulate_feedback: " + "; ".join(problems))
    return unit_rows(queries), unit_rows(items)


def _first(scores: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """The k best items of each query, best first, (queries, k); ties in random order."""
    shuffled = rng.permutation(scores.shape[1])
    order = np.argsort(-scores[:, shuffled], axis=1, kind="stable")
    return shuffled[order[:, :k]]


def _reciprocal_ranks(
    scores: np.ndarray, exact: np.ndarray, shown: np.ndarray, found: np.ndarray
) -> dict[str, np.ndarray]:
    """Each protocol's 1 / rank of the wanted item: name → (queries,)."""
    pool = np.ones(exact.shape, dtype=bool)
    np.put_along_axis(pool, shown, False, axis=1)
    hidden = ~found.any(axis=1)
    residual = np.full(len(exact), np.nan)
    if hidden.any():
        # Cosines are at least -1; what left the pool goes below all that is in it.
        left = np.where(pool, scores, -2.0)[hidden]
        residual[hidden] = metrics.ranks(left, exact[hidden])
    place = np.where(hidden, shown.shape[1] + residual, found.argmax(axis=1) + 1)
    return {"residual": 1 / residual, "frozen": 1 / place}


def _gain(per_query: pd.DataFrame, protocol: str) -> dict[str, float]:
    judged = per_query.dropna(subset=f"{protocol} before")
    before, after = (judged[f"{protocol} {when}"].to_numpy() for when in ("before", "after"))
    gain, wanted = after - before, judged["item_id"].to_numpy()
    low, high, p_value = np.nan, np.nan, np.nan
    if len(set(wanted)) > 1:
        low, high = bootstrap_interval(gain[:, None], wanted)[:, 0]
        p_value = paired_permutation_test(gain, wanted)
    means = [values.mean() if len(judged) else np.nan for values in (before, after, gain)]
    row = dict(zip(("before", "after", "gain"), means, strict=True))
    return {"queries": len(judged), **row, "low": low, "high": high, "p-value": p_value}
