"""What ``QBVIM_MODEL`` is: an object whose ``compute_similarities`` can answer what it is asked.

Told from the notebook's own classes only. Whatever may get its methods from elsewhere (another
base, a decorator, ``__getattr__``, ``setattr``) is left to the run.

Notebook: 05_submission.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qvim_kit.submission.checking.problems import Problem
from qvim_kit.submission.reading.statements import Reading
from qvim_kit.submission.reading.texts import words
from qvim_kit.submission.reading.values import UNKNOWN, Class, Function, Instance, Ref, options

METHOD = "compute_similarities"
# Bases that bring no such method of their own.
PLAIN_BASES = words(
    """object abc.ABC typing.Protocol typing.Generic torch.nn.Module torch.nn.modules.module.Module
    qvim_kit.systems.QVIMModel qvim_kit.systems.interface.QVIMModel QVIMModel
    lightning.LightningModule pytorch_lightning.LightningModule"""
)
SIGNATURE = f"def {METHOD}(self, items, queries)"


def model_problems(reading: Reading, home: int | None) -> Iterator[Problem]:
    """The problems with ``QBVIM_MODEL``; ``home`` is the cell that should bind it."""
    model = reading.names.get("QBVIM_MODEL", UNKNOWN)
    kinds = {_kind(option) for option in options(model)}
    if model is None or isinstance(model, Class):
        message = f"QBVIM_MODEL is {'a class, not an object of it' if model else 'None'}"
        yield Problem(home, None, "undefined", message, "QBVIM_MODEL = YourModel(): make an object")
    elif kinds and "" not in kinds:
        message = f"QBVIM_MODEL is {' or '.join(sorted(kinds))}, expected an object of your class"
        yield Problem(home, None, "model", message, "QBVIM_MODEL = YourModel(): make an object")
    elif _only_if_false(reading):
        message = "QBVIM_MODEL is set only where nothing ever runs, under if False"
        yield Problem(home, None, "undefined", message, "set it outside of that branch")
    elif isinstance(model, Instance) and isinstance(model.made_by, Class):
        yield from _method_problems(model, model.made_by)


def _kind(value: object) -> str:
    """What a value is that surely is no model; "" for what may be one."""
    if isinstance(value, str):
        return "a text"
    if isinstance(value, (bool, int, float)):
        return "a number"
    return "a list or tuple" if isinstance(value, tuple) else ""


def _method_problems(model: Instance, made_by: Class) -> Iterator[Problem]:
    family = _family(made_by)
    if family is None or METHOD in model.attributes:
        return
    name, place = made_by.node.name, made_by.place
    owner = next((one for one in family if METHOD in one.scope.names), None)
    if owner is None or (owner.node.name == "QVIMModel" and owner is not made_by):
        message = f"{name} has no method {METHOD}, which the notebook calls"
        line = place.line(made_by.node.lineno)
        yield Problem(place.cell, line, "model", message, f"write {SIGNATURE}: … in it")
        return
    method = owner.scope.names[METHOD]
    node = method.node if isinstance(method, Function) else None
    if not isinstance(node, ast.FunctionDef) or node.decorator_list:
        return
    cell, line = owner.place.cell, owner.place.line(node.lineno)
    if not _takes_two(node.args):
        given = ", ".join(arg.arg for arg in (*node.args.posonlyargs, *node.args.args))
        message = f"{name}.{METHOD} takes ({given}), but is given items and queries"
        yield Problem(cell, line, "model", message, f"write {SIGNATURE}: …")
    elif not _may_answer(node):
        message = f"{name}.{METHOD} returns nothing"
        remedy = "end it with return and the scores: query → item → number"
        yield Problem(cell, line, "model", message, remedy)


def _family(made_by: Class) -> list[Class] | None:
    """A class and its bases in the notebook; None if its methods may come from elsewhere."""
    found: list[Class] = []
    waiting: list[object] = [made_by]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, Ref) and one.name in PLAIN_BASES:
            continue
        if not isinstance(one, Class) or one.node.decorator_list or one.node.keywords:
            return None
        if {"__getattr__", "__getattribute__", "__new__"} & one.scope.names.keys():
            return None
        if one not in found:
            found.append(one)
            waiting += one.bases
    return found


def _takes_two(spec: ast.arguments) -> bool:
    """Whether a method with these parameters can be called with two arguments after self."""
    named = len(spec.posonlyargs) + len(spec.args)
    wanted = named - len(spec.defaults)
    keywords = any(default is None for default in spec.kw_defaults)
    return wanted <= 3 and (named >= 3 or spec.vararg is not None) and not keywords


def _may_answer(function: ast.FunctionDef) -> bool:
    """Whether anything in a function's own body returns a value, yields or raises."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Raise, ast.Yield, ast.YieldFrom)):
            return True
        if isinstance(node, ast.Return) and node.value is not None:
            return True
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            waiting += ast.iter_child_nodes(node)
    return False


def _only_if_false(reading: Reading) -> bool:
    """Whether every cell that binds QBVIM_MODEL does so only under ``if False``, or ``if 0``."""
    cells = reading.bound.get("QBVIM_MODEL", {})
    trees = [reading.trees[cell].tree for cell in cells if cell in reading.trees]
    return bool(trees) and not any(_binds(tree.body) for tree in trees)


def _binds(statements: list[ast.stmt]) -> bool:
    """Whether statements may bind the name; conservatively, whatever is not ``if False``."""
    waiting: list[ast.AST] = list(statements)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name) and node.id == "QBVIM_MODEL":
            return True
        if isinstance(node, ast.Constant) and "QBVIM_MODEL" in str(node.value):
            return True  # in a text, such as the lines of %%time
        if isinstance(node, ast.If) and isinstance(node.test, ast.Constant) and not node.test.value:
            waiting += node.orelse
        elif isinstance(node, ast.alias) and "QBVIM_MODEL" in (node.name, node.asname):
            return True
        else:
            waiting += ast.iter_child_nodes(node)
    return False
