"""Ready recipes: the published ones, and two that fit a laptop. Notebook: 04_finetune.

>>> preset = PRESETS["greif-coarse"]()  # doctest: +SKIP
>>> train, validation, test = category_folds(open_dataset("vimsketch"))[0]  # doctest: +SKIP
>>> preset.fit(train, validation, test=test, folder="runs/fold0")  # doctest: +SKIP
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from qvim_kit import augment
from qvim_kit.datasets.tables import RetrievalDataset
from qvim_kit.losses import NTXent
from qvim_kit.training.fitting import adamw, fit
from qvim_kit.training.result import FitResult
from qvim_kit.training.schedules import Constant, ExponentialWarmupLinearRampdown, WarmupCosine

if TYPE_CHECKING:
    from qvim_kit.models.dual_encoder import DualEncoder
    from qvim_kit.models.mobilenet import MobileNet


@dataclass(frozen=True)
class Preset:
    """A model to start from, and how `fit` trains it.

    Args:
        name: as the command line calls it.
        encoder: the AudioSet checkpoint that the towers start from.
        duration: of the clips, s.
        shared, projection, freeze_trunk, freeze_statistics, prepared: as for `DualEncoder`.
        settings: keyword arguments of `fit`.
    """

    name: str
    encoder: str = "mn10_as"
    duration: float = 10.0
    shared: bool = False
    projection: int | None = None
    freeze_trunk: bool = False
    freeze_statistics: bool = False
    prepared: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    def build(self, encoder: MobileNet | None = None, seed: int = 0) -> DualEncoder:
        """The model before training; ``encoder`` in place of the AudioSet checkpoint.

        The seed is of the projection's first weights. Raises as `load_audioset`.
        """
        from qvim_kit.models.dual_encoder import DualEncoder
        from qvim_kit.models.mobilenet import load_audioset

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return DualEncoder(
                load_audioset(self.encoder) if encoder is None else encoder,
                shared=self.shared,
                projection=self.projection,
                freeze_trunk=self.freeze_trunk,
                freeze_statistics=self.freeze_statistics,
                duration=self.duration,
                prepared=self.prepared,
            )

    def fit(
        self,
        train: RetrievalDataset,
        validation: RetrievalDataset,
        *,
        folder: str | os.PathLike,
        model: DualEncoder | None = None,
        **changes: Any,
    ) -> FitResult:
        """`fit` with the preset's settings, but for ``changes``; raises as `fit` and `build`."""
        model = self.build(seed=changes.get("seed", 0)) if model is None else model
        record = {"preset": self.name, "changes": {k: str(v) for k, v in changes.items()}}
        changes["record"] = {**record, **changes.get("record", {})}
        return fit(model, train, validation, folder=folder, **{**self.settings, **changes})


def greif_coarse(roll: bool = False) -> Preset:
    """Greif et al. 2024, coarse protocol: a fold of VimSketch by `category_folds`.

    Its validation searches new imitations of the sounds that were trained with: items are shared.
    ``roll`` shifts imitations, as the published ``--roll``.
    """
    return Preset("greif-coarse", settings={**_greif(roll), "leakage": "shared items"})


def greif_fine(roll: bool = False) -> Preset:
    """Greif et al. 2024, fine protocol: train on VocalSketch, test on the Vocal Imitation Set."""
    return Preset("greif-fine", settings=_greif(roll))


def aes_baseline() -> Preset:
    """The AES AIMLA 2025 baseline, which trains on all of VimSketch; nothing is masked.

    It was validated on QVIM-dev; to report results on QVIM-dev, validate on a part of VimSketch.
    """
    recipe = augment.aes_baseline()
    settings = {
        "epochs": 15, "batch_size": 16, "labels": None, "optimizer": adamw,
        "schedule": WarmupCosine(), "augment_queries": recipe, "augment_items": recipe,
    }  # fmt: skip
    return Preset("aes-baseline", settings=settings)


def frozen_head(encoder: str = "mn10_as", epochs: int = 50) -> Preset:
    """A projection to 256 dimensions, shared by both sides, on a frozen encoder's embeddings.

    Embeddings are computed once, after which an epoch takes seconds; nothing is augmented. Source:
    the QMUL system of AES AIMLA 2025, which had another encoder and did augment.
    """
    settings = {
        "epochs": epochs, "batch_size": 128, "labels": "item", "optimizer": adamw,
        "schedule": Constant(1e-3), "cached_embeddings": True, "early_stop": 10,
    }  # fmt: skip
    return Preset(
        "frozen-head", encoder, shared=True, projection=256, freeze_trunk=True, settings=settings
    )


def laptop(epochs: int = 5) -> Preset:
    """Minutes on two cores: mn04, 4-s crops, channels last, half precision where it is faster.

    Batch norms keep what AudioSet taught them: see `DualEncoder`, and the card of qvim-mn04.
    """
    settings = {
        "epochs": epochs, "batch_size": 32, "labels": "item", "optimizer": adamw,
        "schedule": WarmupCosine(low=3e-5, high=3e-4, warmup=1, rampdown=max(1, epochs - 1)),
        "augment_queries": augment.Recipe(augment.Roll(max_fraction=0.1)),
        "random_crops": True, "channels_last": True, "precision": fast_precision(),
    }  # fmt: skip
    return Preset("laptop", "mn04_as", duration=4.0, freeze_statistics=True, settings=settings)


def virtual_voice(epochs: int = 4) -> Preset:
    """How the shipped qvim-mn04 was trained: on imitations by `synth`, see `imitate_sounds`.

    One tower, symmetric loss, light augmentation, as the voice brings rooms and microphones of its
    own. Batch norms keep what AudioSet taught them, without which one tower learns much less; the
    card of qvim-mn04 compares.
    """
    recipe = augment.Recipe(
        augment.Compose([augment.Roll(max_fraction=0.1), augment.Gain(max_db=6)])
    )
    settings = {
        "epochs": epochs, "batch_size": 32, "labels": "item", "optimizer": adamw,
        "loss": NTXent(symmetric=True),
        "schedule": WarmupCosine(low=1e-5, high=3e-4, warmup=0.3, rampdown=epochs - 0.3),
        "augment_queries": recipe, "augment_items": recipe,
        "random_crops": True, "channels_last": True, "precision": fast_precision(),
    }  # fmt: skip
    return Preset(
        "virtual-voice", "mn04_as", duration=4.0, shared=True, freeze_statistics=True,
        prepared=True, settings=settings,
    )  # fmt: skip


# What `qvim train --preset` offers.
PRESETS: dict[str, Callable[..., Preset]] = {
    "greif-coarse": greif_coarse,
    "greif-fine": greif_fine,
    "aes-baseline": aes_baseline,
    "frozen-head": frozen_head,
    "laptop": laptop,
    "virtual-voice": virtual_voice,
}


def fast_precision() -> str:
    """What `fit` takes: "bf16-mixed" where the hardware computes with bfloat16, else "32-true"."""
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(False) else "32-true"
    able = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    found = any(getattr(torch.cpu, name, lambda: False)() for name in able)
    return "bf16-mixed" if found else "32-true"


def _greif(roll: bool) -> dict[str, Any]:
    return {
        "epochs": 15, "batch_size": 16, "accumulate": 2, "labels": "class",
        "optimizer": functools.partial(torch.optim.Adam, betas=(0.9, 0.999)),
        "schedule": ExponentialWarmupLinearRampdown(),
        "augment_queries": augment.greif(roll=roll), "augment_items": augment.greif(),
    }  # fmt: skip
