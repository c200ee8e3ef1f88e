"""How fast a library is searched and indexed, beside the plain loop and the machine's limits.

    python benchmarks/search.py [--rounds 5] [--sounds 10000 100000] [--clips 400] [--threads 2]

Both sides are interleaved in one process and their answers compared. Embeddings are random around
200 centres, 384 numbers each (mn04's); the mn04 that embeds queries and clips has random weights,
which cost the same. "One pass" is numpy's product of all embeddings with a vector: no exact search
does with less. It is given twice, as small libraries stay in the processor's cache; in a notebook
they do not, because the network that embeds the query comes between two searches. faiss and LanceDB
are compared with where they are installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch
from threadpoolctl import threadpool_limits

from qvim_kit.models.mobilenet import mobilenet
from qvim_kit.search import LanceIndex, SoundIndex
from qvim_kit.search.building import Built, Changes, Row
from qvim_kit.search.library import Library
from qvim_kit.systems import EncoderSystem

DIM, K, RATE = 384, 10, 44_100
Table = dict[str, tuple[float, float, float]]


def seconds(work: Callable[[], object], before: Callable[[], object] | None = None) -> float:
    """The quickest of up to fifteen runs that together take about a fifth of a second.

    What takes a millisecond cannot be timed once: another program may have had the processor.
    """
    found, end = [], time.perf_counter() + 0.2
    while not found or (len(found) < 15 and time.perf_counter() < end):
        if before is not None:
            before()
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def ratios(
    slow: Callable, fast: Callable, rounds: int, before: Callable[[], object] | None = None
) -> tuple[float, float, float]:
    """Median, lowest and highest of slow / fast, in turn, after one round to warm up."""
    slow(), fast()
    found = sorted(seconds(slow, before) / seconds(fast, before) for _ in range(rounds))
    return float(np.median(found)), found[0], found[-1]


def around_centres(rows: int, seed: int) -> np.ndarray:
    """Unit rows around 200 centres, as sounds lie around classes."""
    centres = np.random.default_rng(99).standard_normal((200, DIM), dtype=np.float32)
    rng = np.random.default_rng(seed)
    found = rng.standard_normal((rows, DIM), dtype=np.float32)
    found += centres[rng.integers(200, size=rows)]
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def random_index(sounds: int) -> SoundIndex:
    embeddings = around_centres(sounds, seed=0)
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


def compare_search(index: SoundIndex, queries: np.ndarray, rounds: int) -> Table:
    embeddings, query, size = index.embeddings, queries[0], f"{len(index):,} × {DIM}"
    expected = list(index.search(query, K).index)
    assert expected == loop(embeddings, query) == full_sort(embeddings, query).tolist()
    best = np.take_along_axis(queries @ embeddings.T, full_sort(embeddings, queries), axis=1)
    np.testing.assert_allclose(index.nearest(queries, K)[1], best, atol=1e-5)
    one, other = query[None], np.zeros(32 << 20, dtype=np.float32)  # 128 MB: more than caches hold

    def search() -> object:
        return index.search(query, K)

    def one_pass() -> object:
        return embeddings @ query

    def several() -> object:
        return index.nearest(queries, K)

    rows = {
        "plain loop / search": (lambda: loop(embeddings, query), search),
        "numpy with a full sort / search": (lambda: full_sort(embeddings, query), search),
        "search / np.sum of the embeddings": (search, embeddings.sum),
        "search / one pass, in the cache": (search, one_pass),
        "search / one pass, from memory": (search, one_pass, other.sum),
        "nearest (search without its table) / one pass, from memory": (
            lambda: index.nearest(one, K),
            one_pass,
            other.sum,
        ),
        "256 queries: numpy with a full sort / nearest": (
            lambda: full_sort(embeddings, queries),
            several,
        ),
        "256 queries: nearest / the matrix product alone": (
            several,
            lambda: queries @ embeddings.T,
        ),
        **faiss_rows(embeddings, queries, expected, search, several),
    }
    return {f"{size}: {what}": ratios(*work[:2], rounds, *work[2:]) for what, work in rows.items()}


def faiss_rows(
    embeddings: np.ndarray,
    queries: np.ndarray,
    expected: list[int],
    search: Callable,
    several: Callable,
) -> dict[str, tuple[Callable, Callable]]:
    if not importlib.util.find_spec("faiss"):
        return {}
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    flat = faiss.IndexFlatIP(DIM)
    flat.add(embeddings)
    assert flat.search(queries[:1], K)[1][0].tolist() == expected
    return {
        "faiss Flat / search": (lambda: flat.search(queries[:1], K), search),
        "256 queries: faiss Flat / nearest": (lambda: flat.search(queries, K), several),
    }


def compare_lance(index: SoundIndex, queries: np.ndarray, rounds: int) -> Table:
    if not importlib.util.find_spec("lancedb"):
        return {}
    size, query = f"{len(index):,} × {DIM}", queries[0]
    with tempfile.TemporaryDirectory() as folder:
        lance = LanceIndex.copy(index, folder)
        assert list(lance.search(query, K)["name"]) == list(index.search(query, K)["name"])
        table = {
            f"{size}: LanceIndex, exact / search": ratios(
                lambda: lance.search(query, K), lambda: index.search(query, K), rounds
            )
        }
        lance.create_index()
        for probes in (1, 10, 100):
            recall = lance.recall(queries[:20], probes, K)
            what = f"{size}: LanceIndex, {probes} probes (recall {recall:.2f}) / search"
            table[what] = ratios(
                lambda probes=probes: lance.search(query, K, probes=probes),
                lambda: index.search(query, K),
                rounds,
            )
    return table


def compare_indexing(system: EncoderSystem, clips: list[Path], rounds: int) -> Table:
    """Indexing from nothing, beside librosa and one clip a forward."""

    def plain() -> np.ndarray:
        waveforms = (librosa.load(clip, sr=32_000, duration=10.0)[0] for clip in clips)
        rows = [system.embed_batch(waveform[None], "item")[0] for waveform in waveforms]
        return np.stack([row / np.linalg.norm(row) for row in rows])

    found = build(system, clips).embeddings
    np.testing.assert_allclose(found, plain(), atol=1e-4)
    pair = ratios(plain, lambda: build(system, clips), rounds)
    return {f"index {len(clips)} clips of 10 s: librosa, one a forward / build": pair}


def build(system: EncoderSystem, clips: list[Path], bar: bool = False) -> SoundIndex:
    with tempfile.TemporaryDirectory() as cache:
        os.environ["QVIM_CACHE"] = cache
        return SoundIndex.build(clips, system, progress=None if bar else lambda done, total: None)


def write_clips(folder: Path, count: int) -> list[Path]:
    """Ten seconds of coloured noise each, 44.1 kHz stereo, as sound libraries hold them."""
    rng = np.random.default_rng(1)
    paths = [folder / f"{number}.wav" for number in range(count)]
    for path in paths:
        noise = rng.standard_normal((10 * RATE, 2), dtype=np.float32)
        noise[1:] += 0.9 * noise[:-1]
        soundfile.write(path, 0.05 * noise, RATE, subtype="PCM_16")
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sounds", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--clips", type=int, default=400, help="0: no indexing")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    threadpool_limits(options.threads)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    queries = around_centres(256, seed=1)
    system, table = EncoderSystem(mobilenet(0.4), name="mn04"), {}
    recording = np.random.default_rng(3).normal(size=4 * 48_000).astype(np.float32)
    for sounds in options.sounds:
        index = random_index(sounds)
        index.system = system
        embeddings, query = index.embeddings, queries[0]
        passing = 1e3 * seconds(lambda e=embeddings, q=query: e @ q)
        product = 1e3 * seconds(lambda e=embeddings: queries @ e.T)
        whole = 1e3 * seconds(lambda i=index: i.search(recording, K, sample_rate=48_000))
        print(
            f"{sounds:,} sounds: one pass {passing:.2f} ms, {embeddings.nbytes / passing / 1e6:.0f}"
            f" GB/s; matrix product {2e-6 * len(queries) * embeddings.size / product:.0f} GFLOP/s; "
            f"from a recording of 4 s to results {whole:.0f} ms"
        )
        table |= compare_search(index, queries, options.rounds)
        table |= compare_lance(index, queries, options.rounds)
    if options.clips:
        with tempfile.TemporaryDirectory() as folder:
            clips = write_clips(Path(folder), options.clips)
            cpu, start = time.process_time(), time.perf_counter()
            build(system, clips, bar=True)
            print(
                f"index {len(clips)} clips of 10 s: {time.perf_counter() - start:.1f} s, "
                f"{time.process_time() - cpu:.1f} s of CPU"
            )
            table |= compare_indexing(system, clips[: max(1, options.clips // 10)], options.rounds)
    print("\n| what | median ratio | lowest | highest |\n|---|---|---|---|")
    for what, numbers in table.items():
        print(f"| {what} | {' | '.join(f'{number:.2f}' for number in numbers)} |")


if __name__ == "__main__":
    main()
