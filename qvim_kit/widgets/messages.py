"""How a widget's two halves talk: the page asks by custom message, Python answers each question.

A synced trait cannot refuse a value, nor say that it never arrived; a question that is answered
or not answered can. What Python shows goes the other way, by synced traits, so that a page that
is opened again shows it again.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget

STATIC = Path(__file__).parent / "static"
Buffers = list[memoryview]


def bundle(*names: str) -> str:
    """Files of ``static/``, one after the other, as the one module that anywidget loads.

    Scripts are ES modules that import from each other by name; those lines are dropped, as
    everything is in one module then. Name them in the order of use.
    """
    text = "\n".join((STATIC / name).read_text(encoding="utf-8") for name in names)
    text = re.sub(r"^import [^;]*;\n", "", text, flags=re.MULTILINE)
    return re.sub(r"^export (?!default)", "", text, flags=re.MULTILINE)


class Asked(anywidget.AnyWidget):
    """A widget that answers the page's questions.

    A question is ``{"do": "trim", "ask": 7, …}``, perhaps with buffers. The method ``_do_trim``
    gets the question and its buffers, and returns the answer's fields, ``(fields, buffers)`` or
    None. A `ValueError`, `OSError` or `RuntimeError` that it raises becomes the answer's
    ``error``, for people to read; the page shows it.
    """

    def __init__(self, **traits: Any):
        super().__init__(**traits)
        self.on_msg(self._hear)

    def _hear(self, _: Any, content: Any, buffers: Buffers | None) -> None:
        if not isinstance(content, dict):
            return
        question = content.get("ask")
        name = str(content.get("do"))
        method = getattr(self, f"_do_{name}", None) if name.isidentifier() else None
        if method is None:
            self._answer(question, error=f"unknown request {name!r}; run the cell again")
            return
        self._try(question, lambda: method(content, list(buffers or ())))

    def _try(self, question: Any, work: Callable[[], Any]) -> None:
        try:
            result = work()
        except (ValueError, OSError, RuntimeError) as error:
            self._answer(question, error=str(error))
        except Exception as error:  # a fault of ours: the page must not wait for ever
            self._answer(question, error=f"{type(error).__name__}: {error}")
            raise
        else:
            if result is not LATER:
                fields, buffers = result if isinstance(result, tuple) else (result, ())
                self._answer(question, buffers, **(fields or {}))

    def _answer(self, question: Any, buffers: Any = (), **fields: Any) -> None:
        self.send({"answer": question, **fields}, buffers=list(buffers))

    def _later(self, content: dict, work: Callable[[], Any]) -> object:
        """Answer from a thread of its own what takes seconds; the kernel stays free."""
        question = content.get("ask")
        threading.Thread(target=self._try, args=(question, work), daemon=True).start()
        return LATER


LATER = object()  # what a method returns whose answer comes from a thread
