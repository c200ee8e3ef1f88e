"""How far systems get on real recordings: prints the README's tables.

    python benchmarks/real_recordings.py ESC10_FOLDER [IMITATIONS_FOLDER]

ESC10_FOLDER holds one folder of clips a class (ESC-10, 400 clips in ten classes). Each clip queries
all others; relevant are those of its class. IMITATIONS_FOLDER holds vocal imitations; for each the
five nearest clips are listed with their classes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from qvim_kit import metrics
from qvim_kit.audio import AUDIO_SUFFIXES
from qvim_kit.evaluation.intervals import bootstrap_interval
from qvim_kit.systems import EncoderSystem, QVIMModel, Random, TwoDFT


def sounds(folder: Path, pattern: str) -> dict[str, str]:
    """Path → path of the audio files, as `compute_similarities` takes them."""
    found = [str(p) for p in sorted(folder.glob(pattern)) if p.suffix.lower() in AUDIO_SUFFIXES]
    if not found:
        raise SystemExit(f"{folder}: no audio files match {pattern}")
    return dict(zip(found, found, strict=True))


def similarity(system: QVIMModel, items: dict[str, str], queries: dict[str, str]) -> np.ndarray:
    """(queries, items), in the order given."""
    scores = system.compute_similarities(items, queries)
    return np.array([[scores[query][item] for item in items] for query in queries])


def class_retrieval(systems: list[QVIMModel], clips: dict[str, str]) -> list[str]:
    """Each clip queries all others: a Markdown table with 95 % intervals over clips."""
    classes = [Path(path).parent.name for path in clips]
    lines = ["| system | mAP@10 | class NDCG |", "|---|---|---|"]
    for system in systems:
        case = metrics.leave_one_out(similarity(system, clips, clips), classes)
        values = np.stack(
            [
                metrics.average_precision_at_k(*case, per_query=True),
                metrics.ndcg(*case, per_query=True),
            ],
            axis=1,
        )
        bounds = bootstrap_interval(values, np.arange(len(values))).T
        cells = [
            f"{value:.3f} ({low:.3f} – {high:.3f})"
            for value, (low, high) in zip(values.mean(axis=0), bounds, strict=True)
        ]
        lines.append(f"| {system.name} | {' | '.join(cells)} |")
    best = metrics.average_precision_at_k(case[1].astype(float), case[1])
    return [*lines, "", f"{len(clips)} clips, {len(set(classes))} classes; best mAP@10: {best:.3f}"]


def nearest(system: QVIMModel, clips: dict[str, str], imitations: dict[str, str]) -> list[str]:
    """The five clips nearest to each imitation, with their classes, as a Markdown table."""
    names = [f"{Path(p).parent.name.split(' - ')[-1]} {Path(p).stem}" for p in clips]
    lines = ["| imitation | five nearest |", "|---|---|"]
    for path, row in zip(imitations, similarity(system, clips, imitations), strict=True):
        five = ", ".join(names[place] for place in np.argsort(-row)[:5])
        lines.append(f"| {Path(path).stem} | {five} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("esc10", type=Path)
    parser.add_argument("imitations", type=Path, nargs="?")
    options = parser.parse_args()
    clips = sounds(options.esc10, "*/*")
    encoder = EncoderSystem.from_pretrained("mn04_as")
    print("\n".join(class_retrieval([Random(), TwoDFT(), encoder], clips)))
    if options.imitations:
        print("\n" + "\n".join(nearest(encoder, clips, sounds(options.imitations, "*"))))


if __name__ == "__main__":
    main()
