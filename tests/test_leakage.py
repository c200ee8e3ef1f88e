"""The guard: sounds that are in two data sets are found by what they sound like."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import soundfile

from qvim_kit.datasets import RetrievalDataset
from qvim_kit.training.leakage import LeakageError, find_leaks, guard
from qvim_kit.training.waveform_cache import WaveformCache

RATE = 8_000


@pytest.fixture
def make(tmp_path, rng):
    """A data set of two items with a query each, of random sounds but for those given."""

    def build(name, **given):
        paths = {}
        for key in ("item0", "item1", "query0", "query1"):
            sound = given.get(key)
            sound = rng.uniform(-0.5, 0.5, 2_000) if sound is None else sound
            paths[key] = tmp_path / name / f"{key}.{given.get('suffix', 'wav')}"
            paths[key].parent.mkdir(exist_ok=True)
            soundfile.write(paths[key], sound, RATE, subtype="PCM_16")
        items = [(f"i{n}", paths[f"item{n}"], "A") for n in range(2)]
        queries = [(f"q{n}", paths[f"query{n}"], "A", f"i{n}") for n in range(2)]
        return RetrievalDataset(
            pd.DataFrame(items, columns=["item_id", "path", "class"]),
            pd.DataFrame(queries, columns=["query_id", "path", "class", "item_id"]),
            name,
        )

    return build


@pytest.fixture
def cache(tmp_path):
    return WaveformCache(tmp_path / "cache", RATE)


@pytest.fixture
def sound():
    waveform = np.random.default_rng(3).integers(-9_000, 9_000, 3_000) / 32_768
    waveform[[0, -1]] = 0.125
    return waveform


def add(cache, *datasets):
    cache.add([p for d in datasets for t in (d.items, d.queries) for p in t["path"]])


def test_nothing_shared_is_nothing_found(make, cache):
    train, test = make("train"), make("test")
    add(cache, train, test)
    assert find_leaks(train, test, cache) == []
    record = guard(train, test, cache)
    assert record["shared items"] == record["shared queries"] == 0
    assert record["shared classes"] == 1 and record["policy"] == "refuse"


def test_the_error_names_both_files(make, cache, sound):
    train, test = make("train", item1=sound), make("test", item0=sound)
    add(cache, train, test)
    with pytest.raises(LeakageError) as caught:
        guard(train, test, cache)
    (leak,) = caught.value.leaks
    assert leak.first == str(train.item_paths["i1"]) and leak.second == test.item_paths["i0"]
    assert leak.first in str(caught.value) and leak.second in str(caught.value)


def test_another_container_and_silence_around_it_do_not_hide_it(make, cache, sound):
    padded = np.concatenate([np.zeros(100), sound, np.zeros(777)])
    train, test = make("train", query0=sound), make("test", query1=padded, suffix="flac")
    add(cache, train, test)
    (leak,) = find_leaks(train, test, cache)
    assert leak.kind == "query" and leak.second.endswith("query1.flac")


def test_silence_is_not_a_leak(make, cache):
    silence = np.zeros(2_000)
    train, test = make("train", item0=silence), make("test", query0=silence)
    add(cache, train, test)
    assert find_leaks(train, test, cache) == []


def test_another_sound_of_the_same_length_is_not_a_leak(make, cache, sound):
    train, test = make("train", item0=sound), make("test", item0=-sound)
    add(cache, train, test)
    assert find_leaks(train, test, cache) == []


def test_items_that_nobody_imitates_are_not_learnt_from(make, cache, sound):
    train, test = make("train", item1=sound), make("test", item0=sound)
    train = RetrievalDataset(train.items, train.queries[:1], "train")
    add(cache, train, test)
    assert find_leaks(train, test, cache) == []
    assert len(find_leaks(test, train, cache)) == 1  # but they are ranked


def test_shared_items_are_allowed_if_one_says_so(make, cache, sound):
    train, test = make("train", item1=sound), make("test", item0=sound)
    add(cache, train, test)
    with pytest.raises(LeakageError, match='leakage="shared items"'):
        guard(train, test, cache)
    record = guard(train, test, cache, "shared items")
    assert record["shared items"] == 1 and record["policy"] == "shared items"
    assert record["files"] == [str(train.item_paths["i1"])]


@pytest.mark.parametrize("where", ["query0", "item0"])
def test_shared_queries_are_not_shared_items(make, cache, sound, where):
    train, test = make("train", query1=sound), make("test", **{where: sound})
    add(cache, train, test)
    with pytest.raises(LeakageError, match="query1"):
        guard(train, test, cache, "shared items")
    record = guard(train, test, cache, "allow")
    assert record["shared queries"] == 1 and record["policy"] == "allow"


def test_an_unknown_policy_is_refused(make, cache):
    train = make("train")
    add(cache, train)
    with pytest.raises(ValueError, match="found 'maybe'"):
        guard(train, train, cache, "maybe")
