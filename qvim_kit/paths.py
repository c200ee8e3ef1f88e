"""Where the kit keeps things: data sets and the cache; and how a file gets into its place.

Both folders are looked up when they are needed, never at import, so that a notebook may set
the environment variables in its first cell.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def in_checkout() -> bool:
    """Whether the package runs from a clone of the repository (an editable install)."""
    return (REPOSITORY / "pyproject.toml").is_file() and (REPOSITORY / "notebooks").is_dir()


def data_folder() -> Path:
    """The folder that holds the data sets.

    ``QVIM_DATA`` if set, else ``data/`` of the clone, else the platform's folder for user data.
    The folder need not exist yet.
    """
    if os.environ.get("QVIM_DATA"):
        return Path(os.environ["QVIM_DATA"]).expanduser().resolve()
    if in_checkout():
        return REPOSITORY / "data"
    import platformdirs

    return Path(platformdirs.user_data_dir("qvim-kit", appauthor=False))


def cache_folder() -> Path:
    """The folder that holds checkpoints (directly in it) and cached embeddings (below it).

    ``QVIM_CACHE`` if set, else the platform's cache folder. The folder need not exist yet.
    """
    if os.environ.get("QVIM_CACHE"):
        return Path(os.environ["QVIM_CACHE"]).expanduser().resolve()
    import platformdirs

    return Path(platformdirs.user_cache_dir("qvim-kit", appauthor=False))


def kernel_environment() -> dict[str, str]:
    """The environment for a kernel that runs in another folder: with the kit's folders absolute."""
    folders = {"QVIM_DATA": data_folder, "QVIM_CACHE": cache_folder}
    return os.environ | {k: str(folder()) for k, folder in folders.items() if os.environ.get(k)}


@contextlib.contextmanager
def beside(target: Path) -> Iterator[Path]:
    """A path beside the target, moved there at the end, or removed if anything goes wrong."""
    part = target.with_name(f"{target.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        yield part
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
