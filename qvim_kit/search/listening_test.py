"""A blind listening test of systems by the first sound that each finds.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from qvim_kit.datasets.tables import RetrievalDataset
from qvim_kit.search.events import is_rating
from qvim_kit.search.feedback import FeedbackLog
from qvim_kit.search.first_results import first_results, named_queries, named_systems
from qvim_kit.search.judging import Standings, head_to_head, mean_scores
from qvim_kit.search.trials import HiddenTrial, Trial, TrialSound, draw, make_trials

if TYPE_CHECKING:
    from qvim_kit.search.index import SoundIndex
    from qvim_kit.systems import QVIMModel

__all__ = ["ListeningTest", "Trial", "TrialSound"]


class ListeningTest:
    """For each query, rate the first result of every system from 0 to 100, blind.

    As the challenge's final ranking was made. Trials and the sounds within a trial come in a
    random order, which `reveal` tells only after the rating. Every rating is a line in the
    feedback log at once, so a test goes on after a restart: what this listener has rated is not
    asked again. Where systems found the same sound (by content), it is rated once and counts for
    each of them.

    Args:
        systems: two or more `SoundIndex`; or name → `SoundIndex`, `QVIMModel` or table of
            similarities (query_id × item_id). A list takes the names of the systems.
        queries: a `RetrievalDataset`; query id → path; or paths.
        log: a `FeedbackLog`, or the path of one.
        items: item id → path, for systems and tables; the data set's if ``queries`` is one.
        count: so many random queries, the same for every listener; all if left out.
        seed: of the drawn queries and of all orders.
        listener: who rates; each has trials of their own.
        name: of the test; ratings under another name do not count.

    Attributes:
        trials: every `Trial` in the order in which this listener is asked.

    Raises `ValueError` listing what is wrong with the arguments, `DatasetError` listing sounds
    that are missing, and whatever the systems raise.

    >>> test = ListeningTest([index_a, index_b], dataset, log, count=20)  # doctest: +SKIP
    >>> while trial := test.next():  # doctest: +SKIP
    ...     test.rate(trial, {sound.label: ask(sound.path) for sound in trial.sounds})
    >>> test.summary()  # doctest: +SKIP

    Sources: mean opinion score, ITU-T P.800.1; the scale from 0 to 100 and the hidden order,
    ITU-R BS.1534 (MUSHRA), without that one's reference recordings.
    """

    def __init__(
        self,
        systems: Sequence[SoundIndex] | Mapping[str, SoundIndex | QVIMModel | pd.DataFrame],
        queries: RetrievalDataset | Mapping[str, str | os.PathLike] | Iterable[str | os.PathLike],
        log: FeedbackLog | str | os.PathLike | None = None,
        *,
        items: Mapping[str, str | os.PathLike] | None = None,
        count: int | None = None,
        seed: int = 0,
        listener: str = "",
        name: str = "listening test",
    ):
        self.log = log if isinstance(log, FeedbackLog) else FeedbackLog(log)
        self.seed, self.listener, self.name = seed, listener, name
        if isinstance(queries, RetrievalDataset):
            items = queries.item_paths if items is None else items
        named, paths = named_systems(systems), draw(named_queries(queries), count, seed)
        self.systems = tuple(named)
        found = {key: first_results(key, one, paths, items) for key, one in named.items()}
        self._hidden = make_trials(name, paths, found, seed, listener)
        self.trials = tuple(hidden.trial for hidden in self._hidden.values())

    def next(self) -> Trial | None:
        """The first trial that this listener has not rated; None when all are."""
        rated = self._rated()
        return next((trial for trial in self.trials if trial.id not in rated), None)

    @property
    def progress(self) -> tuple[int, int]:
        """Trials that this listener has rated, and all trials."""
        return len(self._rated()), len(self.trials)

    def rate(
        self, trial: Trial | str, ratings: Mapping[str, float] | Sequence[float]
    ) -> dict[str, Any]:
        """Store the ratings of one trial at once; returns the event as it stands in the log.

        A trial may be rated again; the last rating counts.

        Args:
            trial: one of `trials`, or its id.
            ratings: label → 0 … 100, or numbers in the order of ``trial.sounds``.

        Raises `ValueError` for another test's trial, or listing every rating that is missing, too
        many, or no number from 0 to 100.
        """
        hidden = self._own(trial)
        labels = [sound.label for sound in hidden.trial.sounds]
        if not isinstance(ratings, Mapping):
            given = list(ratings)
            if len(given) != len(labels):
                raise ValueError(f"ratings: found {len(given)}, expected {len(labels)}: {labels}")
            ratings = dict(zip(labels, given, strict=True))
        problems = [f"{label}: there is no such sound" for label in ratings if label not in labels]
        problems += [
            f"{label}: found {ratings.get(label)!r}, expected a number from 0 to 100"
            for label in labels
            if not is_rating(ratings.get(label))
        ]
        if problems:
            raise ValueError("ratings: " + "; ".join(problems))
        return self.log.append(
            "rating",
            test=self.name,
            trial=hidden.trial.id,
            listener=self.listener,
            query=hidden.query,
            query_id=hidden.trial.query_id,
            ratings={
                system: float(ratings[label])
                for label, systems in zip(labels, hidden.systems, strict=True)
                for system in systems
            },
            items=hidden.names,
            order=hidden.systems,
            seed=self.seed,
        )

    def reveal(self, trial: Trial | str) -> dict[str, list[str]]:
        """Label → the systems that found this sound. Raises `RuntimeError` before it is rated."""
        hidden = self._own(trial)
        if hidden.trial.id not in self._rated():
            raise RuntimeError(f"trial {hidden.trial.id}: rate it before its systems are told")
        labels = [sound.label for sound in hidden.trial.sounds]
        return dict(zip(labels, map(list, hidden.systems), strict=True))

    def summary(self) -> Standings:
        """Mean opinion score of each system with its 95 % interval, and wins of every two.

        Of all listeners' last ratings of this test's trials, each query's averaged over listeners
        first. The query is the unit: the intervals say what other queries would have changed, not
        what other listeners would. One sound for two systems is a tie.
        """
        last = {(event["trial"], event["listener"]): event for event in self._ratings()}
        long = pd.DataFrame(
            [
                (event["trial"], system, float(rating))
                for event in last.values()
                for system, rating in event["ratings"].items()
            ],
            columns=["query", "system", "value"],
        )
        scores = long.pivot_table(index="query", columns="system", values="value", aggfunc="mean")
        scores = scores.reindex(columns=list(self.systems)).astype(float)
        rated = {trial for trial, _ in last}
        counts = {
            "queries rated": len(rated),
            "not yet": len(self.trials) - len(rated),
            "listeners": len({listener for _, listener in last}),
        }
        if damaged := len(self.log.damaged):
            counts["damaged lines left out"] = damaged
        systems = mean_scores(scores, "MOS") if rated else mean_scores(scores, "MOS")[:0]
        title = f"{self.name}: mean opinion score, 0 to 100"
        return Standings(title, systems, head_to_head(scores), counts)

    def __repr__(self) -> str:
        done, total = self.progress
        return f"ListeningTest {self.name!r}: {done} of {total} trials rated"

    def _ratings(self) -> list[dict[str, Any]]:
        """The log's ratings of this test's trials, of all listeners, oldest first."""
        events, _ = self.log.read()
        return [e for e in events if e["kind"] == "rating" and e["trial"] in self._hidden]

    def _rated(self) -> set[str]:
        return {e["trial"] for e in self._ratings() if e["listener"] == self.listener}

    def _own(self, trial: Trial | str) -> HiddenTrial:
        wanted = trial if isinstance(trial, str) else trial.id
        if wanted not in self._hidden:
            count = len(self._hidden)
            raise ValueError(f"trial: found {wanted!r}, expected one of this test's {count}")
        return self._hidden[wanted]
