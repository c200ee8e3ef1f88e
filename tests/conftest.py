"""Data that several test files share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from qvim_kit.datasets import RetrievalDataset


@pytest.fixture(scope="session")
def golden() -> Path:
    """Outputs of the published implementations; see tests/golden/README.md."""
    return Path(__file__).parent / "golden"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> None:
    """A cache folder that no other test has written into."""
    monkeypatch.setenv("QVIM_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """The helpers' ROOT_PATH for one test; tmp_path around it stands for everything else."""
    import helpers
    from qvim_kit import downloads

    folder = tmp_path / "root"
    folder.mkdir()
    monkeypatch.setattr(helpers, "ROOT_PATH", str(folder))
    monkeypatch.setattr(downloads, "PAUSE", 0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("QVIM_OFFLINE", raising=False)
    return folder


@pytest.fixture
def files(tmp_path, rng) -> dict[str, str]:
    """Ten files of noise, name → path."""
    paths = {f"{n}.wav": str(tmp_path / f"{n}.wav") for n in range(10)}
    for path in paths.values():
        soundfile.write(path, 0.1 * rng.normal(size=4_000), 8_000)
    return paths


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
