"""Several systems as one: a weighted mean of their ranks or of their scores.

Notebook: 03_baselines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from qvim_kit import metrics
from qvim_kit.systems.interface import QVIMModel, as_similarities
from qvim_kit.wording import counted

if TYPE_CHECKING:
    from qvim_kit.datasets import RetrievalDataset

WEIGHTINGS = 2_000  # at most as many are tried by `Fusion.fit`
FINEST = 20  # parts into which the whole weight is divided at most


class FusionError(ValueError):
    """Members of a fusion left out scores; the message lists every member and what it lacks."""


class Fusion(QVIMModel):
    """A weighted mean of what several systems say, query by query.

    Scores of different systems do not compare: one's cosines may all lie near .9, another's
    spread over [-1, 1]. So each query's scores are first brought to one measure, either their
    ranks (robust, and blind to how sure a system is) or scores with mean 0 and deviation 1 over
    the items. Items of equal score share the mean of their ranks; a system that scores all items
    of a query alike has no say in it. The fused scores do not depend on the order of systems,
    queries or items.

    Source: Fox & Shaw, "Combination of Multiple Searches", TREC-2, 1994 (CombSUM); de Borda's
    count for ranks, Aslam & Montague, "Models for Metasearch", SIGIR 2001.
    Notebook: 03_baselines.

    Args:
        systems: two or more systems, fusions among them if you like.
        weights: one for each system, not negative, of any sum; equal if left out. A system of
            weight 0 does not run.
        on: "ranks" or "scores".

    Attributes:
        weights: as given, with sum 1.

    >>> from qvim_kit.systems import Random, TwoDFT
    >>> Fusion([TwoDFT(), Random()], weights=[3, 1], on="scores")
    Fusion on scores: 0.75 2DFT + 0.25 random
    """

    name = "fusion"

    def __init__(
        self,
        systems: Sequence[QVIMModel],
        weights: Sequence[float] | None = None,
        on: str = "ranks",
    ):
        self.systems = _checked_systems(systems)
        self.weights = _checked_weights(weights, len(self.systems))
        self.on = _checked_measure(on)

    @classmethod
    def fit(
        cls, systems: Sequence[QVIMModel], dataset: RetrievalDataset, *, on: str = "ranks"
    ) -> Fusion:
        """The fusion whose weights give the highest MRR on ``dataset``.

        Give it validation data: the MRR on the data that chose the weights is too good to be
        true. All weights that are multiples of 1/20 are tried, or of a larger part where that
        would be more than 2000 weightings; each system alone is among them. Among the best the
        most even are taken, and then those that favour the system that is better alone. A system
        that never tells two items apart gets weight 0. Each system runs once.

        Raises `FusionError` as `compute_similarities`.
        """
        systems, on = _checked_systems(systems), _checked_measure(on)
        answers = _answers(dict(enumerate(systems)), dataset.item_paths, dataset.query_paths)
        votes = np.stack([_votes(scores, on) for scores in answers])
        wanted, items = dataset.queries["item_id"], dataset.items["item_id"]
        relevant = wanted.to_numpy()[:, None] == items.to_numpy()
        return cls(systems, _best_weights(votes, relevant), on)

    def compute_similarities(
        self, items: dict[str, str], queries: dict[str, str]
    ) -> dict[str, dict[str, float]]:
        """The fused scores; see `QVIMModel`.

        Raises `FusionError` naming every member that left out queries or items or gave scores
        that are no finite numbers, and whatever a member raises.
        """
        running = np.flatnonzero(self.weights)
        answers = _answers({n: self.systems[n] for n in running.tolist()}, items, queries)
        votes = np.stack([_votes(scores, self.on) for scores in answers])
        fused = _fuse(votes, self.weights[running])
        return as_similarities(fused, list(queries), list(items))

    def __repr__(self) -> str:
        parts = zip(self.weights, map(_label, self.systems), strict=True)
        return f"Fusion on {self.on}: " + " + ".join(f"{w:.2f} {name}" for w, name in parts)


def _votes(scores: np.ndarray, on: str) -> np.ndarray:
    """Scores (queries, items) in one measure: mean 0 in each row, zero where all are equal."""
    from scipy.stats import rankdata

    ranks = rankdata(scores, axis=1)
    largest = np.abs(scores).max(axis=1, keepdims=True)
    scores = scores / np.where(largest > 0, largest, 1)  # squares of large ones would overflow
    ordered = np.sort(scores, axis=1)  # sums of floats depend on their order, by a hair
    constant = ordered[:, -1:] - ordered[:, :1] < 1e-12  # but for rounding
    if on == "ranks":
        votes = (ranks - (scores.shape[1] + 1) / 2) / scores.shape[1]
    else:
        deviation = np.where(constant, 1, ordered.std(axis=1, keepdims=True))
        votes = (scores - ordered.mean(axis=1, keepdims=True)) / deviation
    return np.where(constant, 0.0, votes)


def _fuse(votes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Votes (systems, queries, items) and weights (systems,) → (queries, items).

    Rounded, lest the last bit of a float break ties; sorted, lest it depend on the order of the
    systems.
    """
    return np.sort(votes * weights[:, None, None], axis=0).sum(axis=0).round(12)


