"""The face of the data layer: open a data set by its name or its folder.

Notebook: 01_explore_the_data.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from qvim_kit.datasets.caption_table import CAPTION_TABLE, read_captioned
from qvim_kit.datasets.clotho import read_clotho
from qvim_kit.datasets.listings import DatasetWarning
from qvim_kit.datasets.qvim_dev import QVIM_DEV_COLUMNS, QVIM_DEV_TABLE, read_qvim_dev
from qvim_kit.datasets.readers import read_vimsketch, read_vocal_imitation_set
from qvim_kit.datasets.tables import DatasetError, RetrievalDataset, hash_file
from qvim_kit.datasets.vocalsketch import read_vocalsketch

__all__ = [
    "DATASETS",
    "DatasetError",
    "DatasetWarning",
    "QVIM_DEV_COLUMNS",
    "QVIM_DEV_TABLE",
    "RetrievalDataset",
    "find_layout",
    "hash_file",
    "load_mini",
    "open_dataset",
    "read_captioned",
    "read_clotho",
    "read_qvim_dev",
    "read_vimsketch",
    "read_vocal_imitation_set",
    "read_vocalsketch",
]


class Layout(NamedTuple):
    """How a data set looks on disk: it is known by any one of its marks."""

    read: Callable[..., RetrievalDataset]
    marks: tuple[tuple[str, ...], ...]


_QVIM = Layout(read_qvim_dev, ((QVIM_DEV_TABLE,), ("Items", "Queries")))
# Name, also of the folder in the data folder → layout.
DATASETS = {
    "qvim-mini": _QVIM,
    "qvim-dev": _QVIM,
    "vimsketch": Layout(
        read_vimsketch, (("reference_file_names.csv",), ("references", "vocal_imitations"))
    ),
    "vocal-imitation-set": Layout(read_vocal_imitation_set, (("original_recordings",),)),
    "vocalsketch": Layout(
        read_vocalsketch, (("sound_recordings.csv",), ("sound_recordings", "vocal_imitations"))
    ),
    "clotho": Layout(
        read_clotho, (("clotho_captions_development.csv",), ("clotho_captions_evaluation.csv",))
    ),
}
# What a folder is taken for, by the first that fits. Captions beside a challenge's table are extra.
LAYOUTS = {
    "the challenge's": Layout(read_qvim_dev, ((QVIM_DEV_TABLE,),)),
    "sounds with captions": Layout(read_captioned, ((CAPTION_TABLE,),)),
    **DATASETS,
}


def load_mini(folder: str | os.PathLike | None = None) -> RetrievalDataset:
    """The mini data set: 96 synthesised effects in 12 classes, 192 synthetic vocal imitations.

    It is built on first use (about ten seconds, with a progress bar) in the challenge's layout
    under ``data/qvim-mini``, or in ``folder``, on every machine the same but for rounding.

    >>> load_mini()  # doctest: +SKIP
    RetrievalDataset qvim-mini: 192 queries, 96 items in 12 classes
    """
    from qvim_kit.datasets.mini import build_mini
    from qvim_kit.paths import data_folder

    return read_qvim_dev(build_mini(folder or data_folder() / "qvim-mini"))


def open_dataset(
    name_or_folder: str | os.PathLike, *, allow_missing: bool = False
) -> RetrievalDataset:
    """Open a data set, whichever it is.

    Args:
        name_or_folder: the name of a data set ("qvim-mini", "qvim-dev", "vimsketch",
            "vocal-imitation-set", "vocalsketch", "clotho"), which is looked for in the data
            folder; or any folder that has the layout of one of them, or holds sounds with a table
            of captions (`read_captioned`), also if the layout begins one folder deeper. A folder
            that bears such a name is meant by "./vimsketch".
        allow_missing: leave out rows whose files are missing, with a warning.

    Raises `DatasetError`: where nothing is found it says how to fetch the data set or what a
    folder should hold; else all that is wrong with the data set.

    >>> open_dataset("qvim-mini")  # doctest: +SKIP
    RetrievalDataset qvim-mini: 192 queries, 96 items in 12 classes
    """
    if name_or_folder == "qvim-mini":
        return load_mini()
    read, folder = find_layout(name_or_folder)
    return read(folder, allow_missing=allow_missing)


def find_layout(
    name_or_folder: str | os.PathLike,
) -> tuple[Callable[..., RetrievalDataset], Path]:
    """The reader and the folder that `open_dataset` uses; nothing is read.

    Raises `DatasetError` where the folder is not there or holds no data set, or several.
    """
    name = os.fspath(name_or_folder)
    if name in DATASETS:
        from qvim_kit.paths import data_folder

        return _find_named(name, data_folder() / name)
    folder = Path(name).expanduser().resolve()
    if not folder.is_dir():
        remedy = f"Expected a folder, or the name of a data set: {', '.join(DATASETS)}."
        raise DatasetError(name, [f"no such folder (now in {Path.cwd()})"], remedy)
    for candidates in ([folder], sorted(p for p in folder.iterdir() if p.is_dir())):
        found = [(layout, p) for p in candidates if (layout := _layout_of(p))]
        if len(found) == 1:
            return found[0][0].read, found[0][1]
        if found:
            inside = [f"{p.name} is one" for _, p in found]
            raise DatasetError(folder, inside, "It holds several data sets; open one of them.")
    known = "; ".join(
        f"{name} has {' or '.join(' and '.join(mark) for mark in layout.marks)}"
        for name, layout in LAYOUTS.items()
        if name not in ("the challenge's", "qvim-mini")
    )
    raise DatasetError(folder, ["holds no data set of a known layout"], f"Expected: {known}.")


def _find_named(name: str, folder: Path) -> tuple[Callable[..., RetrievalDataset], Path]:
    layout = DATASETS[name]
    if not folder.is_dir() or not any(folder.iterdir()):
        how = "data mini" if name == "qvim-mini" else f"data fetch {name}"
        remedy = f"Run `qvim {how}`, or unpack it there (QVIM_DATA sets another data folder)."
        raise DatasetError(name, [f"is not in {folder}"], remedy)
    inside = sorted(path for path in folder.iterdir() if path.is_dir())
    fitting = [path for path in (folder, *inside) if _is(path, layout)]
    # Where nothing fits, the reader says what is not there.
    return layout.read, fitting[0] if fitting else folder


def _layout_of(folder: Path) -> Layout | None:
    return next((layout for layout in LAYOUTS.values() if _is(folder, layout)), None)


def _is(folder: Path, layout: Layout) -> bool:
    return any(all((folder / name).exists() for name in mark) for mark in layout.marks)
