import os
import sys
import threading

import numpy as np
import pytest
from stand_ins import RATE, Bands, Unnamed, put, tone

from qvim_kit.search import LanceIndex, SavedIndexError, SoundIndex

pytest.importorskip("lancedb")
pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "sounds"
    for number in range(6):
        put(root / "Low" / f"it's low {number}.wav", tone(300 + 50 * number))
        put(root / "High's" / f'Grün "%_\\{number}.wav', tone(3_000 + 50 * number))
    return root


@pytest.fixture
def both(folder, tmp_path):
    index = LanceIndex.build(folder, Bands(), tmp_path / "lance")
    return index, SoundIndex.build(folder, Bands())


@pytest.fixture
def many(tmp_path, rng):
    """A thousand sounds that exist only as embeddings, with copies and a silent one."""
    from qvim_kit.search.building import Built, Changes, Row
    from qvim_kit.search.library import Library

    embeddings = rng.normal(size=(1_000, 16)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    embeddings[7], embeddings[500:504] = 0, embeddings[3]
    rows = [Row(f"{n:04}.wav", f"/x/{n:04}.wav", "ab"[n % 2], 1.0, 9, 9, "") for n in range(1_000)]
    built = Built(rows, embeddings, [], Changes(1_000))
    index = SoundIndex(Library("/x"), built, None, "some system", "some")
    return LanceIndex.copy(index, tmp_path / "many"), index


def test_it_answers_as_the_index_in_memory(both, folder):
    index, memory = both
    assert len(index) == len(memory) == 12 and index.changes == (12, 0, 0)
    for query in (folder / "Low" / "it's low 3.wav", memory.embeddings[2]):
        for k in (0, 1, 5, 99):
            found, expected = index.search(query, k), memory.search(query, k)
            assert list(found.columns) == list(expected.columns)
            for column in ("rank", "name", "class", "path"):
                assert list(found[column]) == list(expected[column])
            np.testing.assert_array_equal(found["score"], expected["score"])
    waveform = tone(310).astype(np.float32)
    assert index.search(waveform, 1, sample_rate=RATE)["name"][0] == "Low/it's low 0.wav"
    np.testing.assert_array_equal(
        index.embed_query(waveform, RATE), memory.embed_query(waveform, RATE)
    )
    assert "bands: 12 sounds at" in repr(index)


@pytest.mark.parametrize("contains", ["", "low", "IT'S 3", "grün", '"%_\\4', "_", "%", "absent"])
@pytest.mark.parametrize("classes", [None, "Low", ["High's", "other"], []])
def test_filters_come_before_ranking_and_quotes_are_letters(both, contains, classes):
    index, memory = both
    query = memory.embeddings[0]
    found = index.search(query, 4, where=index.where(contains, classes))
    expected = memory.search(query, 4, where=memory.where(contains, classes))
    assert list(found["name"]) == list(expected["name"])
    if classes is None:
        assert list(index.search(query, 4, where=contains)["name"]) == list(found["name"])


def test_copies_and_silence_are_ranked_as_in_memory(many):
    index, memory = many
    query = memory.embeddings[3]
    assert list(index.search(query, 5)["name"]) == list(memory.search(query, 5)["name"])
    everything = index.search(query, 1_000).set_index("name")["score"]
    expected = memory.search(query, 1_000).set_index("name")["score"]
    assert everything["0007.wav"] == 0
    np.testing.assert_allclose(everything[expected.index], expected, atol=1e-6)


def test_probing_finds_less_and_says_how_much(many, rng):
    index, memory = many
    queries = rng.normal(size=(20, 16))
    with pytest.raises(ValueError, match="no partitions; call create_index"):
        index.search(queries[0], probes=2)
    index.create_index(partitions=10)
    few, all_of_them = index.recall(queries, probes=2), index.recall(queries, probes=10)
    assert 0.1 < few < 1 and all_of_them == 1
    exact = [set(memory.search(query)["path"]) for query in queries]
    probed = [set(index.search(query, probes=2)["path"]) for query in queries]
    shares = [len(a & b) / 10 for a, b in zip(exact, probed, strict=True)]
    assert few == pytest.approx(np.mean(shares))
    assert [set(index.search(query)["path"]) for query in queries] == exact  # exact as before
    hits = index.search(queries[0], 5, where=index.where(classes="a"), probes=2)
    assert len(hits) == 5 and set(hits["class"]) == {"a"}
    assert LanceIndex.load(index.uri).recall(queries, probes=10) == 1


def test_a_second_build_touches_only_what_is_new_or_changed(both, folder, tmp_path):
    put(folder / "Low" / "it's low 0.wav", tone(3_400))
    put(folder / "new.wav", tone(2_000))
    (folder / "Low" / "it's low 1.wav").unlink()
    os.rename(folder / "Low" / "it's low 2.wav", folder / "Low" / "renamed.wav")
    (folder / "bad.wav").write_bytes(b"")
    index = LanceIndex.build(folder, Bands(), tmp_path / "lance")
    assert index.changes == (2, 1, 2) and index.system.embedded == 2 and len(index.errors) == 1
    memory = SoundIndex.build(folder, Bands())
    for query in memory.embeddings:
        found, expected = index.search(query, 99), memory.search(query, 99)
        assert sorted(found["path"]) == sorted(expected["path"])
        np.testing.assert_allclose(found["score"], expected["score"], atol=1e-6)
    again = LanceIndex.build(folder, Bands(), tmp_path / "lance")
    assert again.changes == (0, 0, 0) and again.system.embedded == 0


def test_another_root_gives_other_names_and_classes(folder, tmp_path):
    LanceIndex.build(folder / "Low", Bands(), tmp_path / "lance")
    index = LanceIndex.build(folder, Bands(), tmp_path / "lance")
    assert index.changes == (6, 0, 0) and index.system.embedded == 6
    memory = SoundIndex.build(folder, Bands())
    everything = [i.search(memory.embeddings[0], 99) for i in (index, memory)]
    names, expected = (sorted(zip(t["name"], t["class"], strict=True)) for t in everything)
    assert names == expected
    where = index.where(classes="Low")
    assert len(index.search(memory.embeddings[0], 99, where=where)) == 6


def test_a_file_that_became_bad_is_dropped(both, folder, tmp_path):
    (folder / "Low" / "it's low 0.wav").write_bytes(b"")
    index = LanceIndex.build(folder, Bands(), tmp_path / "lance")
    assert index.changes == (0, 0, 1) and len(index) == 11 and len(index.errors) == 1


def test_an_interrupted_build_goes_on_where_it_was(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("qvim_kit.search.lance_store.ROWS_AT_ONCE", 4)
    first = Bands()
    first.stop_after = 10
    with pytest.raises(KeyboardInterrupt):
        LanceIndex.build(folder, first, tmp_path / "lance")
    assert len(LanceIndex.load(tmp_path / "lance", Bands())) == 8
    seen = []
    second = Bands()
    LanceIndex.build(
        folder, second, tmp_path / "lance", progress=lambda *counts: seen.append(counts)
    )
    assert second.embedded == 2 and seen[-1] == (4, 4)  # two of the four were cached
    assert len(LanceIndex.load(tmp_path / "lance")) == 12


def test_builders_take_turns(folder, tmp_path):
    systems, failures = [Bands(), Bands()], []

    def build(system):
        try:
            LanceIndex.build(folder, system, tmp_path / "lance")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=build, args=(system,)) for system in systems]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and sum(system.embedded for system in systems) == 12
    index = LanceIndex.load(tmp_path / "lance", Bands())
    assert len(index) == index.search(np.ones(8), 99)["path"].nunique() == 12


