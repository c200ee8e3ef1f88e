"""The challenge's submission: what its notebook needs, and what it is judged by.

- `notebook`: what the notebook's protected cells call, offered here
- `template`: the notebook to start from, and how it is recognised
- `checking`: all that is wrong with a submission, told without running it; `check` is offered here
- `reading`: what code does, as far as that can be told without running it
- `running`: runs and scores a submission as the organisers do

Notebook: 05_submission.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qvim_kit.submission.checking import check
    from qvim_kit.submission.notebook import (
        base_name_ids,
        open_data,
        open_root,
        write_similarities,
    )

__all__ = ["base_name_ids", "check", "open_data", "open_root", "write_similarities"]


def __getattr__(name: str) -> object:
    """What is offered here, loaded when it is asked for: `check` needs no data sets."""
    if name in __all__:
        module = "checking" if name == "check" else "notebook"
        return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
