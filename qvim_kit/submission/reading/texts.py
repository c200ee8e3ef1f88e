"""Texts of which only a run may know all: what is not known is a mark, one character.

``f"{ROOT_PATH}/a/{name}.pt"`` is ``ROOT + "/a/" + SOME + ".pt"``, so joining and slicing are
Python's own.

Notebook: 05_submission.
"""

from __future__ import annotations

import posixpath

# From Unicode's private use area; `plain` keeps them out of what notebooks say.
ROOT, DATA, HOME, WORK, PYTHON, SOME = (chr(0xE000 + n) for n in range(6))
MARKS = ROOT + DATA + HOME + WORK + PYTHON + SOME
SHOWN = {ROOT: "ROOT_PATH", DATA: "DATA_PATH", HOME: "~", WORK: ".", PYTHON: "python", SOME: "…"}
LONGEST_TEXT = 4_000
LONGEST_SEQUENCE = 400


class PathText(str):
    """The text of a `pathlib.Path`."""

    __slots__ = ()


def plain(text: str) -> str:
    """A text that a notebook holds, without the characters used as marks."""
    return "".join("\ufffd" if "\ue000" <= letter <= "\ue00f" else letter for letter in text)


def as_text(value: object) -> str:
    """A value as it appears inside a text; what is not known is a mark."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (bool, int, float)) and len(repr(value)) < 40:
        return str(value)
    return SOME


def limited(value: object) -> object:
    """A text or tuple of at most the length at which nothing gets slow."""
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return type(value)(value[:LONGEST_TEXT] + SOME)
    if isinstance(value, tuple) and len(value) > LONGEST_SEQUENCE:
        return (*value[:LONGEST_SEQUENCE], SOME)
    return value


def concatenated(pieces: list[str]) -> str:
    """Texts, one after the other."""
    text = ""
    for piece in pieces:
        text += piece
        if len(text) > LONGEST_TEXT:
            return limited(text)
    return text


def shown(text: str) -> str:
    """A text for the reader of a message."""
    for mark, name in SHOWN.items():
        text = text.replace(mark, name)
    text = "".join(letter if letter.isprintable() else "�" for letter in text)
    return text if len(text) <= 70 else text[:69] + "…"


def join(parts: list) -> str:
    """`os.path.join`, of texts with marks."""
    texts = [as_text(part) for part in parts[:50]]
    return limited(posixpath.join(*texts)) if texts else ""


def absolute(text: str) -> str:
    """`os.path.abspath`: what does not say where it starts, starts in the working directory."""
    if not text or text[0] in "/" + ROOT + DATA + HOME + WORK + SOME or text[1:2] == ":":
        return text
    return f"{WORK}/{text}"


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())
