"""Indexes a library in a thread, so that the kernel stays free. Nothing is shown here.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from qvim_kit.widgets.choices import FOLDER, Systems, library_choices, open_library
from qvim_kit.wording import counted

if TYPE_CHECKING:
    import pandas as pd

    from qvim_kit.search import SoundIndex

SELDOM = 0.1  # s between two reports of progress


@dataclass(frozen=True)
class Status:
    """Where indexing stands; phase is "indexing", "ready" or "failed"."""

    phase: str = "indexing"
    text: str = "Opening the library …"
    warning: str = ""
    done: int = 0
    total: int = 0


class _Superseded(Exception):
    """Another library or system was chosen meanwhile."""


class Finder:
    """A library, indexed in a thread for one or two systems.

    Args:
        library: name of a data set, folder, list of paths or `RetrievalDataset`.
        systems: what may be chosen.
        changed: called, on any thread, when `status` or `indexes` changed.
        lock: held while either changes; who calls from several threads shares it.
    """

    def __init__(
        self, library: Any, systems: Systems, changed: Callable[[], None], lock: threading.RLock
    ):
        self._own = None  # a library that was passed, not chosen
        self.systems, self._changed = systems, changed
        self.status = Status()
        self.indexes: dict[str, SoundIndex] = {}
        self.chosen: list[str] = systems.names[:1]
        self._lock, self._turn = lock, 0
        self._thread: threading.Thread | None = None
        self._reported = 0.0
        self.name, self.folder = FOLDER, ""
        if library is None or isinstance(library, str) and library in library_choices():
            self.name = library or "qvim-mini"
        elif isinstance(library, str) or hasattr(library, "__fspath__"):
            self.folder = str(library)
        else:
            self.name, self._own = getattr(library, "name", "your list"), library

    @property
    def libraries(self) -> dict[str, str]:
        """Name → label of the libraries that may be chosen."""
        own = {} if self._own is None else {self._own_name: self._own_name}
        return own | library_choices()

    @property
    def _own_name(self) -> str:
        return getattr(self._own, "name", "your list")

    def open(self, name: str, folder: str = "") -> None:
        """Index another library; the old one answers no more."""
        if name not in {*self.libraries, FOLDER}:
            raise ValueError(f"library: found {name!r}, expected one of {list(self.libraries)}")
        with self._lock:
            self.name, self.folder, self.indexes = name, folder, {}
        self.index()

    def choose(self, systems: Sequence[str]) -> None:
        """Search with one system, or two beside each other."""
        unknown = [name for name in systems if name not in self.systems.names]
        if unknown or not 1 <= len(set(systems)) == len(systems) <= 2:
            names = ", ".join(self.systems.names)
            raise ValueError(f"systems: found {systems}, expected one or two of {names}")
        self.chosen = list(systems)
        self.index()

    def start(self) -> None:
        """Index, unless that was begun before.

        Not at once, but when the page is there or someone waits: Voila's pages find no widget
        in a kernel that is busy when they are opened.
        """
        with self._lock:
            if self._thread is None:
                self.index()

    def index(self) -> None:
        """Index in a thread what is new or changed; the old index answers until it is done."""
        with self._lock:
            self._turn += 1
            self._report(self._turn, Status())
            self._thread = threading.Thread(target=self._work, args=(self._turn,), daemon=True)
            self._thread.start()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the library is indexed, or raise `RuntimeError` if it is not by then."""
        self.start()
        self._thread.join(timeout)
        if self.status.phase != "ready":
            raise RuntimeError(self.status.text)

    def _work(self, turn: int) -> None:
        from qvim_kit.search import SoundIndex
        from qvim_kit.search.library import Library

        try:
            own = self._own is not None and self.name == self._own_name
            source = Library.of(self._own if own else open_library(self.name, self.folder))
            source.scan()  # before systems are loaded, which takes seconds: is anything there?
            indexes, warnings = {}, []
            for wanted in self.chosen:
                self._report(turn, Status(text=f"Loading {wanted} …"))
                try:
                    name, system, warning = self.systems.load(wanted)
                except Exception as error:
                    if not indexes:
                        raise
                    warnings.append(f"{wanted} cannot be loaded, so it is left out: {error}")
                    continue
                warnings += [warning] * bool(warning)

                def progress(done: int, total: int, name: str = name) -> None:
                    text = f"Indexing with {name}: {done} of {total}"
                    self._report(turn, Status("indexing", text, "", done, total), seldom=True)

                indexes[name] = SoundIndex.open(source, system, progress=progress)
                _warm_up(indexes[name])
        except _Superseded:
            return
        except Exception as error:  # whatever it is, it must be seen where one waits for it
            with self._lock:
                if turn == self._turn:
                    self.indexes = {}
                    self._report(turn, Status("failed", f"Cannot be searched: {error}"))
            return
        with self._lock:
            if turn == self._turn:
                self.indexes = indexes
                self._report(turn, _ready(indexes, warnings))

    def _report(self, turn: int, status: Status, seldom: bool = False) -> None:
        if turn != self._turn:
            raise _Superseded
        now = time.monotonic()
        if seldom and now - self._reported < SELDOM:
            return
        self._reported = now
        self.status = status
        self._changed()

    @property
    def sounds(self) -> pd.DataFrame | None:
        """The library's sounds as the first index holds them; None before it is ready."""
        return next(iter(self.indexes.values())).sounds if self.indexes else None

    def sound(self, name: Any) -> pd.Series:
        """One sound's row. Raises `ValueError` for a name that the library does not hold."""
        for index in self.indexes.values():
            found = index.sounds[index.sounds["name"] == name]
            if len(found):
                return found.iloc[0]
        raise ValueError(f"{name!r} is not in the library any more. Search again.")


def _warm_up(index: SoundIndex) -> None:
    """Do once what is slow only once, so that nobody waits for it who has just hummed."""
    import matplotlib.image  # noqa: F401, for the pictures

    noise = np.random.default_rng(0).normal(size=8_000).astype(np.float32)
    with contextlib.suppress(ValueError):
        index.search(index.embed_query(0.1 * noise, 8_000), 1)


def _ready(indexes: dict[str, SoundIndex], warnings: list[str]) -> Status:
    first = next(iter(indexes.values()))
    classes = first.sounds["class"].nunique()
    several = f" in {classes} classes" if classes > 1 else ""
    text = f"{counted(len(first), 'sound')}{several}, indexed with {' and '.join(indexes)}"
    errors = [str(error) for error in first.errors]
    if errors:
        text += f"; {counted(len(errors), 'file')} cannot be used"
        more = [f"… and {len(errors) - 20} more"] if len(errors) > 20 else []
        errors = errors[:20] + more
    return replace(Status(), phase="ready", text=text, warning="\n".join(warnings + errors))
