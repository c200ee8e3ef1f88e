"""A library's index on disk: one table as JSON, one matrix that is mapped into memory.

The matrix gets a new name each time, and ``index.json``, which names it, is moved into place last:
whoever reads meanwhile sees the old index or the new one, whole.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from contextlib import suppress
from pathlib import Path

import numpy as np

from qvim_kit.audio import AudioError
from qvim_kit.paths import beside, cache_folder
from qvim_kit.search.building import Built, Changes, Row
from qvim_kit.search.library import Library

FORMAT = 1
TABLE = "index.json"


class SavedIndexError(ValueError):
    """A saved index cannot be used; the message says why and what to do."""


class DamagedIndexError(SavedIndexError):
    """A saved index is damaged, or of another version of the kit."""


def default_folder(library: Library, fingerprint: str) -> Path:
    """Where in the cache folder the index of a library and a system is kept."""
    name = hashlib.sha256(ascii((library, fingerprint)).encode()).hexdigest()
    return cache_folder() / "indexes" / name[:16]


def is_saved(folder: str | os.PathLike) -> bool:
    """Whether a folder holds a saved index."""
    return (Path(folder) / TABLE).is_file()


def packed(library: Library, built: Built) -> dict:
    """A library and its rows as JSON can hold them."""
    columns = zip(*built.rows, strict=True) if built.rows else [()] * len(Row._fields)
    return {
        "root": library.root,
        "listing": library.listing,
        "sounds": dict(zip(Row._fields, map(list, columns), strict=True)),
        "errors": [(error.path, error.reason) for error in built.errors],
    }


def write_index(folder: Path, table: dict, embeddings: np.ndarray) -> None:
    """Write an index into a folder; the caller holds the lock of ``folder / TABLE``."""
    matrix = f"embeddings-{uuid.uuid4().hex[:12]}.npy"
    with beside(folder / matrix) as part, part.open("wb") as handle:
        np.save(handle, embeddings)
    document = {"format": FORMAT, "matrix": matrix, "shape": embeddings.shape, **table}
    with beside(folder / TABLE) as part:
        part.write_text(json.dumps(document), encoding="utf-8")
    for old in folder.glob("embeddings-*"):
        if old.name != matrix:
            with suppress(OSError):  # Windows keeps what another process has mapped
                old.unlink()


def read_index(folder: Path) -> tuple[dict, Library, Built]:
    """The table as it was written, and the library and its sounds; embeddings mapped read-only.

    Raises `SavedIndexError` for a folder without an index or with a damaged one.
    """
    if not is_saved(folder):
        found = "holds no saved index" if folder.is_dir() else "no such folder"
        raise SavedIndexError(
            f"{folder}: {found} (no {TABLE}); make one with `qvim index` or SoundIndex.save"
        )
    table = None
    while True:
        before, (table, library, rows, errors) = table, _read_table(folder)
        try:
            # A view of the plain class: memmap's own makes each operation slower.
            embeddings = np.asarray(_mapped(folder / table["matrix"], table["shape"]))
            return table, library, Built(rows, embeddings, errors, Changes(0))
        except FileNotFoundError:
            # Another process may have put a new index here after the table was read.
            if before is not None and before["matrix"] == table["matrix"]:
                raise _damaged(folder, f"{table['matrix']} is missing") from None
        except (ValueError, OSError, EOFError) as error:
            raise _damaged(folder, _unlike(folder / table["matrix"], table["shape"])) from error


def _read_table(folder: Path) -> tuple[dict, Library, list[Row], list[AudioError]]:
    try:
        table = json.loads((folder / TABLE).read_text(encoding="utf-8"))
        if table["format"] != FORMAT:
            raise _damaged(folder, f"format {table['format']!r}, this version reads {FORMAT}")
        columns = [table["sounds"][field] for field in Row._fields]
        lengths = {len(column) for column in columns}
        if lengths != {table["shape"][0]} or Path(table["matrix"]).name != table["matrix"]:
            raise _damaged(folder, f"columns of {sorted(lengths)} rows for {table['shape'][0]}")
        listing = table["listing"]
        library = Library(table["root"], listing and tuple(map(tuple, listing)))
        errors = [AudioError(path, reason) for path, reason in table["errors"]]
        _ = table["fingerprint"], table["system"]
    except OSError as error:
        raise _damaged(folder, f"{TABLE} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        size = (folder / TABLE).stat().st_size
        raise _damaged(folder, f"{TABLE}: {size} bytes that are no whole JSON file") from error
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise _damaged(folder, f"{TABLE} lacks what an index holds, or mistypes it") from error
    return table, library, list(map(Row, *columns)), errors


def _mapped(path: Path, shape: list[int]) -> np.ndarray:
    """The matrix, mapped into memory. Raises `ValueError`, `OSError` or `EOFError` if damaged."""
    if 0 in shape:
        return np.zeros(shape, dtype=np.float32)  # nothing that could be mapped
    embeddings = np.load(path, mmap_mode="r", allow_pickle=False)
    if embeddings.shape != tuple(shape) or embeddings.dtype != np.float32:
        raise ValueError("another matrix")
    return embeddings


def _unlike(path: Path, shape: list[int]) -> str:
    expected = " x ".join(map(str, shape))
    size = path.stat().st_size if path.exists() else 0
    return f"{path.name}: {size:,} bytes that are not the expected {expected} float32 numbers"


def moved(folder: str | os.PathLike, library: Library) -> str:
    """What to say where a saved index's library is not there any more; "" while it is."""
    if os.path.isdir(library.root):
        return ""
    return (
        f"{folder}: the sounds of this index were in {library.root}, where there is nothing any "
        "more; plug the drive in, or, if they were moved, index them where they are now: "
        f"qvim index NEW_FOLDER -o {folder} (what is embedded already is kept)"
    )


def _damaged(folder: Path, what: str) -> DamagedIndexError:
    return DamagedIndexError(
        f"{folder}: the saved index cannot be used ({what}); delete this folder and build the "
        "index again, such as by `qvim index`: embeddings are cached apart from it"
    )
