"""The guard against fooling oneself: no sound may be both learnt from and tested with.

Notebook: 04_finetune.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from qvim_kit.datasets.tables import DatasetError, RetrievalDataset
from qvim_kit.training.waveform_cache import WaveformCache

POLICIES = ("refuse", "shared items", "allow")


class Leak(NamedTuple):
    """One sound that is in two data sets, as a file of each."""

    first: str
    second: str
    kind: str  # "item" if it is an item in both, else "query"

    def __str__(self) -> str:
        same = "also" if self.first == self.second else f"= {self.second}"
        return f"{self.kind}: {self.first} {same}"


class LeakageError(DatasetError):
    """Sounds that are to be learnt from also occur where the result is measured.

    Attributes:
        leaks: every one of them.
    """

    def __init__(self, where: str, leaks: list[Leak], remedy: str):
        super().__init__(where, [str(leak) for leak in leaks], remedy)
        self.leaks = leaks


def find_leaks(
    first: RetrievalDataset, second: RetrievalDataset, cache: WaveformCache
) -> list[Leak]:
    """Every sound of ``first`` whose decoded content also occurs in ``second``.

    Names and containers do not matter, nor zeros before and after a sound; what was cut,
    resampled or changed in level is not found. Digital silence is not a sound. Only items that
    a query of ``first`` imitates count as its own: others are not learnt from.

    Both must be in the cache. Notebook: 04_finetune.
    """
    imitated = first.items["item_id"].isin(first.queries["item_id"])
    own = _sounds(first.queries["path"], first.items["path"][imitated], cache)
    others = _sounds(second.queries["path"], second.items["path"], cache)
    return [
        Leak(path, others[digest][0], "item" if kind == others[digest][1] == "item" else "query")
        for digest, (path, kind) in own.items()
        if digest in others
    ]


def guard(
    first: RetrievalDataset,
    second: RetrievalDataset,
    cache: WaveformCache,
    policy: str = "refuse",
) -> dict:
    """Refuse two data sets that share sounds; returns a record of what was found and decided.

    Args:
        first: what is learnt from (or selected by).
        second: what the result is measured on.
        policy: "refuse" any shared sound; allow "shared items", as where unseen imitations of
            known sounds are searched for, but no shared query; or "allow" all, which makes the
            measured result worthless and is for demonstrations.

    Raises `LeakageError` naming the files. Notebook: 04_finetune.
    """
    if policy not in POLICIES:
        raise ValueError(f"leakage: found {policy!r}, expected one of {', '.join(POLICIES)}")
    leaks = find_leaks(first, second, cache)
    refused = {"refuse": leaks, "shared items": [k for k in leaks if k.kind == "query"]}
    if refused.get(policy):
        remedy = (
            "These sounds would be known before they are tested. Split with "
            "datasets.folds.category_folds or datasets.splits.split_by_item, or remove them from "
            "one side"
        )
        if policy == "refuse" and all(leak.kind == "item" for leak in leaks):
            remedy += '; if items are known on purpose, say leakage="shared items"'
        raise LeakageError(f"{first.name} and {second.name}", refused[policy], remedy + ".")
    kinds = [leak.kind for leak in leaks]
    return {
        "between": [first.name, second.name],
        "policy": policy,
        "shared items": kinds.count("item"),
        "shared queries": kinds.count("query"),
        "shared classes": len(set(first.queries["class"]) & set(second.queries["class"])),
        "files": [leak.first for leak in leaks],
    }


def _sounds(
    queries: pd.Series, items: Iterable[str], cache: WaveformCache
) -> dict[str, tuple[str, str]]:
    """Digest → (path, kind) of each sound that is not silence."""
    found: dict[str, tuple[str, str]] = {}
    for kind, paths in (("item", items), ("query", queries)):
        for path in map(str, paths):
            if digest := cache.clip(path).digest:
                found[digest] = (path, kind)
    return found
