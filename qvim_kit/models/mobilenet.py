"""MobileNetV3 for audio, with the AudioSet checkpoints of EfficientAT.

Howard et al., "Searching for MobileNetV3", ICCV 2019, table 1 (large); trained for audio tagging
by Schmid et al., "Efficient Large-Scale Audio Tagging via Transformer-to-CNN Knowledge
Distillation", ICASSP 2023, https://github.com/fschmid56/EfficientAT (MIT).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from qvim_kit.downloads import fetch
from qvim_kit.paths import cache_folder

AUDIOSET_CLASSES = 527
RELEASE = "https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1/"


class Checkpoint(NamedTuple):
    """A published checkpoint: width of its network, file name, SHA-256 where one is known."""

    width: float
    filename: str
    sha256: str | None = None


AUDIOSET_CHECKPOINTS = {
    "mn01_as": Checkpoint(0.1, "mn01_as_mAP_298.pt"),
    "mn02_as": Checkpoint(0.2, "mn02_as_mAP_378.pt"),
    "mn04_as": Checkpoint(
        0.4,
        "mn04_as_mAP_432.pt",
        "899a8c6217063f6941793102a2780b3dd788ab11fce468d9cf5f0577c453321c",
    ),
    "mn05_as": Checkpoint(0.5, "mn05_as_mAP_443.pt"),
    "mn10_as": Checkpoint(1.0, "mn10_as_mAP_471.pt"),
    "mn20_as": Checkpoint(2.0, "mn20_as_mAP_478.pt"),
    "mn30_as": Checkpoint(3.0, "mn30_as_mAP_482.pt"),
    "mn40_as": Checkpoint(4.0, "mn40_as_mAP_484.pt"),
}


class Block(NamedTuple):
    """One inverted residual: channel counts at width 1, and how it filters."""

    channels: int
    kernel: int
    expanded: int
    out: int
    squeeze: bool
    hardswish: bool
    stride: int


BLOCKS = (
    Block(16, 3, 16, 16, False, False, 1),
    Block(16, 3, 64, 24, False, False, 2),
    Block(24, 3, 72, 24, False, False, 1),
    Block(24, 5, 72, 40, True, False, 2),
    Block(40, 5, 120, 40, True, False, 1),
    Block(40, 5, 120, 40, True, False, 1),
    Block(40, 3, 240, 80, False, True, 2),
    Block(80, 3, 200, 80, False, True, 1),
    Block(80, 3, 184, 80, False, True, 1),
    Block(80, 3, 184, 80, False, True, 1),
    Block(80, 3, 480, 112, True, True, 1),
    Block(112, 3, 672, 112, True, True, 1),
    Block(112, 5, 672, 160, True, True, 2),
    Block(160, 5, 960, 160, True, True, 1),
    Block(160, 5, 960, 160, True, True, 1),
)


def round_channels(channels: float) -> int:
    """The multiple of 8 nearest to ``channels``, but never more than a tenth below it."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


def conv_bn(
    channels: int,
    out: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    activation: type[nn.Module] | None = None,
) -> nn.Sequential:
    """Convolution without bias, batch norm and, if given, an activation."""
    layers = [
        nn.Conv2d(channels, out, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out, eps=1e-3, momentum=0.01),
    ]
    return nn.Sequential(*layers, *([activation(inplace=True)] if activation else []))


class SqueezeExcitation(nn.Module):
    """Weigh each channel by what all channels hold on average.

    Shape: (batch, channels, mels, frames) → the same.
    """

    def __init__(self, channels: int):
        super().__init__()
        squeezed = round_channels(channels / 4)
        fc = nn.Module()
        fc.fc1, fc.fc2 = nn.Linear(channels, squeezed), nn.Linear(squeezed, channels)
        self.conc_se_layers = nn.ModuleList([fc])  # the published name of the one layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fc = self.conc_se_layers[0]
        weight = torch.sigmoid(fc.fc2(torch.relu(fc.fc1(x.mean((2, 3))))))
        return x * weight[:, :, None, None]


