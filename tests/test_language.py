import json
import pickle

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from test_clotho import make_split
from torch.nn import functional as F

from qvim_kit import protocols
from qvim_kit.audio import load_audio
from qvim_kit.cli import main
from qvim_kit.clotho_protocol import held_out, is_published, run_clotho
from qvim_kit.datasets import DatasetError, DatasetWarning, RetrievalDataset
from qvim_kit.datasets.splits import split_by_item
from qvim_kit.datasets.tables import Worded
from qvim_kit.downloads import DownloadError
from qvim_kit.evaluation import evaluate
from qvim_kit.features import LogMel
from qvim_kit.losses import nt_xent
from qvim_kit.models.cnn14 import Cnn14, DcaseLogMel
from qvim_kit.models.dual_encoder import DualEncoder
from qvim_kit.models.language import LanguageModel, is_language_model
from qvim_kit.models.mobilenet import CheckpointError, mobilenet
from qvim_kit.systems import EncoderSystem, Fusion, Random, score
from qvim_kit.systems.language import AudioTrunk, LanguageSystem
from qvim_kit.training import LeakageError
from qvim_kit.training import language as training
from qvim_kit.training.language import fit_language, language_loss
from qvim_kit.training.language_presets import LANGUAGE_PRESETS, dcase_6b, load_sound_encoder

WORDS = ("low", "middle", "high", "shrill")

pytestmark = pytest.mark.usefixtures("own_cache")


class Letters:
    """A text encoder for tests: how often each letter stands in a sentence."""

    name, dim, fingerprint = "letters", 26, "a" * 16

    def __init__(self, fingerprint=fingerprint):
        self.fingerprint = fingerprint

    def doubts(self, texts):
        return {}

    def embed(self, texts):
        letters = "abcdefghijklmnopqrstuvwxyz"
        return np.array([[t.lower().count(c) for c in letters] for t in texts], dtype=np.float32)


