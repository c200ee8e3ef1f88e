"""What a notebook can play, turn and record: one file a widget.

- `browsing`: players beside each other, browsers of sounds and pairs, a slider.
- `recorder`: record in the browser. `search`: search by voice. `rating`: a listening test.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from qvim_kit.widgets.browsing import browse_pairs, browse_sounds, players, try_strength

if TYPE_CHECKING:
    from qvim_kit.widgets.rating import RatingPanel
    from qvim_kit.widgets.recorder import Recorder
    from qvim_kit.widgets.search import SearchByVoice

__all__ = [
    "RatingPanel",
    "Recorder",
    "SearchByVoice",
    "browse_pairs",
    "browse_sounds",
    "players",
    "try_strength",
]

# Those with a page of their own come with anywidget, which players do without.
_MODULES = {"RatingPanel": "rating", "Recorder": "recorder", "SearchByVoice": "search"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
