"""What helps when training on a virtual voice: prints the table of qvim-mn04's card.

    qvim data imitate SOUNDS… --exclude PATTERN… -o sung --takes 4
    qvim data imitate SOUNDS… --exclude PATTERN… -o pieced --takes 4 --voices VOICES --mosaic 1
    qvim data imitate SOUNDS… --exclude PATTERN… -o varied --takes 2 --versions 4 --voices VOICES
    python benchmarks/virtual_voice.py sung pieced varied --hold-out CLASS… [-o runs/sweep]

SOUNDS, VOICES, PATTERN and CLASS are as in the card's two commands of the training. Every variant
starts from mn04_as and takes equally many steps of the preset virtual-voice; each but the first
changes of it what its name says, and nothing else. Each is measured on two imitations by either
voice of every held-out sound, which no variant has heard; intervals are drawn over sounds. The same
run is not done again. Two cores take about five minutes a variant.
"""

from __future__ import annotations

import argparse
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from qvim_kit import augment
from qvim_kit.datasets import RetrievalDataset, open_dataset
from qvim_kit.datasets.splits import hold_out
from qvim_kit.evaluation import evaluate
from qvim_kit.systems import DualEncoderSystem, EncoderSystem, QVIMModel, Random, TwoDFT, score
from qvim_kit.training.presets import Preset, virtual_voice


def joined(first: RetrievalDataset, second: RetrievalDataset) -> RetrievalDataset:
    """The queries of both; the items are the same sounds, so that those of the first serve."""
    other = second.queries.assign(query_id="second/" + second.queries["query_id"])
    queries = pd.concat([first.queries, other], ignore_index=True)
    return RetrievalDataset(first.items, queries, f"{first.name} and {second.name}")


def variants() -> dict[str, tuple[Preset, str]]:
    """name → (preset, voice it is trained on)."""
    base = virtual_voice(epochs=1)

    def changed(**settings: object) -> Preset:
        return replace(base, settings={**base.settings, **settings})

    light = base.settings["augment_items"]
    bands = [augment.LowPass(p=0.5), augment.AddNoise(amplitude=(0.0003, 0.005), p=0.3)]
    style = augment.FrequencyMixStyle(alpha=0.4, p=0.3)
    heavy = augment.Recipe(
        waveform=augment.Compose([*bands, light.waveform]),
        spectrogram=augment.Compose([style, augment.FrequencyMask(8), augment.TimeMask(40)]),
        mel_jitter=augment.MelJitter(),
    )
    return {
        "one tower, masked, light augmentation, both voices": (base, "both"),
        "without the mask": (changed(labels=None), "both"),
        "two towers": (replace(base, shared=False), "both"),
        "batch norms that adapt": (replace(base, freeze_statistics=False), "both"),
        "two towers, batch norms that adapt": (
            replace(base, shared=False, freeze_statistics=False), "both",
        ),
        "heavy augmentation": (changed(augment_queries=heavy, augment_items=heavy), "both"),
        "the singing voice alone": (base, "sung"),
        "recorded grains alone": (base, "pieced"),
        "both voices, changed sounds too": (base, "varied"),
    }  # fmt: skip


def trained(
    preset: Preset, train: RetrievalDataset, validation: RetrievalDataset, folder: Path, steps: int
) -> QVIMModel:
    """The system after so many steps, from the folder if it has been trained before."""
    if not (folder / "model").is_dir():
        batches = len(train.queries) // preset.settings["batch_size"]
        if batches < steps:
            raise ValueError(f"--steps {steps}: {train.name} has {batches} batches; imitate more")
        result = preset.fit(
            train, validation, folder=folder, epochs=1, overwrite=True, limit_train_batches=steps
        )
        result.save(folder / "model")
    return DualEncoderSystem.from_pretrained(folder / "model")


def measured(
    make: Callable[[], QVIMModel], validations: dict[str, RetrievalDataset]
) -> dict[str, str]:
    system, cells = make(), {}
    for name, dataset in validations.items():
        found = evaluate(score(system, dataset), dataset).metrics.loc["MRR"]
        cells[name] = f"{found['value']:.3f} ({found['low']:.3f} – {found['high']:.3f})"
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sung", type=Path)
    parser.add_argument("pieced", type=Path)
    parser.add_argument("varied", type=Path)
    parser.add_argument("--hold-out", nargs="+", required=True, metavar="CLASS")
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/sweep"))
    options = parser.parse_args()
    sets = {name: open_dataset(getattr(options, name)) for name in ("sung", "pieced", "varied")}
    parts = {name: hold_out(data, options.hold_out, imitations=2) for name, data in sets.items()}
    train = {name: part[0] for name, part in parts.items()}
    train["both"] = joined(train["sung"], train["pieced"])
    for name in ("sung", "pieced"):  # twice each, that all variants have equally many steps
        train[name] = joined(train[name], train[name])
    tests = {f"MRR, {name}": parts[name][1] for name in ("sung", "pieced")}
    rows = {
        "random": measured(Random, tests),
        "2DFT": measured(TwoDFT, tests),
        "mn04_as, frozen": measured(lambda: EncoderSystem.from_pretrained("mn04_as"), tests),
    }
    for number, (name, (preset, voice)) in enumerate(variants().items()):
        words = name.replace(" ", "-").replace(",", "")
        # Another preset or other data are another run.
        told = f"{preset} {voice} {options.steps} {train[voice].fingerprint()}"
        digest = hashlib.sha256(re.sub(r" at 0x\w+", "", told).encode()).hexdigest()[:8]
        folder = options.output / f"{number}-{words}-{options.steps}-steps-{digest}"
        rows[name] = measured(
            lambda p=preset, v=voice, f=folder: trained(
                p, train[v], tests["MRR, sung"], f, options.steps
            ),
            tests,
        )
        print(f"{name}: {rows[name]}", flush=True)
    columns = list(tests)
    print(f"\n| {options.steps} steps | {' | '.join(columns)} |\n|---{'|---' * len(columns)}|")
    for name, cells in rows.items():
        print(f"| {name} | {' | '.join(cells.values())} |")
    sounds = len(tests["MRR, sung"].items)
    print(f"\n{sounds} held-out sounds, {len(tests['MRR, sung'].queries)} imitations a voice")


if __name__ == "__main__":
    main()
