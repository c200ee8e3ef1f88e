"""How fast a library is searched and indexed, beside the plain loop and the machine's limits.

    python benchmarks/search.py [--rounds 5] [--sounds 10000 100000] [--clips 400] [--threads 2]

Embeddings are random around 200 centres, 384 numbers each (mn04's) or 960 (mn10's); the mn04 that
embeds queries and clips has random weights, which cost the same. "One pass" is numpy's product of
all embeddings with a vector: no exact search does with less. It comes from memory: in a notebook,
the network that embeds the query stands between two searches. faiss is compared with where it is
installed; LanceDB is in scaling.py.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
import time
from pathlib import Path

import librosa
import numpy as np
import torch
from clips import write_clips
from side_by_side import Table, arguments, duration, seconds

from qvim_kit.models.mobilenet import mobilenet
from qvim_kit.search import SoundIndex
from qvim_kit.search.building import Built, Changes, Row
from qvim_kit.search.library import Library
from qvim_kit.systems import EncoderSystem

K = 10


def around_centres(rows: int, seed: int, dim: int = 384) -> np.ndarray:
    """Unit rows around 200 centres, as sounds lie around classes."""
    centres = np.random.default_rng(99).standard_normal((200, dim), dtype=np.float32)
    rng = np.random.default_rng(seed)
    found = rng.standard_normal((rows, dim), dtype=np.float32)
    found += centres[rng.integers(200, size=rows)]
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def random_index(sounds: int, dim: int = 384) -> SoundIndex:
    embeddings = around_centres(sounds, seed=0, dim=dim)
    names = [f"{number % 50}/{number}.wav" for number in range(sounds)]
    rows = [Row(name, f"/{name}", name.split("/")[0], 1.0, 1, 1, "") for name in names]
    built = Built(rows, embeddings, [], Changes(sounds))
    return SoundIndex(Library("/"), built, None, "random", "random")


def loop(embeddings: np.ndarray, query: np.ndarray) -> list[int]:
    """What one writes first: a dot product a sound, and a sort."""
    scores = [float(np.dot(embedding, query)) for embedding in embeddings]
    return sorted(range(len(scores)), key=lambda row: -scores[row])[:K]


def full_sort(embeddings: np.ndarray, queries: np.ndarray) -> np.ndarray:
    return np.argsort(-(queries @ embeddings.T), axis=-1, kind="stable")[..., :K]


def compare_search(table: Table, index: SoundIndex, queries: np.ndarray) -> None:
    embeddings, query = index.embeddings, queries[0]
    size = f"{len(index):,} × {embeddings.shape[1]}"
    expected = list(index.search(query, K).index)
    assert expected == full_sort(embeddings, query).tolist()
    best = np.take_along_axis(queries @ embeddings.T, full_sort(embeddings, queries), axis=1)
    np.testing.assert_allclose(index.nearest(queries, K)[1], best, atol=1e-5)
    other = np.zeros(32 << 20, dtype=np.float32)  # 128 MB: more than caches hold

    def search() -> object:
        return index.search(query, K)

    def numbers() -> object:
        return index.nearest(queries[:1], K)

    def several() -> object:
        return index.nearest(queries, K)

    def sorting(asked: np.ndarray) -> object:
        return full_sort(embeddings, asked)

    if len(index) <= 10_000:
        assert expected == loop(embeddings, query)
        table.compare(f"search {size}", lambda: loop(embeddings, query), search, None, "plain loop")
    limit = 1.5 if len(index) <= 10_000 else 1 / 0.9  # the smaller, the more the call itself counts
    for what, work, aim in (("row numbers and scores", numbers, limit), ("a table", search, None)):
        table.compare(
            f"search {size}, {what}", lambda: embeddings @ query, work, aim, "one pass over memory",
            cost=True, before=other.sum,
        )  # fmt: skip
    table.compare(f"search {size}", lambda: sorting(query), search, None, "numpy, full sort")
    table.compare(
        f"search {size}, 256 queries", lambda: sorting(queries), several, None, "numpy, full sort"
    )
    if importlib.util.find_spec("faiss"):
        import faiss

        faiss.omp_set_num_threads(table.options.threads)
        flat = faiss.IndexFlatIP(embeddings.shape[1])
        flat.add(embeddings)
        assert flat.search(queries[:1], K)[1][0].tolist() == expected
        one = queries[:1]
        table.compare(
            f"search {size}", lambda: flat.search(one, K), search,
            None if len(index) <= 10_000 else 3, "faiss Flat", before=other.sum,
        )  # fmt: skip
        table.compare(
            f"search {size}, 256 queries",
            lambda: flat.search(queries, K),
            several,
            None,
            "faiss Flat",
        )


def compare_indexing(table: Table, system: EncoderSystem, clips: list[Path]) -> None:
    """Indexing from nothing, beside librosa and one clip a forward."""

    def plain() -> np.ndarray:
        waveforms = (librosa.load(clip, sr=32_000, duration=10.0)[0] for clip in clips)
        rows = [eager.embed_batch(waveform[None], "item")[0] for waveform in waveforms]
        return np.stack([row / np.linalg.norm(row) for row in rows])

    eager = EncoderSystem(system.encoder, name="mn04", device="cpu", engine="torch")
    np.testing.assert_allclose(build(system, clips).embeddings, plain(), atol=1e-4)
    table.compare(
        f"index {len(clips)} clips of 10 s, mn04",
        plain,
        lambda: build(system, clips),
        beside="librosa, one clip a forward",
    )


def build(system: EncoderSystem, clips: list[Path], bar: bool = False) -> SoundIndex:
    with tempfile.TemporaryDirectory() as cache:
        os.environ["QVIM_CACHE"] = cache
        return SoundIndex.build(clips, system, progress=None if bar else lambda done, total: None)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--sounds", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--clips", type=int, default=400, help="0: no indexing")
    options = parser.parse_args()
    table = Table(options)
    torch.manual_seed(0)
    system = EncoderSystem(mobilenet(0.4), name="mn04", device="cpu")
    recording = np.random.default_rng(3).normal(size=4 * 48_000).astype(np.float32)
    for sounds in options.sounds:
        index = random_index(sounds)
        index.system = system
        whole = seconds(lambda i=index: i.search(recording, K, sample_rate=48_000))
        table.note(f"{sounds:,} sounds: from a recording of 4 s to results {duration(whole)}")
        for dim in (384, 960) if sounds == max(options.sounds) else (384,):
            compare_search(table, random_index(sounds, dim), around_centres(256, 1, dim))
    if options.clips:
        with tempfile.TemporaryDirectory() as folder:
            clips = write_clips(Path(folder), options.clips)
            start = time.perf_counter()
            build(system, clips, bar=True)
            took = duration(time.perf_counter() - start)
            table.note(f"index {len(clips)} clips of 10 s from nothing: {took}")
            compare_indexing(table, system, clips[: max(1, options.clips // 10)])
    table.finish()


if __name__ == "__main__":
    main()
