"""Names that a notebook uses and never gives a value: an import forgotten, a class renamed.

A name counts as defined wherever any cell binds it, whatever the order. Where names may come from
what is not read here (``import *``, ``exec``, ``globals()``, ``%run``), nothing is found.

Notebook: 05_submission.
"""

from __future__ import annotations

import ast
import builtins
import difflib
import symtable
import sys
from collections.abc import Iterator

from qvim_kit.submission.checking.problems import Problem
from qvim_kit.submission.reading.source import Code, CodeError, parse
from qvim_kit.submission.reading.texts import shown, words
from qvim_kit.submission.template import kit_template

GIVEN = words(
    """get_ipython display In Out exit quit _ __ ___ _i _ii _iii _oh _ih _dh __name__ __file__
    __doc__ __builtins__ __builtin__ __class__ __module__ __qualname__ __annotations__ __spec__
    __session__ __loader__ __package__ __debug__ __vsc_ipynb_file__ reveal_type WindowsError
    __conditional_annotations__ __classdict__ __type_params__"""
)
# They bind names in ways that are not read here.
OPAQUE = words("exec eval compile globals locals vars __import__ builtins __builtins__ __main__")
OPAQUE_ATTRIBUTES = words("user_ns user_global_ns push run_cell __globals__ f_globals")
QUIET_MAGICS = words(
    """pip conda mamba micromamba uv matplotlib env set_env load_ext autoreload config cd pwd who
    whos time timeit prun memit precision system sx getoutput cat ls html markdown latex javascript
    svg bash sh"""
)
IMPORTS = {
    "np": "import numpy as np",
    "pd": "import pandas as pd",
    "plt": "import matplotlib.pyplot as plt",
    "nn": "from torch import nn",
    "F": "from torch.nn import functional as F",
    "Path": "from pathlib import Path",
    "tqdm": "from tqdm import tqdm",
    "sf": "import soundfile as sf",
}
IMPORTED = words("numpy scipy librosa torch torchaudio pandas soundfile sklearn helpers timm")
PARSING = (SyntaxError, ValueError, RecursionError, MemoryError)


def undefined_names(trees: dict[int, Code], theirs: set[int], known: set[str]) -> Iterator[Problem]:
    """A problem for each name that ``theirs`` cells use and no cell gives a value.

    Args:
        trees: the notebook's code cells, all of which could be parsed.
        theirs: the cells to be judged.
        known: names that are known to be bound, besides those that are found here.
    """
    bound = {*known, *GIVEN, *dir(builtins)}
    for tree in [*(code.tree for code in trees.values()), *_protected_trees()]:
        found = _bound(tree)
        if found is None:
            return
        bound |= found
    loaded = {node.id for code in trees.values() for node in _loads(code.tree)}
    future = any(_has_future(code.tree) for code in trees.values())
    said: set[str] = set()
    for number in sorted(theirs & trees.keys()):
        tree = _executed_part(trees[number].tree, loaded, future)
        wanting = _globals_of(tree) - bound - said
        for node in _loads(tree):
            if node.id in wanting - said:
                said.add(node.id)
                message = f"NameError at run: {shown(node.id)} is not defined anywhere in"
                remedy = _remedy(node.id, bound)
                line = trees[number].line(node.lineno)
                yield Problem(number, line, "undefined", f"{message} the notebook", remedy)


def _remedy(name: str, bound: set[str]) -> str:
    if name in IMPORTS:
        return f"write {IMPORTS[name]} in your set-up cell"
    if name in IMPORTED or name in sys.stdlib_module_names:
        return f"write import {name} in your set-up cell"
    near = difflib.get_close_matches(name, bound - {*dir(builtins), *GIVEN}, 1, 0.6)
    also = f", or is it {near[0]}?" if near else ""
    return f"import it, or give it a value in one of your cells{also}"


def _protected_trees() -> Iterator[ast.AST]:
    """The template's own cells, as one that is missing is reported as that."""
    for cell in kit_template().cells:
        if cell.kind == "code" and not cell.part:
            yield parse(cell.source).tree


