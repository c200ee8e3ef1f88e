"""How far systems get with people: prints the README's numbers for real vocal imitations.

    python benchmarks/real_imitations.py IMITATIONS_FOLDER ESC10_FOLDER SFX_FOLDER…

IMITATIONS_FOLDER holds recordings of people and ``index.csv`` (file, class), which says what each
imitates. The imitated recordings are not at hand, so any sound of the right kind counts, see KINDS;
imitations of other kinds are left out, and so are sounds that cannot be used. Measured is the
expected reciprocal rank of a right sound among 59 wrong ones drawn at random, .078 by chance: its
mean over the right sounds, then over the imitations of a kind, then over the kinds; intervals are
drawn over kinds. Most of the sounds have served qvim-mn04 for training; the imitations have not.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from qvim_kit.audio import AudioErrors
from qvim_kit.datasets.libraries import library_sounds
from qvim_kit.evaluation.intervals import bootstrap_interval, paired_permutation_test
from qvim_kit.systems import EncoderSystem, QVIMModel, Random, TwoDFT

AMONG = 60  # sounds in a list: the right one and 59 others
# Part of an imitation's class → names of sounds of that kind, as a regular expression.
KINDS = {
    "Cat_Growling": "wolf-growl|hell_growl|cats__|blackcat",
    "Dog_Growling": "wolf-growl|hell_growl|dogs__dog|Dog bark",
    "Applause": "Applause|SportsCroud",
    "trumpet": "horn-signals|trumpet|fanfare",
    "waves": "Sea waves",
    "Birds": "birds__(lark|blackbird|cuckoo|tucan|owl)|ambient__birds|Bird",
    "dog_bark": "Dog bark|dogs__dog|__dog$|LRBark",
    "footstep": "icy_walk|/steps",
    "gunshot": "gunshot|shotgunfire|/gun|minigun|thunderstick",
    "motor": "Trafic|Helicopter|ruck|bus_start|plane$|Propeller_plane|engine",
    "rain": "- Rain",
    "car-racing": "CarEngine|Trafic|DirtTrack|plane$|Propeller_plane",
    "drums": "sonic-pi/(drum|bd_|sn_|loop_(amen|break))|drum_kit|snare",
    "forest": "birds__(lark|blackbird|cuckoo|tucan|owl)"
    "|ambient__(birds|morning)|Green|Parkland|Bird",
}


def expected_reciprocal_rank(scores: np.ndarray, right: np.ndarray) -> float:
    """Of one right sound among ``AMONG`` - 1 wrong ones; ties count against it. (sounds,) twice."""
    wrong = np.sort(scores[~right])
    above = len(wrong) - np.searchsorted(wrong, scores[right], side="left")
    places = np.arange(AMONG)[:, None]
    return (hypergeom.pmf(places, len(wrong), above, AMONG - 1) / (places + 1)).sum(0).mean()


def reciprocal_ranks(
    system: QVIMModel, sounds: dict[str, str], queries: dict[str, str], kinds: list[str]
) -> pd.Series:
    """That of each query, by its kind."""
    right = {k: np.array([bool(re.search(KINDS[k], name)) for name in sounds]) for k in kinds}
    for kind, mask in right.items():
        if not mask.any() or (~mask).sum() < AMONG - 1:
            raise SystemExit(f"{kind}: found {mask.sum()} such sounds and {(~mask).sum()} others, "
                             f"expected one or more and {AMONG - 1} or more")  # fmt: skip
    scores = system.compute_similarities(sounds, queries)
    rows = [np.array([scores[query][name] for name in sounds]) for query in queries]
    found = [expected_reciprocal_rank(row, right[k]) for row, k in zip(rows, kinds, strict=True)]
    return pd.Series(found, index=kinds)


def kind_of(imitated: str) -> str | None:
    """The key of KINDS in the name of what is imitated, None if there is none."""
    return next((kind for kind in KINDS if kind in imitated), None)


def interval(values: np.ndarray) -> str:
    low, high = bootstrap_interval(values[:, None], np.arange(len(values)))[:, 0]
    return f"{values.mean():.3f} ({low:.3f} to {high:.3f})"


def usable(system: EncoderSystem, sounds: dict[str, str]) -> dict[str, str]:
    """Those sounds that are not empty, silent or damaged."""
    try:
        system.embed_items(list(sounds.values()))
    except AudioErrors as error:
        bad = {one.path for one in error.errors}
        sounds = {name: path for name, path in sounds.items() if path not in bad}
    return sounds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("imitations", type=Path, help="folder with index.csv (file, class)")
    parser.add_argument("sounds", type=Path, nargs="+", help="folders of sounds")
    options = parser.parse_args()
    index = pd.read_csv(options.imitations / "index.csv").drop_duplicates("file")
    index["kind"] = index["class"].map(kind_of)
    index = index.dropna(subset="kind")
    queries = {file: str(options.imitations / file) for file in index["file"]}
    encoders = [EncoderSystem.from_pretrained(name) for name in ("mn04_as", "qvim-mn04")]
    files, _ = library_sounds(options.sounds)
    sounds = usable(encoders[0], {name: str(path) for path, name in files.items()})
    ranks = {
        system.name: reciprocal_ranks(system, sounds, queries, list(index["kind"]))
        for system in (Random(), TwoDFT(), *encoders)
    }
    kinds = {name: found.groupby(level=0).mean().to_numpy() for name, found in ranks.items()}
    print(f"{len(queries)} imitations of {index['kind'].nunique()} kinds, {len(sounds)} sounds\n")
    print(f"| expected reciprocal rank among {AMONG} | kinds | imitations |\n|---|---|---|")
    for name, found in ranks.items():
        print(f"| {name} | {interval(kinds[name])} | {found.mean():.3f} |")
    gain = kinds["qvim-mn04"] - kinds["mn04_as"]
    p = paired_permutation_test(gain, np.arange(len(gain)))
    print(f"\nqvim-mn04 - mn04_as, over kinds: {interval(gain)}, p = {p:.3f}")


if __name__ == "__main__":
    main()
