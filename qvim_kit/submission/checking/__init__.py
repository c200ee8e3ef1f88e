"""What is wrong with a submission, told without running it.

- `checker`: all problems of a notebook, or of several
- `problems`: one problem, and a table of them
- `files`, `differences`: the file and its cells, and how they differ from the template's
- `imports`, `names`: which packages and names are there, `models`: what QBVIM_MODEL is
- `rules`, `commands`, `helper_calls`, `literals`: what the code may not do
- `locations`, `addresses`, `installs`: which paths, addresses and commands it may use

Notebook: 05_submission.
"""

from __future__ import annotations

from qvim_kit.submission.checking.checker import check, check_all
from qvim_kit.submission.checking.problems import RULES, Problem, Problems

__all__ = ["RULES", "Problem", "Problems", "check", "check_all"]
