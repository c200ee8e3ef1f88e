"""What every data set becomes: two tables, items to find and queries that imitate them."""

from __future__ import annotations

import copyreg
import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from qvim_kit.wording import counted

ITEM_COLUMNS = ("item_id", "path", "class")
QUERY_COLUMNS = ("query_id", "path", "class", "item_id")


class DatasetError(ValueError):
    """A data set cannot be used; the message lists every problem, not only the first."""

    def __init__(self, where: str | os.PathLike, problems: list[str], remedy: str = ""):
        shown = problems[:50]
        if len(problems) > len(shown):
            shown = [*shown, f"… and {len(problems) - len(shown)} more"]
        # Signs at the ends of lines keep them apart where a page or a log makes one line of them.
        *others, last = shown
        number = counted(len(problems), "problem")
        lines = [f"{where}: {number}:", *(f"  {line};" for line in others)]
        lines += [f"  {last.rstrip('.')}.", remedy] if remedy else [f"  {last}"]
        super().__init__("\n".join(lines))
        self.problems, self.remedy = problems, remedy

    def __reduce__(self):
        # As it is, not made again: the message is not what it was made from.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__


class Worded(str):
    """A query's path that also carries its words; where it has no file, the words are all.

    As a string it is the path, or the words where there is none, so that systems that listen
    take it as they take any path.

    Attributes:
        path: of the imitation; "" if there is none.
        text: the words.
    """

    path: str
    text: str

    def __new__(cls, path: str, text: str) -> Worded:
        made = super().__new__(cls, path or text)
        made.path, made.text = path, text
        return made

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]
        return self.path, self.text


@dataclass(frozen=True, eq=False, repr=False)
class RetrievalDataset:
    """What is searched, and what it is searched with.

    Notebook: 01_explore_the_data.

    Args:
        items: one row an item; columns item_id, path, class.
        queries: one row a query; columns query_id, path, class, item_id (the imitated item). A
            column ``text`` holds the words of queries that are sentences: with the path "" in
            place of an imitation, or beside one.
        name: for tables and messages.

    The readers make ids of the form ``Class/file.wav``, unique by construction. Raises
    `DatasetError` with every missing column, repeated id, query whose item is unknown or of
    another class, and query that has neither a file nor words.
    """

    items: pd.DataFrame
    queries: pd.DataFrame
    name: str = "data set"

    def __post_init__(self):
        for name, table in (("items", self.items), ("queries", self.queries)):
            if not isinstance(table, pd.DataFrame):
                found = type(table).__name__
                raise TypeError(f"{name}: found {found}, expected a pandas DataFrame")
        problems = [
            f"{table}: there is no column {column!r}, found {list(getattr(self, table).columns)}"
            for table, columns in (("items", ITEM_COLUMNS), ("queries", QUERY_COLUMNS))
            for column in columns
            if column not in getattr(self, table)
        ]
        if not problems:
            # Tables of our own, numbered from 0, so that a caller's later edits do not reach us.
            object.__setattr__(self, "items", self.items.reset_index(drop=True))
            queries = self.queries.reset_index(drop=True)
            if "text" in queries:  # tables with and without words, put together, leave gaps
                for column in ("path", "text"):
                    if queries[column].isna().any():
                        filled = queries[column].astype(object).fillna("")
                        queries = queries.assign(**{column: filled})
            object.__setattr__(self, "queries", queries)
            problems = self._problems()
        if problems:
            raise DatasetError(self.name, problems)

    def _problems(self) -> list[str]:
        problems = [f"there are no {t}" for t in ("items", "queries") if getattr(self, t).empty]
        text = ("text",) if "text" in self.queries else ()
        problems += [
            f"{table}: {column} in row {row} is {value!r}, expected text"
            for table, columns in (("items", ITEM_COLUMNS), ("queries", QUERY_COLUMNS + text))
            for column in columns
            for row, value in enumerate(getattr(self, table)[column])
            if not isinstance(value, (str, os.PathLike) if column == "path" else str)
        ]
        if problems:
            return problems
        for ids in (self.items["item_id"], self.queries["query_id"]):
            repeated = ids[ids.duplicated()].unique()
            problems += [f"{ids.name} {repeat} stands in more than one row" for repeat in repeated]
        class_of = dict(zip(self.items["item_id"], self.items["class"], strict=True))
        for row, query in enumerate(self.queries.to_dict("records")):
            name, item = query["query_id"], query["item_id"]
            if text and not query["path"] and not query["text"].strip():
                problems.append(f"query {name} (row {row}) has neither a file nor words")
            if item not in class_of:
                problems.append(f"query {name} imitates the unknown item {item}")
            elif class_of[item] != query["class"]:
                problems.append(
                    f"query {name} is of class {query['class']}, its item {item} is of class "
                    f"{class_of[item]}"
                )
        return problems

    @property
    def item_paths(self) -> dict[str, str]:
        """Item id → file path, as `QVIMModel.compute_similarities` takes it."""
        return dict(zip(self.items["item_id"], self.items["path"].map(str), strict=True))

    @property
    def query_paths(self) -> dict[str, str]:
        """Query id → file path, as `QVIMModel.compute_similarities` takes it.

        The path of a query with words is a `Worded`.
        """
        paths = self.queries["path"].map(str)
        if "text" in self.queries:
            both = zip(paths, self.queries["text"], strict=True)
            paths = [Worded(path, text) if text.strip() else path for path, text in both]
        return dict(zip(self.queries["query_id"], paths, strict=True))

    def fingerprint(self) -> str:
        """16 hexadecimal digits of a hash over ids, classes, pairs and the files' content.

        Results are comparable only where the fingerprints agree. The place on disk and the order
        of the rows do not matter; a file that is not there counts as missing; words count.
        """
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        def line(row: dict, columns: tuple[str, ...]) -> str:
            values = [*(str(row[c]) for c in columns if c != "path"), hash_file(row["path"])]
            return "\t".join(values + ([row["text"]] if row.get("text") else []))

        lines = [
            line(row, columns)
            for table, columns in ((self.items, ITEM_COLUMNS), (self.queries, QUERY_COLUMNS))
            for row in table.to_dict("records")
        ]
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]

    def __repr__(self) -> str:
        return (
            f"RetrievalDataset {self.name}: {counted(len(self.queries), 'query', 'queries')}, "
            f"{counted(len(self.items), 'item')} "
            f"in {counted(self.items['class'].nunique(), 'class', 'classes')}"
        )


def hash_file(path: str | os.PathLike) -> str:
    """SHA-256 of a file's content in hexadecimal, or "missing"."""
    if not os.fspath(path) or os.path.isdir(path):  # "" would be the current folder
        return "missing"
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
