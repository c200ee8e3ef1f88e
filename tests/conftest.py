"""Shared by all tests: an own cache, no network, and the optional folder of real data."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qvim_kit.datasets import RetrievalDataset

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
WEIGHTS = "mn04_as_mAP_432.pt"

# Set before anything of the kit is asked for a folder; notebooks inherit them.
CACHE = Path(tempfile.mkdtemp(prefix="qvim-test-cache-"))
os.environ.update(QVIM_CACHE=str(CACHE), QVIM_OFFLINE="1", MPLBACKEND="agg")
os.environ.setdefault("QVIM_FAST", "1")
if (SHARED / "data" / "pretrained" / WEIGHTS).exists():
    shutil.copy(SHARED / "data" / "pretrained" / WEIGHTS, CACHE)


def pytest_unconfigure(config):
    shutil.rmtree(CACHE, ignore_errors=True)


def pytest_collection_modifyitems(items):
    """A notebook that needs a checkpoint is skipped where the checkpoint is not to be had."""
    if not (CACHE / WEIGHTS).exists():
        reason = f"{WEIGHTS} is not in the cache, and tests do not use the network"
        for item in items:
            if item.path.name == "mobilenet.ipynb":
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real sounds and weights, which the repository does not hold."""
    if not SHARED.is_dir():
        pytest.skip(f"there is no {SHARED} with real recordings and weights")
    return SHARED


@pytest.fixture(scope="session")
def golden() -> Path:
    """Outputs of the published implementations; see tests/golden/README.md."""
    return ROOT / "tests" / "golden"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def dataset() -> RetrievalDataset:
    """Three classes of four items, two queries of each; the files do not exist."""
    items = [(f"{c}/{c}{n}.wav", f"/nowhere/{c}{n}.wav", c) for c in "ABC" for n in range(4)]
    queries = [
        (f"{c}/{c}{n}_q{k}.wav", f"/nowhere/{c}{n}_q{k}.wav", c, f"{c}/{c}{n}.wav")
        for c in "ABC"
        for n in range(4)
        for k in range(2)
    ]
    return RetrievalDataset(
        pd.DataFrame(items, columns=["item_id", "path", "class"]),
        pd.DataFrame(queries, columns=["query_id", "path", "class", "item_id"]),
        "toy",
    )


@pytest.fixture
def similarities(dataset, rng) -> dict[str, dict[str, float]]:
    """Random scores with every query and item of `dataset`."""
    scores = rng.normal(size=(len(dataset.queries), len(dataset.items))).tolist()
    items = list(dataset.items["item_id"])
    return {
        query: dict(zip(items, row, strict=True))
        for query, row in zip(dataset.queries["query_id"], scores, strict=True)
    }
