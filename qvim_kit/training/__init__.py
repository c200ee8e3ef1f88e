"""Contrastive fine-tuning: `fit`, and what it is made of.

- `waveform_cache`: audio decoded once. `pairs`: what a batch is, in which order.
- `module`: the training step. `schedules`: the published learning rates.
- `leakage`: no sound both learnt from and tested with.
- `presets`: the published recipes. `frozen_head`: training on cached embeddings.
- `keeping`: checkpoints, Ctrl-C, loggers. `result`: what `fit` returns.

Notebook: 04_finetune.
"""

from __future__ import annotations

from qvim_kit.training.fitting import adamw, fit
from qvim_kit.training.leakage import LeakageError, find_leaks, guard
from qvim_kit.training.result import FitResult
from qvim_kit.training.schedules import Constant, ExponentialWarmupLinearRampdown, WarmupCosine
from qvim_kit.training.waveform_cache import WaveformCache

__all__ = [
    "Constant",
    "ExponentialWarmupLinearRampdown",
    "FitResult",
    "LeakageError",
    "WarmupCosine",
    "WaveformCache",
    "adamw",
    "find_leaks",
    "fit",
    "guard",
]
