import numpy as np
import pytest
import soundfile
import torch

from qvim_kit.audio import AudioErrors, load_audio
from qvim_kit.evaluation import evaluate
from qvim_kit.features import LogMel, two_dft
from qvim_kit.models.dual_encoder import DualEncoder
from qvim_kit.models.mobilenet import mobilenet
from qvim_kit.systems import (
    DualEncoderSystem,
    EmbeddingSystem,
    EncoderSystem,
    QVIMModel,
    Random,
    TwoDFT,
    score,
)

pytestmark = pytest.mark.usefixtures("own_cache")


class Level(EmbeddingSystem):
    """Counts its calls, so that a test sees what the cache saves."""

    sample_rate, duration = 8_000, 0.1

    def __init__(self, version="1"):
        self.version, self.embedded = version, 0

    def embed_batch(self, waveforms, side):
        assert waveforms.shape[1] == 800
        self.embedded += len(waveforms)
        return np.stack([waveforms.mean(axis=1), waveforms.std(axis=1)], axis=1)

    def fingerprint(self, side):
        return f"level {self.version} {side}"


def test_the_interface_is_the_challenges():
    with pytest.raises(TypeError, match="compute_similarities"):
        QVIMModel()


def test_random_depends_on_seed_and_not_on_order(files):
    turned = dict(reversed(files.items()))
    scores = Random(3).compute_similarities(files, files)
    assert scores == Random(3).compute_similarities(turned, turned)
    assert scores != Random(4).compute_similarities(files, files)


def test_similarities_are_cosines_of_plain_floats(files):
    queries = dict(list(files.items())[:3])
    system = Level()
    scores = system.compute_similarities(files, queries)
    assert list(scores) == list(queries) and list(scores["0.wav"]) == list(files)
    assert {type(value) for row in scores.values() for value in row.values()} == {float}
    a, b = system.embed_queries([files["1.wav"]])[0], system.embed_items([files["7.wav"]])[0]
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert scores["1.wav"]["7.wav"] == pytest.approx(cosine)


def test_order_is_kept_whatever_is_cached(files):
    paths = list(files.values())
    expected = np.stack([load_audio(path, 8_000, 0.1).std() for path in paths])
    system = Level()
    system.embed_items(paths[3:5])
    np.testing.assert_allclose(system.embed_items(paths)[:, 1], expected, rtol=1e-5)
    np.testing.assert_allclose(system.embed_items(paths[::-1])[:, 1], expected[::-1], rtol=1e-5)


def test_nothing_is_embedded_twice(files):
    first, second = Level(), Level()
    first.embed_items(files.values())
    second.embed_items(files.values())
    assert (first.embedded, second.embedded) == (10, 0)
    second.embed_queries(files.values())
    assert second.embedded == 10  # the other side may be another network
    newer = Level(version="2")
    newer.embed_items(files.values())
    assert newer.embedded == 10


def test_a_changed_file_is_embedded_again(files):
    system = Level()
    before = system.embed_items([files["0.wav"]])
    soundfile.write(files["0.wav"], np.full(4_000, 0.5), 8_000)
    assert not np.allclose(system.embed_items([files["0.wav"]]), before)


def test_bad_files_are_all_named_and_cost_no_good_one(files, tmp_path):
    (tmp_path / "3.wav").write_bytes(b"")
    (tmp_path / "8.wav").write_text("not audio")
    bad = {**files, "absent.wav": str(tmp_path / "absent.wav")}
    system = Level()
    with pytest.raises(AudioErrors) as caught:
        system.compute_similarities(bad, {"q": str(tmp_path / "3.wav")})
    assert len(caught.value.errors) == 4
    assert all(name in str(caught.value) for name in ("3.wav", "8.wav", "absent.wav"))
    assert system.embedded == 8
    good = {name: path for name, path in files.items() if name not in ("3.wav", "8.wav")}
    system.embed_items(good.values())
    assert system.embedded == 8


