"""Exercise: break a submission, and see the checker catch it. Notebook: 03_baselines."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from qvim_kit.exercises.running import NotYet, called, kind, require_takes, told_error

WANTED = 3  # rules to break


def judge(answer: Callable) -> str:
    """``answer(notebook)``: the template as a dict → the same with errors of three rules."""
    from qvim_kit.submission.template import template_path

    template = json.loads(template_path().read_text(encoding="utf-8"))
    require_takes(answer, ["notebook"])
    broken, error = called(answer, copy.deepcopy(template))
    problem = ""
    if error:
        problem = told_error(error)
    elif not isinstance(broken, dict):
        problem = f"it returned {kind(broken)}, expected the notebook, a dict."
        problem += " Is there a `return notebook` at the end?" if broken is None else ""
    elif broken == template:
        problem = "it comes back as it was."
    if problem:
        raise NotYet(f"Not yet. With the template as notebook, {problem}")
    return _judged(broken)


def _judged(notebook: dict) -> str:
    """What the checker finds; `NotYet` if that is too little, or if it is stopped at once."""
    from qvim_kit.submission.checking import check

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "humming-birds_1.ipynb"
        try:
            path.write_text(json.dumps(notebook), encoding="utf-8")
        except (TypeError, ValueError) as error:
            raise NotYet(f"Not yet. It cannot be stored as a notebook: {error}.") from None
        problems = check(path)
    found = {
        p.rule: f"  {p.where}: {p.message} [{p.rule}]"
        for p in problems[::-1]
        if p.severity == "error"
    }
    told = "\n".join(list(found.values())[::-1])
    if found.keys() & {"file", "template"}:
        raise NotYet(
            "Not yet. That is broken so thoroughly that the checker does not know the template "
            f"again:\n{told}\nHint: leave most cells as they are."
        )
    if len(found) < WANTED:
        counted = f"errors of {len(found)} of {WANTED} rules:\n{told}" if found else "no errors."
        warned = "" if found or not problems else " (It warns, but warnings are only advice.)"
        raise NotYet(
            f"Not yet. The checker finds {counted}{warned}\nHint: "
            "`qvim_kit.submission.checking.RULES` lists what it holds a notebook to."
        )
    return f"the checker catches errors of {len(found)} rules.\n{told}"
