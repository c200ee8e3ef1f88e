"""The public data sets: what they are, where they come from, how they lie on disk.

`sources.fetch_dataset` fetches them.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass


@dataclass(frozen=True)
class Archive:
    """One file to fetch: an archive, or a table that is used as it is.

    Args:
        names: what it is called; after the first, other names and patterns that are accepted.
        mirrors: addresses other than Zenodo's.
    """

    names: tuple[str, ...]
    mirrors: tuple[str, ...] = ()

    def matches(self, filename: str) -> bool:
        """Whether a file of this name is the one meant."""
        return any(fnmatch.fnmatchcase(filename.lower(), name.lower()) for name in self.names)


@dataclass(frozen=True)
class Source:
    """A published data set.

    Args:
        title: its name in full, and what it is.
        licence: of the data, which is not part of this package.
        record: its number on Zenodo.
        archives: everything that is downloaded.
        markers: paths by which its top folder is recognised, whatever the archive calls that.
        counts: (what, pattern below the folder, how many there are).
        inside: where below the data set's folder the top folder goes.
        size: about how much is downloaded, where that is known without asking.
    """

    title: str
    licence: str
    record: int
    archives: tuple[Archive, ...]
    markers: tuple[str, ...]
    counts: tuple[tuple[str, str, int], ...] = ()
    inside: str = ""
    size: str = "size as on its page"

    @property
    def page(self) -> str:
        """Its page on Zenodo."""
        return f"https://zenodo.org/records/{self.record}"


SPLITS = {"development": 3839, "validation": 1045, "evaluation": 1045}
SOURCES = {
    "qvim-dev": Source(
        title="QVIM-dev, the development set of the AES AIMLA 2025 challenge",
        licence="CC BY-SA 4.0",
        record=17453307,
        archives=(
            Archive(
                ("qvim-dev.zip", "*qvim*dev*.zip"),
                ("https://cloud.cp.jku.at/index.php/s/R2tJQnPmxp6RSSz/download/qvim-dev.zip",),
            ),
        ),
        markers=("DEV Dataset.csv", "Items", "Queries"),
        counts=(("items", "Items/*/*.wav", 125), ("queries", "Queries/*/*.wav", 985)),
    ),
    "vimsketch": Source(
        title="VimSketch, vocal imitations to train with",
        licence="CC BY 4.0",
        record=2596911,
        archives=(Archive(("Vim_Sketch_Dataset.zip", "VimSketch.zip")),),
        markers=(
            "references",
            "vocal_imitations",
            "reference_file_names.csv",
            "vocal_imitation_file_names.csv",
        ),
        counts=(
            ("references", "Vim_Sketch_Dataset/references/*.wav", 542),
            ("imitations", "Vim_Sketch_Dataset/vocal_imitations/*.wav", 12543),
        ),
        inside="Vim_Sketch_Dataset",
        size="about 6 GB",
    ),
    "vocal-imitation-set": Source(
        title="Vocal Imitation Set, for the fine protocol",
        licence="as on its page",
        record=1340763,
        archives=(Archive(("VocalImitationSet_v1.1.3.zip", "*vocal*imitation*.zip")),),
        markers=("original_recordings/reference", "vocal_imitations/included"),
        counts=(("references", "original_recordings/reference/*.wav", 302),),
    ),
    "vocalsketch": Source(
        title="VocalSketch 1.1, to train for the fine protocol",
        licence="as on its page",
        record=1251982,
        archives=(Archive(("VocalSketchDataSet.zip", "*vocal*sketch*.zip")),),
        markers=("sound_recordings", "vocal_imitations/included"),
        counts=(("references", "sound_recordings/*.wav", 240),),
    ),
    "clotho": Source(
        title="Clotho 2.1, sounds with captions",
        licence="sounds: Creative Commons, each its own; captions: Tampere University's, "
        "non-commercial, with attribution",
        record=4783391,
        archives=tuple(Archive((f"clotho_captions_{split}.csv",)) for split in SPLITS)
        + tuple(Archive((f"clotho_audio_{split}.7z",)) for split in SPLITS),
        markers=tuple(SPLITS) + tuple(f"clotho_captions_{split}.csv" for split in SPLITS),
        counts=tuple((f"{split} clips", f"{split}/*.wav", n) for split, n in SPLITS.items()),
        size="about 8 GB, and 12 GB unpacked",
    ),
}
