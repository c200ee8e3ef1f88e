"""What one may choose in a search: libraries that are there, systems that may be loaded."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qvim_kit.downloads import DownloadError

if TYPE_CHECKING:
    from qvim_kit.datasets import RetrievalDataset
    from qvim_kit.systems import EmbeddingSystem

    System = EmbeddingSystem | Callable[[], EmbeddingSystem] | str

FOLDER = "folder"  # the choice whose folder is typed
MINI = "qvim-mini"
TRAINING_FREE = "2DFT"  # needs no weights
_mini_lock = threading.Lock()  # an example may be wanted while the library is built


def library_choices() -> dict[str, str]:
    """Name → label of the data sets that are there, and of the mini one, which can be built."""
    from qvim_kit.datasets import DATASETS, DatasetError, find_layout

    choices = {MINI: "the mini data set"}
    for name in DATASETS:
        try:
            find_layout(name)
        except (DatasetError, OSError):  # a folder that cannot be read is not there
            continue
        choices.setdefault(name, name)
    return choices


def open_mini() -> RetrievalDataset:
    """`load_mini`, which builds it if it has to, once at a time."""
    from qvim_kit.datasets import load_mini

    with _mini_lock:
        return load_mini()


def open_library(name: str, folder: str = "") -> Any:
    """What `SoundIndex.open` takes: a data set by its name, or a folder as `named_or_folder` does.

    Raises `DatasetError`, or `ValueError` for what is no folder.
    """
    from qvim_kit.datasets import open_dataset
    from qvim_kit.search.library import named_or_folder

    if name != FOLDER:
        return open_mini() if name == MINI else open_dataset(name, allow_missing=True)
    return named_or_folder(folder)


class Systems:
    """The systems that may be chosen, by name; each is loaded when it is first used.

    Args:
        systems: one, several or name → system. A system is an `EmbeddingSystem`, a function that
            makes one, or a name or folder that `systems.named.system_by_name` knows. By default
            the usual one, the 2DFT, every AudioSet checkpoint in the cache, and the systems in
            the data folder's ``runs`` that read words.

    Raises `TypeError` for anything else, and for two systems of the same name.
    """

    def __init__(self, systems: System | Iterable[System] | Mapping[str, System] | None = None):
        self.usual = systems is None
        if systems is None:
            systems = {name: name for name in usual_systems()} | word_systems()
        elif isinstance(systems, str) or not isinstance(systems, Iterable):
            systems = [systems]
        if not isinstance(systems, Mapping):
            listed = [(_name_of(system), system) for system in systems]
            systems = dict(listed)
            if len(systems) < len(listed):
                names = ", ".join(name for name, _ in listed)
                raise TypeError(f"systems: found {names}, expected different names; use a dict")
        if not systems:
            raise TypeError("systems: found none, expected at least one")
        self._known = {str(name): _checked(system) for name, system in systems.items()}
        self.names = list(self._known)

    def reads_words(self, name: str) -> bool:
        """Whether a system can be asked in words, as far as is known before it is loaded."""
        system = self._known[name]
        if isinstance(system, (str, os.PathLike)):
            return _is_language_model(Path(system).expanduser())
        return hasattr(system, "embed_text")

    def load(self, name: str) -> tuple[str, EmbeddingSystem, str]:
        """The name and the system that answer, and a warning where another had to, else "".

        Only the usual system is replaced, by the 2DFT, where its weights cannot be fetched.
        """
        system = self._known[name]
        try:
            if not hasattr(system, "embed_batch"):
                system = self._known[name] = _made(system)
        except DownloadError as error:
            if not self.usual or name == TRAINING_FREE:
                raise
            reason = f"{name} has no weights here, so the {TRAINING_FREE} answers: {error}"
            return *self.load(TRAINING_FREE)[:2], reason
        return name, system, ""


def usual_systems() -> list[str]:
    """The default system, the 2DFT, and the AudioSet checkpoints that need no download."""
    from qvim_kit.paths import cache_folder
    from qvim_kit.search import DEFAULT_SYSTEM

    # By their files' names: to look into `models.mobilenet` would load torch, seconds of it.
    cached = [path.name.split("_mAP_")[0] for path in cache_folder().glob("mn*_as_mAP_*.pt")]
    return list(dict.fromkeys([DEFAULT_SYSTEM, TRAINING_FREE, *sorted(cached)]))


def word_systems() -> dict[str, str]:
    """Name → folder of the models in the data folder's ``runs`` that read words.

    Notebook 07 keeps one there.
    """
    from qvim_kit.paths import data_folder

    folders = sorted(card.parent for card in (data_folder() / "runs").glob("*/card.json"))
    return {folder.name: str(folder) for folder in folders if _is_language_model(folder)}


def _is_language_model(folder: Path) -> bool:
    """As `models.language.is_language_model`, without torch, which loads for seconds."""
    try:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        return card["architecture"]["name"] == "language"
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _name_of(system: System) -> str:
    if isinstance(system, str):
        return TRAINING_FREE if system.lower() == TRAINING_FREE.lower() else system
    return str(getattr(system, "name", system))


def _checked(system: Any) -> System:
    if isinstance(system, (str, os.PathLike)) or hasattr(system, "embed_batch") or callable(system):
        return system
    raise TypeError(
        f"systems: found {type(system).__name__}, expected an EmbeddingSystem, a name or a "
        "function that makes one"
    )


def _made(system: Any) -> EmbeddingSystem:
    from qvim_kit.systems.named import system_by_name

    return system_by_name(system) if isinstance(system, (str, os.PathLike)) else system()
