"""Systems and data sets that stand in for real ones, sounds to tell apart, a page's questions."""

import os

import numpy as np
import pandas as pd
import soundfile

from qvim_kit.datasets import RetrievalDataset
from qvim_kit.evaluation import evaluate
from qvim_kit.systems import EmbeddingSystem

RATE = 8_000
WIDE = 16_000


class Bands(EmbeddingSystem):
    """How loud a sound is in eight wide bands; counts what it embeds."""

    name, sample_rate, duration, batch_size = "bands", RATE, 0.1, 2

    def __init__(self, version="1"):
        self.version, self.embedded, self.stop_after = version, 0, float("inf")

    def embed_batch(self, waveforms, side):
        if self.embedded >= self.stop_after:
            raise KeyboardInterrupt
        self.embedded += len(waveforms)
        power = np.abs(np.fft.rfft(waveforms)) ** 2
        away = np.linspace(0, 4_000, power.shape[1])[:, None] - np.arange(250, 4_000, 500)
        return power @ (0.1 + np.exp(-((away / 400) ** 2)))

    def fingerprint(self, side):
        return f"bands {self.version}"


class Unnamed(Bands):
    """Does not tell what its embeddings depend on."""

    fingerprint = EmbeddingSystem.fingerprint


class Spectrum(EmbeddingSystem):
    """The spectrum's shape, in bands; counts what it embeds."""

    sample_rate, duration = WIDE, 1.0

    def __init__(self, name="spectrum", bands=400):
        self.name, self.bands, self.embedded = name, bands, 0

    def embed_batch(self, waveforms, side):
        self.embedded += len(waveforms)
        power = np.log1p(np.abs(np.fft.rfft(waveforms))[:, : 8_000 // self.bands * self.bands])
        return power.reshape(len(power), self.bands, -1).mean(-1)


def tone(hertz, level=0.5, seconds=0.1, rate=RATE):
    """A sine, for `Bands`."""
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def hum(hertz, seconds=1.0):
    """A tone with its octave, for `Spectrum`."""
    return tone(hertz, 0.3, seconds, WIDE) + tone(2 * hertz, 0.1, seconds, WIDE)


def put(path, waveform, age=60):
    """Write a sound that was last touched so many seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, waveform, RATE)
    time = path.stat().st_mtime - age
    os.utime(path, (time, time))
    return path


def write_hums(folder, pitches, each):
    """So many hums of each class, the higher the later: class → lowest pitch."""
    for name, hertz in pitches.items():
        (folder / name).mkdir()
        for number in range(1, each + 1):
            path = folder / name / f"{name}_{number}.wav"
            soundfile.write(path, hum(hertz * (1 + number / 8)), WIDE)
    return folder


def ask(widget, what, **fields):
    """A question of the page; returns the answer and its buffers, or raises what it says."""
    answers = []
    widget.send = lambda content, buffers=None: answers.append(content | {"buffers": buffers})
    widget._handle_custom_msg({"do": what, "ask": 1, **fields}, [])
    (answer,) = answers
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer


def names(widget, panel=0):
    """The sounds that a panel of the page shows."""
    return [row["name"] for row in widget._results["panels"][panel]["rows"]]


def concepts_of_imitations(concepts=11, items=2, queries=5, strangers=3):
    """Concepts with imitated items, and items that nobody imitates; the files do not exist."""
    rows, imitations = [], []
    for c in range(concepts):
        concept = f"{c:03d}"
        for n in range(items):
            item = f"{concept}/{n}.wav"
            rows.append((item, f"/nowhere/{item}", concept, "extra"))
            imitations += [
                (f"{concept}/{n} {k}.wav", f"/nowhere/{concept} {n} {k}.wav", concept, item)
                for k in range(queries)
            ]
        rows += [(f"{concept}/x{k}.wav", "/nowhere/x", concept, "extra") for k in range(strangers)]
    return RetrievalDataset(
        pd.DataFrame(rows, columns=["item_id", "path", "class", "kind of"]),
        pd.DataFrame(imitations, columns=["query_id", "path", "class", "item_id"]),
        "toy",
    )


def ids(*datasets, table="queries", column="query_id"):
    return [name for dataset in datasets for name in getattr(dataset, table)[column]]


def random_mrr(dataset):
    scores = dict.fromkeys(dataset.items["item_id"], 0.0)
    report = evaluate(dict.fromkeys(dataset.queries["query_id"], scores), dataset)
    return report.metrics.loc["MRR", "random"]
