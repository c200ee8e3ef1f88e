import json
import multiprocessing
import os
import sys
import threading
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
from stand_ins import RATE, Bands, Unnamed, put, tone

from qvim_kit.audio import AudioError
from qvim_kit.search import SavedIndexError, SoundIndex, table
from qvim_kit.search.queries import classes_named, embed_query
from qvim_kit.search.ranking import nearest
from qvim_kit.systems import EncoderSystem, Random
from qvim_kit.systems.embedding import unit_rows

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def folder(tmp_path):
    """Sixteen tones in three folders, one of them nested, and what is no sound of the library."""
    root = tmp_path / "sounds"
    for number in range(5):
        put(root / "Low" / f"low {number}.wav", tone(300 + 10 * number))
        put(root / "High" / f"Squeak_{number}.WAV", tone(3_000 + 10 * number))
        put(root / "deep" / "er" / f"Grün {number}.flac", tone(1_500 + 10 * number))
    put(root / "alone.wav", tone(2_200, seconds=0.3))
    put(root / ".hidden" / "x.wav", tone(300))
    put(root / "Low" / "._low 0.wav", tone(300))
    (root / "notes.txt").write_text("not audio")
    return root


@pytest.fixture
def index(folder):
    return SoundIndex.build(folder, Bands())


def test_a_folder_becomes_a_table_and_unit_rows(index, folder):
    assert list(index.sounds.columns) == ["name", "path", "class", "seconds"]
    assert list(index.sounds["name"]) == sorted(index.sounds["name"]) and len(index) == 16
    rows = index.sounds.set_index("name")
    assert rows.loc["deep/er/Grün 2.flac", "class"] == "er"
    assert rows.loc["alone.wav", "class"] == "" and rows.loc["alone.wav", "seconds"] == 0.3
    assert rows.loc["High/Squeak_1.WAV", "path"] == str(folder / "High" / "Squeak_1.WAV")
    assert index.embeddings.dtype == np.float32 and index.embeddings.shape == (16, 8)
    np.testing.assert_allclose(np.linalg.norm(index.embeddings, axis=1), 1, atol=1e-6)
    assert index.classes == ["", "High", "Low", "er"] and not index.errors
    assert str(index.changes) == "16 new, 0 changed, 0 gone"
    assert "16 sounds in 4 classes" in repr(index) and "Grün" not in repr(index)
    assert "<table" in index._repr_html_()


def test_a_search_finds_what_sounds_alike(index, folder):
    hits = index.search(folder / "High" / "Squeak_3.WAV", k=5)
    assert list(hits.columns) == ["rank", "name", "class", "score", "path"]
    assert hits.iloc[0]["name"] == "High/Squeak_3.WAV" and set(hits["class"]) == {"High"}
    assert list(hits["rank"]) == [1, 2, 3, 4, 5] and hits["score"].is_monotonic_decreasing
    assert hits["score"].iloc[0] == pytest.approx(1)
    assert list(index.sounds.loc[hits.index, "name"]) == list(hits["name"])


def test_a_path_a_waveform_and_an_embedding_are_one_query(index, folder, tmp_path):
    waveform = tone(1_530, seconds=0.25, rate=16_000).astype(np.float32)
    soundfile.write(tmp_path / "q.wav", waveform, 16_000, subtype="FLOAT")
    expected = index.search(tmp_path / "q.wav")
    for query, rate in (
        (str(tmp_path / "q.wav"), None),
        (waveform, 16_000),
        (np.stack([waveform, waveform], axis=1), 16_000),
        (index.embed_query(tmp_path / "q.wav"), None),
        (list(7 * index.embed_query(waveform, 16_000)), None),
    ):
        found = index.search(query, sample_rate=rate)
        assert list(found.index) == list(expected.index)
        np.testing.assert_allclose(found["score"], expected["score"], atol=1e-6)
    counts = (waveform * 32767).astype(np.int16)
    assert list(index.search(counts, 3, sample_rate=16_000)["name"]) == list(expected["name"][:3])
    embedding = index.embed_query(tmp_path / "q.wav")
    assert embedding.shape == (8,) and np.linalg.norm(embedding) == pytest.approx(1)


