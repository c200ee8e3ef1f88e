"""What training reads: pairs of a query and the item it imitates, in an order that a seed gives.

A batch is (queries, items, labels): waveforms (batch, samples) twice, and int64 (batch,) that are
equal for pairs which must not count as each other's negatives.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler

from qvim_kit.datasets.tables import RetrievalDataset


class Source(Protocol):
    """Where what belongs to a file is read: a `WaveformCache`, or `frozen_head.Embeddings`."""

    def read(
        self,
        path: str | os.PathLike,
        samples: int | None = None,
        rng: np.random.Generator | None = None,
    ) -> np.ndarray:
        """A file's waveform (samples,), at a random place if rng is given."""


class Pairs(Dataset):
    """Query, item and label of each pair; asked for by (epoch, number).

    Args:
        dataset: one pair for each of its queries.
        source: holds its audio.
        samples: length of the clips.
        labels: "item" or "class", the column whose values the labels number; None gives every
            pair a label of its own.
        random_crops: where a clip is cut depends on (seed, epoch, number), not on the worker
            that cuts it; without, it is always the beginning.
    """

    def __init__(
        self,
        dataset: RetrievalDataset,
        source: Source,
        samples: int,
        *,
        labels: str | None = "item",
        random_crops: bool = False,
        seed: int = 0,
    ):
        columns = {"item": "item_id", "class": "class", None: "query_id"}
        if labels not in columns:
            raise ValueError(f"labels: found {labels!r}, expected 'item', 'class' or None")
        self.source, self.samples = source, samples
        self.random_crops, self.seed = random_crops, seed
        self.query_paths = dataset.queries["path"].map(str).tolist()
        self.item_paths = [dataset.item_paths[item] for item in dataset.queries["item_id"]]
        _, numbers = np.unique(dataset.queries[columns[labels]].to_numpy(str), return_inverse=True)
        self.labels = torch.from_numpy(numbers.astype(np.int64))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: tuple[int, int]) -> tuple[torch.Tensor, ...]:
        epoch, number = place
        seeds = (self.seed, epoch, number)
        rng = np.random.default_rng(seeds) if self.random_crops else None
        query = self.source.read(self.query_paths[number], self.samples, rng)
        item = self.source.read(self.item_paths[number], self.samples, rng)
        return torch.from_numpy(query), torch.from_numpy(item), self.labels[number]


class Clips(Dataset):
    """(number, waveform) of each file, from its beginning: what validation embeds."""

    def __init__(self, paths: Sequence[str], source: Source, samples: int):
        self.paths, self.source, self.samples = list(map(str, paths)), source, samples

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> tuple[int, torch.Tensor]:
        return number, torch.from_numpy(self.source.read(self.paths[number], self.samples))


class EpochOrder(Sampler):
    """An epoch's (epoch, number), shuffled by (seed, epoch), this process's share of them.

    Every process gets equally many, and none is in two shares. ``skip`` passes over the beginning
    of epoch ``epoch``, which an interrupted run had done.
    """

    def __init__(self, count: int, seed: int, rank: int = 0, processes: int = 1):
        self.count, self.seed, self.rank, self.processes = count, seed, rank, processes
        self.epoch, self.skip = 0, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        if epoch != self.epoch:
            self.epoch, self.skip = epoch, 0

    def __len__(self) -> int:
        return self.count // self.processes

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.count)
        share = order[self.rank :: self.processes][: len(self)]
        return iter([(self.epoch, int(number)) for number in share[self.skip :]])


class Share(Sampler):
    """Every ``processes``-th number from ``rank`` on, filled up so that shares are equal."""

    def __init__(self, count: int, rank: int = 0, processes: int = 1):
        numbers = np.arange(-(-count // processes) * processes) % count
        self.numbers = numbers[rank::processes].tolist()

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[int]:
        return iter(self.numbers)


class PairData(LightningDataModule):
    """The loaders of `Pairs` for training, and of queries and items for validation.

    Args:
        pairs: what is learnt from.
        validation: ranked after each epoch, queries against items.
        batch_size: pairs a step and process; an incomplete last batch is left out.
        workers: processes that read; with the audio in a cache none is needed on a CPU.
        start: (epoch, batches of it that are done) where training begins.

    Raises `ValueError` if there are too few pairs for one batch.
    """

    def __init__(
        self,
        pairs: Pairs,
        validation: RetrievalDataset,
        *,
        batch_size: int,
        workers: int = 0,
        seed: int = 0,
        start: tuple[int, int] = (0, 0),
    ):
        super().__init__()
        self.pairs, self.batch_size, self.workers = pairs, batch_size, workers
        self.seed, self.start = seed, start
        sides = (validation.queries["path"], validation.items["path"])
        self.sides = [Clips(paths.tolist(), pairs.source, pairs.samples) for paths in sides]

    def train_dataloader(self) -> DataLoader:
        order = EpochOrder(len(self.pairs), self.seed, *self._processes())
        if len(order) < self.batch_size:
            raise ValueError(
                f"batch_size: found {self.batch_size}, expected at most {len(order)}, the pairs "
                "of the training set (for each process)"
            )
        order.epoch, order.skip = self.start[0], self.start[1] * self.batch_size
        return self._loader(self.pairs, order, self.batch_size, drop_last=True)

    def val_dataloader(self) -> list[DataLoader]:
        # Eight clips a forward: larger batches are slower on a CPU.
        batch = 32 if torch.cuda.is_available() else 8
        return [
            self._loader(clips, Share(len(clips), *self._processes()), batch)
            for clips in self.sides
        ]

    def _processes(self) -> tuple[int, int]:
        return self.trainer.global_rank, self.trainer.world_size

    def _loader(
        self, dataset: Dataset, sampler: Sampler, batch_size: int, drop_last: bool = False
    ) -> DataLoader:
        return DataLoader(
            dataset,
            batch_size,
            sampler=sampler,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
            drop_last=drop_last,
        )
