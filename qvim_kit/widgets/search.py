"""Search by voice in a notebook: hum, hear the sound you meant.

The page's half is in ``static/``; what finds the sounds is in `finder`.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import traitlets

from qvim_kit.widgets.answers import Answer, Query, answer
from qvim_kit.widgets.choices import Systems
from qvim_kit.widgets.finder import Finder
from qvim_kit.widgets.messages import Buffers, bundle
from qvim_kit.widgets.panels import Panels, summary_of
from qvim_kit.widgets.pictures import SoundServer
from qvim_kit.widgets.recorder import SCRIPTS, Recorder
from qvim_kit.widgets.takes import Take

if TYPE_CHECKING:
    import pandas as pd

    from qvim_kit.search import SoundIndex
    from qvim_kit.search.feedback import FeedbackLog

PAGE = 10  # results at first, and more with each "show more"
MOST = 50


class SearchByVoice(SoundServer, Recorder):
    """Record an imitation and find the sound; hear, mark, compare two systems.

    Args:
        library: what is searched at first: the name of a data set, a folder, a list of paths or
            a `RetrievalDataset`; the mini data set by default. Others can be chosen in the page.
        systems: what may search: one or several systems, names, or name → system; see
            `choices.Systems`. Two or more: the first two are put side by side.
        feedback: the `FeedbackLog`, or the path of one, that marks are stored in.
        examples: as for `Recorder`.
        blind: whether the order of two systems is hidden until one marks a sound.

    Attributes:
        indexes: system → `SoundIndex`, once the library is indexed; see `wait`.
        results: system → table of the last search.

    >>> search = SearchByVoice("my sounds")  # doctest: +SKIP
    >>> search  # doctest: +SKIP
    """

    _esm = bundle(*SCRIPTS, "library.js", "results.js", "search.js")
    _esm += "\nexport default { render: searchWidget };\n"
    _css = bundle("widgets.css", "recorder.css", "search.css")

    _library = traitlets.Dict().tag(sync=True)
    _systems = traitlets.Dict().tag(sync=True)
    _index = traitlets.Dict({"text": "", "classes": []}).tag(sync=True)
    _filter = traitlets.Dict({"text": "", "classes": []}).tag(sync=True)
    _results = traitlets.Dict().tag(sync=True)
    _keep_audio = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self,
        library: Any = None,
        systems: Any = None,
        *,
        feedback: FeedbackLog | str | os.PathLike | None = None,
        examples: Mapping[str, str | os.PathLike] | None = None,
        blind: bool = True,
    ):
        offered = Systems(systems)
        super().__init__(examples)
        self._feedback, self._panels = feedback, Panels(blind)
        self._query: Query | None = None
        self._answers: dict[str, Answer] = {}
        self._shown = PAGE
        self._finder = Finder(library, offered, self._index_changed, self._lock)
        if not offered.usual:
            self._finder.chosen = offered.names[:2]
        self.on_take(self._search_take)
        self._show_choices()
        self._index_changed()
        self._show_results()

    @property
    def indexes(self) -> dict[str, SoundIndex]:
        return dict(self._finder.indexes)

    @property
    def results(self) -> dict[str, pd.DataFrame]:
        return {name: answer.table for name, answer in self._answers.items()}

    @property
    def feedback(self) -> FeedbackLog:
        """Where marks are stored."""
        from qvim_kit.search.feedback import FeedbackLog

        if not isinstance(self._feedback, FeedbackLog):
            self._feedback = FeedbackLog(self._feedback)
        return self._feedback

    def wait(self, timeout: float | None = None) -> SearchByVoice:
        """Wait until the library is indexed, at most ``timeout`` seconds; returns itself.

        Raises `RuntimeError` if it cannot be indexed, or not in that time.
        """
        self._finder.wait(timeout)
        return self

    def _search_take(self, take: Take) -> None:
        self._finder.start()
        self._ask(Query(take.name, (take.waveform, take.sample_rate), take=take.id))

    def _ask(self, query: Query) -> None:
        with self._lock:
            self._query, self._shown, self._panels.systems = query, PAGE, []
            self._rank()

    def _rank(self) -> None:
        """Search again with the query as it is: after a mark, a filter, another library."""
        with self._lock:
            finder, query, panels = self._finder, self._query, self._panels
            if set(panels.systems) != set(finder.indexes):
                panels.deal(list(finder.indexes))
            problem, wanted = "", (self._filter["text"], self._filter["classes"])
            self._answers = {}
            try:
                if query is not None:
                    self._answers = {
                        name: answer(finder.indexes[name], name, query, self._shown, *wanted)
                        for name in panels.systems
                    }
            except (ValueError, OSError, RuntimeError) as error:
                problem = str(error)
            self._show_results(problem)

    def _show_results(self, problem: str = "") -> None:
        query, answers = self._query, self._answers
        most = max((answer.allowed for answer in answers.values()), default=0)
        self._results = {
            "query": query and {"kind": "take" if query.take else "sound", "name": query.name},
            "text": problem or summary_of(query, answers, self._finder.sounds),
            "more": self._shown < min(most, MOST),
            **self._panels.shown(answers, query),
        }

    def _index_changed(self) -> None:
        with self._lock:
            finder = self._finder
            classes = [] if finder.sounds is None else finder.sounds["class"].value_counts()
            counted = sorted((str(name), int(n)) for name, n in dict(classes).items())
            self._index = asdict(finder.status) | {"classes": counted}
            if finder.status.phase == "ready" and self._query is not None:
                self._rank()

    def _show_choices(self) -> None:
        finder = self._finder
        self._library = {
            "choices": list(finder.libraries.items()),
            "name": finder.name,
            "folder": finder.folder,
        }
        names = finder.systems.names
        self._systems = {
            "choices": [(name, name) for name in names],
            "chosen": finder.chosen,
            "blind": self._panels.blind,
        }

    def _do_hello(self, content: dict, buffers: Buffers) -> None:
        self._finder.start()

    def _do_library(self, content: dict, buffers: Buffers) -> None:
        with self._lock:
            self._finder.open(str(content.get("name")), str(content.get("folder", "")))
            self._filter = {"text": "", "classes": []}
            if self._query is not None and self._query.sound:
                self._query = None
            if self._query is not None:
                self._query.marks.clear()
            self._show_choices()
            self._rank()

    def _do_systems(self, content: dict, buffers: Buffers) -> None:
        with self._lock:
            self._finder.choose([str(name) for name in content.get("systems") or []])
            self._panels = Panels(bool(content.get("blind")))
            self._show_choices()

    def _do_reindex(self, content: dict, buffers: Buffers) -> None:
        self._finder.index()

    def _do_filter(self, content: dict, buffers: Buffers) -> None:
        classes = content.get("classes") or []
        self._filter = {"text": str(content.get("text", "")), "classes": list(map(str, classes))}
        self._rank()

    def _do_more(self, content: dict, buffers: Buffers) -> None:
        self._shown = min(MOST, self._shown + PAGE)
        self._rank()

    def _do_similar(self, content: dict, buffers: Buffers) -> None:
        name = self._finder.sound(content.get("name"))["name"]
        self._ask(Query(Path(name).name, sound=name))

    def _do_keep(self, content: dict, buffers: Buffers) -> None:
        self._keep_audio = bool(content.get("keep"))

    def _do_mark(self, content: dict, buffers: Buffers) -> None:
        with self._lock:
            label, name, verdict = (content.get(key) for key in ("panel", "name", "verdict"))
            system = self._panels.system_of(label)
            if system not in self._answers or name not in set(self.results[system]["name"]):
                raise ValueError(f"{name!r} is not among the results any more. Search again.")
            self._record(system, label, name, verdict)
            self._query.marks[name] = verdict
            if verdict == "right":
                self._panels.choose(label)
            self._rank()

    def _do_none_right(self, content: dict, buffers: Buffers) -> None:
        with self._lock:
            if not self._answers:
                raise ValueError("There are no results. Search first.")
            self._record(self._panels.systems[0], self._panels.labels[0], None, "wrong")
            self._panels.choose("neither")
            self._show_results()

    def _record(self, system: str, label: str, name: str | None, verdict: Any) -> None:
        query = self._query
        rankings = {key: list(answer.table["name"]) for key, answer in self._answers.items()}
        other = next((key for key in self._panels.systems if key != system), None)
        self.feedback.record(
            query_audio=query.recording,
            query=None if query.recording is not None else f"sound {query.sound}",
            system=system,
            ranking=rankings[system],
            chosen=name,
            verdict=verdict,
            keep_audio=self._keep_audio and query.recording is not None,
            panel=label or None,
            other_system=other,
            other_ranking=rankings.get(other),
            reranked=bool(query.marks),
            library=self._finder.folder or self._finder.name,
        )
