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
from pathlib import Path

import librosa
import numpy as np
import torch
from clips import some_clips
from side_by_side import Table, arguments

from qvim_kit.features import LogMel
from qvim_kit.models.mobilenet import mobilenet
from qvim_kit.systems import EncoderSystem

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


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--sounds", type=Path, help="a folder of them, instead of made ones")
    parser.add_argument("--files", type=int, default=200)
    options = parser.parse_args()
    table = Table(options)
    torch.manual_seed(0)
    encoder = mobilenet(1.0).eval()
    plain, kit = Straightforward(encoder), EncoderSystem(encoder, name="mn10", device="cpu")
    with (
        some_clips(options.sounds, options.files) as (paths, what),
        tempfile.TemporaryDirectory() as folder,
    ):
        names = {str(number): str(path) for number, path in enumerate(paths)}
        cut = options.files // 2
        queries = dict(itertools.islice(names.items(), cut))
        items = dict(itertools.islice(names.items(), cut, None))
        os.environ["QVIM_CACHE"] = folder

        def cold() -> Scores:
            shutil.rmtree(Path(folder) / "embeddings", ignore_errors=True)
            return kit.compute_similarities(items, queries)

        expected, found = plain.compute_similarities(items, queries), cold()
        worst = max(abs(expected[q][i] - found[q][i]) for q in queries for i in items)
        assert worst < 1e-4, worst
        for state, work, aim in (
            ("cold", cold, 2.5),
            ("cached", lambda: kit.compute_similarities(items, queries), 50),
        ):
            table.compare(
                f"a submission of {what}, mn10, {state}",
                lambda: plain.compute_similarities(items, queries),
                work,
                aim,
                beside="librosa, one clip a forward, dot products",
            )
    table.finish()


if __name__ == "__main__":
    main()
