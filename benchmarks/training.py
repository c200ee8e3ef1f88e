"""How much faster the kit trains than the straightforward loop; prints the README's table.

    python benchmarks/training.py [--rounds 5] [--steps 30]

Interleaved in one process, on this machine: a step of the plain eager float32 loop and of the kit's
(channels last, bfloat16 where the processor has it) on the same mn10, 10 s, 16 pairs, two towers;
reading the data in the first and in the second epoch; an epoch of the frozen head and of the full
network. With --steps both loops also train that many steps, to compare their losses.
"""

from __future__ import annotations

import contextlib
import copy
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch
from side_by_side import Table, arguments

from qvim_kit.audio import load_audio
from qvim_kit.datasets import load_mini
from qvim_kit.features import LogMel
from qvim_kit.losses import nt_xent
from qvim_kit.models.dual_encoder import DualEncoder
from qvim_kit.models.mobilenet import mobilenet
from qvim_kit.training import WaveformCache
from qvim_kit.training.presets import fast_precision

BATCH, SECONDS, RATE = 16, 10.0, 32_000


def trainer(model: DualEncoder, quick: bool) -> Callable[[torch.Tensor, torch.Tensor], float]:
    """A function that takes one step: the kit's way, or the plain one."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.0)
    half = quick and fast_precision() == "bf16-mixed"
    if quick:
        model.to(memory_format=torch.channels_last)

    def step(queries: torch.Tensor, items: torch.Tensor) -> float:
        autocast = torch.autocast("cpu", torch.bfloat16) if half else contextlib.nullcontext()
        log_mels = model.front_end(queries), model.front_end(items)
        with autocast:
            embedded = [
                model.embed_log_mel(log_mel, side)
                for log_mel, side in zip(log_mels, ("query", "item"), strict=True)
            ]
        loss = nt_xent(*(rows.float() for rows in embedded))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--steps", type=int, default=0)
    options = parser.parse_args()
    table = Table(options)
    torch.manual_seed(0)
    dataset = load_mini()
    paths = [*dataset.queries["path"][:64], *dataset.items["path"][:64]]

    with tempfile.TemporaryDirectory() as folder:
        # As sounds lie on disk: 44.1 kHz FLAC.
        clips = [Path(folder) / f"{number}.flac" for number in range(len(paths))]
        for path, clip in zip(paths, clips, strict=True):
            soundfile.write(clip, load_audio(path, 44_100), 44_100)
        cache = WaveformCache(Path(folder) / "cache", RATE)
        cache.add(clips)
        samples, rng = int(SECONDS * RATE), np.random.default_rng(0)
        table.compare(
            "training data, second epoch",
            lambda: [load_audio(clip, RATE, SECONDS) for clip in clips],
            lambda: [cache.read(clip, samples, rng) for clip in clips],
            aim=2,
            beside="44.1 kHz FLAC decoded and resampled",
        )

    waveforms = torch.stack([torch.from_numpy(load_audio(p, RATE, SECONDS)) for p in paths])
    start = DualEncoder(mobilenet(1.0), front_end=LogMel()).train()
    plain, quick = trainer(copy.deepcopy(start), False), trainer(copy.deepcopy(start), True)
    pair = waveforms[:BATCH], waveforms[64 : 64 + BATCH]
    table.compare(
        f"training step, mn10, {BATCH} pairs of 10 s ({fast_precision()})",
        lambda: plain(*pair),
        lambda: quick(*pair),
        aim=2,
        beside="eager float32",
    )

    head = torch.nn.Linear(start.dim, 256, bias=False)
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3)
    cached = torch.randn(2, BATCH, start.dim)

    def head_step() -> None:
        optimizer.zero_grad(set_to_none=True)
        nt_xent(head(cached[0]), head(cached[1])).backward()
        optimizer.step()

    table.compare(
        "training step of a frozen head on cached embeddings",
        lambda: quick(*pair),
        head_step,
        beside="the full network's",
    )
    if options.steps:
        compare_losses(start, waveforms, options.steps)
    table.finish()


def compare_losses(start: DualEncoder, waveforms: torch.Tensor, count: int) -> None:
    """Print the losses of both loops over so many steps on the same batches."""
    steps = {"eager float32": trainer(copy.deepcopy(start), False)}
    steps["kit"] = trainer(copy.deepcopy(start), True)
    losses, order = {name: [] for name in steps}, np.random.default_rng(1)
    for _ in range(count):
        chosen = torch.from_numpy(order.choice(64, BATCH, replace=False))
        for name, step in steps.items():
            losses[name].append(step(waveforms[chosen], waveforms[64 + chosen // 2]))
    for name, values in losses.items():
        thirds = [np.mean(part) for part in np.array_split(values, 3)]
        print(f"loss, {count} steps, {name}: {' → '.join(f'{v:.3f}' for v in thirds)}")


if __name__ == "__main__":
    main()