def test_a_damaged_cache_is_mended(files, tmp_path):
    system = Level()
    before = system.embed_items(files.values())
    for cached in (tmp_path / "cache").rglob("*.npy"):
        cached.write_bytes(cached.read_bytes()[:20])
    np.testing.assert_array_equal(system.embed_items(files.values()), before)
    assert system.embedded == 20
    assert not list((tmp_path / "cache").rglob("*.part"))


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(files, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("QVIM_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="embeddings are not cached"):
        assert Level().embed_items(files.values()).shape == (10, 2)


def test_silence_is_close_to_nothing(files, tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(4_000), 8_000)
    scores = TwoDFT().compute_similarities(files, {"q": str(tmp_path / "silence.wav")})
    assert set(scores["q"].values()) == {0.0}


def test_two_dft_system_is_the_cosine_of_fingerprints(files):
    scores = TwoDFT().compute_similarities(files, files)
    a, b = (two_dft(load_audio(files[name], 8_000, 5.0)) for name in ("2.wav", "5.wav"))
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert scores["2.wav"]["5.wav"] == pytest.approx(cosine, abs=1e-5)


def test_encoder_system_runs_front_end_and_encoder(files):
    torch.manual_seed(0)
    encoder = mobilenet(0.1).eval()
    system = EncoderSystem(encoder, duration=1.0, device="cpu")
    found = system.embed_queries([files["4.wav"]])
    waveform = torch.from_numpy(load_audio(files["4.wav"], 32_000, 1.0))
    with torch.inference_mode():
        _, expected = encoder(LogMel()(waveform[None])[:, None])
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_encoder_fingerprint_follows_weights_and_front_end():
    torch.manual_seed(0)
    encoder = mobilenet(0.1)
    system = EncoderSystem(encoder, device="cpu")
    before = system.fingerprint("item")
    assert EncoderSystem(encoder, device="cpu").fingerprint("item") == before
    assert EncoderSystem(encoder, duration=5.0, device="cpu").fingerprint("item") != before
    assert EncoderSystem(encoder, device="cpu", engine="torch").fingerprint("item") != before
    assert EncoderSystem(encoder, LogMel(fmin=50.0), device="cpu").fingerprint("item") != before
    with torch.no_grad():
        encoder.classifier[5].bias[0] += 1
    assert system.fingerprint("item") != before


def test_unknown_pretrained_name():
    with pytest.raises(ValueError, match="expected one of"):
        EncoderSystem.from_pretrained("mn04")


def test_score_gives_a_table(dataset):
    table = score(Random(), dataset)
    assert list(table.index) == list(dataset.query_paths)
    assert set(table.columns) == set(dataset.item_paths)


def test_two_dft_is_clearly_above_random_on_mini():
    from qvim_kit.datasets import load_mini

    dataset = load_mini()
    report = evaluate(score(TwoDFT(), dataset), dataset, system="2DFT")
    assert report.metrics.loc["MRR", "low"] > 2 * report.metrics.loc["MRR", "random"]
    assert (
        report.metrics.loc["within-class MRR", "low"]
        > report.metrics.loc["within-class MRR", "random"]
    )


def test_another_way_to_embed_is_never_served_from_the_cache(files):
    class Doubled(Level):
        def embed_batch(self, waveforms, side):
            return super().embed_batch(waveforms, side) ** 2

    class Renamed(Level):
        name = "the same by another name"

    class Told(Doubled):
        def fingerprint(self, side):
            return f"doubled {side}"

    paths = list(files.values())
    expected = Level().embed_items(paths) ** 2
    np.testing.assert_allclose(Doubled().embed_items(paths), expected, rtol=1e-6)
    np.testing.assert_allclose(Told().embed_items(paths), expected, rtol=1e-6)
    again = [Renamed(), Doubled(), Told()]
    for system in again:
        system.embed_items(paths)
    assert [system.embedded for system in again] == [0, 10, 0]


def test_foreign_networks_and_front_ends_are_not_cached():
    class Louder(LogMel):
        gain = 1.0

        def forward(self, waveforms):
            return super().forward(self.gain * waveforms)

    class Logits(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, log_mel):
            return self.inner(log_mel)[::-1]

    encoder = mobilenet(0.1)
    inside, hooked = mobilenet(0.1), mobilenet(0.1)
    inside.features[2] = Logits(inside.features[2])
    hooked.features.register_forward_hook(lambda module, inputs, output: 2 * output)
    for foreign in (inside, hooked):
        assert EncoderSystem(foreign, device="cpu").fingerprint("item") is None
    assert EncoderSystem(encoder, Louder(), device="cpu").fingerprint("item") is None
    assert EncoderSystem(Logits(encoder), device="cpu").fingerprint("item") is None
    changed = EncoderSystem(encoder, device="cpu")
    before = changed.fingerprint("item")
    changed.front_end.filters *= 2
    assert changed.fingerprint("item") != before


def test_what_is_not_finite_is_not_kept(files):
    class Broken(Level):
        def embed_batch(self, waveforms, side):
            return super().embed_batch(waveforms, side) * (float("nan") if self.broken else 1)

        def fingerprint(self, side):
            return "broken"

    system = Broken()
    system.broken = True
    assert np.isnan(system.embed_items(files.values())).all()
    system.broken = False
    assert np.isfinite(system.embed_items(files.values())).all()


def test_mistakes_are_named(files):
    with pytest.raises(TypeError, match="found str, expected a list of paths"):
        Level().embed_items(files["0.wav"])
    with pytest.raises(TypeError, match="found dict, expected a list of paths"):
        Level().embed_queries(files)
    with pytest.raises(ValueError, match="found no files"):
        Level().embed_queries([])
    with pytest.raises(TypeError, match="use EncoderSystem.from_pretrained"):
        EncoderSystem("mn04_as")

    class Short(Level):
        def embed_batch(self, waveforms, side):
            return waveforms[:1]

    with pytest.raises(ValueError, match=r"Short.embed_batch: found shape \(1, 800\)"):
        Short().embed_items(files.values())


@pytest.mark.parametrize("answer", [None, [1.0], {"q": [1.0]}])
def test_score_says_what_a_system_should_return(dataset, answer):
    class Odd(QVIMModel):
        def compute_similarities(self, items, queries):
            return answer

    with pytest.raises(TypeError, match="Odd.compute_similarities: found .*expected a nested dict"):
        score(Odd(), dataset)


def test_a_dual_encoder_embeds_each_side_with_its_tower(files, tmp_path):
    torch.manual_seed(0)
    model = DualEncoder(mobilenet(0.1), duration=0.5)
    with torch.no_grad():
        model.item_tower.trunk.features[16][0].weight.mul_(-1)
    model.save_pretrained(tmp_path / "saved")
    system = EncoderSystem.from_pretrained(tmp_path / "saved", device="cpu")
    assert isinstance(system, DualEncoderSystem) and system.name == "saved"
    queries, items = (
        embed(list(files.values())) for embed in (system.embed_queries, system.embed_items)
    )
    waveforms = torch.stack(
        [torch.from_numpy(load_audio(path, 32_000, 0.5)) for path in files.values()]
    )
    with torch.inference_mode():
        expected = model.eval()(waveforms, waveforms)
    np.testing.assert_allclose(queries, expected[0].numpy(), atol=1e-5)
    np.testing.assert_allclose(items, expected[1].numpy(), atol=1e-5)
    assert not np.allclose(queries, items)
    assert system.fingerprint("query") != system.fingerprint("item")
    shared = DualEncoderSystem(DualEncoder(mobilenet(0.1), shared=True), device="cpu")
    assert shared.fingerprint("query") == shared.fingerprint("item")


def test_embeddings_do_not_depend_on_the_mode_that_training_left(files):
    torch.manual_seed(0)
    model = DualEncoder(mobilenet(0.1), duration=0.5)
    systems = [
        DualEncoderSystem(model, device="cpu", engine="torch"),
        EncoderSystem(model.item_tower.trunk, duration=0.5, device="cpu", engine="torch"),
    ]
    waveforms = np.stack([system_clip(path) for path in files.values()])
    for system in systems:
        model.eval()
        expected = system.embed_batch(waveforms, "item")
        model.train()
        np.testing.assert_array_equal(system.embed_batch(waveforms, "item"), expected)
        assert model.training and model.item_tower.trunk.features[0][1].training


def system_clip(path):
    return load_audio(path, 32_000, 0.5)


def test_engines_of_systems(files, tmp_path):
    pytest.importorskip("onnxruntime", reason='not installed: pip install "qvim-kit[fast]"')
    pytest.importorskip("onnx", reason='not installed: pip install "qvim-kit[fast]"')
    torch.manual_seed(0)
    model, paths = DualEncoder(mobilenet(0.1), duration=0.5), list(files.values())
    model.save_pretrained(tmp_path / "saved")
    eager, fast = (
        EncoderSystem.from_pretrained(tmp_path / "saved", device="cpu", engine=engine)
        for engine in ("torch", "onnx")
    )
    for one in (eager, fast):
        one.model.query_tower.trunk.features[0][0].weight.data.neg_()
    for side in ("query", "item"):
        assert fast.fingerprint(side) != eager.fingerprint(side)
        embed = [
            getattr(one, f"embed_{'queries' if side == 'query' else side + 's'}")
            for one in (fast, eager)
        ]
        found, expected = (one(paths) for one in embed)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    encoder = mobilenet(0.1)
    pair = [EncoderSystem(encoder, duration=0.5, device="cpu", engine=e) for e in ("onnx", "torch")]
    found, expected = (one.embed_items(paths) for one in pair)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    with pytest.raises(ValueError, match="engine: found 'bf16', expected one of auto, onnx, torch"):
        EncoderSystem(encoder, engine="bf16")
