"""How far systems get with people: prints the README's numbers for real vocal imitations.

    python benchmarks/real_imitations.py IMITATIONS_FOLDER ESC10_FOLDER SFX_FOLDER…

IMITATIONS_FOLDER holds recordings of people and ``index.csv`` (file, class), which says what each
imitates. The imitated recordings are not at hand, so any sound of the right kind counts, see KINDS;
files that cannot be used are left out. Measured is the expected reciprocal rank of a right sound
among 59 wrong ones drawn at random, averaged over the right sounds, an imitation's kind and the
kinds, over which the intervals are drawn. By chance it is .078. Most of the sounds have served
qvim-mn04 for training; the imitations have not.
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
    "Cat_Growling": "wolf-growl|hell_growl|cats__|blackcat|lion|tiger",
    "Dog_Growling": "wolf-growl|hell_growl|dogs__|Dog bark",
    "Applause": "Applause|SportsCroud",
    "Crushing": "Fire crackling|crunch|bite|crush",
    "trumpet": "horn-signals|trumpet|fanfare",
    "waves": "Sea waves",
    "Birds": "birds__(lark|blackbird|robin|cuckoo|canar|cardin|nightin|toucan|tucan|parrot|owl"
    "|sparrow)|ambient__birds|Bird",
    "dog_bark": "Dog bark|dogs__dog|__dog$|LRBark",
    "footstep": "steps|footstep|walk",
    "gunshot": "gunshot|shotgunfire|/gun|minigun|thunderstick|sniper",
    "keyboard": "keyboard|typewriter|Clock tick|typing",
    "motor": "Trafic|Helicopter|truck|bus_start|plane|engine|car_|motor",
    "rain": "- Rain",
    "car-racing": "plane|engine|CarEngine|motor|Trafic|DirtTrack|car_start",
    "drums": "sonic-pi/(drum|bd_|sn_|loop_(amen|break))|drum_kit|snare",
    "forest": "birds|Green|ambient__(morning|birds)|ParklandLake|Tropical__Bird",
}


def expected_reciprocal_rank(scores: np.ndarray, right: np.ndarray) -> float:
    """Of one right sound among ``AMONG`` - 1 wrong ones; ties count against it. (sounds,) twice."""
    wrong = np.sort(scores[~right])
    above = len(wrong) - np.searchsorted(wrong, scores[right], side="left")
    places = np.arange(AMONG)[:, None]
    return (hypergeom.pmf(places, len(wrong), above, AMONG - 1) / (places + 1)).sum(0).mean()


def by_kind(
    system: QVIMModel, sounds: dict[str, str], queries: dict[str, str], kinds: list[str]
) -> np.ndarray:
    """(kinds,), in the order of KINDS; every kind must occur."""
    scores = system.compute_similarities(sounds, queries)
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for query, kind in zip(queries, kinds, strict=True):
        right = np.array([bool(re.search(KINDS[kind], name)) for name in sounds])
        row = np.array([scores[query][name] for name in sounds])
        found[kind].append(expected_reciprocal_rank(row, right))
    return np.array([np.mean(values) for values in found.values()])


def kind_of(imitated: str) -> str:
    """The longest key of KINDS in it: "dog_bark" and not "dog"."""
    fitting = [kind for kind in KINDS if kind in imitated]
    if not fitting:
        raise SystemExit(f"index.csv: class {imitated!r} is of no kind known here: {list(KINDS)}")
    return max(fitting, key=len)


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
    parser.add_argument("imitations", type=Path)
    parser.add_argument("sounds", type=Path, nargs="+")
    options = parser.parse_args()
    index = pd.read_csv(options.imitations / "index.csv")
    queries = {file: str(options.imitations / file) for file in index["file"]}
    kinds = [kind_of(name) for name in index["class"]]
    encoders = [EncoderSystem.from_pretrained(name) for name in ("mn04_as", "qvim-mn04")]
    files, _ = library_sounds(options.sounds)
    sounds = usable(encoders[0], {name: str(path) for path, name in files.items()})
    results = {
        system.name: by_kind(system, sounds, queries, kinds)
        for system in (Random(), TwoDFT(), *encoders)
    }
    print(f"{len(queries)} imitations of {len(KINDS)} kinds, {len(sounds)} sounds\n")
    print(f"| system | expected reciprocal rank among {AMONG} |\n|---|---|")
    each = np.arange(len(KINDS))
    for name, values in results.items():
        low, high = bootstrap_interval(values[:, None], each)[:, 0]
        print(f"| {name} | {values.mean():.3f} ({low:.3f} – {high:.3f}) |")
    gain = results["qvim-mn04"] - results["mn04_as"]
    low, high = bootstrap_interval(gain[:, None], each)[:, 0]
    p = paired_permutation_test(gain, each)
    print(f"\nqvim-mn04 - mn04_as: {gain.mean():+.3f} ({low:+.3f} to {high:+.3f}), p = {p:.3f}")


if __name__ == "__main__":
    main()
