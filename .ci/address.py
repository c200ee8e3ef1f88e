"""Moves the repository to another address on GitHub: `python .ci/address.py OWNER/NAME`.

The address stands in pyproject.toml. The README's badges, and the first cells of the notebooks,
which have to work before anything is installed, repeat it; a test holds them equal.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = ("pyproject.toml", "README.md", "CONTRIBUTING.md", "notebooks/*.ipynb")
NAME = r"[A-Za-z0-9][\w.-]*"
HOSTS = r"(?:github\.com|colab\.research\.google\.com/github|mybinder\.org/v2/gh)"


def address(root: Path) -> str:
    """OWNER/NAME as pyproject.toml has it. Raises `ValueError` where there is none."""
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(rf'^Repository = "https://github\.com/({NAME}/{NAME})"$', text, re.MULTILINE)
    if not found:
        raise ValueError("pyproject.toml: no [project.urls] Repository = https://github.com/…")
    return found[1]


def move(root: Path, new: str) -> list[Path]:
    """Write the new OWNER/NAME wherever the old one is; returns the files that changed.

    Raises `ValueError` for what is no address.
    """
    if not re.fullmatch(rf"{NAME}/{NAME}", new) or new.endswith(".git"):
        raise ValueError(f"{new}: expected OWNER/NAME as in github.com/OWNER/NAME")
    old = re.compile(rf"({HOSTS}/){re.escape(address(root))}(?![\w-])")
    changed = []
    for path in sorted(path for pattern in FILES for path in root.glob(pattern)):
        before = path.read_bytes().decode()  # as it is, line ends included
        after = old.sub(lambda found: found[1] + new, before)
        if after != before:
            path.write_bytes(after.encode())
            changed.append(path)
    return changed


def main(arguments: list[str]) -> int:
    try:
        if len(arguments) != 1:
            raise ValueError(f"expected OWNER/NAME; now it is {address(ROOT)}")
        for path in move(ROOT, arguments[0]):
            print(path.relative_to(ROOT).as_posix())
    except ValueError as error:
        print(f"address.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
