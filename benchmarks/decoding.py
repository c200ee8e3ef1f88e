"""Decoding and resampling beside librosa.load, one file after another.

python benchmarks/decoding.py [--sounds FOLDER] [--files 100] [--rounds 5] [--threads 2]
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import librosa
import numpy as np
from clips import some_clips
from side_by_side import Table, arguments

from qvim_kit.audio import load_audio


def compare(table: Table, paths: list[Path], what: str) -> None:
    def one_by_one() -> list[np.ndarray]:
        return [librosa.load(path, sr=32_000, duration=10.0)[0] for path in paths]

    def kit() -> list[np.ndarray]:
        with ThreadPoolExecutor(table.options.threads) as pool:
            return list(pool.map(lambda path: load_audio(path, 32_000, 10.0), paths))

    for plain, ours in zip(one_by_one(), kit(), strict=True):
        shared = min(len(plain), len(ours))
        np.testing.assert_allclose(ours[:shared], plain[:shared], atol=1e-6)
    table.compare(f"decode and resample {what}", one_by_one, kit, aim=1.8, beside="librosa.load")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--sounds", type=Path, help="a folder of them, besides made ones")
    parser.add_argument("--files", type=int, default=100)
    options = parser.parse_args()
    table = Table(options)
    with some_clips(options.sounds, options.files) as sets:
        for paths, what in sets:
            compare(table, paths, what)
    table.finish()


if __name__ == "__main__":
    main()
