"""Search a library of sounds by voice.

- `library`: which sounds a folder, a list of paths or a data set holds; `building` embeds them.
- `queries`: a recording → its embedding; words → what is compared.
- `ranking`: exact search, one matrix product.
- `index`: `SoundIndex`, a library in memory; `table` is what it can be asked, `storage` its files.
- `lance`: `LanceIndex`, a library larger than memory; `lance_store` is its table.
- `feedback`: what users marked as right and wrong; `events`, `feedback_numbers`, `feedback_pairs`
  and `judging` are its parts. `rocchio` learns from marks, `simulation` measures how much.
- `listening_test`: a blind comparison of systems; `trials` and `first_results` are its parts.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qvim_kit.search.index import SoundIndex
    from qvim_kit.search.lance import LanceIndex
    from qvim_kit.search.storage import SavedIndexError

__all__ = ["DEFAULT_SYSTEM", "LanceIndex", "SavedIndexError", "SoundIndex"]

DEFAULT_SYSTEM = "qvim-mn04"  # what `qvim index` and `qvim search` use unless told otherwise
_HOMES = {"SoundIndex": "index", "LanceIndex": "lance", "SavedIndexError": "storage"}


def __getattr__(name: str) -> Any:
    """Loads a class when it is asked for: the command line asks only for the default."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
