"""What training by words reads: sentences and sounds, embedded once by the frozen encoders.

Notebook: 07_search_by_text.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
import torch

from qvim_kit.audio import load_audio
from qvim_kit.datasets.tables import DatasetError, RetrievalDataset
from qvim_kit.systems.embedding import unit_rows
from qvim_kit.systems.language import AudioTrunk
from qvim_kit.systems.sentences import Sentences
from qvim_kit.training.leakage import Leak, LeakageError

ALIKE = 1 - 1e-6  # cosine of two embeddings from which their sounds are compared


class Embedded(NamedTuple):
    """A data set as the frozen encoders see it; rows of texts belong to sounds[place]."""

    texts: torch.Tensor  # (captions, text_dim)
    sounds: torch.Tensor  # (items, trunk_dim)
    place: torch.Tensor  # (captions,)

    @classmethod
    def of(cls, dataset: RetrievalDataset, trunk: AudioTrunk, sentences: Sentences) -> Embedded:
        """Raises `DatasetError` for queries without words, and as both encoders."""
        texts = dataset.queries.get("text", [""])
        if not all(text.strip() for text in texts):
            without = sum(not text.strip() for text in texts)
            problem = f"{without if 'text' in dataset.queries else 'all'} queries have no words"
            remedy = "Expected a column 'text' in queries, as datasets.captions makes it."
            raise DatasetError(dataset.name, [problem], remedy)
        sounds = trunk.embed_items(dataset.item_paths.values())
        row = {item: n for n, item in enumerate(dataset.items["item_id"])}
        place = torch.tensor([row[item] for item in dataset.queries["item_id"]])
        embedded = torch.from_numpy(sentences.embed(texts))
        return cls(embedded, torch.from_numpy(sounds), place)


def guard_sounds(parts: list[RetrievalDataset], data: list[Embedded], policy: str) -> list[dict]:
    """Keep the sounds of each part out of the others; returns a record of what was found.

    Names and containers do not matter. Unlike in `leakage.guard` only sounds of like embedding
    are decoded to be compared, so that a large collection is not read a second time; a sound that
    begins later is another.

    Raises `LeakageError` naming the files, unless the policy is "allow".
    """
    units = [unit_rows(one.sounds.double().numpy()) for one in data]
    found, digests = [], {}
    for first, second in ((0, 1), (0, 2), (1, 2))[: 3 if len(parts) == 3 else 1]:
        alike = np.argwhere(units[first] @ units[second].T >= ALIKE)
        paths = [parts[n].items["path"].map(str).tolist() for n in (first, second)]
        pairs = [(paths[0][a], paths[1][b]) for a, b in alike]
        for path in {path for pair in pairs for path in pair} - digests.keys():
            digests[path] = _digest(path)
        leaks = [Leak(a, b, "item") for a, b in pairs if digests[a] and digests[a] == digests[b]]
        between = [parts[first].name, parts[second].name]
        if leaks and policy == "refuse":
            remedy = "These sounds would be known before they are tested; see datasets.splits."
            raise LeakageError(" and ".join(between), leaks, remedy)
        found.append({"between": between, "policy": policy, "shared items": len(leaks)})
    return found


def _digest(path: str) -> str:
    """Of the decoded sound, without the zeros after it; "" for digital silence."""
    sound = np.trim_zeros(load_audio(path), "b")
    return hashlib.sha256(sound.tobytes()).hexdigest() if len(sound) else ""
