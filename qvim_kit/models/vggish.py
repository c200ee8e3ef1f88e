"""VGGish: the convolutional network of AudioSet's first release, and its log-mel front end.

Hershey et al., "CNN Architectures for Large-Scale Audio Classification", ICASSP 2017; weights
ported to PyTorch by https://github.com/harritaylor/torchvggish (Apache 2.0).
"""

from __future__ import annotations

import torch
from torch import nn

from qvim_kit.downloads import fetch
from qvim_kit.models.mobilenet import load_weights
from qvim_kit.paths import cache_folder

SAMPLE_RATE = 16_000
N_FFT, WINDOW, HOP = 512, 400, 160  # samples at 16 kHz: 25 ms every 10 ms
MELS, LOWEST_HZ, HIGHEST_HZ = 64, 125.0, 7_500.0
LOG_OFFSET = 0.01
FRAMES = 96  # of one input of the whole network: 0.96 s
CHANNELS = (64, None, 128, None, 256, 256, None, 512, 512, None)  # None: halve both axes

URL = "https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish-10086976.pth"
SHA256 = "10086976245803799d9194e9a73d9b6c1549c71d1b80106f5cade5608a561f4b"


class VGGishLogMel(nn.Module):
    """The log-mel front end that VGGish was trained on.

    Magnitude (not power) of frames that lie wholly inside the waveform, 64 triangles on the HTK
    mel scale from 125 to 7500 Hz, ln(x + 0.01). A silent frame is ln 0.01 = -4.605.

    Source: https://github.com/tensorflow/models/tree/master/research/audioset/vggish.
    Notebook: 03_baselines.

    Shape:
        - Input: (batch, samples) at 16 kHz, float in [-1, 1], at least 400 samples.
        - Output: (batch, frames, 64), frames = 1 + (samples - 400) // 160.
    """

    sample_rate, mels = SAMPLE_RATE, MELS

    def __init__(self):
        super().__init__()
        # Constants, not weights: they stay out of checkpoints.
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        self.register_buffer("filters", mel_filters(), persistent=False)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        if waveforms.ndim != 2 or waveforms.shape[1] < WINDOW:
            raise ValueError(
                f"VGGishLogMel: found waveforms of shape {tuple(waveforms.shape)}, "
                f"expected (batch, samples) with at least {WINDOW} samples"
            )
        frames = waveforms.to(self.window.dtype).unfold(1, WINDOW, HOP) * self.window
        magnitude = torch.fft.rfft(frames, N_FFT).abs()
        return torch.log(magnitude @ self.filters + LOG_OFFSET)

    def extra_repr(self) -> str:
        return f"{SAMPLE_RATE} Hz, {MELS} mels from {LOWEST_HZ} to {HIGHEST_HZ} Hz"


def mel_filters() -> torch.Tensor:
    """64 triangles of height 1 on the HTK mel scale, straight in mel and not in Hz; (257, 64).

    In float64 to the end: torchaudio's, in float32, are off by 1e-5.
    """
    hertz = torch.linspace(0, SAMPLE_RATE / 2, N_FFT // 2 + 1, dtype=torch.float64)
    edges = torch.tensor([LOWEST_HZ, HIGHEST_HZ], dtype=torch.float64)
    bins, (low, high) = torch.log1p(hertz / 700), torch.log1p(edges / 700)
    # On a scale on which one band follows the other at a distance of 1, band m peaks at m + 1.
    bins = (bins - low) / (high - low) * (MELS + 1)
    peaks = torch.arange(1, MELS + 1)
    return (1 - (bins[:, None] - peaks).abs()).clamp(min=0).float()


class VGGish(nn.Module):
    """Six convolutions and three linear layers; 72.1 million weights, random at first.

    ``features`` takes log-mels of any length, ``embeddings`` those of 0.96 s only. The names of
    the weights are torchvggish's, and the 128 outputs are its embedding before PCA.

    Shape:
        - Input: (batch, 1, 96, 64), what `VGGishLogMel` returns of 0.96 s, with a channel axis.
        - Output: (batch, 128), never negative.
    """

    dim = 128

    def __init__(self):
        super().__init__()
        layers, channels = [], 1
        for out in CHANNELS:
            if out is None:
                layers.append(nn.MaxPool2d(2))
            else:
                # Not in place, so that what a layer returned stays as it was.
                layers += [nn.Conv2d(channels, out, 3, padding=1), nn.ReLU()]
                channels = out
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            nn.Linear(channels * (FRAMES // 16) * (MELS // 16), 4096),
            nn.ReLU(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Linear(4096, self.dim),
            nn.ReLU(),
        )

    def forward(self, log_mel: torch.Tensor) -> torch.Tensor:
        if log_mel.ndim != 4 or log_mel.shape[1:] != (1, FRAMES, MELS):
            raise ValueError(
                f"VGGish: found input of shape {tuple(log_mel.shape)}, "
                f"expected (batch, 1, {FRAMES}, {MELS})"
            )
        # Trained with the channels as the last axis, so they are flattened in that order.
        return self.embeddings(self.features(log_mel).permute(0, 2, 3, 1).flatten(1))


def load_vggish() -> VGGish:
    """VGGish with its published weights, in evaluation mode.

    The file, 288 MB, is taken from the cache folder (``QVIM_CACHE``, else the platform's) or
    downloaded there.

    Raises `DownloadError`, which says which file to put where, if it is neither cached nor can be
    fetched, and `CheckpointError` where the file does not fit the network.
    """
    path = fetch(URL, cache_folder(), URL.rsplit("/", 1)[-1], SHA256)
    model = VGGish()
    load_weights(model, path)
    return model.eval()
