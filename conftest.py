"""For tests and notebooks alike: an own cache, no network, headless figures, the fast mode.

Set before anything of the kit asks for a folder; the notebooks' kernels inherit it. Checkpoints
are taken from the user's cache, or from the folder of real data that QVIM_TEST_DATA names (a
folder ``shared`` beside the clone, unless set), so that what needs them can run offline.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from qvim_kit.paths import cache_folder

ROOT = Path(__file__).resolve().parent
SHARED = Path(os.environ.get("QVIM_TEST_DATA", ROOT.parent / "shared"))
NEEDS = {"mobilenet.ipynb": "mn04_as_mAP_432.pt"}  # notebook: checkpoint

CACHE = Path(tempfile.mkdtemp(prefix="qvim-test-cache-"))
for name in NEEDS.values():
    for folder in (cache_folder(), SHARED / "data" / "pretrained"):
        if (folder / name).is_file() and not (CACHE / name).exists():
            shutil.copy(folder / name, CACHE)
os.environ.update(QVIM_CACHE=str(CACHE), QVIM_OFFLINE="1", MPLBACKEND="agg")
os.environ.setdefault("QVIM_FAST", "1")


def pytest_unconfigure(config):
    shutil.rmtree(CACHE, ignore_errors=True)


def pytest_collection_modifyitems(items):
    """A notebook that needs a checkpoint is skipped where the checkpoint is not to be had."""
    for item in items:
        name = NEEDS.get(item.path.name)
        if name and not (CACHE / name).exists():
            reason = f"{name} is not in the cache, and tests do not use the network"
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real sounds and weights, which the repository does not hold."""
    if not SHARED.is_dir():
        pytest.skip(f"there is no {SHARED} with real recordings and weights")
    return SHARED
