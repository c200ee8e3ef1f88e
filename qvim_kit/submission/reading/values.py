"""What is known of a value before the code runs.

Most values stand for themselves: text and bytes are `str` as `texts` describes them, a path is a
`PathText`, lists and tuples are tuples, dictionaries with text for keys are dicts, numbers and
None are what they are. The others are instances of the classes here.

Notebook: 05_submission.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qvim_kit.submission.reading.bindings import Place

MOST_OPTIONS = 24

# One thing has several names; the first is the one that the rules know.
SAME = {
    "posix": "os",
    "nt": "os",
    "posixpath": "os.path",
    "ntpath": "os.path",
    "pathlib._local": "pathlib",
    "io.open": "open",
    "_io.open": "open",
    "_io": "io",
    "IPython.get_ipython": "get_ipython",
    "IPython.core.getipython.get_ipython": "get_ipython",
    "importlib.__import__": "__import__",
    "subprocess.create_subprocess_exec": "asyncio.create_subprocess_exec",  # asyncio.subprocess
    "subprocess.create_subprocess_shell": "asyncio.create_subprocess_shell",
    "IPython.core.interactiveshell.InteractiveShell.instance": "get_ipython",
    "IPython.InteractiveShell.instance": "get_ipython",
    "ctypes.CDLL()": "os",  # the C library's functions have the names of os's
    "ctypes.cdll.LoadLibrary()": "os",
}
# Modules that other modules import, and that can be reached through them.
REACHED = ("os", "sys", "subprocess", "builtins", "shutil", "importlib")


class Unknown:
    """A value of which nothing is known."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()
UNBOUND = object()  # what `Scope.find` answers for a name that is not bound


@dataclass(frozen=True)
class Ref:
    """Something imported or built in, or what a call of it gave back, by its true dotted name."""

    name: str

    def attribute(self, name: str) -> Ref | Unknown:
        """What ``value.name`` refers to."""
        dotted = canonical(f"{self.name}.{name}")
        return Ref(dotted) if len(dotted) < 200 else UNKNOWN


@dataclass(frozen=True)
class Either:
    """One of several values: branches and loops leave these behind."""

    options: tuple


@dataclass(frozen=True)
class Method:
    """``owner.name``, not yet called, where the owner is no `Ref`."""

    owner: object
    name: str


@dataclass(frozen=True)
class Partial:
    """`functools.partial` of a function."""

    function: object
    args: tuple
    kwargs: dict


@dataclass(eq=False)
class Scope:
    """The names bound in a module, a class or a function."""

    names: dict = field(default_factory=dict)
    parent: Scope | None = None
    kind: str = "module"  # or "class", "function"
    shared: set = field(default_factory=set)  # declared global
    written: set = field(default_factory=set)  # bound since it was last emptied

    @property
    def module(self) -> Scope:
        """The outermost scope."""
        return self if self.parent is None else self.parent.module

    def find(self, name: str) -> object:
        """The value of a name, here or further out, or `UNBOUND`."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names and (scope is self or scope.kind != "class"):
                return scope.names[name]
            scope = scope.parent
        return UNBOUND

    def bind(self, name: str, value: object) -> None:
        """Bind a name, in the scope that Python would bind it in."""
        scope = self.module if name in self.shared else self
        scope.names[name] = value
        scope.written.add(name)


@dataclass(eq=False)
class Function:
    """A function or lambda of the notebook, with the place it was written in."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scope: Scope
    place: Place
    defaults: dict
    owner: object = None  # the object or class that `self` or `cls` is


@dataclass(eq=False)
class Class:
    """A class of the notebook."""

    node: ast.ClassDef
    scope: Scope
    bases: tuple
    place: Place
    made: Instance | None = None

    def attribute(self, name: str) -> object:
        """A class attribute, from here or from a base in the notebook, or `UNBOUND`."""
        if name in self.scope.names:
            return self.scope.names[name]
        for base in self.bases:
            found = base.attribute(name) if isinstance(base, Class) else UNBOUND
            if found is not UNBOUND:
                return found
        return UNBOUND


@dataclass(eq=False)
class Instance:
    """An object of a class of the notebook; all objects of one class share their attributes."""

    made_by: Class | None
    attributes: dict = field(default_factory=dict)


def canonical(name: str) -> str:
    """The one name under which the rules know what has several.

    >>> canonical("pathlib.os.chdir")
    'os.chdir'
    """
    parts = name.split(".")
    for number, part in enumerate(parts[1:], start=1):
        if part.removeprefix("_") in REACHED:  # modules that other modules import
            name = ".".join([part.removeprefix("_"), *parts[number + 1 :]])
    name = name.removeprefix("builtins.")
    for alias, true in SAME.items():
        if name == alias or name.startswith(alias + "."):
            return true + name[len(alias) :]
    return name


def options(value: object) -> tuple:
    """All that a value may be."""
    return value.options if isinstance(value, Either) else (value,)


def merge(values: list) -> object:
    """One of several values, as one value."""
    found: list = []
    for value in values:
        for option in options(value):
            if not any(option is other or _same(option, other) for other in found):
                found.append(option)
        if len(found) > MOST_OPTIONS:
            return UNKNOWN
    if not found:
        return UNKNOWN
    return found[0] if len(found) == 1 else Either(tuple(found))


def _same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other
