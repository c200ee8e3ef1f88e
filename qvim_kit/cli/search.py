"""`qvim index` and `qvim search`: a folder of sounds, searched by voice."""

from __future__ import annotations

import argparse
import sys
import time
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from qvim_kit.cli.systems import system_by_name

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from qvim_kit.search import SoundIndex

SYSTEMS = "2dft, m-vggish, an AudioSet checkpoint's name, a folder or file (default: {})"


def add_to(commands: argparse._SubParsersAction) -> None:
    from qvim_kit.search import DEFAULT_SYSTEM

    index = commands.add_parser("index", help="embed a folder of sounds, to search it by voice")
    index.add_argument("folder", type=Path, help="the library: all sounds below this folder")
    index.add_argument("-o", "--output", type=Path, help="a folder for the index (default: cache)")
    index.set_defaults(run=_index)

    search = commands.add_parser("search", help="find the sound that a recording imitates")
    search.add_argument("folder", type=Path, help="a library, or what `qvim index -o` wrote")
    search.add_argument("query", type=Path, nargs="?", help="the recording: an audio file")
    search.add_argument("--text", help="search by words instead; --system RUN/model of dcase-6b")
    search.add_argument("-k", type=int, default=10, help="how many sounds (default: 10)")
    search.add_argument("--contains", default="", help="words that name or folder have to hold")
    search.add_argument(
        "--class", dest="classes", action="append", metavar="C", help="only this class; repeatable"
    )
    search.set_defaults(run=_search)

    for command in (index, search):
        command.add_argument(
            "--system", default=DEFAULT_SYSTEM, help=SYSTEMS.format(DEFAULT_SYSTEM)
        )


def _index(options: argparse.Namespace) -> int:
    index = _opened(options.folder, options.system, options.output)
    for error in index.errors:
        print(f"not indexed: {error}", file=sys.stderr)
    if index.errors:
        print(f"{len(index.errors)} files could not be indexed", file=sys.stderr)
    return int(bool(index.errors))


def _search(options: argparse.Namespace) -> None:
    from qvim_kit.audio import check_audio

    if options.k < 1:
        raise ValueError(f"-k {options.k}: expected 1 or more")
    if (options.query is None) == (options.text is None):
        raise ValueError("expected either a recording or --text WORDS")
    if options.query is not None:
        check_audio(options.query)  # before the library is looked at, which may take minutes
    index = _opened(options.folder, options.system, None)
    if index.errors:
        print(f"{len(index.errors)} files left out; `qvim index` names them", file=sys.stderr)
    for name in set(options.classes or ()) - set(index.classes):
        close = get_close_matches(name, index.classes) or index.classes[:20]
        raise ValueError(f"--class {name}: no sound has it; expected such as {', '.join(close)}")
    started = time.perf_counter()
    mask = index.where(options.contains, options.classes)
    query = options.query if options.text is None else _embedded(options.text, index)
    hits = index.search(query, options.k, where=mask)
    milliseconds = 1e3 * (time.perf_counter() - started)
    of = f"{mask.sum()} of {len(index)} sounds" if not mask.all() else f"{len(index)} sounds"
    name = repr(options.text) if options.query is None else options.query.name
    print(f"{name} among {of}, {milliseconds:.0f} ms")
    print(_listing(hits) if len(hits) else "no sound has what --contains and --class ask for")


def _embedded(text: str, index: SoundIndex) -> np.ndarray:
    """Words as the index's system embeds them (dim,)."""
    if not hasattr(index.system, "embed_text"):
        raise ValueError(
            f"--text: {index.system.name} reads no words; expected --system RUN/model, what "
            "`qvim train --preset dcase-6b -o RUN` made"
        )
    return index.system.embed_text([text])[0]


def _listing(hits: pd.DataFrame) -> str:
    """A line each: rank, score, name."""
    width = len(str(len(hits)))
    rows = zip(hits["rank"], hits["score"], hits["name"], strict=True)
    return "\n".join(f"{rank:{width}}  {score:6.3f}  {name}" for rank, score, name in rows)


def _opened(folder: Path, name: str, place: Path | None) -> SoundIndex:
    """The index of a library, brought up to date; says on stderr what that took."""
    from qvim_kit.search import SoundIndex, storage

    source = folder
    if storage.is_saved(folder) and place is None:
        source, place = SoundIndex.load(folder).library, folder
    elif not folder.is_dir():
        raise ValueError(f"{folder}: {'a file' if folder.exists() else 'nothing'}, no folder")
    system = system_by_name(name)
    started = time.perf_counter()
    index = SoundIndex.open(source, system, place)
    seconds = time.perf_counter() - started
    print(f"{index!r} ({index.changes}), {seconds:.1f} s", file=sys.stderr)
    return index
