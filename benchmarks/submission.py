"""A whole submission, from files to similarities, beside the straightforward loop.

    python benchmarks/submission.py [--sounds FOLDER] [--files 200] [--rounds 5] [--threads 2]

mn10 has random weights, which cost the same as trained ones. Half of the files are queries. Cold:
nothing is cached but the exported network; cached: the embeddings are.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import librosa
import numpy as np
import torch
from clips import some_clips
from side_by_side import Table, arguments, duration, seconds
from torch.utils.flop_counter import FlopCounterMode

from qvim_kit.features import LogMel
from qvim_kit.models.mobilenet import mobilenet
from qvim_kit.paths import cache_folder
from qvim_kit.systems import EncoderSystem
from qvim_kit.systems.silence import log_mels

Scores = dict[str, dict[str, float]]


class Straightforward:
    """librosa.load, the front end, one clip a forward, a dictionary of dot products."""

    def __init__(self, encoder: torch.nn.Module):
        self.encoder, self.front_end = encoder.eval(), LogMel().eval()

    def embed(self, path: str) -> np.ndarray:
        waveform, _ = librosa.load(path, sr=32_000, duration=10.0)
        waveform = np.pad(waveform, (0, 320_000 - len(waveform)))
        with torch.no_grad():
            _, found = self.encoder(self.front_end(torch.from_numpy(waveform)[None])[:, None])
        return found[0].numpy() / np.linalg.norm(found[0].numpy())

    def compute_similarities(self, items: dict[str, str], queries: dict[str, str]) -> Scores:
        sounds = {name: self.embed(path) for name, path in items.items()}
        asked = {name: self.embed(path) for name, path in queries.items()}
        return {
            query: {item: float(np.dot(one, other)) for item, other in sounds.items()}
            for query, one in asked.items()
        }


def compare(
    table: Table, plain: Straightforward, kit: EncoderSystem, clips: list[Path], what: str
) -> None:
    names = {str(number): str(path) for number, path in enumerate(clips)}
    queries = dict(itertools.islice(names.items(), len(clips) // 2))
    items = dict(itertools.islice(names.items(), len(queries), None))

    def cold() -> Scores:
        shutil.rmtree(cache_folder() / "embeddings", ignore_errors=True)
        return cached()

    def cached() -> Scores:
        return kit.compute_similarities(items, queries)

    def straightforward() -> Scores:
        return plain.compute_similarities(items, queries)

    expected, found = straightforward(), cold()
    worst = max(abs(expected[q][i] - found[q][i]) for q in queries for i in items)
    assert worst < 1e-4, worst
    beside = "librosa, one clip a forward, dot products"
    for state, work, aim in (("cold", cold, 2.5), ("cached", cached, 50)):
        table.compare(f"a submission of {what}, mn10, {state}", straightforward, work, aim, beside)
    table.note(f"{what}: {parts(kit, clips, table.options.threads)}")


def parts(kit: EncoderSystem, clips: list[Path], threads: int) -> str:
    """How long the parts of a cold run take by themselves, and the network's share of the limit."""
    with ThreadPoolExecutor(threads) as pool:
        decoding = seconds(lambda: list(pool.map(kit.load, clips)))
        groups = np.array_split(np.stack(list(pool.map(kit.load, clips))), len(clips) // 16 or 1)
    mels = [log_mels(kit.front_end, group)[:, None] for group in groups]
    front_end = seconds(lambda: [log_mels(kit.front_end, group) for group in groups])
    network = seconds(lambda: [kit.engine(kit.encoder, group) for group in mels])
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        kit.encoder(mels[0][:1])
    speed = counter.get_total_flops() * len(clips) / network / 1e9
    return (
        f"decoding {duration(decoding)}, log-mel {duration(front_end)}, network "
        f"{duration(network)}, at {speed:.0f} GFLOP/s"
    )


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--sounds", type=Path, help="a folder of them, besides made ones")
    parser.add_argument("--files", type=int, default=200)
    options = parser.parse_args()
    table = Table(options)
    torch.manual_seed(0)
    encoder = mobilenet(1.0).eval()
    plain, kit = Straightforward(encoder), EncoderSystem(encoder, name="mn10", device="cpu")
    with (
        some_clips(options.sounds, options.files) as sets,
        tempfile.TemporaryDirectory() as folder,
    ):
        os.environ["QVIM_CACHE"] = folder
        for clips, what in sets:
            compare(table, plain, kit, clips, what)
    table.finish()


if __name__ == "__main__":
    main()
