"""The sounds of a library by the names they have in a data set. For `imitate_sounds`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from qvim_kit.audio import AudioError, audio_files
from qvim_kit.datasets.tables import DatasetError


def library_sounds(
    sources: Sequence[str | os.PathLike], exclude: Sequence[str] = ()
) -> tuple[dict[Path, str], list[AudioError]]:
    """Path → ``class/stem``, unique; and what is left out or cannot be listed.

    ``exclude`` names sounds to leave out by patterns as a shell has, in upper or lower case, of
    their class and path: ``*bell*``, ``Rain/*``, and ``*/Rain/*`` at any depth. Raises
    `DatasetError` for a source that is no folder, for a pattern that matches nothing, and where no
    sound is left.
    """
    found: dict[Path, str] = {}
    errors: list[AudioError] = []
    taken: dict[Path, Path] = {}
    names: set[str] = set()
    unused = list(dict.fromkeys(exclude))
    # Not resolved, as a link's own name is the class; but "." has none.
    for source in (Path(os.path.abspath(path)) for path in sources):
        if not source.is_dir():
            what = "is a file, expected a folder" if source.exists() else "no such folder"
            raise DatasetError(source, [what], "Name a folder of sounds.")
        for path in sorted(map(Path, audio_files(source, errors))):
            stem = path.with_suffix("")
            if stem in taken:
                if taken[stem] != path:  # else one source lies in another
                    errors.append(AudioError(path, "differs from another file in its suffix alone"))
                continue
            taken[stem] = path
            sound_class, *rest = stem.relative_to(source).parts
            if not rest:  # it lies beside the folders
                sound_class, rest = source.name, [sound_class]
            below = "/".join([sound_class, *rest]) + path.suffix
            if matching := [pattern for pattern in exclude if _matches(below, pattern)]:
                unused = [pattern for pattern in unused if pattern not in matching]
                continue
            found[path] = _name(sound_class, "__".join(rest), names)
    if unused:
        problems = [f"exclude: no sound matches {pattern!r}" for pattern in unused]
        raise DatasetError(sources[0], problems, "Patterns look like '*bell*' or 'Rain/*'.")
    if not found:
        what = "every sound in it is excluded" if taken else "no sounds in it"
        remedy = "Exclude less." if taken else "Name a folder of sounds."
        raise DatasetError(sources[0], [what, *map(str, errors)], remedy)
    return found, errors


def _matches(path: str, pattern: str) -> bool:
    # With the slash before it, too, so that "*/rain/*" means a class as well as a folder in one.
    wanted = pattern.casefold()
    return any(fnmatchcase(name, wanted) for name in (path.casefold(), f"/{path.casefold()}"))


def _name(sound_class: str, stem: str, names: set[str]) -> str:
    """``class/stem`` as a table can hold it, and as none of ``names``, which it is added to."""
    # Cells are stripped, and files whose names begin with a dot are not seen.
    parts = [part.strip().lstrip(".").strip() or "_" for part in (sound_class, stem)]
    name, number = "/".join(parts), 1
    while (unique := f"{name}__{number}" if number > 1 else name).casefold() in names:
        number += 1
    names.add(unique.casefold())
    return unique
