"""Running a submission as the organisers do: `run_submission`.

- `runner`: the stages, one after the other; `stages`: their names and exit codes
- `substitution`: ROOT_PATH and DATA_PATH in a copy of the notebook
- `supervision`, `limits`, `isolation`: a process that is watched, ended, shut in
- `execution`: the program which that process runs
- `scoring`: similarities.json, checked and scored
- `result`, `report`: what came out, as JSON and as a page
- `shown`: the number that the notebook itself shows

Notebook: 05_submission.
"""

from __future__ import annotations

from qvim_kit.submission.running.limits import Limits
from qvim_kit.submission.running.result import Run
from qvim_kit.submission.running.runner import run_submission

__all__ = ["Limits", "Run", "run_submission"]
