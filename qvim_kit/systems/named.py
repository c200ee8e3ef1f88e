"""A system by its name, or by the folder or file that its weights are in.

One place for the command line, the widgets and the notebooks, so that one name means one system.
"""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path

from qvim_kit.systems import DualEncoderSystem, EmbeddingSystem, EncoderSystem, MVGGish, TwoDFT

TRAINING_FREE = ("2dft", "m-vggish")


def system_names() -> list[str]:
    """Every name that `system_by_name` knows; those that come with the package first."""
    from qvim_kit.models.mobilenet import AUDIOSET_CHECKPOINTS
    from qvim_kit.models.storage import shipped

    return [*TRAINING_FREE, *shipped(), *AUDIOSET_CHECKPOINTS]


def check_system(name: str | os.PathLike) -> str:
    """The name as the kit writes it, or the absolute path; no weights are loaded.

    A name goes before a file or folder that is called so; ``./name`` is the latter.

    Raises `ValueError` for what is neither, with the names that it may be.
    """
    name = os.fspath(name)
    names = {known.casefold(): known for known in system_names()}
    if name.casefold() in names:
        return names[name.casefold()]
    path = Path(name).expanduser()
    if path.is_file():
        return os.path.abspath(path)
    if path.is_dir():
        return _checked_folder(path)
    close = get_close_matches(name.casefold(), names, n=2)
    meant = f"; did you mean {' or '.join(names[one] for one in close)}?" if close else ""
    raise ValueError(
        f"system: found {name!r}, expected one of {', '.join(names.values())}, or a folder or file "
        f"of weights that is there{meant}"
    )


def system_by_name(
    name: str | os.PathLike, sample_rate: int = 8_000, duration: float | None = None
) -> EmbeddingSystem:
    """A system by its name, or by the folder or file that its weights are in.

    Args:
        name: "2dft", "m-vggish", a shipped checkpoint such as "qvim-mn04", an AudioSet checkpoint
            such as "mn04_as", which is cached or downloaded; or a folder that ``save_pretrained``
            wrote, or a published checkpoint's file. Capitals of a name do not matter.
        sample_rate: of the 2DFT, Hz.
        duration: of clips for the 2DFT (5 if left out) and M-VGGish (15.4), s.

    Raises `ValueError` for a name that nothing has, with close ones, and for weights that do not
    fit; `DownloadError` where they cannot be had.
    """
    name = check_system(name)
    if name == "2dft":
        return TwoDFT(sample_rate, 5.0 if duration is None else duration)
    if name == "m-vggish":
        return MVGGish(duration=15.4 if duration is None else duration)
    path = Path(name)
    if path.is_file():
        from qvim_kit.models.published import load_published
        from qvim_kit.models.storage import CARD, WEIGHTS

        if path.name not in (CARD, WEIGHTS):
            return DualEncoderSystem(load_published(path), name=path.stem)
        name = os.fspath(path.parent)
    from qvim_kit.models.language import is_language_model
    from qvim_kit.systems.language import LanguageSystem

    if is_language_model(name):
        return LanguageSystem.from_pretrained(name)
    return EncoderSystem.from_pretrained(name)


def _checked_folder(path: Path) -> str:
    """The folder, unless it can hold no model: then a folder in it that does is named."""
    if (path / "card.json").is_file():
        return os.path.abspath(path)
    inside = sorted(card.parent for card in path.glob("*/card.json"))
    remedy = f"; expected such as {inside[0]}" if inside else ""
    raise ValueError(
        f"system: the folder {path} holds no model (no card.json), expected one that `qvim train` "
        f"or save_pretrained wrote{remedy}"
    )
