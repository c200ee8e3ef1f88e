"""Texts in the code that can hardly be anything but a path or an address, whatever is done to them.

Notebook: 05_submission.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from qvim_kit.submission.checking.addresses import url_fault
from qvim_kit.submission.checking.locations import is_machine_path
from qvim_kit.submission.reading.source import Code
from qvim_kit.submission.reading.texts import shown, words

# What is given to these is text for people, or compared with text.
TEXT_FUNCTIONS = words(
    """print warn warning info debug error log exception format replace split startswith endswith
    strip removeprefix removesuffix sub match search findall fullmatch compile join add_argument
    count find index display"""
)


def literal_faults(code: Code) -> Iterator[tuple[int, str, str, str]]:
    """The line, the text, the rule it breaks and the message for each such text of a cell."""
    for node, text in _texts(code.tree):
        if is_machine_path(text):
            message = f"the path {shown(text)!r} is outside ROOT_PATH and DATA_PATH"
            yield code.line(node.lineno), text, "outside", message
        elif fault := url_fault(text):
            yield code.line(node.lineno), text, "url", fault


def _texts(tree: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    """Texts and the beginnings of f-strings, but for docstrings, messages and comparisons."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.JoinedStr):
            first = node.values[0] if node.values else None
            if isinstance(first, ast.Constant):
                yield node, str(first.value)
            waiting += [part for part in node.values if isinstance(part, ast.FormattedValue)]
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                yield node, node.value
        elif isinstance(node, ast.Subscript):  # keys may look like paths, as those of HDF5 do
            waiting.append(node.value)
        elif not _holds_only_text(node):
            waiting += ast.iter_child_nodes(node)


def _holds_only_text(node: ast.AST) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, (ast.Constant, ast.JoinedStr))
    if isinstance(node, ast.Call):
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        return name in TEXT_FUNCTIONS
    return isinstance(node, (ast.Raise, ast.Assert, ast.Compare))
