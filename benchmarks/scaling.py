"""What a search costs as the library grows, and an embedding as the clip does; draws both.

    python benchmarks/scaling.py [--largest 1000000] [--threads 2] [-o scaling.png]

Exact search in memory beside LanceDB's index on disk (where it is installed), 384 numbers a sound,
embeddings around 200 centres: the size where exact search stops being the right answer is where its
curve crosses what you are willing to wait or the memory that you have.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from search import K, around_centres, random_index
from side_by_side import ceilings, duration, seconds

from qvim_kit.models.mobilenet import mobilenet
from qvim_kit.search import LanceIndex
from qvim_kit.systems import EncoderSystem


def search_times(largest: int) -> dict[str, dict[int, float]]:
    """Way → number of sounds → seconds a query."""
    query = around_centres(1, seed=1)[0]
    found: dict[str, dict[int, float]] = {"exact, in memory": {}}
    sounds = 1_000
    while sounds <= largest:
        index = random_index(sounds)
        found["exact, in memory"][sounds] = seconds(lambda i=index: i.search(query, K))
        if importlib.util.find_spec("lancedb"):
            with tempfile.TemporaryDirectory() as folder:
                lance = LanceIndex.copy(index, folder)
                time_s = seconds(lambda: lance.search(query, K))  # noqa: B023
                found.setdefault("LanceDB, exact, on disk", {})[sounds] = time_s
                if sounds >= 10_000:
                    lance.create_index()
                    recall = lance.recall(around_centres(20, seed=2), 10, K)
                    time_s = seconds(lambda: lance.search(query, K, probes=10))  # noqa: B023
                    found.setdefault("LanceDB, 10 probes", {})[sounds] = time_s
                    print(f"{sounds:,} sounds: recall with 10 probes {recall:.2f}", flush=True)
        print(
            f"{sounds:,} sounds, {index.embeddings.nbytes / 1e6:,.0f} MB: "
            + ", ".join(f"{way} {duration(t[sounds])}" for way, t in found.items() if sounds in t),
            flush=True,
        )
        sounds *= 10
    return found


def embedding_times() -> dict[str, dict[float, float]]:
    """Network → clip's length in s → seconds a clip."""
    found: dict[str, dict[float, float]] = {}
    for name, width in (("mn04", 0.4), ("mn10", 1.0)):
        found[name] = {}
        for length in (1.0, 2.0, 5.0, 10.0, 20.0, 40.0):
            system = EncoderSystem(mobilenet(width), duration=length, device="cpu", engine="onnx")
            clips = np.random.default_rng(0).standard_normal((4, int(length * 32_000)))
            clips = 0.1 * clips.astype(np.float32)
            system.embed_batch(clips, "item")  # exports the network
            found[name][length] = seconds(lambda s=system, c=clips: s.embed_batch(c, "item")) / 4
            print(f"{name}, {length:g} s: {duration(found[name][length])} a clip", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, help="where to draw")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["QVIM_CACHE"] = cache
        tables = (
            ("sounds in the library", search_times(options.largest)),
            ("length of a clip (s)", embedding_times()),
        )
    print(ceilings(options.threads))
    if options.output:
        draw(tables, options.output)


def draw(tables: tuple[tuple[str, dict], ...], path: Path) -> None:
    """Two plots beside each other, logarithmic both ways."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogFormatter, NullLocator

    figure, axes = plt.subplots(1, len(tables), figsize=(11, 4), layout="constrained")
    for one, (xlabel, curves) in zip(axes, tables, strict=True):
        for (name, times), marker in zip(curves.items(), "os^v", strict=False):
            one.loglog(list(times), [1e3 * t for t in times.values()], marker=marker, label=name)
        one.set(xlabel=xlabel, ylabel="time (ms)")
        sizes = sorted({size for times in curves.values() for size in times})
        one.set_xticks(sizes, [f"{x:,g}" if x < 1e6 else f"{x / 1e6:g} M" for x in sizes])
        one.xaxis.set_minor_locator(NullLocator())
        one.yaxis.set_major_formatter("{x:g}")
        one.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))
        one.legend(frameon=False)
    figure.savefig(path, dpi=100)
    print(f"drawn in {path}")


if __name__ == "__main__":
    main()
