"""The front ends beside the published operations: log-mel, and the 2DFT's filter bank.

python benchmarks/features.py [--rounds 5] [--threads 2]
"""

from __future__ import annotations

import numpy as np
import torch
import torchaudio
from side_by_side import Table, arguments

from qvim_kit import features
from qvim_kit.features import HOP, N_FFT, PRE_EMPHASIS, WINDOW, LogMel, two_dft


def published(front_end: LogMel, waveforms: torch.Tensor) -> torch.Tensor:
    """The operations of the published front end: a convolution, real and imaginary, a product."""
    kernel = torch.tensor([[[-PRE_EMPHASIS, 1.0]]])
    emphasised = torch.nn.functional.conv1d(waveforms[:, None], kernel).squeeze(1)
    spectrum = torch.stft(
        emphasised, N_FFT, HOP, WINDOW, front_end.window, center=True, return_complex=True
    )
    power = (torch.view_as_real(spectrum) ** 2).sum(dim=-1)
    mel = torch.matmul(features.mel_filters(32_000, 128, 0.0, 15_000.0), power)
    return ((mel + 1e-5).log() + 4.5) / 5.0


def main() -> None:
    options = arguments(__doc__).parse_args()
    table, rng = Table(options), np.random.default_rng(0)
    waveforms = 0.1 * torch.from_numpy(rng.standard_normal((8, 320_000), dtype=np.float32))
    kit = LogMel().eval()
    plain = torchaudio.transforms.MelSpectrogram(
        32_000, N_FFT, WINDOW, HOP, 0.0, 15_000.0, n_mels=128
    )
    with torch.inference_mode():
        torch.testing.assert_close(published(kit, waveforms), kit(waveforms), atol=1e-5, rtol=0)
        table.compare(
            "log-mel, 8 clips of 10 s",
            lambda: published(kit, waveforms),
            lambda: kit(waveforms),
            aim=1.7,
            beside="the published operations",
        )
        table.compare(
            "log-mel, 8 clips of 10 s",
            lambda: plain(waveforms),
            lambda: kit(waveforms),
            aim=1.3,
            beside="torchaudio's MelSpectrogram, without log and pre-emphasis",
            cost=True,
        )
    sounds = 0.1 * rng.standard_normal((8, 40_000), dtype=np.float32)

    def afresh() -> np.ndarray:
        fingerprints = []
        for sound in sounds:  # as published: the filter bank is made for every clip
            features._cqt_filters.cache_clear()
            fingerprints.append(two_dft(sound[None])[0])
        return np.stack(fingerprints)

    np.testing.assert_allclose(afresh(), two_dft(sounds), rtol=1e-4, atol=1e-5)
    table.compare(
        "2DFT, 8 clips of 5 s",
        afresh,
        lambda: [two_dft(sound[None]) for sound in sounds],
        aim=2,
        beside="a fresh filter bank for every clip",
    )
    table.finish()


if __name__ == "__main__":
    main()
