"""The organisers' folders instead of the participant's: ROOT_PATH and DATA_PATH in a copy.

The cell is found by what it does, not by its number, so that the kit's template and the
challenge's official one are both understood.
"""

from __future__ import annotations

import ast
import copy
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

NAMES = ("ROOT_PATH", "DATA_PATH")
UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError)  # NUL bytes, deep nesting
UNHEEDED_TAGS = {"raises-exception", "skip-execution"}  # they would hide a failing cell


class PathsError(ValueError):
    """ROOT_PATH and DATA_PATH cannot be substituted; the message says where and why."""


def read_notebook(path: str | os.PathLike) -> NotebookNode:
    """Read a notebook of Python cells. Raises `ValueError` naming what it found instead."""
    import nbformat

    try:
        notebook = nbformat.reads(Path(path).read_text("utf-8"), as_version=4)
        cells = [(cell.cell_type, cell.source) for cell in notebook.cells]
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception as error:  # nbformat has no common class for what it cannot read
        reason = str(error).partition("\n")[0][:200]
        raise ValueError(f"{path}: no notebook of version 4 ({reason})") from None
    language = notebook.metadata.get("kernelspec", {}).get("language", "python")
    if language.lower() != "python":
        raise ValueError(f"{path}: found a notebook in {language}, expected Python")
    if not any(kind == "code" and source.strip() for kind, source in cells):
        raise ValueError(f"{path}: found no cell with code")
    return notebook


def substitute_paths(
    notebook: NotebookNode, root: str | os.PathLike, data: str | os.PathLike
) -> tuple[NotebookNode, int]:
    """A copy without outputs whose paths cell assigns these folders, and that cell's index.

    The paths cell is the first that assigns both names; wherever it does so outside of functions,
    also within ``if`` or ``try``, the value is replaced. Raises `PathsError` where no cell assigns
    both, or where one is bound by anything but a plain assignment.
    """
    values = {"ROOT_PATH": os.fspath(root), "DATA_PATH": os.fspath(data)}
    fresh = copy.deepcopy(notebook)
    for cell in fresh.cells:
        tags = [tag for tag in cell.metadata.get("tags", []) if tag not in UNHEEDED_TAGS]
        if "tags" in cell.metadata:
            cell.metadata["tags"] = tags
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    index, source, found = _paths_cell(fresh)
    fresh.cells[index].source = _replace(source, found, values)
    return fresh, index


@dataclass
class _Bindings(ast.NodeVisitor):
    """Where a cell gives one of the names a value, outside of functions and classes."""

    plain: list[tuple[str, ast.expr]] = field(default_factory=list)  # NAME = value
    other: list[tuple[str, int]] = field(default_factory=list)  # any other way: name, line

    @property
    def names(self) -> set[str]:
        return {name for name, _ in [*self.plain, *self.other]}

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._pair(target, node.value)
        self.visit(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._pair(node.target, node.value)

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in NAMES and isinstance(node.ctx, ast.Store):
            self.other.append((node.id, node.lineno))

    def visit_alias(self, node: ast.alias) -> None:
        if (node.asname or node.name) in NAMES:
            self.other.append((node.asname or node.name, node.lineno))

    def visit_FunctionDef(self, node: ast.AST) -> None:
        """What a function binds is its own."""

    visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = visit_FunctionDef

    def _pair(self, target: ast.expr, value: ast.expr) -> None:
        several = (ast.Tuple, ast.List)
        if isinstance(target, ast.Name):
            if target.id in NAMES:
                shared = any(value is known for _, known in self.plain)  # ROOT_PATH = DATA_PATH = …
                if shared:
                    self.other.append((target.id, target.lineno))
                else:
                    self.plain.append((target.id, value))
        elif (
            isinstance(target, several)
            and isinstance(value, several)
            and len(target.elts) == len(value.elts)
            and not any(isinstance(e, ast.Starred) for e in [*target.elts, *value.elts])
        ):
            for inner, given in zip(target.elts, value.elts, strict=True):
                self._pair(inner, given)
        else:
            self.visit(target)


def _paths_cell(notebook: NotebookNode) -> tuple[int, str, _Bindings]:
    elsewhere = set()
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        source, tree = _parsed(cell.source)
        found = _Bindings()
        found.visit(tree)
        if found.names == set(NAMES):
            if found.other:
                name, line = found.other[0]
                raise PathsError(
                    f"cell {index + 1}, line {line}: {name} gets its value in a way that cannot be "
                    f'replaced; write {name} = "…" on a line of its own'
                )
            return index, source, found
        elsewhere |= found.names
    absent = " and ".join(name for name in NAMES if name not in elsewhere)
    found = f"no cell assigns {absent}" if absent else "no one cell assigns both"
    raise PathsError(f"{found}; expected a paths cell with ROOT_PATH = … and DATA_PATH = …")


def _parsed(source: str) -> tuple[str, ast.AST]:
    """The cell as Python, magics and shell escapes turned into calls, and its syntax tree."""
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    try:
        return source, ast.parse(source)
    except UNPARSABLE:
        pass
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        source = TransformerManager().transform_cell(source)
        return source, ast.parse(source)
    except UNPARSABLE:
        return source, ast.Module(body=[], type_ignores=[])


def _replace(source: str, found: _Bindings, values: dict[str, str]) -> str:
    """Put the values' literals where the assigned expressions stand, from the last to the first."""
    lines = source.encode().split(b"\n")  # ast counts columns in bytes
    place = sorted(found.plain, key=lambda pair: (pair[1].lineno, pair[1].col_offset), reverse=True)
    for name, old in place:
        head = lines[old.lineno - 1][: old.col_offset]
        tail = lines[old.end_lineno - 1][old.end_col_offset :]
        lines[old.lineno - 1 : old.end_lineno] = [head + repr(values[name]).encode() + tail]
    return b"\n".join(lines).decode()
