"""Names written in lists and tables ↔ the files that are really there. For the readers."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from qvim_kit.audio import AUDIO_SUFFIXES
from qvim_kit.datasets.tables import DatasetError
from qvim_kit.wording import counted

REMEDY = (
    "Put the files there or correct the list (a published data set: unpack it again), or pass "
    "allow_missing=True to leave those rows out."
)


class DatasetWarning(UserWarning):
    """What is left out, say; ``names`` holds all of it, the message five."""

    def __init__(
        self, where: str | os.PathLike, what: str, names: Sequence[str], noun: str = "file"
    ):
        listing = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        super().__init__(f"{where}: {what.format(counted(len(names), noun))}: {listing}")
        self.names = list(names)


class UnlistedFiles(DatasetWarning):
    """Files that are there, but in no list."""

    def __init__(self, where: str | os.PathLike, names: Sequence[str]):
        super().__init__(where, "left out {} in no list", names)


class AudioFolder:
    """The audio files below one folder, found by the names that lists give them.

    Suffixes match in any case. Hidden files are not seen, such as macOS's ``._dog.wav``.

    Args:
        folder: need not exist; then it holds no files.
        pattern: which files, as of `Path.glob`: "*" directly in the folder, "**/*" at any depth,
            also in linked folders.
    """

    def __init__(self, folder: Path, pattern: str = "*"):
        self.folder = folder
        # Of Python's versions, some follow links and some do not.
        paths = _files_below(folder) if pattern == "**/*" else folder.glob(pattern)
        files = (path for path in paths if path.suffix.lower() in AUDIO_SUFFIXES)
        named = {path.relative_to(folder).as_posix(): path for path in sorted(files)}
        self.paths: dict[str, Path] = {
            name: path
            for name, path in named.items()
            if not any(part[0] == "." for part in name.split("/")) and path.is_file()
        }
        self._alike: dict[str, list[str]] = {}
        for name in self.paths:
            self._alike.setdefault(key_of(name), []).append(name)

    def find(self, name: str) -> str | None:
        """The file's name on disk: exactly, else in any case, with or without suffix."""
        if name in self.paths:
            return name
        alike = self._alike.get(key_of(name), [])
        return alike[0] if len(alike) == 1 else None


def _files_below(folder: Path, above: tuple[str, ...] = ()) -> Iterator[Path]:
    """All but folders, by every name that links give them."""
    real = os.path.realpath(folder)
    if real in above:  # a link that leads back
        return
    with contextlib.suppress(OSError):  # what cannot be listed is not there
        for entry in os.scandir(folder):
            path = folder / entry.name
            if os.path.isdir(path):
                yield from _files_below(path, (*above, real))
            else:
                yield path


def key_of(name: str) -> str:
    """A name without what file systems and archives change: case, suffix, Unicode form."""
    name = unicodedata.normalize("NFC", name).casefold()
    stem, dot, suffix = name.rpartition(".")
    return stem if dot + suffix in AUDIO_SUFFIXES else name


def require(folder: Path, names: Sequence[str], expected: str) -> None:
    """Check that a data set's folder holds these files and folders.

    Raises `DatasetError` listing all that are not there; it names a folder inside that has them.
    """
    absent = [f"there is no {name}" for name in names if not (folder / name).exists()]
    if absent:
        inside = [path.name for path in sorted(folder.glob("*")) if (path / names[0]).exists()]
        remedy = f"Did you mean its folder {inside[0]}?" if inside else f"Expected {expected}."
        raise DatasetError(folder, absent, remedy)


def read_text(path: Path) -> str:
    """A list or table as text; raises `DatasetError` where it is not UTF-8."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(path, [f"not a UTF-8 CSV file ({error})"], "Save it as UTF-8.") from None


def read_names(path: Path) -> list[str]:
    """A list of file names without header, one a line; commas belong to the name."""
    # Not str.splitlines, which also breaks at characters that may stand in a name.
    lines = [line.strip() for line in io.StringIO(read_text(path), newline=None)]
    # Spreadsheets put quotes around a name that holds a comma.
    return [
        line[1:-1].replace('""', '"') if line[0] == line[-1] == '"' else line
        for line in lines
        if line
    ]


def read_rows(path: Path, columns: Sequence[str], delimiter: str = ",") -> list[dict[str, str]]:
    """A table with header as one dict a row; else as `read_table`."""
    header, lines = read_table(path, columns, delimiter)
    return [dict(zip(header, cells, strict=False)) for _, cells in lines]


def read_table(
    path: Path, columns: Sequence[str], delimiter: str = ","
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and of each row its line in the file, from 1, and its cells.

    Cells are stripped, blank rows left out; a row that ends early has empty cells. Raises
    `DatasetError` listing the columns that are not there.
    """
    # Only free text of participants holds other bytes than ASCII; it must not cost the table.
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    lines, number = [], 1
    try:
        for cells in reader:
            if any(map(str.strip, cells)):
                lines.append((number, [cell.strip() for cell in cells]))
            number = reader.line_num + 1  # a cell in quotes may go on over several lines
    except csv.Error as error:
        raise DatasetError(
            path, [f"not a CSV file ({error})"], "Save it as CSV, columns separated by commas."
        ) from None
    header = lines[0][1] if lines else []
    absent = [f"there is no column {c!r}, found {header}" for c in columns if c not in header]
    if absent:
        raise DatasetError(path, absent, separated_otherwise(header) if delimiter == "," else "")
    return header, [(line, cells + [""] * (len(header) - len(cells))) for line, cells in lines[1:]]


def separated_otherwise(header: Sequence[str]) -> str:
    """What to do about a header that was read as one cell, "" if nothing."""
    sign = next((sign for sign in ";\t" if len(header) == 1 and sign in header[0]), None)
    name = {";": "semicolons", "\t": "tabs"}.get(sign)
    return f"Separate the columns by commas; here {name} do it." if name else ""


def unique_ids(files: Sequence[tuple[str, str, str]]) -> list[str]:
    """(class, file name, folder) → ``Class/file.wav``; the folder in between where two are alike.

    >>> unique_ids([("a", "x.wav", "set1"), ("a", "x.wav", "set2"), ("b", "x.wav", "set2")])
    ['a/set1/x.wav', 'a/set2/x.wav', 'b/x.wav']
    """
    seen = Counter((sound_class, name) for sound_class, name, _ in files)
    return [
        f"{sound_class}/{name}"
        if seen[sound_class, name] == 1
        else f"{sound_class}/{folder}/{name}"
        for sound_class, name, folder in files
    ]


def settle(
    folder: Path,
    problems: Iterable[str],
    missing: dict[str, str],
    unlisted: Iterable[str] = (),
    allow_missing: bool = False,
) -> None:
    """Warn or raise once, with everything that a reader found wrong.

    Args:
        problems: what no option can excuse.
        missing: name → what is wrong, of rows that ``allow_missing`` leaves out.
        unlisted: files that are there, but in no list.
    """
    problems, unlisted = list(problems), list(unlisted)
    if unlisted:
        warnings.warn(UnlistedFiles(folder, unlisted), stacklevel=3)
    if missing and allow_missing:
        warnings.warn(DatasetWarning(folder, "left out {}", list(missing)), stacklevel=3)
    elif missing:
        problems += missing.values()
    if problems:
        excusable = missing and not allow_missing
        raise DatasetError(folder, problems, REMEDY if excusable else "")
