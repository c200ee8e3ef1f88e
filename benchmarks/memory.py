"""Memory while thousands of files are embedded: a curve that should be flat.

    python benchmarks/memory.py [--files 10000] [--threads 2] [-o memory.png]

The files are made sounds of one second, no two alike, so that nothing comes
from the cache. The network is small: memory is what is looked at, not time.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import torch

from qvim_kit.models.mobilenet import mobilenet
from qvim_kit.systems import EncoderSystem


def resident_mb() -> float:
    """What this process has in memory now, in MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def write_sounds(folder: Path, count: int) -> list[Path]:
    """Short sounds, no two alike."""
    rng = np.random.default_rng(0)
    paths = [folder / f"{number}.wav" for number in range(count)]
    for path in paths:
        soundfile.write(path, 0.1 * rng.standard_normal(8_000, dtype=np.float32), 8_000)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, help="where to draw the curve")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    system = EncoderSystem(mobilenet(0.1), duration=1.0, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["QVIM_CACHE"] = str(Path(folder) / "cache")
        paths = write_sounds(Path(folder), options.files)
        done, memory, every = [], [], max(1, options.files // 50)
        for number, _ in enumerate(system.embed_each(paths)):
            if number % every == 0:
                done.append(number)
                memory.append(resident_mb())
                print(f"{number:6,} files: {memory[-1]:.0f} MB", flush=True)
    early = len(memory) // 10
    print(
        f"from file {done[early]:,} to {done[-1]:,}: {memory[early]:.0f} → {memory[-1]:.0f} MB, "
        f"{1e3 * (memory[-1] - memory[early]) / (done[-1] - done[early]):.1f} kB a file"
    )
    if options.output:
        draw(done, memory, options.output)


def draw(files: list[int], memory: list[float], path: Path) -> None:
    """The curve, from zero on."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.5, 3), layout="constrained")
    axes.plot(files, memory, color="#0072b2")
    axes.set(xlabel="files embedded", ylabel="memory in use (MB)", ylim=(0, 1.2 * max(memory)))
    figure.savefig(path, dpi=100)
    print(f"drawn in {path}")


if __name__ == "__main__":
    main()