def test_several_queries_give_a_table_each(index):
    tables = index.search(index.embeddings[[3, 11]], k=2)
    assert [table["name"].iloc[0] for table in tables] == list(index.sounds["name"][[3, 11]])
    assert index.search(np.empty((0, 8))) == []


@pytest.mark.parametrize(
    ("query", "rate", "message"),
    [
        (np.zeros(800), None, r"shape \(800,\), expected an embedding \(8,\).*sample_rate"),
        (np.zeros((2, 2, 8)), None, "shape"),
        (np.full(8, np.nan), None, "query: its embedding holds NaN"),
        (np.zeros((0,)), RATE, "at least one number"),
        (np.array([0.1, np.inf]), RATE, "NaN or infinite numbers; record it again"),
        (np.zeros(80, dtype=np.uint8), RATE, "uint8"),
        (np.zeros(80, dtype=complex), RATE, "complex128"),
        (np.zeros(80), 0, "sample_rate: found 0"),
        (np.zeros(80), float("nan"), "sample_rate: found nan"),
        ("nowhere.wav", None, "nowhere.wav: no such file"),
    ],
)
def test_queries_that_cannot_be_are_refused(index, query, rate, message):
    with pytest.raises(ValueError, match=message):
        index.search(query, sample_rate=rate)
    with pytest.raises(ValueError, match="sample_rate: found None"):
        index.embed_query(np.zeros(80))


def test_k_may_be_zero_or_more_than_there_are(index):
    query = index.embeddings[0]
    assert len(index.search(query, 0)) == 0
    assert list(index.search(query, 0).columns) == ["rank", "name", "class", "score", "path"]
    assert sorted(index.search(query, 99)["name"]) == list(index.sounds["name"])
    assert len(index.search(query, np.int64(3))) == 3
    for wrong in (-1, 2.0, True, None):
        with pytest.raises(ValueError, match="k: found"):
            index.search(query, wrong)


def test_filters_come_before_ranking(index):
    query = index.embeddings[index.sounds["name"].eq("High/Squeak_0.WAV")][0]
    assert set(index.search(query, 3, where="low")["class"]) == {"Low"}
    assert list(index.search(query, 3, where="LOW 3")["name"]) == ["Low/low 3.wav"]
    assert list(index.search(query, where="queak_2")["name"]) == ["High/Squeak_2.WAV"]
    assert len(index.search(query, 99, where="")) == len(index.search(query, 99, where="  ")) == 16
    assert index.search(query, where="nothing has this").empty
    mask = index.where(classes={"Low", "er"})
    assert mask.dtype == bool and mask.sum() == 10
    assert set(index.search(query, 99, where=mask)["class"]) == {"Low", "er"}
    assert index.where(classes="Low").sum() == 5 and not index.where(classes=[]).any()
    assert index.where("1", ["Low", "unknown"]).sum() == 1
    short = index.search(query, 99, where=lambda sounds: sounds["seconds"] > 0.2)
    assert list(short["name"]) == ["alone.wav"]
    for wrong in (mask[:-1], mask.astype(int), [1, 2]):
        with pytest.raises(ValueError, match="where: found"):
            index.search(query, where=wrong)
    with pytest.raises(TypeError, match="classes: found 3"):
        index.where(classes=[3])


def test_words_are_found_however_their_letters_are_written(index):
    for form in ("NFC", "NFD"):
        assert index.where(unicodedata.normalize(form, "GRÜN")).sum() == 5


def naive(embeddings, query, k, mask):
    scores = [float(np.dot(row.astype(float), query.astype(float))) for row in embeddings]
    allowed = [row for row in range(len(scores)) if mask is None or mask[row]]
    order = sorted(allowed, key=lambda row: (-scores[row], row))[:k]
    return order, [scores[row] for row in order]