class InvertedResidual(nn.Module):
    """Expand, filter each channel by itself, squeeze-and-excite, project; add the input."""

    def __init__(self, block: Block, width: float):
        super().__init__()
        channels, expanded, out = (
            round_channels(c * width) for c in (block.channels, block.expanded, block.out)
        )
        activation = nn.Hardswish if block.hardswish else nn.ReLU
        layers = []
        if expanded != channels:
            layers.append(conv_bn(channels, expanded, activation=activation))
        layers.append(conv_bn(expanded, expanded, block.kernel, block.stride, expanded, activation))
        if block.squeeze:
            layers.append(SqueezeExcitation(expanded))
        layers.append(conv_bn(expanded, out))
        self.block = nn.Sequential(*layers)
        self.residual = block.stride == 1 and channels == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.block(x) if self.residual else self.block(x)


class MobileNet(nn.Module):
    """MobileNetV3-large on a log-mel spectrogram.

    Args:
        width: factor on every channel count; the embedding has 960 · width dimensions.
        classes: of the classifier; 527 for AudioSet.

    Shape:
        - Input: (batch, 1, mels, frames).
        - Output: logits (batch, classes) and embedding (batch, dim).
    """

    def __init__(self, width: float = 1.0, classes: int = AUDIOSET_CLASSES):
        super().__init__()
        if not width > 0:
            raise ValueError(f"width: found {width}, expected a positive factor such as 0.4")
        first, last = round_channels(16 * width), round_channels(160 * width)
        self.width, self.dim = width, 6 * last
        self.features = nn.Sequential(
            conv_bn(1, first, 3, 2, activation=nn.Hardswish),
            *(InvertedResidual(block, width) for block in BLOCKS),
            conv_bn(last, self.dim, activation=nn.Hardswish),
        )
        hidden = round_channels(1280 * width)
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(self.dim, hidden),
            nn.Hardswish(inplace=True),
            nn.Dropout(0.2),
            nn.Linear(hidden, classes),
        )

    def forward(self, log_mel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if log_mel.ndim != 4 or log_mel.shape[1] != 1:
            raise ValueError(
                f"MobileNet: found input of shape {tuple(log_mel.shape)}, "
                "expected (batch, 1, mels, frames)"
            )
        embedding = self.features(log_mel).mean((2, 3))
        return self.classifier[2:](embedding), embedding


def mobilenet(width: float = 1.0) -> MobileNet:
    """A MobileNet with random weights; see `load_audioset` for trained ones."""
    return MobileNet(width)


def load_audioset(name: str = "mn10_as") -> MobileNet:
    """The MobileNet called ``name`` with its AudioSet weights, in evaluation mode.

    The checkpoint is taken from the cache folder (``QVIM_CACHE``, else the platform's) or
    downloaded there.

    Raises `ValueError` for an unknown name, `DownloadError` where the file is neither cached nor
    can be fetched, and `CheckpointError` where the file does not fit the network.
    """
    if name not in AUDIOSET_CHECKPOINTS:
        known = ", ".join(AUDIOSET_CHECKPOINTS)
        raise ValueError(f"load_audioset: found name {name!r}, expected one of {known}")
    checkpoint = AUDIOSET_CHECKPOINTS[name]
    url = RELEASE + checkpoint.filename
    path = fetch(url, cache_folder(), checkpoint.filename, checkpoint.sha256)
    model = MobileNet(checkpoint.width)
    load_weights(model, path)
    return model.eval()


class CheckpointError(ValueError):
    """A checkpoint does not fit the network. The message names the file and what differs."""


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a state dict from a file into ``model``, on the CPU; every key must fit.

    Raises `CheckpointError` naming the file and all missing, unexpected and misshapen keys.
    """
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(weights)
    except Exception as error:  # torch raises anything from EOFError to UnpicklingError
        raise CheckpointError(
            f"{path}: not a checkpoint of this network ({error}); delete it and run again"
        ) from error
