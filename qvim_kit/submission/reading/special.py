"""Functions that reach other functions: ``getattr``, ``__import__``, ``eval``, ``map`` and such.

Notebook: 05_submission.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from qvim_kit.submission.reading import known
from qvim_kit.submission.reading.texts import SOME
from qvim_kit.submission.reading.values import (
    UNKNOWN,
    Instance,
    Partial,
    Ref,
    Scope,
    canonical,
    merge,
    options,
)

if TYPE_CHECKING:
    from qvim_kit.submission.reading.calls import Calls

SENSITIVE = ("os", "subprocess", "builtins", "shutil", "importlib", "sys", "pathlib.Path")


def _known(value: object) -> bool:
    return isinstance(value, str) and SOME not in value


def _getattr(reader: Calls, args: list, node: ast.AST, scope: Scope) -> object:
    found = list(args[2:3])
    for owner in options(args[0]) if len(args) > 1 else ():
        for name in options(args[1]):
            if _known(name):
                found.append(reader.attribute(owner, name))
            elif isinstance(owner, Ref) and owner.name in SENSITIVE:
                reader.skip(f"which attribute of {owner.name} is taken here", node)
    return merge(found)


def _setattr(reader: Calls, args: list, node: ast.AST, scope: Scope) -> None:
    if len(args) == 3 and isinstance(args[1], str):
        for owner in options(args[0]):
            reader.set_attribute(owner, args[1], args[2], node)


def _import_module(reader: Calls, args: list, node: ast.AST, scope: Scope) -> object:
    names = options(args[0]) if args else ()
    if not all(map(_known, names)):
        reader.skip("which module is imported here", node)
        return UNKNOWN
    return merge([Ref(canonical(name)) for name in names])


def _import(reader: Calls, args: list, node: ast.AST, scope: Scope) -> object:
    found = _import_module(reader, args, node, scope)
    whole = len(args) > 3 and args[3] not in (None, ())
    return Ref(found.name.split(".")[0]) if isinstance(found, Ref) and not whole else found


def _located(reader: Calls, args: list, node: ast.AST, scope: Scope) -> object:
    """``pydoc.locate("os.chdir")``, ``pkgutil.resolve_name("os:chdir")``."""
    names = [name for name in options(args[0]) if _known(name)] if args else []
    return merge([Ref(canonical(name.replace(":", "."))) for name in names])


def _vars(reader: Calls, args: list, node: ast.AST, scope: Scope) -> object:
    owner = args[0] if args else None
    if isinstance(owner, Instance):
        return owner.attributes
    if owner is None:
        return Ref("globals()")
    return Ref(f"{owner.name}.__dict__") if isinstance(owner, Ref) else UNKNOWN


def _compile(reader: Calls, args: list, node: ast.AST, scope: Scope) -> object:
    return args[0] if args else UNKNOWN


def _eval(reader: Calls, args: list, node: ast.AST, scope: Scope) -> object:
    found = []
    for text in options(args[0]) if args else ():
        if _known(text):
            found.append(reader.run_text(text, node, scope))
        else:
            reader.skip("what is run here", node)
    return merge(found)


def _timed(reader: Calls, args: list, node: ast.AST, scope: Scope) -> object:
    """`timeit` runs a text, or calls a function."""
    for given in args[:1]:
        for option in options(given):
            if isinstance(option, str):
                _eval(reader, [option], node, scope)
            else:
                reader.call(option, [], {}, node, scope)
    return UNKNOWN


def _map(reader: Calls, args: list, node: ast.AST, scope: Scope) -> object:
    reader.record("map", args, {}, node)
    inner = [known.elements(values) for values in args[1:]]
    functions = options(args[0]) if args else ()
    return options(merge([reader.call(each, inner, {}, node, scope) for each in functions]))


def _attrgetter(reader: Calls, args: list, node: ast.AST, scope: Scope) -> object:
    return Partial(Ref("operator.attrgetter()"), tuple(args[:1]), {})


def _methodcaller(reader: Calls, args: list, node: ast.AST, scope: Scope) -> object:
    return Partial(Ref("operator.methodcaller()"), (tuple(args),), {})


def _got_attribute(reader: Calls, args: list, node: ast.AST, scope: Scope) -> object:
    return _getattr(reader, args[::-1], node, scope)


def _called_method(reader: Calls, args: list, node: ast.AST, scope: Scope) -> object:
    (name, *rest), *owners = args
    found = _getattr(reader, [*owners[:1], name], node, scope)
    return merge([reader.call(each, rest, {}, node, scope) for each in options(found)])


SPECIAL = {
    "__import__": _import,
    "compile": _compile,
    "eval": _eval,
    "exec": _eval,
    "getattr": _getattr,
    "importlib.import_module": _import_module,
    "inspect.getattr_static": _getattr,
    "locals": _vars,
    "globals": _vars,
    "map": _map,
    "operator.attrgetter": _attrgetter,
    "operator.attrgetter()": _got_attribute,
    "operator.methodcaller": _methodcaller,
    "operator.methodcaller()": _called_method,
    "object.__getattribute__": _getattr,
    "pkgutil.resolve_name": _located,
    "pydoc.locate": _located,
    "setattr": _setattr,
    "timeit.repeat": _timed,
    "timeit.timeit": _timed,
    "timeit.Timer": _timed,
    "vars": _vars,
}
