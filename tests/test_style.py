"""What CONTRIBUTING says of the code's form, and the examples in its docstrings."""

import ast
import doctest
import importlib
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (*sorted((ROOT / "qvim_kit").rglob("*.py")), ROOT / "helpers.py")
}
LONGER: dict[str, int] = {}  # file → lines it may have, where one idea fills more than 250
EXAMPLES = [
    name
    for name, text in FILES.items()
    if any(">>> " in line and "+SKIP" not in line for line in text.splitlines())
]


def functions(text):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]


def code_lines(function):
    """Lines of a function's body but for its docstring."""
    body = function.body[ast.get_docstring(function) is not None :]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_in_docstrings_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = doctest.testmod(module)
    assert not result.failed


@pytest.mark.parametrize("name", FILES)
def test_files_and_functions_are_short(name):
    text = FILES[name]
    assert len(text.splitlines()) <= LONGER.get(name, 250), name
    long = {f.name: code_lines(f) for f in functions(text) if code_lines(f) > 60}
    assert not long, f"{name}: functions of more than 60 lines: {long}"


def test_every_exception_is_needed():
    assert [n for n in LONGER if len(FILES[n].splitlines()) <= 250] == []


def test_public_functions_have_type_hints():
    bare = [
        f"{name}:{function.lineno} {function.name}"
        for name, text in FILES.items()
        for function in functions(text)
        if not function.name.startswith("_")
        and function.returns is None
        and ast.get_docstring(function) is not None
    ]
    assert not bare, "without a return type: " + ", ".join(bare)
