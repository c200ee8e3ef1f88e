"""Augmentations of waveforms; each is called ``augment(x, generator)``, see `Augmentation`.

Notebook: 02_augment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torchaudio

from qvim_kit.augment.base import Augmentation, normal, spans, uniform


@dataclass(frozen=True)
class Roll(Augmentation):
    """Shift in time, the end coming in again at the beginning.

    The furthest shift either way is ``max_samples`` or ``max_fraction`` of the clip's length,
    whichever is more.

    Source: Greif et al., "Improving Query-by-Vocal Imitation with Contrastive Learning and
    Audio Pretraining", DCASE 2024. Shape: (batch, samples). Notebook: 02_augment.
    """

    max_samples: int = 0
    max_fraction: float = 0.0
    p: float = 1.0

    def apply(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        furthest = max(self.max_samples, int(self.max_fraction * x.shape[1]))
        shifts = uniform(0, 1, len(x), generator) * (2 * furthest + 1)
        shifts = (shifts.long() - furthest).tolist()
        return torch.stack([clip.roll(shift) for clip, shift in zip(x, shifts, strict=True)])

    def _problems(self) -> list[tuple[bool, str]]:
        found = (self.max_samples, self.max_fraction)
        return [(not min(found) >= 0, f"shift: found {found}, expected 0 or more")]


@dataclass(frozen=True)
class Gain(Augmentation):
    """Louder or softer by up to ``max_db`` decibels, uniform in decibels; nothing is clipped.

    Source: 20 log10 of the amplitude. Shape: (batch, samples). Notebook: 02_augment.
    """

    max_db: float
    p: float = 1.0

    def apply(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        factor = 10 ** (uniform(-self.max_db, self.max_db, len(x), generator) / 20)
        return x * factor.to(x)[:, None]

    def _problems(self) -> list[tuple[bool, str]]:
        found = self.max_db
        return [(not 0 <= found < math.inf, f"max_db: found {found}, expected 0 or more")]


@dataclass(frozen=True)
class AddNoise(Augmentation):
    """Add noise at a level drawn from a range, either relative to the clip or absolute.

    Args:
        snr_db: lowest and highest signal-to-noise ratio over the whole clip, dB; silence stays
            silent. (inf, inf) adds nothing.
        amplitude: lowest and highest standard deviation of the noise, full scale = 1.
        color: "white", or "pink" with power proportional to 1 / frequency.

    Source: `torchaudio.functional.add_noise`. Shape: (batch, samples). Notebook: 02_augment.
    """

    snr_db: tuple[float, float] | None = None
    amplitude: tuple[float, float] | None = None
    color: str = "white"
    p: float = 1.0

    def apply(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        low, high = self.snr_db or self.amplitude
        level = uniform(low, high, len(x), generator).to(x)
        noise = normal(x, generator)
        if self.color == "pink":
            spectrum = torch.fft.rfft(noise)
            bins = torch.arange(spectrum.shape[1], device=x.device).clamp(min=1)
            noise = torch.fft.irfft(spectrum / bins.sqrt(), x.shape[1])
            noise /= noise.square().mean(1, keepdim=True).sqrt()
        if self.snr_db:
            return torchaudio.functional.add_noise(x, noise, level)
        return x + level[:, None] * noise

    def _problems(self) -> list[tuple[bool, str]]:
        colors, one = ("white", "pink"), (self.snr_db is None) != (self.amplitude is None)
        low, high = self.snr_db or self.amplitude or (0, 0)
        return [
            (not one, "give either snr_db or amplitude"),
            (not low <= high, f"range: found ({low}, {high}), expected low <= high"),
            (bool(self.amplitude) and low < 0, f"amplitude: found {low}, expected 0 or more"),
            (self.color not in colors, f"color: found {self.color!r}, expected one of {colors}"),
        ]


@dataclass(frozen=True)
class LowPass(Augmentation):
    """Cut high frequencies off, as a low sample rate, a codec or a cheap microphone does.

    The cutoff, at -3 dB, lies between ``low_hz`` and ``high_hz``, log-uniform.

    Source: magnitude of a Butterworth filter of order 16, without its phase.
    Shape: (batch, samples). Notebook: 02_augment.
    """

    low_hz: float = 3_000
    high_hz: float = 12_000
    sample_rate: int = 32_000
    p: float = 1.0

    def apply(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        octaves = uniform(math.log2(self.low_hz), math.log2(self.high_hz), len(x), generator)
        hz = torch.fft.rfftfreq(x.shape[1], 1 / self.sample_rate, dtype=x.dtype, device=x.device)
        gain = (1 + (hz / 2 ** octaves.to(x)[:, None]) ** 32) ** -0.5
        return torch.fft.irfft(torch.fft.rfft(x) * gain, x.shape[1])

    def _problems(self) -> list[tuple[bool, str]]:
        found = (self.low_hz, self.high_hz)
        return [(not 0 < found[0] <= found[1], f"cutoff: found {found}, expected 0 < low <= high")]


@dataclass(frozen=True)
class Silence(Augmentation):
    """Silence one stretch, 0 to ``max_seconds`` long and anywhere in the clip.

    Source: DeVries & Taylor, "Improved Regularization of Convolutional Neural Networks with
    Cutout" (2017), on the time axis. Shape: (batch, samples). Notebook: 02_augment.
    """

    max_seconds: float
    sample_rate: int = 32_000
    p: float = 1.0

    def apply(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        longest = round(self.max_seconds * self.sample_rate)
        return x.masked_fill(spans(len(x), x.shape[1], longest, generator).to(x.device), 0)

    def _problems(self) -> list[tuple[bool, str]]:
        found = self.max_seconds
        return [(not found >= 0, f"max_seconds: found {found}, expected 0 or more")]


@dataclass(frozen=True)
class FrameCorruption(Augmentation):
    """Replace short frames, each with probability ``fraction``, by noise or by silence.

    The noise is white and as loud as the clip is on average (RMS).

    Source: named by the QMUL system for AES AIMLA 2025, which gives no details; lengths and
    fraction are our choice. Shape: (batch, samples). Notebook: 02_augment.
    """

    fraction: float = 0.1
    frame_seconds: float = 0.025
    fill: str = "noise"  # or "zeros"
    sample_rate: int = 32_000
    p: float = 1.0

    def apply(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        samples = x.shape[1]
        length = max(1, round(self.frame_seconds * self.sample_rate))
        frames = -(-samples // length)
        bad = uniform(0, 1, len(x) * frames, generator).reshape(len(x), frames) < self.fraction
        bad = bad.to(x.device).repeat_interleave(length, dim=1)[:, :samples]
        if self.fill == "zeros":
            return x.masked_fill(bad, 0)
        loudness = x.square().mean(1, keepdim=True).sqrt()
        return torch.where(bad, loudness * normal(x, generator), x)

    def _problems(self) -> list[tuple[bool, str]]:
        fills = ("noise", "zeros")
        return [
            (not 0 <= self.fraction <= 1, f"fraction: found {self.fraction}, expected 0 to 1"),
            (
                not self.frame_seconds > 0,
                f"frame_seconds: found {self.frame_seconds}, expected > 0",
            ),
            (self.fill not in fills, f"fill: found {self.fill!r}, expected one of {fills}"),
        ]
