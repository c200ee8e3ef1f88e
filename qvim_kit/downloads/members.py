"""What an entry of an archive is, and under which names it may be unpacked."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any

from qvim_kit.downloads.safety import filename_problem

DEEPEST, LONGEST = 50, 1000  # folders one in another; bytes of a whole path


class ArchiveError(ValueError):
    """An archive that is refused or damaged; nothing of it was left in the folder."""


@dataclass(frozen=True)
class Member:
    """One entry of an archive: its name as stored, its declared bytes, why it is refused."""

    name: str
    size: int
    is_folder: bool
    problem: str | None
    entry: Any

    @property
    def parts(self) -> tuple[str, ...]:
        """The path below the folder, without the ``./`` that tar likes to put before it."""
        return tuple(part for part in self.name.split("/") if part not in ("", "."))


def name_problem(member: Member, portable: bool) -> str | None:
    """Why the member may not be written below a folder under its name, or None.

    With ``portable`` the name must be one that Windows can write, too.
    """
    if member.name.startswith("/"):
        return "absolute name"
    if ".." in member.name.split("/"):
        return "'..' leads out of the folder"
    if not member.parts and not (member.is_folder and member.name):
        return "empty name"
    if len(member.parts) > DEEPEST:
        return f"more than {DEEPEST} folders deep"
    if len(member.name.encode(errors="surrogateescape")) > LONGEST:
        return f"a path of more than {LONGEST} bytes"
    reasons = (filename_problem(part, portable) for part in member.parts)
    return next((reason for reason in reasons if reason), None)


def clash(member: Member, seen: dict[str, tuple[str, bool]]) -> str | None:
    """Whether this member, or a folder above it, would be another's on some file system."""
    for depth in range(1, len(member.parts) + 1):
        mine = "/".join(member.parts[:depth]), depth < len(member.parts) or member.is_folder
        trimmed = "/".join(part.rstrip(". ") for part in member.parts[:depth])
        key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", trimmed).casefold())
        other = seen.setdefault(key, mine)
        if other is not mine and (other != mine or not mine[1]):
            return f"same name as {other[0]!r} where case, accents or final dots do not count"
    return None