@pytest.mark.parametrize("rows", [1, 50, 3_000])
@pytest.mark.parametrize("share", [None, 0.0, 0.1, 0.7])
def test_ranking_equals_a_loop_and_a_full_sort(rng, rows, share):
    embeddings = rng.normal(size=(rows, 12)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    embeddings[rows // 3] = 0
    mask = None if share is None else rng.random(rows) < share
    queries = embeddings[rng.integers(rows, size=3)]
    for k in (1, 7, rows):
        together = nearest(embeddings, queries, k, mask)
        for number, query in enumerate(queries):
            order, scores = naive(embeddings, query, k, mask)
            alone = nearest(embeddings, query[None], k, mask)
            for found_rows, found_scores in (alone, tuple(part[[number]] for part in together)):
                assert found_rows[0].tolist() == order
                np.testing.assert_allclose(found_scores[0], scores, atol=1e-12)


@pytest.mark.parametrize("share", [None, 0.1, 0.7])
def test_copies_score_the_same_and_keep_their_order(rng, share):
    sound = rng.normal(size=384).astype(np.float32)
    embeddings = np.tile(sound / np.linalg.norm(sound), (2_003, 1))
    embeddings[::7] *= -1
    mask = np.ones(2_003, bool) if share is None else rng.random(2_003) < share
    queries = rng.normal(size=(4, 384)).astype(np.float32)
    for query in (queries[:1], queries):
        rows, scores = nearest(embeddings, query, 10, mask)
        assert all(len(set(line)) == 1 for line in scores)
        for line, score in zip(rows, scores[:, 0], strict=True):
            sign = np.sign(embeddings[line[0]] @ sound)
            same = np.flatnonzero(mask & (np.sign(embeddings @ sound) == sign))
            assert score > 0 and line.tolist() == same[:10].tolist()


def test_many_queries_do_not_need_memory_for_all_scores(rng, monkeypatch):
    embeddings, queries = (rng.normal(size=(n, 6)).astype(np.float32) for n in (500, 23))
    expected = nearest(embeddings, queries, 5)
    monkeypatch.setattr("qvim_kit.search.ranking.SCORES_AT_ONCE", 1_100)
    for found, wanted in zip(nearest(embeddings, queries, 5), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_the_same_sound_twice_is_found_twice(folder):
    copy = folder / "Copies" / "low 0.wav"
    put(copy, tone(300))
    index = SoundIndex.build(folder, Bands())
    hits = index.search(copy, 2)
    assert list(hits["name"]) == ["Copies/low 0.wav", "Low/low 0.wav"]
    assert hits["score"].nunique() == 1


def test_bad_files_are_named_and_stop_nothing(folder):
    (folder / "Low" / "empty.wav").write_bytes(b"")
    (folder / "Low" / "text.wav").write_text("not audio")
    index = SoundIndex.build(folder, Bands())
    assert len(index) == 16 and len(index.errors) == 2
    assert {Path(error.path).name for error in index.errors} == {"empty.wav", "text.wav"}
    assert "2 files not usable" in repr(index)
    put(folder / "Low" / "text.wav", tone(320))
    assert str(index.refresh()) == "1 new, 0 changed, 0 gone" and len(index.errors) == 1


def test_a_library_of_bad_files_only_is_empty(tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"")
    index = SoundIndex.build(tmp_path, Bands())
    assert len(index) == 0 and len(index.errors) == 1 and index.classes == []
    assert index.search(tone(300), sample_rate=RATE).empty and index.search(np.ones(8)).empty
    assert index.where("x").shape == (0,)
    index.save(tmp_path / "saved")
    assert len(SoundIndex.load(tmp_path / "saved", Bands())) == 0


def test_sounds_without_a_direction(folder):
    class Odd(Bands):
        def embed_batch(self, waveforms, side):
            rows = super().embed_batch(waveforms, side)
            rows[waveforms.std(axis=1) < 0.3] = np.nan
            return rows

    class Deaf(Bands):
        def embed_batch(self, waveforms, side):
            return 0 * super().embed_batch(waveforms, side)

    put(folder / "quiet.wav", tone(300, level=0.01))
    odd = SoundIndex.build(folder, Odd())
    assert [Path(error.path).name for error in odd.errors] == ["quiet.wav"]
    assert "embeds it to NaN" in str(odd.errors[0]) and np.isfinite(odd.embeddings).all()
    hits = SoundIndex.build(folder, Deaf()).search(folder / "quiet.wav", 3)
    assert list(hits.index) == [0, 1, 2] and set(hits["score"]) == {0}


def test_silence_is_named_as_no_voice_can_imitate_it(folder):
    put(folder / "silence.wav", np.zeros(800))
    put(folder / "faint.wav", tone(300, level=5e-4))
    put(folder / "late.wav", np.concatenate([np.zeros(801), tone(300)]))  # 0.1 s are heard
    put(folder / "quiet.wav", np.concatenate([np.zeros(700), tone(300, level=0.01)]))
    index = SoundIndex.build(folder, Bands())
    assert sorted(Path(error.path).name for error in index.errors) == [
        "faint.wav",
        "late.wav",
        "silence.wav",
    ]
    assert "is silent in the 0.1 s that are heard" in str(index.errors[0])
    assert "quiet.wav" in set(index.sounds["name"]) and len(index) == 17


def test_classes_are_found_whatever_their_capitals():
    known = ["", "Door", "Dog", "Grün", "horn", "Horn"]
    assert classes_named(["door", "GRÜN"], known) == ["Door", "Grün"]
    assert classes_named(["horn"], known) == ["horn"]
    assert classes_named(["HORN"], known) == ["Horn", "horn"]
    assert classes_named([""], known) == [""]
    for asked, message in (
        (["oor"], "class oor: no sound has it, did you mean Door"),
        (["Drog"], "did you mean Dog"),
        (["a", "xyz"], "class a: .*; class xyz: no sound has it, expected one of Dog, Door, "),
    ):
        with pytest.raises(ValueError, match=message):
            classes_named(asked, known)
    many = [f"{number:03}" for number in range(30)]
    with pytest.raises(ValueError, match="019 … and 10 more"):
        classes_named(["x"], many)
    with pytest.raises(ValueError, match="class x: the library has no classes"):
        classes_named(["x"], [""])


def test_a_moved_library_is_told_when_its_index_is_loaded(folder, tmp_path):
    SoundIndex.open(folder, Bands(), tmp_path / "saved")
    os.rename(folder, tmp_path / "elsewhere")
    with pytest.warns(UserWarning, match="were in .*sounds, where there is nothing.*qvim index"):
        SoundIndex.load(tmp_path / "saved", Bands())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = SoundIndex.open(tmp_path / "elsewhere", Bands(), tmp_path / "saved")
        assert again.system.embedded == 0 and len(again) == 16
        SoundIndex.load(tmp_path / "saved", Bands())


@pytest.mark.parametrize("k", [0, 1, 5])
def test_results_are_one_table_with_and_without_pandas_3(monkeypatch, k):
    import pandas

    texts, scores = np.array([list("abcde"), list("fghij"), list("klmno")], object), np.arange(5.0)
    arguments = texts[:, :k], scores[:k], pandas.Index(np.arange(7, 7 + k))
    found = table.results(*arguments)
    monkeypatch.setitem(sys.modules, "pandas.api.internals", None)
    table._framer.cache_clear()
    try:
        older = table.results(*arguments)
    finally:
        table._framer.cache_clear()
    assert found.astype(older.dtypes).equals(older) and list(found.index) == list(older.index)
    assert list(found.columns) == list(older.columns) == ["rank", "name", "class", "score", "path"]
    assert found["rank"].dtype == np.int64 and found["score"].dtype == np.float64


def test_what_is_no_library_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    sound = put(tmp_path / "sound.wav", tone(300))
    for source, message in (
        (tmp_path / "empty", r"empty: no audio files in it \(looked for .*\.wav"),
        (tmp_path / "absent", "absent: found nothing, expected a folder"),
        (sound, "sound.wav: found a file, expected a folder of sounds"),
        ([], "source: found no paths"),
    ):
        with pytest.raises(ValueError, match=message):
            SoundIndex.build(source, Bands())
    with pytest.raises(TypeError, match="source: found int"):
        SoundIndex.build(3, Bands())
    with pytest.raises(TypeError, match="system: found Random, expected an EmbeddingSystem"):
        SoundIndex.build([sound], Random())


def test_a_list_of_paths_and_a_data_set_are_libraries(folder, dataset):
    paths = [folder / "High" / "Squeak_1.WAV", str(folder / "Low" / "low 2.wav")]
    index = SoundIndex.build([*paths, paths[0], folder / "gone.wav"], Bands())
    assert list(index.sounds["name"]) == ["High/Squeak_1.WAV", "Low/low 2.wav"]
    assert list(index.sounds["class"]) == ["High", "Low"]
    assert [error.reason for error in index.errors] == [
        "cannot be read (no such file or directory)"
    ]
    for number, row in dataset.items.iterrows():
        dataset.items.loc[number, "path"] = str(
            put(folder.parent / "data" / row["path"][1:], tone(300 + 50 * number))
        )
    index = SoundIndex.build(dataset, Bands())
    assert list(index.sounds["name"]) == list(dataset.items["item_id"])
    assert list(index.sounds["class"]) == list(dataset.items["class"])
    os.remove(dataset.items["path"][4])
    assert index.refresh().gone == 1 and len(index) == 11


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_are_followed_but_not_in_circles(folder):
    (folder / "link").symlink_to(folder / "Low")
    (folder / "Low" / "circle").symlink_to(folder)
    (folder / "dangling.wav").symlink_to(folder / "nothing.wav")
    assert len(SoundIndex.build(folder, Bands())) == 16


@pytest.mark.skipif(os.name == "nt", reason="file names are text there")
def test_a_name_that_is_no_text_is_named_as_an_error(folder):
    strange = os.fsdecode(os.fsencode(folder) + b"/\xff.wav")
    try:
        os.rename(folder / "alone.wav", strange)
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    index = SoundIndex.build(folder, Bands())
    assert len(index) == 15 and "not valid UTF-8; rename it" in str(index.errors[0])
    str(index.errors[0]).encode()


def test_refresh_touches_only_what_is_new_or_changed(folder):
    system = Bands()
    index = SoundIndex.build(folder, system)
    before = index.embeddings.copy()
    assert str(index.refresh()) == "0 new, 0 changed, 0 gone" and system.embedded == 16
    np.testing.assert_array_equal(index.embeddings, before)

    put(folder / "Low" / "low 0.wav", tone(3_500))
    put(folder / "New" / "new.wav", tone(2_600))
    (folder / "alone.wav").unlink()
    os.rename(folder / "Low" / "low 1.wav", folder / "Low" / "renamed.wav")
    os.utime(folder / "Low" / "low 2.wav", (1e9, 1e9))
    assert index.refresh() == (2, 1, 2) and system.embedded == 18
    fresh = SoundIndex.build(folder, Bands("1"))
    assert index.sounds.equals(fresh.sounds)
    np.testing.assert_array_equal(index.embeddings, fresh.embeddings)
    assert "alone.wav" not in set(index.sounds["name"])


def test_unchanged_files_are_not_read_unless_they_were_just_written(folder):
    system = Bands()
    index = SoundIndex.build(folder, system)
    old, young = folder / "Low" / "low 0.wav", folder / "Low" / "low 1.wav"
    for path, age in ((old, 60), (young, -60)):
        put(path, tone(333), age=age)
    index.refresh()
    for path in (old, young):  # same size, same time: only a look at the content could tell
        status = path.stat()
        soundfile.write(path, tone(3_333), RATE)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert index.refresh() == (0, 1, 0)
    rows = index.sounds.set_index("name").index
    assert index.embeddings[rows.get_loc("Low/low 1.wav")].argmax() == 6
    assert index.embeddings[rows.get_loc("Low/low 0.wav")].argmax() == 0


def test_a_system_that_changed_embeds_all_again(folder):
    system = Bands()
    index = SoundIndex.build(folder, system)
    system.version = "2"
    index.refresh()
    assert system.embedded == 32
    other = SoundIndex.build(folder, Bands("3"), previous=index)
    assert other.system.embedded == 16


def test_a_library_that_emptied_and_one_that_vanished(folder, tmp_path):
    index = SoundIndex.build(folder, Bands())
    os.rename(folder, tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="found nothing, expected a folder"):
        index.refresh()
    assert len(index) == 16
    folder.mkdir()
    assert index.refresh() == (0, 0, 16)
    assert len(index) == 0 and index.search(np.ones(8)).empty


def test_an_interrupted_build_goes_on_where_it_was(folder):
    first = Bands()
    first.stop_after = 6
    with pytest.raises(KeyboardInterrupt):
        SoundIndex.build(folder, first)
    second = Bands()
    assert len(SoundIndex.build(folder, second)) == 16
    assert second.embedded == 16 - first.embedded == 10


def test_an_interrupted_refresh_leaves_the_index_as_it_was(folder):
    system = Bands()
    index = SoundIndex.build(folder, system)
    put(folder / "new.wav", tone(2_000))
    system.stop_after = 16
    with pytest.raises(KeyboardInterrupt):
        index.refresh()
    assert len(index) == len(index.sounds) == 16


def test_progress_counts_files_to_do(folder):
    seen = []
    SoundIndex.build(folder, Bands(), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 16) for done in range(17)]


def test_a_bar_is_shown_otherwise(folder, capsys):
    SoundIndex.build(folder, Bands())
    assert "bands: indexing: 100%" in capsys.readouterr().err


def test_embeddings_of_several_lengths_are_refused(folder):
    class Growing(Bands):
        def embed_batch(self, waveforms, side):
            return super().embed_batch(waveforms, side)[:, : 8 - self.embedded % 3]

    with pytest.raises(ValueError, match=r"bands: found embeddings of \[6, 7, 8\] numbers"):
        SoundIndex.build(folder, Growing())


def test_saved_and_loaded_it_is_the_same(index, tmp_path):
    index.save(tmp_path / "saved")
    for system in (Bands(), None):
        loaded = SoundIndex.load(str(tmp_path / "saved"), system)
        assert loaded.sounds.equals(index.sounds) and repr(loaded) == repr(index)
        np.testing.assert_array_equal(loaded.embeddings, index.embeddings)
        assert not loaded.embeddings.flags.writeable  # mapped, not read
        assert loaded.search(index.embeddings[4]).equals(index.search(index.embeddings[4]))
    with pytest.raises(ValueError, match="loaded without its system, bands"):
        loaded.search("query.wav")
    with pytest.raises(ValueError, match="loaded without its system, bands"):
        loaded.refresh()


def test_a_loaded_index_refreshes_itself(folder, tmp_path):
    (folder / "bad.wav").write_bytes(b"")
    SoundIndex.build(folder, Bands()).save(tmp_path / "saved")
    put(folder / "new.wav", tone(2_000))
    loaded = SoundIndex.load(tmp_path / "saved", Bands())
    assert [error.reason for error in loaded.errors] == [
        "is empty (0 bytes); download or record it again"
    ]
    assert loaded.refresh() == (1, 0, 0) and loaded.system.embedded == 1
    paths = list(loaded.sounds["path"])[:5]
    SoundIndex.build(paths, Bands()).save(tmp_path / "listed")
    listed = SoundIndex.load(tmp_path / "listed", Bands())
    assert listed.refresh() == (0, 0, 0) and len(listed) == 5


def test_an_index_of_another_system_is_refused(index, tmp_path):
    class Altered(Bands):  # and its fingerprint is not
        def embed_batch(self, waveforms, side):
            return super().embed_batch(waveforms, side)

    index.save(tmp_path / "saved")
    with pytest.raises(SavedIndexError, match="not an index of this system.*load it with"):
        SoundIndex.load(tmp_path / "saved", Bands("2"))
    with pytest.raises(SavedIndexError, match="no fingerprint"):
        SoundIndex.load(tmp_path / "saved", Altered())


def drop_matrix(folder):
    next(folder.glob("*.npy")).unlink()


def cut_matrix(folder):
    path = next(folder.glob("*.npy"))
    path.write_bytes(path.read_bytes()[:-40])


def other_matrix(folder):
    np.save(next(folder.glob("*.npy")), np.zeros((3, 8), np.float32))


def pickled_matrix(folder):
    np.save(next(folder.glob("*.npy")), np.array([{}], dtype=object), allow_pickle=True)


def cut_table(folder):
    path = folder / "index.json"
    path.write_bytes(path.read_bytes()[:200])


def edited_table(**new):
    def edit(folder):
        path = folder / "index.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **new}))

    return edit


@pytest.mark.parametrize(
    "damage",
    [
        drop_matrix,
        cut_matrix,
        other_matrix,
        pickled_matrix,
        cut_table,
        edited_table(sounds={}),
        edited_table(format=99),
        edited_table(shape=[3, 8]),
        edited_table(shape=None),
        edited_table(matrix="../../x.npy"),
        edited_table(errors=[1]),
        lambda folder: (folder / "index.json").write_text("[]"),
        lambda folder: (folder / "index.json").write_bytes(b"\xff\xfe"),
    ],
)
def test_a_damaged_index_is_one_clear_error_and_is_built_again(folder, tmp_path, damage):
    saved = tmp_path / "saved"
    SoundIndex.open(folder, Bands(), saved)
    damage(saved)
    with pytest.raises(SavedIndexError, match="cannot be used.*delete this folder") as told:
        SoundIndex.load(saved, Bands())
    foreign = ("pickle", "mmap", "numpy", "reshape", "Expecting", "NoneType", "codec", "EOF")
    assert not any(word in str(told.value) for word in foreign)
    with pytest.warns(UserWarning, match="it is built again"):
        index = SoundIndex.open(folder, Bands(), saved)
    assert len(index) == 16 and index.system.embedded == 0
    assert len(SoundIndex.load(saved, Bands())) == 16


def test_no_index_is_told_from_a_damaged_one(tmp_path):
    with pytest.raises(SavedIndexError, match="holds no saved index.*qvim index"):
        SoundIndex.load(tmp_path)
    with pytest.raises(SavedIndexError, match="no such folder"):
        SoundIndex.load(tmp_path / "absent")


def test_open_builds_once_and_then_keeps_up(folder, tmp_path):
    first, second, third = Bands(), Bands(), Bands()
    SoundIndex.open(folder, first)
    (table,) = (tmp_path / "cache" / "indexes").rglob("index.json")
    written = table.stat().st_mtime_ns
    assert SoundIndex.open(folder, second).changes == (0, 0, 0)
    assert table.stat().st_mtime_ns == written
    put(folder / "new.wav", tone(2_000))
    assert SoundIndex.open(str(folder), third).changes == (1, 0, 0)
    assert (first.embedded, second.embedded, third.embedded) == (16, 0, 1)
    assert len(list(table.parent.glob("*.npy"))) == 1 and not list(table.parent.glob("*.part"))
    SoundIndex.open(folder, Bands("2"))
    SoundIndex.open([folder / "new.wav"], Bands())
    assert len(list((tmp_path / "cache" / "indexes").rglob("index.json"))) == 3


def test_where_nothing_can_be_kept_the_index_is_built_all_the_same(folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="the index is not kept"):
        assert len(SoundIndex.open(folder, Bands(), tmp_path / "file" / "x")) == 16

    with pytest.warns(UserWarning, match="the index is not kept.*no fingerprint"):
        index = SoundIndex.open(folder, Unnamed(), tmp_path / "saved")
    put(folder / "new.wav", tone(2_000))
    assert index.refresh() == (1, 0, 0) and index.system.embedded == 17
    assert len(SoundIndex.open(folder, Unnamed())) == 17
    assert not (tmp_path / "saved").exists()


def open_in_a_process(folder, cache, barrier, results):
    os.environ["QVIM_CACHE"] = str(cache)
    system = Bands()
    barrier.wait()
    for _ in range(2):
        index = SoundIndex.open(folder, system, cache / "shared")
        index.save(cache / "shared")
    results.put((len(index), system.embedded))


def test_processes_that_build_at_once_do_it_once_and_break_nothing(folder, tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    arguments = (folder, tmp_path / "cache", barrier, results)
    workers = [context.Process(target=open_in_a_process, args=arguments) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = sorted(results.get(timeout=300) for _ in workers)
    for worker in workers:
        worker.join()
    assert found == [(16, 0), (16, 16)]
    shared = tmp_path / "cache" / "shared"
    assert len(SoundIndex.load(shared, Bands())) == 16
    assert len(list(shared.glob("*.npy"))) == 1


def test_a_reader_sees_a_whole_index_while_another_saves(folder, tmp_path):
    small, large = SoundIndex.build([folder / "alone.wav"], Bands()), None
    large = SoundIndex.build(folder, Bands())
    small.save(tmp_path / "saved")
    stop = threading.Event()

    def save():
        while not stop.is_set():
            large.save(tmp_path / "saved")
            small.save(tmp_path / "saved")

    writer = threading.Thread(target=save)
    writer.start()
    try:
        sizes = set()
        for _ in range(40):
            loaded = SoundIndex.load(tmp_path / "saved", Bands())
            assert len(loaded) == len(loaded.sounds) == len(loaded.embeddings)
            sizes.add(len(loaded))
    finally:
        stop.set()
        writer.join()
    assert sizes <= {1, 16}


def test_embedding_one_by_one_is_embedding_all(folder):
    (folder / "bad.wav").write_bytes(b"")
    paths = sorted(map(str, folder.rglob("*.[wWf]*")))
    system = Bands()
    done, errors = system.embed_files(paths)
    walked = list(system.embed_each(paths))
    assert {path for path, _, _ in walked} == set(paths)
    for path, key, embedding in walked:
        if isinstance(embedding, AudioError):
            assert key == "" and [str(error) for error in errors] == [str(embedding)]
        else:
            np.testing.assert_array_equal(embedding, done[path])
    key = walked[0][1]
    assert next(iter(Bands().embed_each(paths, known={key: np.ones(3)})))[2].shape == (3,)


def test_a_query_is_prepared_as_the_library_is(tmp_path):
    """The shipped model trims silence and sets the level: also of what is searched with."""
    rng, rate = np.random.default_rng(0), 32_000
    sound = 0.3 * rng.standard_normal(rate) * np.hanning(rate)
    late = np.concatenate([np.zeros(rate), 0.03 * sound])  # a second of silence, 30 dB quieter
    for name, wave in {"sound": sound, "late": late}.items():
        soundfile.write(tmp_path / f"{name}.wav", wave, rate, subtype="FLOAT")
    system = EncoderSystem.from_pretrained("qvim-mn04")
    paths = [tmp_path / "sound.wav", tmp_path / "late.wav"]
    expected = unit_rows(system.embed_queries(paths))
    assert expected[0] @ expected[1] > 0.99
    for path, wave, row in zip(paths, (sound, late), expected, strict=True):
        np.testing.assert_allclose(embed_query(system, path), row, atol=1e-4)
        np.testing.assert_allclose(embed_query(system, wave, rate), row, atol=1e-3)
