"""A recorder for notebooks: record, trim, hear; Python gets waveforms.

The page's half is in ``static/``: plain JavaScript, without a build step or the network.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import traitlets

from qvim_kit.audio import load_audio
from qvim_kit.widgets.incoming import Incoming
from qvim_kit.widgets.messages import Asked, Buffers, bundle
from qvim_kit.widgets.takes import Take, make_take, read_file

SCRIPTS = ("dom.js", "audio.js", "frame.js", "waveform.js", "recorder.js")
EXAMPLES_PER_CLASS = 2


class Recorder(Asked):
    """Record a few seconds in the browser, or open a file, or pick an example.

    Works in JupyterLab, Notebook, VS Code (files and examples) and Voila. Recordings end after
    12 s; the silence around them is cut off, and the handles in the picture move the cuts.

    Args:
        examples: what can be picked instead of recording, name → path; by default some vocal
            imitations of the mini data set.

    Attributes:
        takes: every `takes.Take` that was not deleted, oldest first.
        take: the one that is chosen; None before the first.

    >>> recorder = Recorder()  # doctest: +SKIP
    >>> recorder  # doctest: +SKIP
    >>> recorder.take.waveform, recorder.take.sample_rate  # doctest: +SKIP
    """

    _esm = bundle(*SCRIPTS) + "\nexport default { render: recorderWidget };\n"
    _css = bundle("widgets.css", "recorder.css")

    # What the page shows. Its own wishes come as messages, which can be refused.
    _takes = traitlets.List().tag(sync=True)
    _current = traitlets.Int(0).tag(sync=True)
    _examples = traitlets.List().tag(sync=True)

    def __init__(self, examples: Mapping[str, str | os.PathLike] | None = None):
        self._lock = threading.RLock()  # JupyterLab's messages come on a thread of their own
        self._kept: dict[int, Take] = {}
        self._listeners: list[Callable[[Take], object]] = []
        self._incoming = Incoming()
        self._recorded = 0  # for the names of takes
        self._example_paths = examples
        super().__init__(_examples=list(mini_examples() if examples is None else examples))

    @property
    def takes(self) -> list[Take]:
        return list(self._kept.values())

    @property
    def take(self) -> Take | None:
        return self._kept.get(self._current)

    def on_take(self, callback: Callable[[Take], object]) -> None:
        """Call ``callback(take)`` for each new take, and again when it is trimmed or chosen.

        What it prints is not shown in JupyterLab: change a widget or append to a list instead.
        """
        self._listeners.append(callback)

    def add(
        self,
        sound: str | os.PathLike | np.ndarray,
        sample_rate: int | None = None,
        name: str | None = None,
    ) -> Take:
        """Add a take from Python, as if it had been opened: a path, or a waveform and its rate.

        Raises as `takes.make_take` and `audio.load_audio`; `ValueError` for a waveform without
        its rate.
        """
        if isinstance(sound, (str, os.PathLike)):
            path = Path(sound)
            load_audio(path, duration=0.1)  # names the path in what it raises
            take = make_take(name or path.name, *read_file(path.name, path.read_bytes()), "file")
        elif sample_rate is None:
            raise ValueError("sample_rate: found None, expected the rate of the waveform in Hz")
        else:
            take = make_take(name or self._next_name(), sound, sample_rate, "file")
        return self._keep(take)

    def _next_name(self) -> str:
        self._recorded += 1
        return f"take {self._recorded}"

    def _keep(self, take: Take) -> Take:
        with self._lock:
            self._kept[take.id] = take
            self._show_takes(take.id)
        for callback in self._listeners:
            callback(take)
        return take

    def _show_takes(self, current: int) -> None:
        shown = [
            {
                "id": take.id,
                "name": take.name,
                "start": take.start,
                "end": take.end,
                "warning": take.warning,
            }
            for take in self._kept.values()
        ]
        with self.hold_sync():  # in one message: the page never sees a take that is not there
            self._takes, self._current = shown, current

    def _asked_take(self, content: dict) -> Take:
        take = self._kept.get(content.get("id"))
        if take is None:
            raise ValueError(f"There is no take {content.get('id')} any more. Record again.")
        return take

    def _do_chunk(self, content: dict, buffers: Buffers) -> dict:
        with self._lock:
            named = {"name": f"take {self._recorded + 1}", **content}
            wanted, take, new = self._incoming.add(named, buffers)
            if new and take.source == "microphone":
                self._recorded += 1
        if new:
            self._keep(take)
        return {"next": wanted, "take": take.id if take else None}

    def _do_trim(self, content: dict, buffers: Buffers) -> None:
        take = self._asked_take(content)
        self._keep(take.trimmed(content.get("start"), content.get("end")))

    def _do_use(self, content: dict, buffers: Buffers) -> None:
        self._keep(self._asked_take(content))

    def _do_delete(self, content: dict, buffers: Buffers) -> None:
        with self._lock:
            self._kept.pop(self._asked_take(content).id)
            left = self._current if self._current in self._kept else max(self._kept, default=0)
            self._show_takes(left)

    def _do_sound(self, content: dict, buffers: Buffers) -> tuple[dict, list[bytes]]:
        """The whole recording, for a page that was opened again."""
        take = self._asked_take(content)
        scale = 1 / max(1.0, float(np.abs(take.recorded).max()))
        values = np.round(take.recorded * (scale * 32_767)).astype("<i2")
        return {"rate": take.sample_rate, "scale": scale}, [values.tobytes()]

    def _do_example(self, content: dict, buffers: Buffers) -> object:
        name = content.get("name")
        if name not in self._examples:
            raise ValueError(f"There is no example {name!r}.")

        def fetch() -> None:
            path = mini_example(name) if self._example_paths is None else self._example_paths[name]
            data = Path(path).read_bytes()
            self._keep(make_take(name, *read_file(Path(path).name, data), "example"))

        return self._later(content, fetch)  # the mini data set may have to be built first


def mini_examples() -> list[str]:
    """Names of the examples from the mini data set; it need not be built yet."""
    from qvim_kit.effects import CLASSES

    return [f"{name} {n}" for name in CLASSES for n in range(1, EXAMPLES_PER_CLASS + 1)]


def mini_example(name: str) -> str:
    """The path of an example: a query that imitates the nth item of its class."""
    from qvim_kit.widgets.choices import open_mini

    class_name, _, number = name.rpartition(" ")
    queries = open_mini().queries
    queries = queries[queries["class"] == class_name]
    item = sorted(queries["item_id"].unique())[int(number) - 1]
    return queries.loc[queries["item_id"] == item, "path"].iloc[0]
