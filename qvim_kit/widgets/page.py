"""The page that Voila makes of a search: nothing of it comes from the network."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from qvim_kit.widgets.messages import STATIC

TEMPLATE = "qvim"  # for Voila's --template


def lay_out_template(folder: str | os.PathLike) -> dict[str, str]:
    """Put Voila's template for a page without requests to the network below ``folder``.

    Returns the environment variables by which Voila finds it as the template `TEMPLATE`.
    """
    place = Path(folder) / "voila" / "templates" / TEMPLATE
    place.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(STATIC / "page.html.j2", place / "index.html.j2")
    (place / "conf.json").write_text('{"base_template": "lab"}')
    found = [os.fspath(folder), os.environ.get("JUPYTER_PATH", "")]
    return {"JUPYTER_PATH": os.pathsep.join(filter(None, found))}
