"""`qvim index` and `qvim search`: a folder of sounds, searched by voice."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from qvim_kit.search import SoundIndex
    from qvim_kit.search.library import Library
    from qvim_kit.systems import EmbeddingSystem

LEFT_OUT = (
    "A sound of the library that is broken or silent is left out, which is told on stderr and "
    "does not change the exit code."
)
NAMED = 10  # files that cannot be found, by name
SHOWN = 60  # characters of words that were searched with


def add_to(commands: argparse._SubParsersAction) -> None:
    told = "embed a folder of sounds, to search it by voice"
    index = commands.add_parser("index", help=told, epilog=LEFT_OUT)
    index.add_argument("folder", type=Path, help="the library: all sounds below it, or a data set")
    index.add_argument("-o", "--output", type=Path, help="a folder for the index (default: cache)")
    index.set_defaults(run=_index)

    told = "find the sound that a recording imitates"
    search = commands.add_parser("search", help=told, epilog=LEFT_OUT)
    search.add_argument(
        "folder", type=Path, help="a library, a data set, or what `qvim index -o` wrote"
    )
    search.add_argument("query", type=Path, nargs="?", help="the recording: an audio file")
    search.add_argument("--text", help="search by words instead; --system RUN/model of dcase-6b")
    search.add_argument("-k", type=int, default=10, help="how many sounds (default: 10)")
    search.add_argument("--contains", default="", help="words that name or folder have to hold")
    search.add_argument(
        "--class",
        dest="classes",
        action="append",
        metavar="C",
        help="only this class, the name of a folder; repeatable",
    )
    search.set_defaults(run=_search)

    add_system(index)
    add_system(search)


def add_system(command: argparse.ArgumentParser) -> None:
    from qvim_kit.search import DEFAULT_SYSTEM

    command.add_argument(
        "--system",
        default=DEFAULT_SYSTEM,
        help="2dft, m-vggish, an AudioSet checkpoint's name, a folder or file (default: "
        f"{DEFAULT_SYSTEM}, which comes with the kit)",
    )


def _index(options: argparse.Namespace) -> None:
    from qvim_kit.systems.named import system_by_name

    place = options.output
    if place is not None and any(one.is_file() for one in (place, *place.parents)):
        raise ValueError(f"-o {place}: found a file, expected a folder for the index")
    library, place = _library(options.folder, place)
    _scanned(library)
    index = _opened(library, system_by_name(options.system), place)
    if index.errors:
        print(_left_out(index), file=sys.stderr)


def _search(options: argparse.Namespace) -> None:
    from qvim_kit.systems.named import system_by_name
    from qvim_kit.wording import counted

    if options.k < 1:
        raise ValueError(f"-k {options.k}: expected 1 or more")
    if (options.query is None) == (options.text is None):
        found = "neither" if options.query is None else "both"
        raise ValueError(f"found {found}, expected either a recording or --text WORDS")
    waveform, name = _asked(options)
    library, place = _library(options.folder, None)
    classes = _passing(library, options.contains, options.classes)
    system = system_by_name(options.system)
    query = _embedded(system, waveform, options.text)  # what is slow only once is not timed
    index = _opened(library, system, place)
    if index.errors:
        left = counted(len(index.errors), "file")
        print(f"{left} left out; `qvim index` lists them by name", file=sys.stderr)
    started = time.perf_counter()
    mask = index.where(options.contains, classes)
    hits = index.search(query, options.k, where=mask)
    milliseconds = 1e3 * (time.perf_counter() - started)
    of = f"{mask.sum()} of " if not mask.all() else ""
    print(f"{name} among {of}{counted(len(index), 'sound')}, {milliseconds:.1f} ms")
    print(_listing(hits) if len(hits) else "none of the sounds that pass the filter can be used")


def _asked(options: argparse.Namespace) -> tuple[tuple[np.ndarray, int] | None, str]:
    """What is searched with, judged before anything else is done, and its name.

    A waveform and its rate; None for words. Raises as `recordings.recording`.
    """
    if options.text is not None:
        words = " ".join(options.text.split())
        if not words:
            raise ValueError("--text: found no words, expected such as --text 'a dog barks'")
        return None, repr(words if len(words) <= SHOWN else words[: SHOWN - 2].rstrip() + " …")
    from qvim_kit.search.recordings import recording

    waveform, rate, warning = recording(options.query)
    if warning:
        print(f"qvim: warning: {options.query.name}: {warning}", file=sys.stderr)
    return (waveform, rate), options.query.name


def _library(folder: Path, place: Path | None) -> tuple[Library, Path | None]:
    """Where the sounds are, and where their index is kept, None for the cache."""
    from qvim_kit.search import SavedIndexError, storage
    from qvim_kit.search.library import Library, named_or_folder
    from qvim_kit.wording import counted

    if place is not None or not storage.is_saved(folder):
        source = named_or_folder(folder)
        if not isinstance(source, Path):
            items = counted(len(source.items), "item")
            print(f"{source.name} is a data set: only its {items} can be found", file=sys.stderr)
        return Library.of(source), place
    library = storage.read_index(folder)[1]
    if gone := storage.moved(folder, library):
        raise SavedIndexError(gone)
    return library, folder


def _scanned(library: Library) -> list[tuple[str, str]]:
    """Name and class of each sound that is there: milliseconds, before a system is loaded."""
    return [(sound.name, sound.class_name) for sound in library.scan()[0]]


def _passing(library: Library, contains: str, classes: list[str] | None) -> list[str] | None:
    """The classes that are asked for, as the library writes them.

    Raises `ValueError`, naming the option, where no sound passes.
    """
    from qvim_kit.search.queries import classes_named, searched_text, words_of

    sounds = _scanned(library)
    if classes is not None:
        try:
            classes = classes_named(classes, {kind for _, kind in sounds})
        except ValueError as error:
            raise ValueError(f"--{error}") from None
        sounds = [sound for sound in sounds if sound[1] in classes]
    words = words_of(contains)
    if words and not any(all(word in searched_text(*one) for word in words) for one in sounds):
        among = f" of --class {' or '.join(classes)}" if classes else ""
        raise ValueError(
            f"--contains {contains!r}: no sound{among} has {'all ' if len(words) > 1 else ''}that "
            "in its name or folder"
        )
    return classes


def _embedded(
    system: EmbeddingSystem, waveform: tuple[np.ndarray, int] | None, text: str
) -> np.ndarray:
    """The query, (dim,). Raises `ValueError` for words where the system reads none."""
    if waveform is not None:
        from qvim_kit.search.queries import embed_query

        return embed_query(system, *waveform)
    if not hasattr(system, "embed_text"):
        raise ValueError(
            f"--text: {system.name} reads no words; expected --system RUN/model, what "
            "`qvim train --preset dcase-6b -o RUN` made"
        )
    return system.embed_text([text])[0]


def _opened(library: Library, system: EmbeddingSystem, place: Path | None) -> SoundIndex:
    """The index of a library, brought up to date; says on stderr what that took."""
    from qvim_kit.search import SoundIndex

    started = time.perf_counter()
    index = SoundIndex.open(library, system, place)
    counts = index.changes._asdict().items()
    changes = ", ".join(f"{number:,} {what}" for what, number in counts if number) or "nothing new"
    seconds = time.perf_counter() - started
    by = f"indexed with {index.system_name} ({changes}; {seconds:.1f} s)"
    print(f"{index.contents}, {by}", file=sys.stderr)
    return index


def _left_out(index: SoundIndex) -> str:
    """The files that cannot be found by a voice, the first of them by name."""
    from qvim_kit.wording import counted

    lines = [f"{counted(len(index.errors), 'file')} cannot be found by a voice:"]
    for error in index.errors[:NAMED]:
        lines.append(f"  {os.path.relpath(error.path, index.library.root)}: {error.reason}")
    if (more := len(index.errors) - NAMED) > 0:
        lines.append(f"  … and {more:,} more")
    return "\n".join(lines)


def _listing(hits: pd.DataFrame) -> str:
    """A line each: rank, score, name."""
    width = len(str(len(hits)))
    rows = zip(hits["rank"], hits["score"], hits["name"], strict=True)
    return "\n".join(f"{rank:{width}}  {score:6.3f}  {name}" for rank, score, name in rows)
