"""How far the mini data set has been built, which takes a while the first time it is opened."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from qvim_kit.widgets.choices import MINI

if TYPE_CHECKING:
    from qvim_kit.widgets.finder import Finder

PAUSE = 0.5  # s between two looks
STALE = 30.0  # s after which a sound that was written belongs to a build that is no more


def mini_progress() -> tuple[int, int] | None:
    """Sounds built and to be built, by this process or another; None if it is not being built.

    Told by the folder that the data set is built in, beside its place.
    """
    from qvim_kit.paths import data_folder

    now, done = time.time(), []
    try:
        for folder in data_folder().glob(f".{MINI}-*"):
            sounds = [path.stat().st_mtime for path in folder.glob("Items/*/*.wav")]
            if now - max(sounds, default=folder.stat().st_mtime) < STALE:
                done.append(len(sounds))
    except OSError:  # it has just been moved to its place
        return None
    if not done:
        return None
    from qvim_kit.datasets.mini import EFFECTS_PER_CLASS
    from qvim_kit.effects import CLASSES

    return max(done), len(CLASSES) * EFFECTS_PER_CLASS


def is_opening_mini(finder: Finder) -> bool:
    """Whether the mini data set is being opened, before any indexing."""
    from qvim_kit.widgets.finder import Status

    return finder.name == MINI and finder.status == Status()


class MiniWatch:
    """Calls a function now and then, in a thread, for as long as the mini data set is opened."""

    def __init__(self, finder: Finder, changed: Callable[[], None]):
        self._finder, self._changed = finder, changed
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Watch from now on, unless that is being done, or there is nothing to watch."""
        running = self._thread is not None and self._thread.is_alive()
        if is_opening_mini(self._finder) and not running:
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        while is_opening_mini(self._finder):
            self._changed()
            time.sleep(PAUSE)
