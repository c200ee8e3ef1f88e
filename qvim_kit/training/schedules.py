"""Learning rates, step by step, as published; a step is one batch.

A schedule is called ``schedule(step, steps_per_epoch)`` and returns the learning rate; steps count
from 0 over the whole training. Notebook: 04_finetune.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Constant:
    """The same learning rate throughout."""

    rate: float = 1e-3

    def __call__(self, step: int, steps_per_epoch: int) -> float:
        return self.rate


@dataclass(frozen=True)
class WarmupCosine:
    """Linear from ``low`` to ``high``, a cosine back to ``low``, and there it stays.

    Args:
        low, high: learning rates.
        warmup, rampdown: in epochs, possibly fractions.

    Source: the AES AIMLA 2025 baseline (1e-4 → 3e-4 over 1 epoch, back over 7; changes every
    step). Notebook: 04_finetune.
    """

    low: float = 1e-4
    high: float = 3e-4
    warmup: float = 1
    rampdown: float = 7

    def __call__(self, step: int, steps_per_epoch: int) -> float:
        epoch = step / steps_per_epoch
        if epoch < self.warmup:
            return self.low + (self.high - self.low) * epoch / self.warmup
        if epoch >= self.warmup + self.rampdown:
            return self.low
        phase = math.pi * (epoch - self.warmup) / self.rampdown
        return self.low + (self.high - self.low) * (1 + math.cos(phase)) / 2


@dataclass(frozen=True)
class ExponentialWarmupLinearRampdown:
    """Constant within an epoch; exponential warm-up, then linear down to a last factor.

    With e the epoch from 0, the rate is multiplied by exp(-5 (1 - max(e, 0.5) / warmup)²) before
    epoch ``warmup``; and from epoch ``start`` on by a factor that falls linearly from 1 to ``last``
    over ``rampdown`` epochs.

    Source: Greif et al. 2024, after Tarvainen & Valpola, "Mean teachers are better role models",
    NIPS 2017 (appendix B). Notebook: 04_finetune.
    """

    rate: float = 5e-4
    warmup: int = 2
    start: int = 4
    rampdown: int = 7
    last: float = 1e-4

    def __call__(self, step: int, steps_per_epoch: int) -> float:
        epoch = step // steps_per_epoch
        factor = 1.0
        if epoch < self.warmup:
            factor = math.exp(-5 * (1 - max(epoch, 0.5) / self.warmup) ** 2)
        left = 1 - (epoch - self.start) / self.rampdown
        return self.rate * factor * (self.last + (1 - self.last) * min(1.0, max(0.0, left)))
