"""Augmentations of waveforms and spectrograms, how to combine them, and the published recipes.

Every augmentation is called ``augment(x, generator)``; see `Augmentation` for what it promises.
Notebook: 02_augment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from qvim_kit.augment.base import Augmentation
from qvim_kit.augment.spectrogram import (
    FrequencyMask,
    FrequencyMixStyle,
    MelJitter,
    SpectrogramTimeStretch,
    TimeMask,
)
from qvim_kit.augment.speed import PitchShift, Speed, TimeStretch
from qvim_kit.augment.waveform import AddNoise, FrameCorruption, Gain, LowPass, Roll, Silence
from qvim_kit.features import LogMel
from qvim_kit.wording import counted

__all__ = [
    "AddNoise",
    "Augmentation",
    "Compose",
    "FrameCorruption",
    "FrequencyMask",
    "FrequencyMixStyle",
    "Gain",
    "LowPass",
    "MelJitter",
    "PitchShift",
    "Recipe",
    "Roll",
    "Silence",
    "Speed",
    "SpectrogramTimeStretch",
    "TimeMask",
    "TimeStretch",
    "aalto",
    "aes_baseline",
    "greif",
    "one_of",
    "qmul",
]

Augment = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


class Compose:
    """All of the augmentations, one after the other; none at all returns x itself.

    Shape: as the augmentations it holds. Notebook: 02_augment.
    """

    def __init__(self, augmentations: Sequence[Augment]):
        self.augmentations = tuple(augmentations)

    def __call__(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        for augment in self.augmentations:
            x = augment(x, generator)
        return x

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self.augmentations)})"


class one_of(Compose):  # in lower case, as it is used like a function
    """Exactly one of the augmentations for each clip, drawn by weight.

    Clips that drew the same one pass through it as a batch of their own.

    Args:
        augmentations: at least one.
        weights: one number of 0 or more for each, in any unit; equal if left out.

    Shape: as the augmentations it holds. Notebook: 02_augment.
    """

    def __init__(self, augmentations: Sequence[Augment], weights: Sequence[float] | None = None):
        super().__init__(augmentations)
        self.weights = tuple(weights or [1.0] * len(self.augmentations))
        count = len(self.augmentations)
        if (
            not count
            or len(self.weights) != count
            or min(self.weights) < 0
            or not any(self.weights)
        ):
            raise ValueError(
                f"one_of: found {counted(count, 'augmentation')} and weights {self.weights}, "
                "expected at least one, and for each a weight of 0 or more that are not all 0"
            )

    def __call__(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        weights = torch.tensor(self.weights, dtype=torch.float64, device=generator.device)
        drawn = torch.multinomial(weights, len(x), replacement=True, generator=generator)
        drawn, out = drawn.to(x.device), x.clone()
        for number, augment in enumerate(self.augmentations):
            if (drawn == number).any():
                out[drawn == number] = augment(x[drawn == number], generator)
        return out

    def __repr__(self) -> str:
        return f"one_of({list(self.augmentations)}, weights={self.weights})"


@dataclass(frozen=True)
class Recipe:
    """How one side, queries or items, is augmented on its way to the encoder.

    Args:
        waveform: before the front end, (batch, samples).
        spectrogram: after it, (batch, mels, frames).
        mel_jitter: draws a front end for each batch; None leaves it as it is.

    Notebook: 02_augment.
    """

    waveform: Augment = Compose([])
    spectrogram: Augment = Compose([])
    mel_jitter: MelJitter | None = None

    def __call__(
        self, waveforms: torch.Tensor, front_end: LogMel, generator: torch.Generator
    ) -> torch.Tensor:
        """Waveforms (batch, samples) → augmented log-mel (batch, mels, frames)."""
        waveforms = self.waveform(waveforms, generator)
        if self.mel_jitter is not None:
            front_end = self.mel_jitter(front_end, generator)
        return self.spectrogram(front_end(waveforms), generator)


def greif(roll: bool = False) -> Recipe:
    """Greif et al. 2024: jittered filter bank, masks, MixStyle; imitations may be rolled as well.

    Rolled are only the queries, up to 4000 samples (1/8 s) either way: ``greif(roll=True)`` for
    queries beside ``greif()`` for items. The time mask was chosen for 10-s clips; it can
    cover a 4-s clip whole.

    Source: Greif et al., "Improving Query-by-Vocal Imitation with Contrastive Learning and
    Audio Pretraining", DCASE 2024, and its code. Notebook: 02_augment.
    """
    return Recipe(
        waveform=Compose([Roll(max_samples=4_000)] if roll else []),
        spectrogram=Compose(
            [
                FrequencyMask(max_bins=2),
                TimeMask(max_frames=400),
                FrequencyMixStyle(alpha=0.4, p=0.3),
            ]
        ),
        mel_jitter=MelJitter(),
    )


def aes_baseline() -> Recipe:
    """The AES AIMLA 2025 baseline, both sides: jittered filter bank and masks.

    Source: the code of the challenge's baseline. Notebook: 02_augment.
    """
    return Recipe(
        spectrogram=Compose([FrequencyMask(max_bins=2), TimeMask(max_frames=200)]),
        mel_jitter=MelJitter(),
    )


def qmul() -> Recipe:
    """The QMUL system of AES AIMLA 2025, both sides: exactly one change of the waveform.

    How many frames its frame corruption replaces is not published; here it is our default.

    Source: the system's report to the challenge. Notebook: 02_augment.
    """
    return Recipe(
        waveform=one_of(
            [
                Roll(max_fraction=0.2),
                Gain(max_db=10),
                PitchShift(max_semitones=6),
                TimeStretch(min_rate=0.67, max_rate=1.33),
                FrameCorruption(),
            ]
        )
    )


def aalto() -> Recipe:
    """The Aalto system of AES AIMLA 2025, both sides: light changes, each to 30 % of the clips.

    Source: the system's report to the challenge. Notebook: 02_augment.
    """
    return Recipe(
        waveform=Compose(
            [
                AddNoise(amplitude=(0.001, 0.015), p=0.3),
                PitchShift(max_semitones=0.5, p=0.3),
                TimeStretch(min_rate=0.95, max_rate=1.05, p=0.3),
            ]
        )
    )
