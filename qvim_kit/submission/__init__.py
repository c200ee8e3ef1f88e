"""The challenge's submission: what its notebook needs besides the participant's four cells.

- `notebook`: what the notebook's protected cells call, offered here.

Notebook: 05_submission.
"""

from __future__ import annotations

from qvim_kit.submission.notebook import base_name_ids, open_data, open_root, write_similarities

__all__ = ["base_name_ids", "open_data", "open_root", "write_similarities"]
