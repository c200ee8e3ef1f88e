"""Numbers in messages."""

from __future__ import annotations


def counted(number: int, one: str, several: str = "") -> str:
    """A number of things in words: 1 sound, 2,000 sounds."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"
