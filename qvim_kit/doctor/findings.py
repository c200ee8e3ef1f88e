"""What the doctor says: a line for each thing that it looks at."""

from __future__ import annotations

from typing import NamedTuple

# What broken native libraries raise at import; ImportError is only the mildest.
IMPORT_FAILURES = (ImportError, OSError, RuntimeError, AttributeError)


class Finding(NamedTuple):
    """One line of the diagnosis; a remedy where something is wrong, or advice."""

    ok: bool
    what: str
    remedy: str = ""
    fatal: bool = True  # whether the notebooks cannot run without it

    def __str__(self) -> str:
        mark = "ok" if self.ok else "FAIL" if self.fatal else "note"
        return f"{mark:4}  {self.what}" + (f"\n      → {self.remedy}" if self.remedy else "")


def first_line(error: Exception) -> str:
    """Of what an error says; its kind if it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