def _bound(tree: ast.AST) -> set[str] | None:
    """The names that code binds in the notebook, at any depth; None where that cannot be told."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.alias(name="*" | "builtins" | "__main__"):
                return None
            case ast.alias():
                found.add(node.asname or node.name.partition(".")[0])
            case ast.Name(ctx=ast.Load()):
                if node.id in OPAQUE:
                    return None
            case ast.Name():
                found.add(node.id)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(node.name)
            case ast.Global():
                found.update(node.names)
            case (
                ast.ExceptHandler(name=str()) | ast.MatchAs(name=str()) | ast.MatchStar(name=str())
            ):
                found.add(node.name)
            case ast.MatchMapping(rest=str()):
                found.add(node.rest)
            case ast.Attribute():
                if node.attr in OPAQUE_ATTRIBUTES:
                    return None
            case ast.Call():
                inside = _bound_by_magic(node)
                if inside is None:
                    return None
                found |= inside
    return found


def _bound_by_magic(call: ast.Call) -> set[str] | None:
    """The names that a magic binds: of Python in its text, and ``%%capture name``."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    values = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
    texts = [value for value in values if isinstance(value, str)]
    if name not in ("run_line_magic", "run_cell_magic"):
        return set()
    if len(texts) != len(call.args) or not texts:
        return None
    magic, rest = texts[0], texts[1:]
    if magic not in QUIET_MAGICS | {"capture"}:
        return None
    found = set(rest[0].split()) if magic == "capture" and rest else set()
    for text in rest if magic in ("capture", "time", "timeit", "prun") else ():
        try:
            inside = _bound(parse(text.strip()).tree)
        except CodeError:
            continue
        if inside is None:
            return None
        found |= inside
    return found


def _has_future(tree: ast.Module) -> bool:
    return sys.version_info >= (3, 14) or any(
        isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body
    )


class _Executed(ast.NodeTransformer):
    """Leaves out what never runs, and what somebody waits for to fail."""

    def __init__(self, loaded: set[str], future: bool) -> None:
        self.loaded, self.future, self.depth = loaded, future, 0

    def visit_Try(self, node: ast.Try) -> ast.AST:
        if node.handlers:
            node.body = [ast.copy_location(ast.Pass(), node)]
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.copy_location(ast.Constant(None), node.annotation)
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.AST]:
        if isinstance(node.test, ast.Constant) or _name(node.test) == "TYPE_CHECKING":
            kept = node.orelse if not getattr(node.test, "value", False) else node.body
            return [self.visit(one) for one in kept] or ast.copy_location(ast.Pass(), node)
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        unused = not self.depth and node.name not in self.loaded and not node.decorator_list
        if unused:  # nobody calls it
            node.body = [ast.copy_location(ast.Pass(), node)]
        if self.future:
            node.returns = None
            spec = node.args
            for arg in [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, spec.vararg, spec.kwarg]:
                if arg is not None:
                    arg.annotation = None
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1
        return node

    visit_AsyncFunctionDef = visit_FunctionDef
    visit_TryStar = visit_Try

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1
        return node


def _executed_part(tree: ast.Module, loaded: set[str], future: bool) -> ast.Module:
    import copy

    try:
        return _Executed(loaded, future).visit(copy.deepcopy(tree))
    except RecursionError:
        return ast.Module([], [])


def _globals_of(tree: ast.Module) -> set[str]:
    """The names that code looks for outside of its functions."""
    try:
        table = symtable.symtable(ast.unparse(tree), "<cell>", "exec")
    except PARSING:
        return set()
    found, waiting = set(), [table]
    while waiting:
        one = waiting.pop()
        waiting += one.get_children()
        for symbol in one.get_symbols():
            if symbol.is_referenced() and (symbol.is_global() or one is table):
                found.add(symbol.get_name())
    return found


def _loads(tree: ast.AST) -> list[ast.Name]:
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    names = [node for node in names if isinstance(node.ctx, ast.Load)]
    return sorted(names, key=lambda node: (node.lineno, node.col_offset))


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
