"""Augmentations of a waveform's pitch and tempo; each is called as those of `waveform`.

Notebook: 02_augment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from qvim_kit.augment.base import Augmentation, rate_problems, uniform
from qvim_kit.augment.stretch import resample, stretch


@dataclass(frozen=True)
class PitchShift(Augmentation):
    """Higher or lower by up to ``max_semitones``, uniform in semitones; the tempo stays.

    Source: resampling, undone in time by a phase vocoder, as Laroche & Dolson, "New
    Phase-Vocoder Techniques for Pitch-Shifting, Harmonizing and Other Exotic Effects",
    WASPAA 1999, describe it. Shape: (batch, samples). Notebook: 02_augment.
    """

    max_semitones: float
    p: float = 1.0

    def apply(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        limit = self.max_semitones
        factor = 2 ** (uniform(-limit, limit, len(x), generator) / 12)
        return _change(x, factor, lambda x, f: stretch(resample(x, f), 1 / f, x.shape[1]))

    def _problems(self) -> list[tuple[bool, str]]:
        found = self.max_semitones
        return [(not 0 <= found <= 36, f"max_semitones: found {found}, expected 0 to 36")]


@dataclass(frozen=True)
class TimeStretch(Augmentation):
    """Faster or slower at the same pitch; a rate of 2 plays twice as fast.

    The beginning stays in place; what grows too long is cut, what is too short ends in silence.

    Source: `qvim_kit.augment.stretch.stretch`, a phase vocoder. Shape: (batch, samples).
    Notebook: 02_augment.
    """

    min_rate: float
    max_rate: float
    p: float = 1.0

    def apply(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        rate = uniform(self.min_rate, self.max_rate, len(x), generator)
        return _change(x, rate, lambda x, rate: stretch(x, rate, x.shape[1]))

    def _problems(self) -> list[tuple[bool, str]]:
        return rate_problems(self.min_rate, self.max_rate)


@dataclass(frozen=True)
class Speed(TimeStretch):
    """Faster or slower with the pitch moving along, as a tape does; otherwise as `TimeStretch`.

    Source: Ko et al., "Audio Augmentation for Speech Recognition", Interspeech 2015.
    Shape: (batch, samples). Notebook: 02_augment.
    """

    def apply(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        rate = uniform(self.min_rate, self.max_rate, len(x), generator)
        return _change(x, rate, lambda x, rate: _fit(resample(x, rate), x.shape[1]))


def _change(x: torch.Tensor, rates: torch.Tensor, change: Callable) -> torch.Tensor:
    """The clips whose rate is not 1, changed; a detour through the spectrum would blur the rest."""
    moved = rates != 1
    if moved.any():
        at_once = len(x) if x.is_cuda else 4  # on a CPU, larger arrays cost page faults
        moving = zip(x[moved.to(x.device)].split(at_once), rates[moved].split(at_once), strict=True)
        x = x.clone()
        x[moved.to(x.device)] = torch.cat([change(*part) for part in moving])
    return x


def _fit(x: torch.Tensor, samples: int) -> torch.Tensor:
    """Cut (batch, any) at the end or pad it with zeros: (batch, samples)."""
    return torch.nn.functional.pad(x, (0, samples - x.shape[1]))  # a negative pad cuts
