"""Augmentations of log-mel spectrograms, (batch, mels, frames) as `LogMel` returns them.

torchaudio's masks draw from torch's global generator and its time stretch takes complex
spectrograms at one rate, so these draw and interpolate for themselves.
Notebook: 02_augment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from qvim_kit.augment.base import Augmentation, rate_problems, spans, uniform
from qvim_kit.features import LogMel

# LogMel ends in log mel → (log mel + 4.5) / 5. The published systems mask between the two with
# 0, which is 0.9 afterwards, louder than most sounds; silence has a power of 1e-5.
MASKED = (0 + 4.5) / 5
SILENT = (math.log(1e-5) + 4.5) / 5


@dataclass(frozen=True)
class SpectrogramAugmentation(Augmentation):
    """An `Augmentation` of log-mel spectrograms."""

    axes = ("batch", "mels", "frames")


@dataclass(frozen=True)
class TimeMask(SpectrogramAugmentation):
    """Cover one run of 0 to ``max_frames`` frames (10 ms each) with 0.9, `MASKED`.

    Source: Park et al., "SpecAugment", Interspeech 2019, which draws the width from 0 to T;
    torchaudio's masks stop at T - 1. Shape: (batch, mels, frames). Notebook: 02_augment.
    """

    max_frames: int
    p: float = 1.0

    def apply(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        covered = spans(len(x), x.shape[2], self.max_frames, generator).to(x.device)
        return x.masked_fill(covered[:, None, :], MASKED)

    def _problems(self) -> list[tuple[bool, str]]:
        return [(self.max_frames < 0, f"max_frames: found {self.max_frames}, expected 0 or more")]


@dataclass(frozen=True)
class FrequencyMask(SpectrogramAugmentation):
    """Cover one run of 0 to ``max_bins`` mel bands with 0.9, `MASKED`. Source: as `TimeMask`.

    Shape: (batch, mels, frames). Notebook: 02_augment.
    """

    max_bins: int
    p: float = 1.0

    def apply(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        covered = spans(len(x), x.shape[1], self.max_bins, generator).to(x.device)
        return x.masked_fill(covered[:, :, None], MASKED)

    def _problems(self) -> list[tuple[bool, str]]:
        return [(self.max_bins < 0, f"max_bins: found {self.max_bins}, expected 0 or more")]


@dataclass(frozen=True)
class SpectrogramTimeStretch(SpectrogramAugmentation):
    """Faster or slower by linear interpolation between frames; a rate of 2 is twice as fast.

    The beginning stays in place; what grows too long is cut, what is too short ends in silence.
    Pitch stays, as each band keeps its frequency.

    Source: SpecAugment's time warping, uniform over the clip. Shape: (batch, mels, frames).
    Notebook: 02_augment.
    """

    min_rate: float
    max_rate: float
    p: float = 1.0

    def apply(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        frames = x.shape[2]
        rates = uniform(self.min_rate, self.max_rate, len(x), generator).to(x.device)
        steps = torch.arange(frames, dtype=torch.float64, device=x.device)
        position = (steps * rates[:, None]).clamp(max=frames)
        before = position.long()
        weight = (position - before).to(x.dtype)[:, None, :]
        longer = torch.nn.functional.pad(x, (0, 2), value=SILENT)
        index = before[:, None, :].expand_as(x)
        return torch.lerp(longer.gather(2, index), longer.gather(2, index + 1), weight)

    def _problems(self) -> list[tuple[bool, str]]:
        return rate_problems(self.min_rate, self.max_rate)


@dataclass(frozen=True)
class FrequencyMixStyle(SpectrogramAugmentation):
    """Give each mel band a mean and deviation between the clip's and another clip's.

    Microphone and room live in these statistics, the sound itself in what remains:

        x' = (λ σ + (1 - λ) σ_other) (x - μ) / σ + λ μ + (1 - λ) μ_other,   λ ~ Beta(α, α)

    with μ and σ over the frames of a band, σ² = variance + 1e-6. The other clip is any of the
    batch but the clip itself; a batch of one stays as it is. Where the published systems draw
    once whether to change the batch, every clip draws for itself.

    Source: Zhou et al., "Domain Generalization with MixStyle", ICLR 2021; per frequency: Schmid
    et al., "CP-JKU Submission to DCASE22", DCASE 2022.
    Shape: (batch, mels, frames). Notebook: 02_augment.
    """

    alpha: float = 0.4
    p: float = 0.3

    def apply(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        from scipy.special import betaincinv

        batch = len(x)
        if batch == 1:
            return x
        changed = (uniform(0, 1, batch, generator) < self.p).to(x.device)
        # torch's own Beta distribution draws from the global generator.
        quantile = uniform(0, 1, batch, generator).cpu().numpy()
        share = torch.from_numpy(betaincinv(self.alpha, self.alpha, quantile)).to(x)
        share = share[:, None, None]
        ahead = 1 + (uniform(0, 1, batch, generator) * (batch - 1)).long()
        other = (torch.arange(batch, device=ahead.device) + ahead).to(x.device) % batch

        mean = x.mean(2, keepdim=True)
        deviation = (x.var(2, unbiased=False, keepdim=True) + 1e-6).sqrt()
        new_mean = torch.lerp(mean[other], mean, share)
        new_deviation = torch.lerp(deviation[other], deviation, share)
        mixed = (x - mean) / deviation * new_deviation + new_mean
        return torch.where(changed[:, None, None], mixed, x)

    def _choose(self, batch: int, generator: torch.Generator) -> torch.Tensor:
        # Clips that stay as they are may still lend their statistics, so `apply` needs them all.
        return torch.full((batch,), self.p > 0)

    def _problems(self) -> list[tuple[bool, str]]:
        return [(not self.alpha > 0, f"alpha: found {self.alpha}, expected more than 0")]


@dataclass(frozen=True)
class MelJitter:
    """A front end whose filter bank is a little lower or higher, drawn anew at each call.

    ``MelJitter()(front_end, generator)`` returns a `LogMel` on the same device with

        fmin + randint[0, fmin_hz)   and   fmax + fmax_hz / 2 - randint[0, fmax_hz)

    in Hz, in the same way for all clips that then pass through it. Highest frequencies above
    half the sample rate come down to it. A width of 0 keeps that edge where it is.

    Source: EfficientAT, https://github.com/fschmid56/EfficientAT (training mode: 10 and 2000).
    Notebook: 02_augment.
    """

    fmin_hz: int = 10
    fmax_hz: int = 2_000

    def __call__(self, front_end: LogMel, generator: torch.Generator) -> LogMel:
        draw = uniform(0, 1, 2, generator).tolist()
        lowest = front_end.fmin + int(draw[0] * self.fmin_hz)
        highest = front_end.fmax + self.fmax_hz // 2 - int(draw[1] * self.fmax_hz)
        rate = front_end.sample_rate
        jittered = LogMel(rate, front_end.mels, lowest, min(highest, rate / 2))
        return jittered.to(front_end.filters.device)