def tone(path, hz, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(8_000) / 16_000
    rng = np.random.default_rng(seed)
    wave = 0.5 * np.sin(2 * np.pi * hz * time) + 0.01 * rng.normal(size=len(time))
    soundfile.write(path, wave, 16_000)
    return str(path)


@pytest.fixture
def tones(tmp_path):
    """Five tones at each of four pitches, which two captions tell."""
    items, queries = [], []
    for n in range(20):
        kind, item = WORDS[n % 4], f"{WORDS[n % 4]}/{n}.wav"
        hz = 150 * 3 ** (n % 4) * (1 + 0.01 * n)
        items.append((item, tone(tmp_path / "tones" / item, hz, n), kind))
        texts = [f"a {kind} tone", f"tone number {n}, {kind}"]
        queries += [(f"{item}#{k}", "", kind, item, text) for k, text in enumerate(texts)]
    columns = ["query_id", "path", "class", "item_id"]
    return RetrievalDataset(
        pd.DataFrame(items, columns=["item_id", "path", "class"]),
        pd.DataFrame(queries, columns=[*columns, "text"]),
        "tones",
    )


@pytest.fixture
def parts(tones):
    rest, test = split_by_item(tones, 0.25, seed=1)
    train, validation = split_by_item(rest, 0.3, seed=2)
    return train, validation, test


def model_for_tests(seed=0, trunk=None):
    torch.manual_seed(seed)
    trunk = mobilenet(0.1) if trunk is None else trunk
    names = {"text_encoder": Letters.name, "text_fingerprint": Letters.fingerprint}
    return LanguageModel(trunk, Letters.dim, 8, duration=0.5, **names)


# One data set, whose queries are paths, sentences, or both.


def table(rows, columns=("query_id", "path", "class", "item_id", "text")):
    return pd.DataFrame(rows, columns=list(columns))


ITEMS = table([("A/x.wav", "/x.wav", "A")], ("item_id", "path", "class"))


def test_a_query_is_a_path_or_a_sentence_or_both():
    rows = [
        ("v", "/v.wav", "A", "A/x.wav", ""),
        ("t", "", "A", "A/x.wav", "a tone"),
        ("b", "/b.wav", "A", "A/x.wav", "a 🔔 tone"),
    ]
    dataset = RetrievalDataset(ITEMS, table(rows))
    paths = dataset.query_paths
    assert paths == {"v": "/v.wav", "t": "a tone", "b": "/b.wav"}
    assert not hasattr(paths["v"], "text")
    assert (paths["t"].text, paths["b"].text) == ("a tone", "a 🔔 tone")
    assert (paths["t"].path, paths["b"].path) == ("", "/b.wav")
    again = pickle.loads(pickle.dumps(paths["b"]))
    assert type(again) is Worded and again == "/b.wav" and again.text == "a 🔔 tone"


def test_tables_with_and_without_words_go_together():
    voice = table([("v", "/v.wav", "A", "A/x.wav")], ("query_id", "path", "class", "item_id"))
    words = table([("t", "A", "A/x.wav", "a tone")], ("query_id", "class", "item_id", "text"))
    dataset = RetrievalDataset(ITEMS, pd.concat([voice, words]))
    assert dataset.query_paths == {"v": "/v.wav", "t": "a tone"}
    only = RetrievalDataset(ITEMS, voice)
    assert "text" not in only.queries and only.fingerprint() != dataset.fingerprint()


def test_queries_with_neither_are_named():
    rows = [("p", "", "A", "A/x.wav", "  "), ("q", "/q", "A", "A/x.wav", 3)]
    with pytest.raises(DatasetError, match="text in row 1 is 3, expected text"):
        RetrievalDataset(ITEMS, table(rows))
    with pytest.raises(DatasetError, match="query p .row 0. has neither a file nor words"):
        RetrievalDataset(ITEMS, table(rows[:1]))


def test_systems_that_listen_say_so_of_sentences(tones):
    with pytest.raises(ValueError, match="a low tone: (no such file|cannot be read)"):
        score(EncoderSystem(mobilenet(0.1), duration=0.5), tones)


# The model.


def test_both_sides_are_unit_rows_and_the_trunk_is_frozen():
    model = model_for_tests()
    model.train()
    assert not model.trunk.training and model.audio_projection.training
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {f"{s}_projection.{k}" for s in ("audio", "text") for k in ("weight", "bias")}
    waves = torch.randn(3, 16_000) / 10
    with torch.no_grad():
        audio, text = model.embed_audio(waves), model.project_text(torch.randn(2, 26))
        _, trunk = model.trunk(LogMel()(waves)[:, None])
    for rows in (audio, text):
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(rows)))
    torch.testing.assert_close(audio, F.normalize(model.audio_projection(trunk)))


def test_cnn14_takes_its_own_front_end():
    model = model_for_tests(trunk=Cnn14(1 / 32, halvings=6))
    assert isinstance(model.front_end, DcaseLogMel) and model.sample_rate == 44_100
    assert model.embed_audio(torch.randn(1, 70_000)).shape == (1, 8)
    assert not any("logmel" in name or "fc_audioset" in name for name in model.state_dict())


@pytest.mark.parametrize("trunk", [lambda: mobilenet(0.1), lambda: Cnn14(1 / 32, halvings=6)])
def test_saved_and_loaded_it_is_the_same(tmp_path, trunk):
    model = model_for_tests(trunk=trunk())
    model.heard |= {"a1", "b2"}
    model.save_pretrained(tmp_path / "m", {"licence": "MIT", "metrics": {"MRR": np.float32(0.5)}})
    again = LanguageModel.from_pretrained(tmp_path / "m")
    assert is_language_model(tmp_path / "m") and not is_language_model(tmp_path)
    assert again.heard == model.heard == {"a1", "b2"}
    assert again.card["licence"] == "MIT" and again.card["text_encoder"]["name"] == "letters"
    assert again.state_dict().keys() == model.state_dict().keys()
    for key, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key
    assert (again.duration, again.text_fingerprint) == (0.5, Letters.fingerprint)
    assert getattr(again.trunk, "halvings", None) == getattr(model.trunk, "halvings", None)


