"""A blind listening test in a notebook: hear the imitation and what each system found, rate both.

The test itself, its orders and its numbers are `search.listening_test`'s.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import traitlets

from qvim_kit.widgets.messages import Asked, Buffers, bundle

if TYPE_CHECKING:
    from qvim_kit.search.listening_test import ListeningTest


class RatingPanel(Asked):
    """Trial after trial of a `ListeningTest`, rated with sliders from 0 to 100.

    Who found a sound is told only when the trial is rated; each rating is stored at once, so
    that one may stop at any time and go on later.

    Args:
        test: the listening test; `ListeningTest.summary` tells its results at any time.

    >>> RatingPanel(ListeningTest([index_a, index_b], dataset, count=20))  # doctest: +SKIP
    """

    _esm = bundle("dom.js", "audio.js", "frame.js", "rating.js")
    _esm += "\nexport default { render: ratingWidget };\n"
    _css = bundle("widgets.css", "rating.css")

    _trial = traitlets.Dict().tag(sync=True)  # empty when all are rated
    _told = traitlets.List().tag(sync=True)  # of the trial before: label, systems, rating
    _standings = traitlets.List().tag(sync=True)

    def __init__(self, test: ListeningTest):
        self.test = test
        super().__init__()
        self._show([])

    def _show(self, told: list[list[Any]]) -> None:
        trial, (done, total) = self.test.next(), self.test.progress
        with self.hold_sync():
            self._told = told
            self._trial = {} if trial is None else {
                "id": trial.id,
                "number": done + 1,
                "total": total,
                "labels": [sound.label for sound in trial.sounds],
            }  # fmt: skip
            self._standings = [] if trial else self._table()

    def _table(self) -> list[list[str]]:
        systems = self.test.summary().systems
        rows = systems.sort_values("MOS", ascending=False)
        return [
            [str(name), f"{row.MOS:.0f}", _between(row.low, row.high), str(int(row.queries))]
            for name, row in rows.iterrows()
        ]

    def _asked_trial(self, content: dict) -> Any:
        trials = {trial.id: trial for trial in self.test.trials}
        if content.get("trial") not in trials:
            raise ValueError("This trial is not part of the test any more. Run the cell again.")
        return trials[content["trial"]]

    def _do_hear(self, content: dict, buffers: Buffers) -> tuple[dict, list[bytes]]:
        from qvim_kit.search.library import seconds_of
        from qvim_kit.widgets.pictures import wav_of

        trial = self._asked_trial(content)
        paths = {sound.label: sound.path for sound in trial.sounds} | {"query": trial.query_path}
        if content.get("label") not in paths:
            raise ValueError(f"There is no sound {content.get('label')!r} in this trial.")
        path = paths[content["label"]]
        return {}, [wav_of(path, seconds_of(path))]

    def _do_rate(self, content: dict, buffers: Buffers) -> None:
        trial, ratings = self._asked_trial(content), content.get("ratings")
        if not isinstance(ratings, dict):
            raise ValueError(f"ratings: found {ratings!r}, expected label → 0 … 100")
        self.test.rate(trial, ratings)
        systems = self.test.reveal(trial)
        self._show([[label, systems[label], ratings[label]] for label in systems])


def _between(low: float, high: float) -> str:
    return f"{low:.0f} – {high:.0f}" if low <= high else "–"  # NaN for a single query
