"""What training by words reads: sentences and sounds, embedded once by the frozen encoders.

Notebook: 07_search_by_text.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from qvim_kit.datasets.tables import DatasetError, RetrievalDataset
from qvim_kit.systems.language import AudioTrunk, sound_digests
from qvim_kit.systems.sentences import Sentences
from qvim_kit.training.leakage import Leak, LeakageError


class Embedded(NamedTuple):
    """A data set as the frozen encoders see it; rows of texts belong to sounds[place]."""

    texts: torch.Tensor  # (captions, text_dim)
    sounds: torch.Tensor  # (items, trunk_dim)
    place: torch.Tensor  # (captions,)
    digests: list[str]  # of the sounds

    @classmethod
    def of(cls, dataset: RetrievalDataset, trunk: AudioTrunk, sentences: Sentences) -> Embedded:
        """Raises `DatasetError` for queries without words, and as both encoders."""
        names, paths = dataset.queries["query_id"], list(dataset.item_paths.values())
        texts = dataset.queries.get("text", [""] * len(names))
        wordless = [name for name, text in zip(names, texts, strict=True) if not text.strip()]
        if wordless:
            found = f"{len(wordless)} of {len(names)} queries have no words, such as {wordless[0]}"
            remedy = "Expected a column 'text' in queries, as datasets.captions makes it."
            raise DatasetError(dataset.name, [found], remedy)
        sounds = trunk.embed_items(paths)
        row = {item: n for n, item in enumerate(dataset.items["item_id"])}
        place = torch.tensor([row[item] for item in dataset.queries["item_id"]])
        embedded = torch.from_numpy(sentences.embed(texts, names))
        return cls(embedded, torch.from_numpy(sounds), place, sound_digests(paths))


def guard_sounds(parts: list[RetrievalDataset], data: list[Embedded], policy: str) -> list[dict]:
    """Keep the sounds of each part out of the others; returns a record of what was found.

    Which sounds are the same says `sound_digests`.

    Raises `LeakageError` naming the files, unless the policy is "allow".
    """
    found = []
    for first, second in ((0, 1), (0, 2), (1, 2))[: 3 if len(parts) == 3 else 1]:
        known, tested = (
            {d: path for d, path in zip(data[n].digests, parts[n].items["path"], strict=True) if d}
            for n in (first, second)
        )
        leaks = [Leak(path, tested[d], "item") for d, path in known.items() if d in tested]
        between = [parts[first].name, parts[second].name]
        if leaks and policy == "refuse":
            remedy = (
                "These sounds would be known before they are tested; see qvim_kit.datasets.splits."
            )
            raise LeakageError(" and ".join(between), leaks, remedy)
        found.append({"between": between, "policy": policy, "shared items": len(leaks)})
    return found
