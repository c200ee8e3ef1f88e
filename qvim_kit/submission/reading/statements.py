"""Following statements: branches, loops, functions, classes and imports.

Notebook: 05_submission.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from qvim_kit.submission.reading import known
from qvim_kit.submission.reading.bindings import Call, Place
from qvim_kit.submission.reading.calls import Calls
from qvim_kit.submission.reading.expressions import STANDARD, TooMuch
from qvim_kit.submission.reading.operators import combine
from qvim_kit.submission.reading.source import Code, CodeError, parse
from qvim_kit.submission.reading.values import (
    UNBOUND,
    UNKNOWN,
    Class,
    Function,
    Ref,
    Scope,
    canonical,
    merge,
    options,
)


@dataclass
class Reading:
    """What was read from a notebook's code.

    ``calls``: every call, in the order in which they were reached. ``trees``: cell → its syntax
    tree, with lines. ``errors``: cell → why it is no Python. ``unread``: (cell, line, what) for
    code that only a run can tell. ``names``: what the names of the notebook stand for at its end.
    ``bound``: name → cell → the value after that cell, for cells that bind the name.
    ``finished``: False where the code is too long or too deeply nested to be followed to its end.
    """

    calls: list[Call]
    trees: dict[int, Code]
    errors: dict[int, CodeError]
    unread: list[tuple[int, int, str]]
    names: dict[str, object]
    bound: dict[str, dict[int, object]] = field(default_factory=dict)
    finished: bool = True

    @property
    def complete(self) -> bool:
        """Whether all names are known: no cell broken, no ``from somewhere import *``."""
        return not self.errors and {*self.names.get("*", ())} <= {*STANDARD, "helpers"}


def read(cells: dict[int, str]) -> Reading:
    """Follow the code cells of a notebook, given by their number, in order.

    Functions that nothing calls are followed at the end, with their parameters unknown.
    """
    follower = Follower()
    errors: dict[int, CodeError] = {}
    trees: dict[int, Code] = {}
    bound: dict[str, dict[int, object]] = {}
    for number, text in cells.items():
        try:
            trees[number] = parse(text)
        except CodeError as error:
            errors[number] = error
            continue
        follower.module.written.clear()
        follower.follow(Place(number, trees[number]))
        for name in follower.module.written & follower.module.names.keys():
            bound.setdefault(name, {})[number] = follower.module.names[name]
    names = dict(follower.module.names)
    follower.finish()
    return Reading(follower.found, trees, errors, follower.unread, names, bound, follower.finished)


class Follower(Calls):
    """Goes through statements in their order, and into functions where they are called."""

    finished = True  # False where code takes too many steps, or nests too deeply

    def follow(self, place: Place) -> None:
        """Follow the code at a place, in the notebook's own scope."""
        with self._at(place):
            self.block(place.code.tree.body, self.module)

    @contextmanager
    def _at(self, place: Place) -> Iterator[None]:
        """Calls made in here are written down as made at a place."""
        self.place = place
        with suppress(TooMuch, RecursionError):
            yield
            return
        self.finished = False

    def finish(self) -> None:
        """Follow the functions and classes that nothing called."""
        done = 0
        while done < len(self.waiting):
            thing = self.waiting[done]
            done += 1
            with self._at(thing.place):
                if isinstance(thing, Class):
                    self._finish_class(thing)
                elif thing.node not in self.entered:
                    self.enter(thing, [], {})

    def _finish_class(self, made: Class) -> None:
        if made.made is None:
            self.make(made, [], {}, made.node)
        for name, value in list(made.scope.names.items()):
            if isinstance(value, Function) and value.node not in self.entered:
                method = self.attribute(made.made, name)
                if isinstance(method, Function) and value.node not in self.entered:
                    self.enter(method, [], {})

    def block(self, statements: list[ast.stmt], scope: Scope) -> None:
        """Follow statements one after the other."""
        for statement in statements:
            self.statement(statement, scope)

    def statement(self, node: ast.stmt, scope: Scope) -> None:
        """Follow one statement."""
        match node:
            case ast.Assign():
                value = self.value(node.value, scope)
                for place in node.targets:
                    self.assign(place, value, scope)
            case ast.AnnAssign():
                if node.value is not None:
                    self.assign(node.target, self.value(node.value, scope), scope)
                elif scope.kind == "class" and isinstance(node.target, ast.Name):
                    scope.names.setdefault(node.target.id, UNKNOWN)  # a field of a dataclass
            case ast.AugAssign():
                self._augmented(node, scope)
            case ast.Return():
                self.returned[-1].append(self.value(node.value, scope))
            case ast.Import() | ast.ImportFrom():
                self._import(node, scope)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                self._declare(node, scope)
            case ast.Global() | ast.Nonlocal():
                scope.shared.update(node.names if isinstance(node, ast.Global) else ())
            case ast.Delete():
                for place in node.targets:
                    if isinstance(place, ast.Name):
                        scope.names.pop(place.id, None)
            case _:
                self._compound(node, scope)

    def _compound(self, node: ast.stmt, scope: Scope) -> None:
        match node:
            case ast.If():
                self.value(node.test, scope)
                self._branches([node.body, node.orelse], scope)
            case ast.For() | ast.AsyncFor():
                self.assign(node.target, known.elements(self.value(node.iter, scope)), scope)
                self._branches([node.body, []], scope)
                self.block(node.orelse, scope)
            case ast.While():
                self.value(node.test, scope)
                self._branches([node.body, []], scope)
                self.block(node.orelse, scope)
            case ast.With() | ast.AsyncWith():
                for item in node.items:
                    value = self.value(item.context_expr, scope)
                    if item.optional_vars is not None:
                        self.assign(item.optional_vars, value, scope)
                self.block(node.body, scope)
            case ast.Match():
                self.value(node.subject, scope)
                self._branches([case.body for case in node.cases] + [[]], scope)
            case _ if hasattr(node, "handlers"):  # try, try-star
                self.block([*node.body, *node.orelse], scope)
                self._branches([[], *(handler.body for handler in node.handlers)], scope)
                self.block(node.finalbody, scope)
            case _:  # expressions, raise, assert
                for child in ast.iter_child_nodes(node):
                    self.value(child, scope)

    def _branches(self, blocks: list[list[ast.stmt]], scope: Scope) -> None:
        """Follow each block from the same start; afterwards a name may be what any made it."""
        start, ends = scope.names, []
        for block in blocks:
            scope.names = dict(start)
            self.block(block, scope)
            ends.append(scope.names)
        scope.names = start
        for name in {name: None for end in ends for name in end}:
            values = [end[name] for end in ends if name in end]
            if any(value is not start.get(name, UNBOUND) for value in values):
                start[name] = merge(values)

    def _augmented(self, node: ast.AugAssign, scope: Scope) -> None:
        owner, more = self.value(node.target, scope), self.value(node.value, scope)
        if isinstance(owner, Ref):  # sys.path += [...]
            self.record(f"{owner.name}.extend", [more], {}, node)
        self.assign(node.target, combine(node.op, owner, more), scope)

    def _import(self, node: ast.Import | ast.ImportFrom, scope: Scope) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                module = alias.name if alias.asname else alias.name.split(".")[0]
                scope.bind(alias.asname or module, Ref(canonical(module)))
            return
        for alias in node.names:
            module = "." * node.level + (node.module or "")
            if alias.name == "*":
                before = scope.module.names.get("*", ())
                scope.module.names["*"] = (*before, module)
            else:
                found = Ref(canonical(module)).attribute(alias.name)
                value = known.attribute(found.name) if isinstance(found, Ref) else found
                scope.bind(alias.asname or alias.name, value)

    def _declare(self, node: ast.stmt, scope: Scope) -> None:
        decorators = [self.value(line, scope) for line in node.decorator_list]
        for decorator in decorators:
            for option in options(decorator):
                if isinstance(option, (Function, Ref)):
                    self.record("@", [option], {}, node)
        if not isinstance(node, ast.ClassDef):
            scope.bind(node.name, self.make_function(node, scope))
            return
        bases = tuple(self.value(base, scope) for base in node.bases)
        inner = Scope(parent=scope, kind="class")
        made = Class(node, inner, bases, self.place)
        scope.bind(node.name, made)
        self.waiting.append(made)
        self.block(node.body, inner)
