"""Following calls: into the notebook's own functions and classes, or into the list of calls.

Notebook: 05_submission.
"""

from __future__ import annotations

import ast

from qvim_kit.submission.reading import known, magics
from qvim_kit.submission.reading.bindings import Place
from qvim_kit.submission.reading.expressions import Expressions
from qvim_kit.submission.reading.source import CodeError, parse
from qvim_kit.submission.reading.special import SPECIAL
from qvim_kit.submission.reading.texts import PathText, limited
from qvim_kit.submission.reading.values import (
    UNBOUND,
    UNKNOWN,
    Class,
    Function,
    Instance,
    Method,
    Partial,
    Ref,
    Scope,
    merge,
)

DEEPEST = 12  # functions within functions
MOST_ENTRIES = 40  # of one function


class Calls(Expressions):
    """Makes functions and objects of the notebook's own; writes down all other calls."""

    def __init__(self) -> None:
        super().__init__()
        self.module = Scope()
        self.waiting: list[Function | Class] = []
        self.entered: dict[ast.AST, int] = {}
        self.open: list[ast.AST] = []
        self.returned: list[list] = [[]]

    def make_function(self, node: ast.AST, scope: Scope) -> Function:
        """A `def` or `lambda`, with its defaults as they are now."""
        arguments = node.args
        named = [*arguments.posonlyargs, *arguments.args]
        defaults = dict(
            zip([arg.arg for arg in named[::-1]], arguments.defaults[::-1], strict=False)
        )
        for arg, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
            if default is not None:
                defaults[arg.arg] = default
        values = {name: self.value(default, scope) for name, default in defaults.items()}
        outer = scope.parent if scope.kind == "class" else scope
        function = Function(node, outer or scope, self.place, values)
        self.waiting.append(function)
        return function

    def call(
        self, function: object, args: list, kwargs: dict, node: ast.AST, scope: Scope
    ) -> object:
        """Call something; what it gives back."""
        match function:
            case Ref():
                return self._call_ref(function.name, args, kwargs, node, scope)
            case Function():
                return self.enter(function, args, kwargs)
            case Class():
                return self.make(function, args, kwargs, node)
            case Method():
                return self._call_method(function, args, kwargs, node)
            case Partial():
                both = {**function.kwargs, **kwargs}
                return self.call(function.function, [*function.args, *args], both, node, scope)
            case Instance():
                inside = self.attribute(function, "__call__")
                if isinstance(inside, Function):
                    return self.enter(inside, args, kwargs)
        self.record("?", args, kwargs, node)
        return UNKNOWN

    def enter(self, function: Function, args: list, kwargs: dict) -> object:
        """Follow a function of the notebook with these arguments; what it returns."""
        node = function.node
        times = self.entered.get(node, 0)
        self.entered[node] = times + 1
        if node in self.open or len(self.open) >= DEEPEST or times >= MOST_ENTRIES:
            return UNKNOWN
        scope = Scope(self._parameters(function, args, kwargs), function.scope, "function")
        outer, self.place = self.place, function.place
        self.open.append(node)
        self.returned.append([])
        try:
            if isinstance(node, ast.Lambda):
                return self.value(node.body, scope)
            self.block(node.body, scope)
            return merge(self.returned[-1]) if self.returned[-1] else None
        finally:
            self.returned.pop()
            self.open.pop()
            self.place = outer

    def _parameters(self, function: Function, args: list, kwargs: dict) -> dict:
        spec = function.node.args
        names = [arg.arg for arg in (*spec.posonlyargs, *spec.args)]
        given = args if function.owner is None else [function.owner, *args]
        values: dict = {name: UNKNOWN for name in (*names, *(arg.arg for arg in spec.kwonlyargs))}
        values.update(function.defaults)
        values.update(zip(names, given, strict=False))
        extra = {key: value for key, value in kwargs.items() if key not in values}
        values.update({key: value for key, value in kwargs.items() if key in values})
        if spec.vararg:
            values[spec.vararg.arg] = limited(tuple(given[len(names) :]))
        if spec.kwarg:
            values[spec.kwarg.arg] = extra
        return values

    def make(self, made: Class, args: list, kwargs: dict, node: ast.AST) -> Instance:
        """An object of a class of the notebook, after its ``__init__``."""
        made.made = made.made or Instance(made)
        inside = self.attribute(made.made, "__init__")
        if isinstance(inside, Function):
            self.enter(inside, args, kwargs)
            return made.made
        fields = [name for name in made.scope.names if not name.startswith("__")]
        for name, value in [*zip(fields, args, strict=False), *kwargs.items()]:
            self.set_attribute(made.made, name, value, node)
        for base in made.bases:
            if isinstance(base, Ref):
                self.record(base.name, args, kwargs, node)
        return made.made

    def _call_method(self, method: Method, args: list, kwargs: dict, node: ast.AST) -> object:
        owner, name = method.owner, method.name
        if isinstance(owner, PathText):
            self.record(f"pathlib.Path.{name}", [owner, *args], kwargs, node)
            found = known.path_method(owner, name, args)
            return known.text_method(owner, name, args, kwargs) if found is UNKNOWN else found
        if isinstance(owner, str):
            return known.text_method(owner, name, args, kwargs)
        if isinstance(owner, dict) and name in ("get", "pop", "setdefault") and args:
            found = owner.get(args[0], UNBOUND) if isinstance(args[0], (str, int)) else UNBOUND
            return found if found is not UNBOUND else merge([*owner.values(), *args[1:2]])
        if isinstance(owner, dict) and name in ("items", "keys", "values", "copy"):
            whole = {"items": tuple(owner.items()), "keys": tuple(owner), "copy": owner}
            return whole.get(name, tuple(owner.values()))
        if isinstance(owner, tuple) and name in ("pop", "copy"):
            return known.elements(owner) if name == "pop" else owner
        if not isinstance(owner, (dict, tuple)):
            self.record(f"?.{name}", args, kwargs, node)
        return UNKNOWN

    def _call_ref(self, name: str, args: list, kwargs: dict, node: ast.AST, scope: Scope) -> object:
        if name.startswith("get_ipython()."):
            return magics.call(self, name.removeprefix("get_ipython()."), args, kwargs, node, scope)
        owner, _, method = name.rpartition(".")
        if method in ("get", "__getitem__", "pop") and args and self.is_mapping(owner):
            return self.ref_item(Ref(owner), args[0], scope)
        if method == "__getattribute__" and args and name not in SPECIAL:
            return SPECIAL["getattr"](self, [Ref(owner), *args], node, scope)
        if name in SPECIAL:
            return SPECIAL[name](self, args, node, scope)
        if name in ("types.SimpleNamespace", "argparse.Namespace"):
            return Instance(None, dict(kwargs))
        if name == "functools.partial" and args:
            self.record(name, args, kwargs, node)
            return Partial(args[0], tuple(args[1:]), kwargs)
        self.record(name, args, kwargs, node)
        return known.result(name, args, kwargs)

    def run_text(self, text: str, node: ast.AST, scope: Scope, below: bool = False) -> object:
        """Follow code that stands in a text, all in one line or in the lines below a magic."""
        try:
            code = parse(text if below else text.strip())
        except CodeError:
            return UNKNOWN
        outer, line = self.place, self.line(node)
        self.place = Place(outer.cell, code, line, fixed=not below)
        try:
            body = code.tree.body
            if len(body) == 1 and isinstance(body[0], ast.Expr):
                return self.value(body[0].value, scope)
            self.block(body, scope)
            return UNKNOWN
        finally:
            self.place = outer
