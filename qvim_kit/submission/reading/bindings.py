"""Following assignments and items, and writing calls down where they are made.

Notebook: 05_submission.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass

from qvim_kit.submission.reading import known
from qvim_kit.submission.reading.source import Code
from qvim_kit.submission.reading.texts import SOME, limited
from qvim_kit.submission.reading.values import (
    UNBOUND,
    UNKNOWN,
    Class,
    Instance,
    Ref,
    Scope,
    canonical,
    merge,
    options,
)


@dataclass(frozen=True)
class Call:
    """One call: the dotted name of what is called, or ``?.name`` for a method of who knows what.

    ``args`` and ``kwargs`` hold values as `values` describes them. Magics and shell lines are
    calls too: ``%cd`` with the rest of its line, ``!`` with the command.
    """

    name: str
    args: tuple
    kwargs: dict
    cell: int
    line: int

    def argument(self, position: int, keyword: str = "") -> object:
        """An argument by position or keyword; `UNBOUND` where it is not given."""
        if position < len(self.args):
            return self.args[position]
        return self.kwargs.get(keyword, UNBOUND)


@dataclass(frozen=True)
class Place:
    """Where code was written: a cell, and the line that its first line has there."""

    cell: int
    code: Code
    offset: int = 0
    fixed: bool = False  # all of it stands in one line of the cell, inside a text

    def line(self, number: int) -> int:
        """The cell's line for a line of the code, both counted from 1."""
        return self.offset + (0 if self.fixed else self.code.line(number))


class Bindings:
    """Binds names, attributes and items. `expressions.Expressions` adds values."""

    value: Callable
    attribute: Callable
    name: Callable

    def __init__(self) -> None:
        self.place = Place(0, Code(ast.Module([], []), ()))
        self.found: list[Call] = []
        self.unread: list[tuple[int, int, str]] = []

    def line(self, node: ast.AST) -> int:
        """The line of the cell that a piece of code is in."""
        return self.place.line(getattr(node, "lineno", 1))

    def record(self, name: str, args: list, kwargs: dict, node: ast.AST) -> None:
        """Write a call down."""
        call = Call(name, tuple(args), dict(kwargs), self.place.cell, self.line(node))
        self.found.append(call)

    def skip(self, what: str, node: ast.AST) -> None:
        """Write down that only a run can tell what some code does."""
        self.unread.append((self.place.cell, self.line(node), what))

    def item(self, owner: object, key: object, node: ast.expr, scope: Scope) -> object:
        """``owner[key]``; ``node`` is the key as it is written."""
        if isinstance(owner, Ref):
            return self.ref_item(owner, key, scope)
        if isinstance(owner, (str, tuple)) and isinstance(node, ast.Slice):
            return self._slice(owner, node, scope)
        if isinstance(owner, dict):
            there = isinstance(key, (str, int)) and key in owner
            return owner[key] if there else known.elements(tuple(owner.values()))
        if isinstance(owner, tuple):
            inside = isinstance(key, int) and -len(owner) <= key < len(owner)
            return owner[key] if inside else known.elements(owner)
        return UNKNOWN

    def _slice(self, owner: str | tuple, node: ast.Slice, scope: Scope) -> object:
        written = (node.lower, node.upper, node.step)
        parts = [None if part is None else self.value(part, scope) for part in written]
        if all(part is None or isinstance(part, int) for part in parts) and parts[2] != 0:
            return owner[slice(*parts)]
        return SOME if isinstance(owner, str) else UNKNOWN

    @staticmethod
    def is_mapping(name: str) -> bool:
        """Whether something is a dictionary of modules, variables or attributes."""
        return name in ("sys.modules", "os.environ", "globals()") or name.endswith(".__dict__")

    def ref_item(self, owner: Ref, key: object, scope: Scope) -> object:
        """``owner[key]``."""
        if owner.name == "os.environ":
            return known.variable(key)
        if not isinstance(key, str):
            return UNKNOWN
        if owner.name == "globals()":
            return self.name(key, scope)
        if owner.name in ("sys.modules", "builtins"):
            return Ref(canonical(key))
        if owner.name.endswith(".__dict__"):
            return self.attribute(Ref(owner.name.removesuffix(".__dict__")), key)
        return UNKNOWN

    def assign(self, place: ast.AST, value: object, scope: Scope) -> None:
        """Bind the left side of an assignment to a value."""
        match place:
            case ast.Name():
                scope.bind(place.id, value)
            case ast.Starred():
                self.assign(place.value, UNKNOWN, scope)
            case ast.Tuple() | ast.List():
                same = isinstance(value, tuple) and len(value) == len(place.elts)
                for number, part in enumerate(place.elts):
                    self.assign(part, value[number] if same else UNKNOWN, scope)
            case ast.Attribute():
                for owner in options(self.value(place.value, scope)):
                    self.set_attribute(owner, place.attr, value, place)
            case ast.Subscript():
                self._set_item(place, value, scope)

    def set_attribute(self, owner: object, name: str, value: object, node: ast.AST) -> None:
        """``owner.name = value``; what happens to an imported thing counts as a call."""
        if isinstance(owner, Instance):
            before = owner.attributes.get(name)
            owner.attributes[name] = value if before is None else merge([before, value])
        elif isinstance(owner, Class):
            owner.scope.names[name] = merge([owner.scope.names.get(name, value), value])
        elif isinstance(owner, Ref):
            self.record(f"{owner.name}.{name}=", [value], {}, node)

    def _set_item(self, place: ast.Subscript, value: object, scope: Scope) -> None:
        owner, key = self.value(place.value, scope), self.value(place.slice, scope)
        if isinstance(owner, Ref) and owner.name == "globals()" and isinstance(key, str):
            scope.module.bind(key, value)
        elif isinstance(owner, dict) and isinstance(place.value, ast.Name):
            known_key = isinstance(key, (str, int))
            scope.bind(place.value.id, {**owner, key if known_key else "?": value})
        elif isinstance(owner, Ref):
            self.record(f"{owner.name}[]=", [value], {}, place)

    def grow(self, function: ast.expr, args: list, scope: Scope) -> None:
        """``words.append(word)``: the name `words` then stands for a longer tuple."""
        if not (isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)):
            return
        value = scope.find(function.value.id)
        if isinstance(value, tuple) and args:
            more = args[0] if isinstance(args[0], tuple) else (UNKNOWN,)
            added = {"append": (args[0],), "extend": more, "insert": (args[-1],)}
            if function.attr in added:
                scope.bind(function.value.id, limited((*value, *added[function.attr])))
        elif isinstance(value, dict) and function.attr == "update" and args:
            more = args[0] if isinstance(args[0], dict) else {}
            scope.bind(function.value.id, {**value, **more})
