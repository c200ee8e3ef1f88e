"""What a notebook can play, turn and record: one file a widget.

- `browsing`: players beside each other, browsers of sounds and pairs, a slider.
"""

from __future__ import annotations

from qvim_kit.widgets.browsing import browse_pairs, browse_sounds, players, try_strength

__all__ = ["browse_pairs", "browse_sounds", "players", "try_strength"]
