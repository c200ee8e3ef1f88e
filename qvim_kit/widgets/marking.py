"""The part of a search that stores what one says of its results.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from qvim_kit.search.events import TAKEN_BACK

if TYPE_CHECKING:
    from qvim_kit.search.feedback import FeedbackLog
    from qvim_kit.widgets.answers import Answer, Query
    from qvim_kit.widgets.finder import Finder
    from qvim_kit.widgets.messages import Buffers
    from qvim_kit.widgets.panels import Panels


class Marking:
    """Marks sounds as right or wrong, and takes marks back; `search.SearchByVoice` is one."""

    _feedback: FeedbackLog | str | os.PathLike | None
    _answers: dict[str, Answer]
    _query: Query | None
    _panels: Panels
    _finder: Finder

    @property
    def feedback(self) -> FeedbackLog:
        """Where marks are stored."""
        from qvim_kit.search.feedback import FeedbackLog

        if not isinstance(self._feedback, FeedbackLog):
            self._feedback = FeedbackLog(self._feedback)
        return self._feedback

    def _do_keep(self, content: dict, buffers: Buffers) -> None:
        self._keep_audio = bool(content.get("keep"))

    def _do_mark(self, content: dict, buffers: Buffers) -> None:
        with self._lock:
            label, name, verdict = (content.get(key) for key in ("panel", "name", "verdict"))
            system = self._panels.system_of(label)
            if system not in self._answers or name not in set(self.results[system]["name"]):
                raise ValueError(f"{name!r} is not among the results any more. Search again.")
            marks = self._query.marks
            if marks.get(name) == verdict:  # pressed again
                self._record(system, label, name, TAKEN_BACK)
                del marks[name]
            else:
                if verdict == "right" and self._query.none:
                    self._record(system, label, None, TAKEN_BACK)
                    self._query.none = False
                self._record(system, label, name, verdict)
                marks[name] = verdict
                if verdict == "right":
                    self._panels.choose(label)
            self._rank()

    def _do_none_right(self, content: dict, buffers: Buffers) -> None:
        with self._lock:
            if not self._answers:
                raise ValueError("There are no results. Search first.")
            query, place = self._query, (self._panels.systems[0], self._panels.labels[0])
            if query.none:  # pressed again
                self._record(*place, None, TAKEN_BACK)
                query.none = False
                return self._show_results()
            for name in [name for name, verdict in query.marks.items() if verdict == "right"]:
                self._record(*place, name, TAKEN_BACK)
                del query.marks[name]
            self._record(*place, None, "wrong")
            query.none = True
            self._panels.choose("neither")
            self._rank()

    def _record(self, system: str, label: str, name: str | None, verdict: Any) -> None:
        query = self._query
        rankings = {key: list(answer.table["name"]) for key, answer in self._answers.items()}
        other = next((key for key in self._panels.systems if key != system), None)
        named = f"sound {query.sound}" if query.sound else f"words {query.words}"
        used = self._answers[system].kinds
        folder, wanted = self._finder.folder, self._filter
        self.feedback.record(
            query_audio=query.recording,
            query=None if query.recording is not None else named,
            system=system,
            ranking=rankings[system],
            chosen=name,
            verdict=verdict,
            keep_audio=self._keep_audio and query.recording is not None,
            panel=label or None,
            other_system=other,
            other_ranking=rankings.get(other),
            reranked=bool(query.marks),
            library=os.path.abspath(os.path.expanduser(folder)) if folder else self._finder.name,
            **({"filter": wanted} if wanted["text"].strip() or wanted["classes"] else {}),
            **({"words": query.words} if "words" in used else {}),
        )
