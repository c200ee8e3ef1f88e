"""The encoder's forward beside eager torch, one clip at a time; and short sounds.

    python benchmarks/encoder.py [--rounds 5] [--threads 2]

Clips of 10 s, 8 of them, through mn10 and mn04 with their AudioSet weights where these are cached,
else with random ones: the arithmetic is the same.
"""

from __future__ import annotations

import numpy as np
import torch
from side_by_side import Table, arguments
from torch.utils.flop_counter import FlopCounterMode

from qvim_kit.features import LogMel
from qvim_kit.models.engine import Engine
from qvim_kit.models.mobilenet import AUDIOSET_CHECKPOINTS, MobileNet, load_audioset
from qvim_kit.paths import cache_folder
from qvim_kit.systems.silence import log_mels

CLIPS, SAMPLES = 8, 320_000


def encoder(name: str, log_mel: torch.Tensor) -> tuple[MobileNet, str]:
    """An AudioSet encoder, and which weights it has; random ones have seen ``log_mel``."""
    if (cache_folder() / AUDIOSET_CHECKPOINTS[name].filename).is_file():
        return load_audioset(name), "AudioSet weights"
    torch.manual_seed(0)
    network = MobileNet(AUDIOSET_CHECKPOINTS[name].width).train()
    with torch.no_grad():
        for _ in range(10):  # batch norms that know nothing let the embeddings vanish
            network(log_mel[:, :, :, :200])
    return network.eval(), "random weights"


def main() -> None:
    options = arguments(__doc__).parse_args()
    table, rng = Table(options), np.random.default_rng(0)
    levels = 10 ** rng.uniform(-2, -0.5, (CLIPS, 1)).astype(np.float32)
    waveforms = levels * rng.standard_normal((CLIPS, SAMPLES), dtype=np.float32)
    front_end = LogMel().eval()
    log_mel = front_end(torch.from_numpy(waveforms))[:, None]
    with torch.inference_mode():
        for name in ("mn10_as", "mn04_as"):
            compare(table, name, log_mel)
        short(table, front_end, waveforms)
    table.finish()


def compare(table: Table, name: str, log_mel: torch.Tensor) -> None:
    network, weights = encoder(name, log_mel)
    run = Engine("onnx")

    def one_at_a_time() -> np.ndarray:
        return np.concatenate([network(clip)[1].numpy() for clip in log_mel.split(1)])

    expected, found = one_at_a_time(), run(network, log_mel)
    lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(found, axis=1)
    cosine = float(((expected * found).sum(axis=1) / lengths).min())
    assert cosine >= 0.9999, cosine
    what = f"{name.removesuffix('_as')}, {CLIPS} clips of 10 s"
    row = table.compare(
        what, one_at_a_time, lambda: run(network, log_mel), 3, "eager, one clip a time"
    )
    with FlopCounterMode(display=False) as counter:
        network(log_mel)
    speed = f"{counter.get_total_flops() / row.kit_s / 1e9:.0f} GFLOP/s"
    table.note(f"{name}: {weights}, cosine to eager float32 at least {cosine:.7f}, {speed}")


def short(table: Table, front_end: LogMel, waveforms: np.ndarray) -> None:
    """Sounds of one second, zero-padded to ten."""
    padded = np.where(np.arange(SAMPLES) < SAMPLES // 10, waveforms, 0).astype(np.float32)

    def whole() -> torch.Tensor:
        return front_end(torch.from_numpy(padded))

    torch.testing.assert_close(log_mels(front_end, padded), whole(), atol=1e-5, rtol=0)
    what = f"log-mel, {CLIPS} clips of 1 s padded to 10 s"
    table.compare(what, whole, lambda: log_mels(front_end, padded), None, "padding transformed too")


if __name__ == "__main__":
    main()
