"""A cell's text → Python's syntax tree.

IPython's own transformer turns ``!command``, ``%magic``, ``%%magic`` and ``name?`` into calls of
``get_ipython()``, exactly as it does when the cell runs.

Notebook: 05_submission.
"""

from __future__ import annotations

import ast
import difflib
import functools
import re
import warnings
from dataclasses import dataclass

from qvim_kit.submission.reading.texts import words

# A cell of one line may leave the % out ("automagic").
BARE_MAGIC = re.compile(r"\s*([A-Za-z_]\w*)(?:[ \t]+(.*\S))?\s*", re.DOTALL)
AUTOMAGIC = words(
    """cd pushd popd pip conda mamba micromamba uv run env set_env ls ll lf lk lx cat cp mv rm rmdir
    mkdir man more less alias rehashx sx system save store load edit"""
)


class CodeError(ValueError):
    """A cell that is no Python: ``line`` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Code:
    """The tree of a cell; ``lines[n]`` is the line of the cell that line n of the tree is from."""

    tree: ast.Module
    lines: tuple[int, ...]

    def line(self, number: int) -> int:
        """The cell's line for a line of the tree, both counted from 1."""
        return self.lines[number] if 0 <= number < len(self.lines) else max(number, 1)


@functools.lru_cache(maxsize=256)  # most cells are the template's, in every notebook
def parse(text: str) -> Code:
    """Parse a cell as IPython would. Raises `CodeError` where IPython would refuse it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "invalid escape sequence" and the like
        python = _transformed(text)
        lines = _line_numbers(text, python)
        magic = _automagic(python)
        try:
            return Code(_tree(f"get_ipython().run_line_magic{magic!r}" if magic else python), lines)
        except SyntaxError as error:
            line = lines[min(error.lineno or 1, len(lines) - 1)]
            raise CodeError(error.msg or "invalid syntax", line) from None
        except (RecursionError, MemoryError):
            raise CodeError("nested too deeply to be read", 1) from None
        except ValueError as error:  # NUL, lone surrogates
            raise CodeError(str(error).partition("\n")[0][:100], 1) from None


def _tree(python: str) -> ast.Module:
    tree = ast.parse(python)
    # Finds what the grammar lets through, such as `return` outside a function.
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    compile(tree, "<cell>", "exec", flags=flags, dont_inherit=True)
    return tree


def _transformed(text: str) -> str:
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        return TransformerManager().transform_cell(text)
    except SyntaxError as error:
        raise CodeError(error.msg or "invalid syntax", error.lineno or 1) from None
    except Exception:  # as IPython itself does: what cannot be transformed is left as it is
        return text


def _automagic(python: str) -> tuple[str, str] | None:
    """Name and rest of a magic without its %, where the cell is one and is no Python."""
    words = BARE_MAGIC.fullmatch(python)
    if not words or "\n" in python.strip() or words[1] not in AUTOMAGIC:
        return None
    rest = words[2] or ""
    if words[1] in ("cd", "ls") and rest[:1] in ("", "-"):  # Python too, but never meant so
        return words[1], rest
    try:
        ast.parse(python)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return words[1], rest
    return None


def _line_numbers(text: str, python: str) -> tuple[int, ...]:
    """For each line of the transformed text (from 1; entry 0 is unused), its line in the cell."""
    before, after = text.splitlines(), python.splitlines()
    if len(before) == len(after) or len(before) > 3_000:
        return tuple(range(len(after) + 1))
    numbers = [0] * (len(after) + 1)
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for _, start, end, first, last in matcher.get_opcodes():
        for offset, line in enumerate(range(first, last)):
            numbers[line + 1] = 1 + max(start, min(start + offset, end - 1))
    return tuple(numbers)