def _best_weights(votes: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """The most even of the weights (systems,) that give the highest MRR."""
    weights = np.zeros(len(votes))
    heard = np.flatnonzero(votes.any(axis=(1, 2)))
    if not len(heard):
        return weights + 1
    alone = [metrics.mean_reciprocal_rank(votes[s], relevant) for s in heard]
    # The better system first, then by content: never by its place in the list.
    order = sorted(range(len(heard)), key=lambda n: (-alone[n], votes[heard[n]].tobytes()))
    heard = heard[order]
    votes = votes[heard]
    best = (-np.inf, -np.inf)
    for shares in _simplex(len(heard)):
        fused = np.tensordot(shares, votes, 1).round(12)
        mrr = metrics.mean_reciprocal_rank(fused, relevant)
        worth = (round(mrr, 12), -round(float(shares @ shares), 12))
        if worth > best:
            best, weights[heard] = worth, shares
    return weights


def _simplex(systems: int) -> Iterator[np.ndarray]:
    """Weights (systems,) of sum 1 on an even grid, more weight on the first ones first."""
    parts = max(
        (n for n in range(1, FINEST + 1) if comb(n + systems - 1, systems - 1) <= WEIGHTINGS),
        default=1,
    )
    places = parts + systems - 1
    # Stars and bars: where the bars stand says how many parts lie between them.
    for bars in sorted(combinations(range(places), systems - 1), reverse=True):
        yield (np.diff([-1, *bars, places]) - 1) / parts


def _answers(
    systems: Mapping[int, QVIMModel], items: dict[str, str], queries: dict[str, str]
) -> list[np.ndarray]:
    """What each system says, (queries, items) each. Raises `FusionError` for all that lack.

    ``systems``: place in the fusion → system.
    """
    answers, problems = [], []
    for number, system in systems.items():
        scores, lacks = _scores(system.compute_similarities(items, queries), items, queries)
        answers.append(scores)
        problems += [f"member {number} ({_label(system)}): {lack}" for lack in lacks]
    if problems:
        found = f"{counted(len(problems), 'problem')} with what the members answered:"
        raise FusionError(
            "\n  ".join([found, *problems])
            + "\nEvery member has to give every query one finite score for every item."
        )
    return answers


def _scores(
    answer: object, items: Mapping[str, str], queries: Mapping[str, str]
) -> tuple[np.ndarray, list[str]]:
    """A nested dict or table → scores (queries, items), NaN where there is none, and problems."""
    import pandas as pd

    if isinstance(answer, pd.DataFrame):
        answer = answer.to_dict("index")
    scores = np.full((len(queries), len(items)), np.nan)
    if not isinstance(answer, Mapping):
        found = type(answer).__name__
        return scores, [f"found {found}, expected a nested dict query id → item id → score"]
    for place, row in enumerate(map(answer.get, queries)):
        # What is no table of numbers stays NaN.
        with suppress(AttributeError, TypeError, ValueError, OverflowError):
            scores[place] = [row.get(item, np.nan) for item in items]
    usable = np.isfinite(scores)
    some = usable.any(axis=1), usable.any(axis=0)
    problems = []
    for what, names, fine in zip(("queries", "items"), (queries, items), some, strict=True):
        without = [name for name, ok in zip(names, fine, strict=True) if not ok]
        if without:
            count = f"{len(without)} of {len(names)} {what}"
            problems.append(f"no finite score for {count}, such as {without[0]}")
    rest = np.argwhere(~usable & np.logical_and.outer(*some))
    if len(rest):
        pair = f"query {list(queries)[rest[0][0]]}, item {list(items)[rest[0][1]]}"
        problems.append(f"{len(rest)} scores are missing or not finite, such as {pair}")
    return scores, problems


def _label(system: QVIMModel) -> str:
    return str(getattr(system, "name", type(system).__name__))


def _checked_systems(systems: Sequence[QVIMModel]) -> list[QVIMModel]:
    systems = list(systems) if isinstance(systems, Iterable) else [systems]
    wrong = [type(s).__name__ for s in systems if not hasattr(s, "compute_similarities")]
    if wrong:
        raise TypeError(f"systems: found {', '.join(wrong)}, expected systems (QVIMModel)")
    if len(systems) < 2:
        raise ValueError(f"systems: found {len(systems)}, expected at least two")
    return systems


def _checked_weights(weights: Sequence[float] | None, count: int) -> np.ndarray:
    given = np.ones(count) if weights is None else np.asarray(weights, dtype=float)
    if given.shape != (count,) or not np.isfinite(given).all() or (given < 0).any():
        raise ValueError(
            f"weights: found {weights}, expected {count} numbers, none negative, one for a system"
        )
    if not given.any():
        raise ValueError(f"weights: found {weights}, expected at least one above 0")
    return given / given.sum()


def _checked_measure(on: str) -> str:
    if on not in ("ranks", "scores"):
        raise ValueError(f"on: found {on!r}, expected 'ranks' or 'scores'")
    return on
