"""Words and sounds in one space: a linear layer on each of two frozen encoders.

The architecture of the DCASE 2023 baseline for language-based audio retrieval (Xie et al.,
https://dcase.community/challenge2023/task-language-based-audio-retrieval), but for the audio
encoder, which they train too. Notebook: 07_search_by_text.
"""

from __future__ import annotations

import copy
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

import qvim_kit
from qvim_kit.features import LogMel
from qvim_kit.models.cnn14 import Cnn14, DcaseLogMel
from qvim_kit.models.mobilenet import CheckpointError, MobileNet
from qvim_kit.models.storage import (
    FORMAT,
    WEIGHTS,
    CardKey,
    differences,
    find_files,
    is_natural,
    is_natural_up_to,
    is_positive,
    is_positive_up_to,
    read_card,
    read_weights,
    write_model,
)

TRUNKS = {"mobilenet": (MobileNet, LogMel), "cnn14": (Cnn14, DcaseLogMel)}
# What a card must say for its model to be built: key, what is expected, whether it is met.
CARD_KEYS: tuple[CardKey, ...] = (
    ("format", f"{FORMAT}, which this version of the kit reads", lambda v: v == FORMAT),
    ("architecture.name", "'language'", lambda v: v == "language"),
    (
        "architecture.trunk",
        " or ".join(map(repr, TRUNKS)),
        lambda v: isinstance(v, str) and v in TRUNKS,
    ),
    ("architecture.width", "a positive number up to 4", is_positive_up_to(4)),
    ("architecture.halvings", "null or 0 to 6", lambda v: v is None or v in range(7)),
    ("dim", "a positive whole number up to 100000", is_natural_up_to(100_000)),
    ("text_encoder.name", "text", lambda v: isinstance(v, str)),
    ("text_encoder.dim", "a positive whole number up to 100000", is_natural_up_to(100_000)),
    ("text_encoder.fingerprint", "text or null", lambda v: v is None or isinstance(v, str)),
    ("duration", "a positive number up to 3600", is_positive_up_to(3600)),
    ("sha256", "text", lambda v: isinstance(v, str)),
)