def test_a_moved_library_is_told_and_silence_is_named(both, folder, tmp_path):
    put(folder / "silent.wav", tone(0))
    index = LanceIndex.build(folder, Bands(), tmp_path / "lance")
    assert len(index) == 12 and "is silent" in str(index.errors[0])
    os.rename(folder, tmp_path / "elsewhere")
    with pytest.warns(UserWarning, match="is not there any more.*LanceIndex.build"):
        LanceIndex.load(tmp_path / "lance", Bands())


def test_a_library_that_emptied(both, folder, tmp_path):
    for path in list(folder.rglob("*.wav")):
        path.unlink()
    index = LanceIndex.build(folder, Bands(), tmp_path / "lance")
    assert len(index) == 0 and index.changes == (0, 0, 12)
    assert index.search(np.ones(8)).empty
    assert list(index.search(np.ones(8)).columns) == ["rank", "name", "class", "score", "path"]


def test_what_does_not_fit_is_refused(both, folder, tmp_path):
    index, memory = both
    for query, k, where, message in (
        (np.zeros(800), 1, None, r"shape \(800,\), expected an embedding \(8,\)"),
        (np.full(8, np.nan), 1, None, "NaN"),
        (np.ones(8), -1, None, "k: found -1"),
        (np.ones(8), 1, np.ones(12, bool), "where: found ndarray"),
    ):
        with pytest.raises(ValueError, match=message):
            index.search(query, k, where)
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="no audio files in it"):
        LanceIndex.build(tmp_path / "none", Bands(), tmp_path / "other")
    with pytest.raises(SavedIndexError, match="holds no index"):
        LanceIndex.load(tmp_path / "none")
    with pytest.raises(SavedIndexError, match="holds an index already"):
        LanceIndex.copy(memory, tmp_path / "lance")
    with pytest.raises(ValueError, match="without its system, bands"):
        LanceIndex.load(tmp_path / "lance").search("query.wav")


def test_another_systems_index_is_refused(both, folder, tmp_path):
    for call in (
        lambda: LanceIndex.load(tmp_path / "lance", Bands("2")),
        lambda: LanceIndex.build(folder, Bands("2"), tmp_path / "lance"),
        lambda: LanceIndex.load(tmp_path / "lance", Unnamed()),
    ):
        with pytest.raises(SavedIndexError, match="not an index of this system"):
            call()
    with pytest.raises(ValueError, match=r"bands has no fingerprint\(\)"):
        LanceIndex.build(folder, Unnamed(), tmp_path / "other")


def test_an_object_store_is_addressed_the_same_way(folder):
    index = LanceIndex.build(folder, Bands(), "memory://library")
    assert len(index) == 12 and len(index.search(np.ones(8), 3)) == 3


def test_without_the_package_the_remedy_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lancedb", None)
    with pytest.raises(ImportError, match=r"pip install 'qvim-kit\[lance\]'"):
        LanceIndex.build(folder, Bands(), tmp_path / "lance")
