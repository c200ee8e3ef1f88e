"""Following expressions: what is known of their values, and which calls they make.

Notebook: 05_submission.
"""

from __future__ import annotations

import ast
import builtins
import importlib
from collections.abc import Callable

from qvim_kit.submission.reading import known
from qvim_kit.submission.reading.bindings import Bindings
from qvim_kit.submission.reading.operators import combine, constant
from qvim_kit.submission.reading.texts import DATA, ROOT, PathText, as_text, concatenated, limited
from qvim_kit.submission.reading.values import (
    MOST_OPTIONS,
    UNBOUND,
    UNKNOWN,
    Class,
    Function,
    Instance,
    Method,
    Ref,
    Scope,
    canonical,
    merge,
    options,
)

MOST_STEPS = 200_000
STANDARD = ("os", "os.path", "subprocess", "shutil", "pathlib", "glob", "importlib", "io", "sys")
PATH_NAMES = {"ROOT_PATH": ROOT, "DATA_PATH": DATA}  # whatever the notebook sets them to


class TooMuch(Exception):
    """The code takes more steps to follow than any notebook needs."""


class Expressions(Bindings):
    """Gives expressions their values. `statements.Follower` adds statements and calls."""

    call: Callable
    make_function: Callable

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def value(self, node: ast.AST | None, scope: Scope) -> object:
        """What is known of an expression's value. Raises `TooMuch` after `MOST_STEPS` of them."""
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise TooMuch
        match node:
            case ast.Constant():
                return constant(node.value)
            case ast.Name():
                return self.name(node.id, scope)
            case ast.Attribute():
                owners = options(self.value(node.value, scope))
                return merge([self.attribute(owner, node.attr) for owner in owners])
            case ast.Call():
                return self._call(node, scope)
            case ast.Subscript():
                owner, key = self.value(node.value, scope), self.value(node.slice, scope)
                return merge(
                    [self.item(option, key, node.slice, scope) for option in options(owner)]
                )
            case ast.BinOp():
                left, right = self.value(node.left, scope), self.value(node.right, scope)
                return combine(node.op, left, right)
            case ast.JoinedStr():
                return self._joined(node, scope)
            case ast.FormattedValue():
                value = self.value(node.value, scope)
                plain = not node.format_spec and node.conversion in (-1, ord("s"))
                return value if plain else UNKNOWN
            case ast.List() | ast.Tuple() | ast.Set():
                return limited(tuple(self._spread(node.elts, scope)))
            case ast.Dict():
                return self._dict(node, scope)
        return self._rarer(node, scope)

    def _rarer(self, node: ast.AST | None, scope: Scope) -> object:
        match node:
            case None:
                return UNKNOWN
            case ast.IfExp():
                self.value(node.test, scope)
                return merge([self.value(node.body, scope), self.value(node.orelse, scope)])
            case ast.BoolOp():
                return merge([self.value(part, scope) for part in node.values])
            case ast.NamedExpr():
                value = self.value(node.value, scope)
                self.assign(node.target, value, scope)
                return value
            case ast.Lambda():
                return self.make_function(node, scope)
            case ast.Await() | ast.Starred():
                return self.value(node.value, scope)
            case ast.UnaryOp():
                value = self.value(node.operand, scope)
                negative = isinstance(node.op, ast.USub) and isinstance(value, (int, float))
                return -value if negative else UNKNOWN
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                return self._comprehension(node, scope)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.value(child, scope)
        return UNKNOWN

    def name(self, name: str, scope: Scope) -> object:
        """What a name stands for."""
        if name in PATH_NAMES:
            return PATH_NAMES[name]
        value = scope.find(name)
        if value is not UNBOUND:
            return value
        for module in reversed(scope.module.names.get("*", ())):  # from module import *
            if module not in STANDARD:
                continue
            if hasattr(importlib.import_module(module), name):
                return Ref(canonical(f"{module}.{name}"))
        if name in ("__builtins__", "builtins"):
            return Ref("builtins")
        if hasattr(builtins, name) or name == "get_ipython":
            return Ref(name)
        others = [each for each in scope.module.names.get("*", ()) if each not in STANDARD]
        return Ref(canonical(f"{others[-1]}.{name}")) if others else UNKNOWN

    def attribute(self, owner: object, name: str) -> object:
        """``owner.name``."""
        if isinstance(owner, Ref):
            return self._ref_attribute(owner, name)
        if isinstance(owner, (Instance, Class)):
            return self._own_attribute(owner, name)
        if isinstance(owner, PathText):
            found = known.path_attribute(owner, name)
            return Method(owner, name) if found is None else found
        return Method(owner, name)

    def _ref_attribute(self, owner: Ref, name: str) -> object:
        if name == "__call__":
            return owner
        if name == "__self__":
            return Ref("builtins")
        found = owner.attribute(name)
        return known.attribute(found.name) if isinstance(found, Ref) else found

    def _own_attribute(self, owner: Instance | Class, name: str) -> object:
        if isinstance(owner, Instance) and name in owner.attributes:
            return owner.attributes[name]
        made_by = owner.made_by if isinstance(owner, Instance) else owner
        found = made_by.attribute(name) if made_by else UNBOUND
        if found is UNBOUND:
            return Method(owner, name)
        if not isinstance(found, Function) or isinstance(found.node, ast.Lambda):
            return found
        marks = {
            word for line in found.node.decorator_list for word in ast.unparse(line).split(".")
        }
        if "staticmethod" in marks or (owner is made_by and "classmethod" not in marks):
            return found
        bound = Function(found.node, found.scope, found.place, found.defaults, owner)
        if marks & {"property", "cached_property"}:
            return self.call(bound, [], {}, found.node, found.scope)
        return bound

    def _call(self, node: ast.Call, scope: Scope) -> object:
        function = self.value(node.func, scope)
        args = self._spread(node.args, scope)
        kwargs: dict = {}
        for keyword in node.keywords:
            value = self.value(keyword.value, scope)
            if keyword.arg:
                kwargs[keyword.arg] = value
            elif isinstance(value, dict):
                kwargs.update({key: item for key, item in value.items() if isinstance(key, str)})
        self.grow(node.func, args, scope)
        found = [self.call(option, args, kwargs, node, scope) for option in options(function)]
        return merge(found)

    def _spread(self, nodes: list, scope: Scope) -> list:
        values: list = []
        for node in nodes:
            value = self.value(node, scope)
            if isinstance(node, ast.Starred):
                values += value if isinstance(value, tuple) else [UNKNOWN]
            else:
                values.append(value)
        return values

    def _joined(self, node: ast.JoinedStr, scope: Scope) -> object:
        texts = [""]
        for part in node.values:
            pieces = [as_text(option) for option in options(self.value(part, scope))]
            texts = [concatenated([text, piece]) for text in texts for piece in pieces]
            texts = texts[:MOST_OPTIONS]
        return merge(texts)

    def _dict(self, node: ast.Dict, scope: Scope) -> dict:
        found: dict = {}
        for key_node, value_node in zip(node.keys, node.values, strict=True):
            key, value = self.value(key_node, scope), self.value(value_node, scope)
            if key_node is None and isinstance(value, dict):
                found.update(value)
            elif isinstance(key, (str, int)):
                found[key] = value
        return found

    def _comprehension(self, node: ast.AST, scope: Scope) -> object:
        inner = Scope(parent=scope, kind="function")
        for generator in node.generators:
            self.assign(generator.target, known.elements(self.value(generator.iter, inner)), inner)
            for condition in generator.ifs:
                self.value(condition, inner)
        if isinstance(node, ast.DictComp):
            self.value(node.key, inner)
            return {"?": self.value(node.value, inner)}
        return options(self.value(node.elt, inner))