class LanguageModel(nn.Module):
    """Sentence embeddings and sounds → unit rows of one space; a pair's score is their cosine.

    Only the two linear layers are trained. The trunk is kept with the model; the text encoder is
    not, but is known by its name and fingerprint.

    Args:
        trunk: the audio encoder, a `MobileNet` or a `Cnn14`; copied, frozen, without classifier.
        text_dim: of the sentence embeddings.
        dim: of the shared space.
        text_encoder: its name.
        text_fingerprint: its `TextEncoder.fingerprint`, so that another is noticed.
        duration: to which clips are cropped or zero-padded, s.

    Attributes:
        front_end: waveform → log-mel: `LogMel` for a MobileNet, `DcaseLogMel` for a CNN14.
        sample_rate: of the waveforms, Hz.
        heard: the digests (`systems.language.sound_digests`) of all sounds that it was trained on
            or that chose its epoch; None where its card does not say.
        card: what a loaded model's card says, else empty.

    Shape: `embed_audio` takes waveforms (batch, samples), `project_audio` the trunk's embeddings
    (batch, trunk.dim), `project_text` sentence embeddings (batch, text_dim); all return (batch,
    dim), rows of length 1.
    """

    def __init__(
        self,
        trunk: MobileNet | Cnn14,
        text_dim: int,
        dim: int = 300,
        *,
        text_encoder: str = "",
        text_fingerprint: str | None = None,
        duration: float = 10.0,
    ):
        super().__init__()
        kinds = [name for name, (kind, _) in TRUNKS.items() if isinstance(trunk, kind)]
        if not kinds or not (is_natural(text_dim) and is_natural(dim) and is_positive(duration)):
            raise ValueError(
                f"LanguageModel: found trunk {type(trunk).__name__}, text_dim {text_dim!r}, dim "
                f"{dim!r} and duration {duration!r}, expected a MobileNet or a Cnn14, positive "
                "whole numbers, and a positive number of seconds"
            )
        self.kind, self.dim, self.duration = kinds[0], dim, duration
        self.text_encoder, self.text_dim = text_encoder, text_dim
        self.text_fingerprint = text_fingerprint
        self.front_end = TRUNKS[self.kind][1]()
        self.sample_rate = self.front_end.sample_rate
        self.trunk = _without_head(trunk)
        self.audio_projection = nn.Linear(trunk.dim, dim)
        self.text_projection = nn.Linear(text_dim, dim)
        self.heard: frozenset[str] | None = frozenset()
        self.card: dict[str, Any] = {}
        self.train()

    def train(self, mode: bool = True) -> LanguageModel:
        """As for any module, but the trunk stays in evaluation mode."""
        super().train(mode)
        self.trunk.eval()
        return self

    def embed_audio(self, waveforms: torch.Tensor) -> torch.Tensor:
        _, embeddings = self.trunk(self.front_end(waveforms)[:, None])
        return self.project_audio(embeddings)

    def project_audio(self, embeddings: torch.Tensor) -> torch.Tensor:
        return F.normalize(self.audio_projection(embeddings))

    def project_text(self, embeddings: torch.Tensor) -> torch.Tensor:
        return F.normalize(self.text_projection(embeddings))

    def save_pretrained(
        self, folder: str | os.PathLike, card: Mapping[str, Any] | None = None
    ) -> Path:
        """Write ``model.safetensors`` and ``card.json`` into a folder; both or neither.

        As `DualEncoder.save_pretrained`, and raises as that.
        """
        weights = {k: v.detach().cpu().contiguous() for k, v in self.state_dict().items()}
        folder = Path(folder).expanduser()
        self.card = write_model(folder, weights, {**(card or {}), **self._facts()})
        return folder

    def _facts(self) -> dict[str, Any]:
        halvings = getattr(self.trunk, "halvings", None)
        architecture = {"name": "language", "trunk": self.kind, "width": self.trunk.width}
        encoder = {"name": self.text_encoder, "dim": self.text_dim}
        return {
            "format": FORMAT,
            "architecture": {**architecture, "halvings": halvings},
            "dim": self.dim,
            "text_encoder": {**encoder, "fingerprint": self.text_fingerprint},
            "duration": self.duration,
            "heard": None if self.heard is None else " ".join(sorted(self.heard)),
            "versions": {
                "qvim_kit": qvim_kit.__version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        }

    @classmethod
    def from_pretrained(cls, name_or_folder: str | os.PathLike) -> LanguageModel:
        """The model that `save_pretrained` wrote, in evaluation mode, on the CPU.

        Raises `CheckpointError` that lists all that is wrong with card and weights.
        """
        stored, described = find_files(name_or_folder)
        card, problems = read_card(described, CARD_KEYS)
        weights, more = read_weights(stored, card.get("sha256"))
        model = None if problems else cls._of(card)
        problems += more
        if model is not None and weights is not None:
            shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
            problems += [f"{WEIGHTS}: {p}" for p in differences(weights, shapes)]
        if problems:
            raise CheckpointError(f"{described.parent}: " + "; ".join(problems))
        model.load_state_dict(weights)
        heard = card.get("heard")
        model.heard = frozenset(heard.split()) if isinstance(heard, str) else None
        model.card = card
        return model.eval()

    @classmethod
    def _of(cls, card: dict[str, Any]) -> LanguageModel:
        how, text = card["architecture"], card["text_encoder"]
        more = {} if how["halvings"] is None else {"halvings": how["halvings"]}
        return cls(
            TRUNKS[how["trunk"]][0](how["width"], **more),
            text["dim"],
            card["dim"],
            text_encoder=text["name"],
            text_fingerprint=text["fingerprint"],
            duration=card["duration"],
        )


def is_language_model(name_or_folder: str | os.PathLike) -> bool:
    """Whether `LanguageModel.from_pretrained` is what reads this, as its card says."""
    try:
        card, _ = read_card(find_files(name_or_folder)[1])
    except CheckpointError:
        return False
    how = card.get("architecture")
    return isinstance(how, dict) and how.get("name") == "language"


def _without_head(trunk: MobileNet | Cnn14) -> MobileNet | Cnn14:
    """A frozen copy without what no embedding depends on, as long as another front end is used."""
    trunk = copy.deepcopy(trunk).requires_grad_(False)
    if isinstance(trunk, MobileNet):
        trunk.classifier = nn.Sequential()
    else:
        trunk.fc_audioset = nn.Identity()
        trunk.spectrogram_extractor = trunk.logmel_extractor = nn.Module()
    return trunk