def test_what_is_wrong_with_a_checkpoint_is_all_named(tmp_path):
    model_for_tests().save_pretrained(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    card["dim"], card["architecture"]["trunk"] = -1, ["cnn14"]
    (tmp_path / "card.json").write_text(json.dumps(card))
    (tmp_path / "model.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(CheckpointError) as error:
        LanguageModel.from_pretrained(tmp_path)
    for part in ("dim: found -1", "trunk: found ['cnn14']", "model.safetensors: cannot be read"):
        assert part in str(error.value)
    model_for_tests().save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="found 'language', expected 'mobilenet'"):
        DualEncoder.from_pretrained(tmp_path)
    model = model_for_tests()
    model.text_projection.bias.data[0] = torch.nan
    with pytest.raises(ValueError, match="not finite: text_projection.bias"):
        model.save_pretrained(tmp_path)


def test_arguments_that_cannot_be():
    with pytest.raises(ValueError, match="found trunk Linear, text_dim 0"):
        LanguageModel(torch.nn.Linear(2, 2), 0)


# The system.


def test_similarities_are_cosines_of_words_and_sounds(tones):
    model = model_for_tests()
    system = LanguageSystem(model, Letters())
    found = score(system, tones)
    texts = torch.from_numpy(Letters().embed(tones.queries["text"]))
    waves = np.stack([load_audio(path, 32_000, 0.5) for path in tones.items["path"]])
    with torch.no_grad():
        expected = model.project_text(texts) @ model.embed_audio(torch.from_numpy(waves)).T
    np.testing.assert_allclose(found.to_numpy(), expected.numpy(), atol=1e-4)
    batch = system.embed_batch(waves[:4], "item")
    np.testing.assert_allclose(batch, system.embed_items(tones.items["path"][:4]), atol=1e-4)


def test_sounds_are_embedded_once_whatever_is_trained(tones, monkeypatch):
    system = LanguageSystem(model_for_tests(), Letters())
    first = system.embed_items(tones.items["path"])
    print_ = system.fingerprint("item")
    system.model.audio_projection.weight.data.mul_(-1)
    monkeypatch.setattr("qvim_kit.systems.embedding.load_audio", None)  # nothing is decoded again
    assert not np.allclose(system.embed_items(tones.items["path"]), first)
    assert system.fingerprint("item") != print_


def test_a_cnn14_is_cached_too(tones):
    system = LanguageSystem(model_for_tests(trunk=Cnn14(1 / 64, halvings=2)), Letters())
    print_ = system.fingerprint("item")
    assert print_ and print_ == system.fingerprint("query")
    system.trunk.encoder.fc1.bias.data += 1
    assert system.fingerprint("item") != print_


def test_queries_without_words_are_refused(dataset):
    system = LanguageSystem(model_for_tests(), Letters())
    with pytest.raises(ValueError, match="24 of 24 queries have no words, such as /nowhere/A0_q0"):
        system.compute_similarities(dataset.item_paths, dataset.query_paths)


def test_another_text_encoder_is_noticed(tmp_path, monkeypatch):
    model = model_for_tests()
    with pytest.raises(ValueError, match="trained with the text encoder letters .a{16}., found"):
        LanguageSystem(model, Letters("b" * 16))
    model.save_pretrained(tmp_path / "m")
    monkeypatch.setattr("qvim_kit.models.text.load_text_encoder", lambda name: Letters())
    system = LanguageSystem.from_pretrained(tmp_path / "m")
    assert system.name == "m" and system.embed_text(["a", "b"]).shape == (2, 8)
    monkeypatch.setattr("qvim_kit.models.text.load_text_encoder", lambda name: Letters("c" * 16))
    with pytest.raises(ValueError, match="take the same one"):
        LanguageSystem.from_pretrained(tmp_path / "m").embed_text(["a"])


def test_words_and_voice_are_fused(tones, tmp_path):
    queries = tones.queries.assign(path=tones.queries["item_id"].map(tones.item_paths))
    both = RetrievalDataset(tones.items, queries, "both")
    words = LanguageSystem(model_for_tests(), Letters())
    voice = EncoderSystem(mobilenet(0.1), duration=0.5)
    fused = score(Fusion([voice, words], [0, 1], on="scores"), both)
    alone = score(words, both)
    assert (fused.rank(axis=1) == alone.rank(axis=1)).to_numpy().mean() > 0.99
    assert np.isfinite(score(Fusion([voice, words]), both).to_numpy()).all()


# Training.


def test_the_loss_is_the_baselines(golden):
    data = json.loads((golden / "losses_dev.json").read_text())
    query, item, label = (torch.tensor(data[key]) for key in ("query", "item", "label"))
    found = language_loss(query, item, label, data["temperature"]).item()
    assert found == pytest.approx(data["symmetric_masked_sum"], abs=1e-5)
    one = nt_xent(query, item, label).item()
    assert one == pytest.approx(data["one_direction_masked"], abs=1e-5)
    assert found - one == pytest.approx(nt_xent(item, query, label).item(), abs=1e-5)


def fitted(parts, model=None, encoder=None, **options):
    train, validation, test = parts
    options = {"epochs": 25, "batch_size": 8, "progress": False, **options}
    model, encoder = model or model_for_tests(), encoder or Letters()
    return fit_language(model, encoder, train, validation, test=test, **options)


@pytest.fixture
def alert(monkeypatch):
    """A trunk that hears pitch, in place of a random one: the mean of 96 mel bands."""

    def embed_batch(self, waveforms, side):
        return self.front_end(torch.from_numpy(waveforms)).mean(2)[:, :96].numpy()

    monkeypatch.setattr(AudioTrunk, "embed_batch", embed_batch)


def test_it_learns_and_keeps_the_best_epoch(parts, tmp_path, alert):
    result = fitted(parts, folder=tmp_path / "run", rate=1e-2)
    history = result.history
    assert history["train_loss"].iloc[-3:].mean() < 0.7 * history["train_loss"].iloc[0]
    assert result.best_mrr == history["val_mrr"].max() == result.record["validation"]["MRR"]
    system = LanguageSystem(result.model, Letters())
    report = evaluate(score(system, parts[1]), parts[1])
    assert report.mrr == pytest.approx(result.best_mrr)
    report = evaluate(score(system, parts[2]), parts[2])
    assert report.mrr == pytest.approx(result.record["test"]["MRR"])
    assert report["class first-hit MRR"] > 0.8
    assert pd.read_csv(tmp_path / "run" / "history.csv").shape == history.shape
    assert result.plot().axes
    result.save(tmp_path / "model")
    card = LanguageModel.from_pretrained(tmp_path / "model").card
    assert card["metrics"]["test MRR"] == result.record["test"]["MRR"]
    with pytest.raises(FileExistsError, match="overwrite=True"):
        fitted(parts, folder=tmp_path / "run")


def test_the_same_seed_gives_the_same_weights(parts):
    states = [
        fitted(parts, model_for_tests(), epochs=2, seed=seed).model.state_dict()
        for seed in (3, 3, 4)
    ]
    key = "text_projection.weight"
    assert torch.equal(states[0][key], states[1][key])
    assert not torch.equal(states[0][key], states[2][key])


def test_the_rate_falls_where_the_validation_loss_does_not(parts, monkeypatch):
    losses = iter([2.0, 1.0, *[0.998] * 40])  # 0.998 is no fall of 0.005

    def loss(model, data, rows, kind):
        if torch.is_grad_enabled():
            return sum(p.sum() for p in model.text_projection.parameters())
        return torch.tensor(next(losses))

    monkeypatch.setattr(training, "_loss", loss)
    result = fitted(parts, epochs=22, batch_size=1_000, patience=5)
    rates = result.history["lr"].round(9).tolist()
    assert rates == [1e-3] * 8 + [1e-4] * 6 + [1e-5] * 6 + [1e-6] * 2


def test_shared_sounds_are_refused(parts, tmp_path):
    train, validation, test = parts
    copied = tmp_path / "copy of a sound.flac"
    sound, rate = soundfile.read(test.items["path"][0])
    soundfile.write(copied, sound, rate)
    paths = [str(copied), *train.items["path"][1:]]
    leaking = RetrievalDataset(train.items.assign(path=paths), train.queries, "leaking")
    with pytest.raises(LeakageError, match="copy of a sound.flac") as error:
        fitted((leaking, validation, test))
    assert len(error.value.leaks) == 1
    result = fitted((leaking, validation, test), epochs=1, leakage="allow")
    assert [entry["shared items"] for entry in result.record["leakage"]] == [0, 1, 0]


def test_sounds_that_a_trunk_cannot_tell_apart_are_no_leak(parts, monkeypatch):
    def embed_batch(self, waveforms, side):
        return np.ones((len(waveforms), 96), dtype=np.float32)

    monkeypatch.setattr(AudioTrunk, "embed_batch", embed_batch)
    result = fitted(parts, epochs=1)
    assert all(entry["shared items"] == 0 for entry in result.record["leakage"])


def test_mistakes_before_training(parts, dataset):
    with pytest.raises(ValueError, match="epochs: found 0.*batch_size: found 1.5.*leakage: found"):
        fitted(parts, epochs=0, batch_size=1.5, leakage="maybe")
    with pytest.raises(DatasetError, match="24 of 24 queries have no words, such as A/A0_q0"):
        fitted((dataset, *parts[1:]))


def test_the_preset_is_as_published():
    preset = LANGUAGE_PRESETS["dcase-6b"]()
    assert preset == dcase_6b() and preset.name == "dcase-6b"
    assert (preset.encoder, preset.dim, preset.duration) == ("cnn14", 300, 30.0)
    settings = {"epochs": 80, "batch_size": 32, "rate": 1e-3, "factor": 0.1, "patience": 5}
    assert preset.settings == settings
    first, second, other = (preset.build(Letters(), mobilenet(0.1), seed) for seed in (0, 0, 1))
    weights = [m.text_projection.weight for m in (first, second, other)]
    assert weights[0].shape == (300, 26) and torch.equal(*weights[:2])
    assert not torch.equal(weights[0], weights[2])


def test_the_encoder_of_sounds_by_its_name(monkeypatch, tmp_path):
    shipped = DualEncoder.from_pretrained("qvim-mn04").item_tower.trunk.state_dict()
    found = load_sound_encoder("qvim-mn04").state_dict()
    assert all(torch.equal(found[name], weights) for name, weights in shipped.items())
    model = dcase_6b("qvim-mn04").build(Letters())  # nothing else is needed to begin
    assert torch.equal(model.trunk.features[0][0].weight, shipped["features.0.0.weight"])
    with pytest.raises(ValueError, match="found 'mn04', expected one of cnn14, qvim-mn04, mn01_as"):
        load_sound_encoder("mn04")
    monkeypatch.setenv("QVIM_OFFLINE", "1")
    (tmp_path / "cache").mkdir()
    torch.save(mobilenet(0.4).state_dict(), tmp_path / "cache" / "mn04_as_mAP_432.pt")
    with pytest.raises(DownloadError) as error:
        dcase_6b().build(Letters())
    assert "put Cnn14_mAP=0.431.pth" in str(error.value)
    assert str(error.value).endswith("no download: encoder='mn04_as' or encoder='qvim-mn04'")


def test_the_command_says_which_encoders_there_are(tones, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("qvim_kit.models.text.load_text_encoder", lambda name, *_: Letters())
    monkeypatch.setenv("QVIM_OFFLINE", "1")
    rows = [f"{q['item_id']},{q['text'].replace(',', ' ')}" for _, q in tones.queries.iterrows()]
    (tmp_path / "tones" / "captions.csv").write_text("\n".join(["file_name,caption", *rows]))
    train = ["train", "--preset", "dcase-6b", "-o", str(tmp_path / "run")]
    assert main([*train, "--data", str(tmp_path / "nowhere"), "--encoder", "nonsense"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("qvim: --encoder: found 'nonsense', expected one of cnn14, qvim-mn04, ")
    assert main([*train, "--data", str(tmp_path / "tones")]) == 1
    assert "that needs no download: --encoder qvim-mn04\n" in capsys.readouterr().err
    light = ["--encoder", "qvim-mn04", "--duration", "0.5", "--epochs", "1", "--hold-out", "low"]
    assert main([*train, "--data", str(tmp_path / "tones"), *light]) == 0
    assert "nothing can be measured" not in capsys.readouterr().out


def test_parts_too_small_to_measure_are_told(tones, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("qvim_kit.models.text.load_text_encoder", lambda name, *_: Letters())
    monkeypatch.setattr("qvim_kit.models.mobilenet.load_audioset", lambda name: mobilenet(0.1))
    rows = [f"{item},sound {n}" for n, item in enumerate(tones.items["item_id"][:5])]
    (tmp_path / "tones" / "captions.csv").write_text("\n".join(["file_name,caption", *rows]))
    train = ["train", "--preset", "dcase-6b", "--data", str(tmp_path / "tones"), "--epochs", "1"]
    light = ["--encoder", "mn01_as", "--duration", "0.5", "-o", str(tmp_path / "run")]
    with pytest.warns(DatasetWarning, match="in no list"):
        assert main([*train, *light]) == 0
    line = "the validation ranks 1 item and the test ranks 1 item: nothing can be measured with"
    told = capsys.readouterr().out
    assert f"\n{line} so few\n" in told.split("val_mrr")[0]  # before the training's history


# Testing, both ways.


class Stub:
    """A system whose cosines are given."""

    name = "stub"

    def __init__(self, similarity):
        self.similarity = np.asarray(similarity)

    def embed_text(self, texts, names):
        return self.similarity

    def embed_items(self, items):
        return np.eye(self.similarity.shape[1])


def test_metrics_are_those_of_the_baseline(golden):
    data = json.loads((golden / "metrics_dev.json").read_text())
    scores = pd.DataFrame(data["similarity"]).T[data["pool"]]
    items = [(i, i, data["item_class"][i]) for i in data["pool"]]
    queries = [
        (q, "", data["item_class"][i], i, f"what {q} says") for q, i in data["query_item"].items()
    ]
    dataset = RetrievalDataset(table(items, ("item_id", "path", "class")), table(queries))
    system = Stub(scores.loc[list(data["query_item"])])
    found = run_clotho(system, dataset)
    names = {"mAP@10": "map10"} | {f"R@{k}": f"recall@{k}" for k in (1, 5, 10)}
    for name, key in names.items():
        row = found.loc[("words → sound", name)]
        assert row["value"] == pytest.approx(data["exact"][key], abs=1e-6)
        assert row["low"] <= row["value"] <= row["high"]
    assert found.loc[("words → sound", "R@5"), "random"] == pytest.approx(5 / len(items))
    assert "published on Clotho" not in found  # other data


def test_back_from_sounds_to_all_their_captions():
    """Against a loop over places, with two captions of each of four sounds and one mute sound."""
    rng = np.random.default_rng(5)
    items = [(f"{c}/x", f"/{c}", c) for c in "ABCDE"]
    queries = [(f"{c}{k}", "", c, f"{c}/x", f"{c} {k}") for c in "ABCD" for k in range(2)]
    dataset = RetrievalDataset(table(items, ("item_id", "path", "class")), table(queries))
    similarity = rng.normal(size=(8, 5))
    found = run_clotho(Stub(similarity), dataset).loc["sound → words"]
    precision, recall = [], []
    for item in range(4):
        order = np.argsort(-similarity[:, item])
        places = [n for n, q in enumerate(order, start=1) if q // 2 == item]
        precision.append(sum((k + 1) / place for k, place in enumerate(places)) / 2)
        recall.append(sum(place <= 5 for place in places) / 2)
    assert found.loc["mAP@10", "value"] == pytest.approx(np.mean(precision))
    assert found.loc["R@5", "value"] == pytest.approx(np.mean(recall))
    assert found.loc["R@1", "random"] == pytest.approx(1 / 8)


def test_only_the_evaluation_split_is_measured(tones):
    halves = [("development", "evaluation")[n % 2] for n in range(20)]
    split = dict(zip(tones.items["item_id"], halves, strict=True))
    dataset = RetrievalDataset(
        tones.items.assign(split=halves),
        tones.queries.assign(split=tones.queries["item_id"].map(split)),
    )
    found = run_clotho(Stub(np.random.default_rng(0).normal(size=(20, 10))), dataset)
    assert found.loc[("words → sound", "R@1"), "random"] == pytest.approx(1 / 10)
    with pytest.raises(ValueError, match="random: cannot read words"):
        run_clotho(Random(), dataset)


def test_what_was_learnt_from_is_not_tested_with(parts, tones, alert, tmp_path):
    result = fitted(parts, epochs=1)
    result.save(tmp_path / "m")
    for model in (result.model, LanguageModel.from_pretrained(tmp_path / "m")):
        system = LanguageSystem(model, Letters(), name="mine")
        with pytest.warns(DatasetWarning, match="left out 15 sounds of 20, as mine") as caught:
            rest = held_out(system, tones)
        assert set(rest.items["item_id"]) == set(parts[2].items["item_id"])
        assert set(rest.queries["item_id"]) == set(rest.items["item_id"])
        known = {*parts[0].items["item_id"], *parts[1].items["item_id"]}
        assert set(caught[0].message.names) == known
        assert held_out(system, rest) is not rest and len(held_out(system, rest).items) == 5
        with pytest.raises(DatasetError, match="mine learnt from all of its"):
            run_clotho(system, parts[0])
    # A copy in another container, with zeros after it and under another name, is the same sound.
    sound, rate = soundfile.read(parts[0].items["path"][0])
    soundfile.write(tmp_path / "other.flac", np.append(sound, np.zeros(999)), rate)
    soundfile.write(tmp_path / "cut.wav", sound[100:], rate)
    soundfile.write(tmp_path / "silence.wav", 0 * sound, rate)
    paths = [tmp_path / name for name in ("other.flac", "cut.wav", "silence.wav", "absent.wav")]
    assert system.has_heard(paths).tolist() == [True, False, False, False]
    model.heard = None  # as of a card that says nothing
    with pytest.raises(ValueError, match="card does not say what it was trained on"):
        held_out(system, tones)


def test_published_numbers_stand_beside_clotho_only(tones, monkeypatch):
    dataset = RetrievalDataset(tones.items, tones.queries, "Clotho, evaluation")
    assert not is_published(dataset)
    monkeypatch.setattr("qvim_kit.clotho_protocol.SPLITS", {"evaluation": len(tones.items)})
    assert is_published(dataset) and not is_published(tones)
    found = run_clotho(Stub(np.random.default_rng(0).normal(size=(40, 20))), dataset)
    assert found["published on Clotho"].dropna().tolist() == [0.222, 0.130, 0.343, 0.480]


def test_doubtful_sentences_are_named_by_their_query(tones, monkeypatch):
    monkeypatch.setattr(Letters, "doubts", lambda self, texts: {3: "is odd"})
    system = LanguageSystem(model_for_tests(), Letters())
    with pytest.warns(UserWarning, match="middle/1.wav#1 is odd"):
        run_clotho(system, tones)
    with pytest.raises(ValueError, match="^texts: b is empty$"):
        system.embed_text(["fine", " "], ["a", "b"])


def test_parts_without_published_splits_share_no_item(tones):
    parts = protocols.training_parts("dcase-6b", tones, fold=0)
    names = [set(part.items["item_id"]) for part in parts]
    assert [len(part) for part in names] == [11, 4, 5] and len(set().union(*names)) == 20
    assert [part.name for part in parts] == [
        f"tones, seed 0: {name}" for name in ("train", "validation", "test")
    ]
    other = protocols.training_parts("dcase-6b", tones, fold=1)
    assert set(other[2].items["item_id"]) != names[2]


@pytest.fixture
def clotho(tmp_path, recwarn):
    for seed, split in enumerate(("development", "validation", "evaluation")):
        rows = [
            [f"{w} {n}.wav", *[f"{w} {n} {k}" for k in range(5)]] for n in range(3) for w in WORDS
        ]
        make_split(tmp_path / "clotho", split, rows)
        for n, row in enumerate(rows):
            hz = 150 * 3 ** (n % 4) * (1 + 0.01 * n + 0.003 * seed)
            tone(tmp_path / "clotho" / split / row[0], hz, 100 * seed + n)
    return tmp_path / "clotho"


@pytest.mark.filterwarnings("ignore:.*differ from Clotho:UserWarning")
def test_commands_train_and_test(clotho, tmp_path, monkeypatch, capsys):
    torch.manual_seed(0)
    (tmp_path / "cache").mkdir(exist_ok=True)
    torch.save(mobilenet(0.1).state_dict(), tmp_path / "cache" / "mn01_as_mAP_298.pt")
    monkeypatch.setattr("qvim_kit.models.text.load_text_encoder", lambda name, *_: Letters())
    run = str(tmp_path / "run")
    train = ["train", "--preset", "dcase-6b", "--data", str(clotho), "-o", run]
    light = ["--encoder", "mn01_as", "--duration", "0.5", "--epochs", "3"]
    assert main([*train, *light]) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    assert "Clotho, development: 60 queries, 12 items" in out
    assert out.count("(random 0.2586)") == 2 and "best validation MRR" in out and "test MRR" in out
    card = json.loads((tmp_path / "run" / "model" / "card.json").read_text())
    assert card["training"]["preset"] == "dcase-6b" and card["training"]["changes"]["epochs"] == "3"
    test = ["test", "--protocol", "clotho", "--system", f"{run}/model", "--data", str(clotho)]
    assert main(test) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    assert "model on RetrievalDataset Clotho, evaluation: 60 queries, 12 items" in out
    assert "sound → words" in out and "published" not in out  # these are not Clotho's 1045 sounds
    for arguments, message in (
        ([*train, *light], "holds history.csv of an earlier run; begin anew with --overwrite"),
        ([*train, "--resume"], "--resume: the preset dcase-6b has nothing to continue from"),
        ([*train[:2], "dcase6b", *train[3:]], "did you mean dcase-6b? expected one of greif"),
        ([*train[:2], "laptop", *train[3:], *light[:2]], "--encoder: the preset laptop"),
        ([*test[:4], "2dft", *test[5:]], "2DFT: cannot read words"),
        ([*train[:2], "laptop", *train[3:-1], f"{run}2"], "which the preset laptop cannot hear"),
    ):
        assert main(arguments) == 1
        err = capsys.readouterr().err
        assert message in err and "=True" not in err
    assert main([*train, *light, "--overwrite"]) == 0, capsys.readouterr().err


def test_commands_on_a_folder_with_a_table_of_captions(tones, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("qvim_kit.models.text.load_text_encoder", lambda name, *_: Letters())
    monkeypatch.setattr("qvim_kit.models.mobilenet.load_audioset", lambda name: mobilenet(0.1))
    folder, run = tmp_path / "tones", str(tmp_path / "run")
    rows = [f"{q['item_id']},{q['text'].replace(',', ' ')}" for _, q in tones.queries.iterrows()]
    (folder / "captions.csv").write_text("\n".join(["file_name,caption", *rows]))
    train = ["train", "--preset", "dcase-6b", "--data", str(folder), "-o", run]
    light = ["--encoder", "mn01_as", "--duration", "0.5", "--epochs", "1"]
    assert main([*train, *light, "--hold-out", "low"]) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    assert "tones, train: 30 queries, 15 items" in out
    assert "tones, validation: 10 queries, 5 items in 1 class" in out
    assert main([*train, *light, "--overwrite"]) == 0, capsys.readouterr().err
    capsys.readouterr()
    test = ["test", "--protocol", "clotho", "--system", f"{run}/model", "--data", str(folder)]
    with pytest.warns(DatasetWarning, match="^tones: left out 15 sounds of 20"):
        assert main(test) == 0
    out = capsys.readouterr().out
    assert "on RetrievalDataset tones, held out: 10 queries, 5 items" in out
