"""Ready recipes for search by text. Notebook: 07_search_by_text.

>>> encoder = load_text_encoder()  # doctest: +SKIP
>>> train, validation, test = word_parts(open_dataset("clotho"))  # doctest: +SKIP
>>> LANGUAGE_PRESETS["dcase-6b"]().fit(train, validation, test=test)  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from qvim_kit.datasets.tables import RetrievalDataset
from qvim_kit.downloads import DownloadError
from qvim_kit.training.language import fit_language
from qvim_kit.training.result import FitResult

if TYPE_CHECKING:
    from qvim_kit.models.cnn14 import Cnn14
    from qvim_kit.models.language import LanguageModel
    from qvim_kit.models.mobilenet import MobileNet
    from qvim_kit.models.text import TextEncoder


def check_sound_encoder(name: str) -> None:
    """Raise `ValueError` for a name that `load_sound_encoder` does not know."""
    from qvim_kit.models.mobilenet import AUDIOSET_CHECKPOINTS
    from qvim_kit.models.storage import shipped

    known = ["cnn14", *shipped(), *AUDIOSET_CHECKPOINTS]
    if name not in known:
        raise ValueError(f"encoder: found {name!r}, expected one of {', '.join(known)}")


def load_sound_encoder(name: str) -> MobileNet | Cnn14:
    """A frozen encoder of sounds.

    Args:
        name: "cnn14"; an AudioSet MobileNet, such as "mn04_as"; or a model that comes with the kit,
            "qvim-mn04", of which it is the tower.

    Raises `ValueError` for another, `DownloadError`, which says what needs no download, and
    `CheckpointError`.
    """
    from qvim_kit.models import cnn14, dual_encoder, mobilenet
    from qvim_kit.models.storage import shipped
    from qvim_kit.paths import cache_folder

    check_sound_encoder(name)
    if name in shipped():
        return dual_encoder.DualEncoder.from_pretrained(name).item_tower.trunk
    try:
        return cnn14.load_cnn14(halvings=6) if name == "cnn14" else mobilenet.load_audioset(name)
    except DownloadError as error:
        files = {key: one.filename for key, one in mobilenet.AUDIOSET_CHECKPOINTS.items()}
        cached = [key for key, file in files.items() if (cache_folder() / file).is_file()]
        others = " or ".join(f"encoder={one!r}" for one in [*cached, *shipped()] if one != name)
        message = f"{error}; or take an encoder that needs no download: {others}"
        raise DownloadError(message) from error


@dataclass(frozen=True)
class LanguagePreset:
    """A model to start from, and how `fit_language` trains it.

    Args:
        name: as the command line calls it.
        encoder: of sounds, as `load_sound_encoder` takes it.
        text_encoder: as `load_text_encoder` takes it.
        dim: of the shared space.
        duration: of the clips, s.
        settings: keyword arguments of `fit_language`.
    """

    name: str
    encoder: str = "cnn14"
    text_encoder: str | None = None
    dim: int = 300
    duration: float = 30.0
    settings: Mapping[str, Any] = field(default_factory=dict)

    def build(
        self,
        text_encoder: TextEncoder,
        encoder: MobileNet | Cnn14 | None = None,
        seed: int = 0,
    ) -> LanguageModel:
        """The model before training; ``encoder`` in place of the published weights.

        The seed is of the projections' first weights. Raises as `load_sound_encoder`.
        """
        from qvim_kit.models.language import LanguageModel

        encoder = load_sound_encoder(self.encoder) if encoder is None else encoder
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return LanguageModel(
                encoder,
                text_encoder.dim,
                self.dim,
                text_encoder=text_encoder.name,
                text_fingerprint=text_encoder.fingerprint,
                duration=self.duration,
            )

    def fit(
        self,
        train: RetrievalDataset,
        validation: RetrievalDataset,
        *,
        model: LanguageModel | None = None,
        text_encoder: TextEncoder | None = None,
        **changes: Any,
    ) -> FitResult:
        """`fit_language` with the preset's settings, but for ``changes``; raises as it does."""
        from qvim_kit.models.text import load_text_encoder

        if text_encoder is None:
            text_encoder = load_text_encoder(self.text_encoder)
        if model is None:
            model = self.build(text_encoder, seed=changes.get("seed", 0))
        record = {"preset": self.name, "changes": {k: str(v) for k, v in changes.items()}}
        changes["record"] = {**record, **changes.get("record", {})}
        options = {**self.settings, **changes}
        return fit_language(model, text_encoder, train, validation, **options)


def dcase_6b(
    encoder: str = "cnn14", text_encoder: str | None = None, duration: float = 30.0
) -> LanguagePreset:
    """The DCASE 2023 task 6b baseline, on Clotho: Adam 1e-3, B 32, 80 epochs, plateau × 0.1.

    It differs in two ways. The published system trains CNN14 too, this one the two projections
    only: minutes on embeddings in place of a day on a GPU, and worse. And of the epochs it keeps
    that of the highest validation MRR, not of the lowest loss.
    """
    settings = {"epochs": 80, "batch_size": 32, "rate": 1e-3, "factor": 0.1, "patience": 5}
    return LanguagePreset("dcase-6b", encoder, text_encoder, duration=duration, settings=settings)


# What `qvim train --preset` offers besides `presets.PRESETS`.
LANGUAGE_PRESETS: dict[str, Callable[..., LanguagePreset]] = {"dcase-6b": dcase_6b}
