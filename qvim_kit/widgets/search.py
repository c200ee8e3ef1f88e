"""Search by voice in a notebook: hum, hear the sound you meant.

The page's half is in ``static/``; what finds the sounds is in `finder`.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import traitlets

from qvim_kit.widgets.answers import Answer, Query, answer
from qvim_kit.widgets.building import MiniWatch
from qvim_kit.widgets.choices import Systems
from qvim_kit.widgets.finder import Finder
from qvim_kit.widgets.marking import Marking
from qvim_kit.widgets.messages import Buffers, bundle
from qvim_kit.widgets.panels import Panels, index_state, summary_of
from qvim_kit.widgets.pictures import SoundServer
from qvim_kit.widgets.recorder import SCRIPTS, Recorder
from qvim_kit.widgets.takes import Take
from qvim_kit.widgets.words import lists_for, words_hint

if TYPE_CHECKING:
    import pandas as pd

    from qvim_kit.search import SoundIndex
    from qvim_kit.search.feedback import FeedbackLog

PAGE = 10  # results at first, and more with each "show more"
MOST = 50
LONGEST = 500  # characters that are read of what is typed


class SearchByVoice(Marking, SoundServer, Recorder):
    """Record an imitation and find the sound; hear, mark, compare two systems.

    Where a chosen system reads words, one may type them, too: alone or together with the voice.

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
        results: system → table of the last search. Of voice and words together, the system is
            called "voice system + words system".

    >>> search = SearchByVoice("my sounds")  # doctest: +SKIP
    >>> search  # doctest: +SKIP
    """

    _esm = bundle(*SCRIPTS, "library.js", "words.js", "results.js", "search.js")
    _esm += "\nexport default { render: searchWidget };\n"
    _css = bundle("widgets.css", "recorder.css", "search.css")

    _library = traitlets.Dict().tag(sync=True)
    _systems = traitlets.Dict().tag(sync=True)
    _index = traitlets.Dict({"text": "", "classes": []}).tag(sync=True)
    _filter = traitlets.Dict({"text": "", "classes": []}).tag(sync=True)
    _words = traitlets.Dict().tag(sync=True)
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
        self._voice: Query | None = None  # the last one, which words may be added to
        self._typed, self._together, self._asked = "", True, 0
        self._answers: dict[str, Answer] = {}
        self._shown = PAGE
        self._finder = Finder(library, offered, self._index_changed, self._lock)
        self._watch = MiniWatch(self._finder, self._index_changed)
        if not offered.usual:
            self._finder.chosen = offered.names[:2]
        self.on_take(self._search_take)
        self._show_choices()
        self._index_changed()

    @property
    def indexes(self) -> dict[str, SoundIndex]:
        return dict(self._finder.indexes)

    @property
    def results(self) -> dict[str, pd.DataFrame]:
        return {name: answer.table for name, answer in self._answers.items()}

    def wait(self, timeout: float | None = None) -> SearchByVoice:
        """Wait until the library is indexed, at most ``timeout`` seconds; returns itself.

        Raises `RuntimeError` if it cannot be indexed, or not in that time.
        """
        self._start()
        self._finder.wait(timeout)
        return self

    def _start(self) -> None:
        self._finder.start()
        self._watch.start()

    def _search_take(self, take: Take) -> None:
        self._start()
        self._ask_voice(Query(take.name, (take.waveform, take.sample_rate), take=take.id))

    def _ask_voice(self, voice: Query) -> None:
        with self._lock:
            self._voice = voice
            self._ask(replace(voice, words=self._typed) if self._together else voice)

    def _ask(self, query: Query | None) -> None:
        with self._lock:
            self._query, self._shown, self._panels.systems = query, PAGE, []
            self._asked += 1
            self._rank()

    def _rank(self) -> None:
        """Search again with the query as it is: after a mark, a filter, another library."""
        with self._lock:
            indexes, query, panels = self._finder.indexes, self._query, self._panels
            problem, wanted = "", (self._filter["text"], self._filter["classes"])
            self._answers = {}
            try:
                if query is not None and indexes:
                    lists = lists_for(query.kinds, indexes)
                    if set(panels.systems) != set(lists):
                        panels.deal(list(lists))
                    self._answers = {
                        name: answer(indexes, lists[name], query, self._shown, *wanted)
                        for name in panels.systems
                    }
            except (ValueError, OSError, RuntimeError) as error:
                problem = str(error)
            except Exception as error:  # a system's fault: the page must not wait for ever
                problem = f"{type(error).__name__}: {error}"
            self._show_results(problem)

    def _show_results(self, problem: str = "") -> None:
        query, answers = self._query, self._answers
        more = any(len(answer.table) < answer.allowed for answer in answers.values())
        self._results = {
            "asked": self._asked,  # no two queries give equal results: the page hears of each
            "query": query and {"kind": query.kind, "name": query.name or query.words},
            "text": problem or summary_of(query, answers, self._index, self._filter),
            "more": more and self._shown < MOST,
            **self._panels.shown(answers, query),
        }

    def _index_changed(self) -> None:
        with self._lock:
            finder, before = self._finder, self._index.get("phase")
            self._index = index_state(finder)
            self._show_words()
            if self._index["phase"] != before or finder.status.phase == "ready":
                self._rank()

    def _show_choices(self) -> None:
        finder = self._finder
        self._library = {
            "choices": list(finder.libraries.items()),
            "name": finder.name,
            "folder": finder.folder,
        }
        names = finder.systems.names
        self._show_words()
        self._systems = {
            "choices": [(name, name) for name in names],
            "chosen": finder.chosen,
            "blind": self._panels.blind,
        }

    def _show_words(self) -> None:
        hint = words_hint(self._finder.systems, self._finder.chosen)
        self._words = {"text": self._typed, "together": self._together, "hint": hint}

    def _do_hello(self, content: dict, buffers: Buffers) -> None:
        self._start()

    def _do_library(self, content: dict, buffers: Buffers) -> None:
        with self._lock:
            self._finder.open(str(content.get("name")), str(content.get("folder", "")))
            self._filter = {"text": "", "classes": []}
            if self._voice is not None and self._voice.sound:
                self._voice = None
            if self._query is not None and self._query.sound:
                self._query = None
            if self._query is not None:
                self._query.marks.clear()
                self._query.none = False
            self._watch.start()
            self._show_choices()
            self._rank()

    def _do_systems(self, content: dict, buffers: Buffers) -> None:
        with self._lock:
            self._finder.choose([str(name) for name in content.get("systems") or []])
            self._panels = Panels(bool(content.get("blind")))
            self._show_choices()
            self._rank()  # the old systems answer until the new ones can

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
        self._ask_voice(Query(Path(name).name, sound=name))

    def _do_words(self, content: dict, buffers: Buffers) -> None:
        if hint := words_hint(self._finder.systems, self._finder.chosen):
            raise ValueError(hint)
        with self._lock:
            self._start()
            self._typed = str(content.get("text", "")).strip()[:LONGEST]
            self._together = bool(content.get("together"))
            voice = self._voice if self._together or not self._typed else None
            self._show_words()
            if voice is not None:
                self._ask(replace(voice, words=self._typed, marks={}, none=False))
            else:
                self._ask(Query(words=self._typed) if self._typed else None)
