import gc

import librosa
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from qvim_kit.downloads import DownloadError
from qvim_kit.models import cnn14
from qvim_kit.models.cnn14 import Cnn14, DcaseLogMel, PannsLogMel, load_cnn14
from qvim_kit.models.mobilenet import CheckpointError

BLOCK = ("conv1.weight", "conv2.weight", *(f"bn{n}.{k}" for n in (1, 2) for k in (
    "weight", "bias", "running_mean", "running_var", "num_batches_tracked",
)))  # fmt: skip


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes as the published code defines them, written down from the paper's table."""
    shapes = {
        "spectrogram_extractor.stft.conv_real.weight": (513, 1, 1024),
        "spectrogram_extractor.stft.conv_imag.weight": (513, 1, 1024),
        "logmel_extractor.melW": (513, 64),
        "fc1.weight": (2048, 2048), "fc1.bias": (2048,),
        "fc_audioset.weight": (527, 2048), "fc_audioset.bias": (527,),
    }  # fmt: skip
    shapes |= {f"bn0.{k}": (64,) for k in ("weight", "bias", "running_mean", "running_var")}
    shapes["bn0.num_batches_tracked"] = ()
    before = 1
    for number, out in enumerate((64, 128, 256, 512, 1024, 2048), start=1):
        for key in BLOCK:
            shape = () if "tracked" in key else (out,)
            shape = {"conv1": (out, before, 3, 3), "conv2": (out, out, 3, 3)}.get(key[:5], shape)
            shapes[f"conv_block{number}.{key}"] = shape
        before = out
    return shapes


def small(width=1 / 16, seed=0, **options) -> Cnn14:
    """A narrow network whose batch norms know something."""
    torch.manual_seed(seed)
    model = Cnn14(width, **options)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model.eval()


def naive(state, log_mel, halvings):
    """The published forward, on (batch, frames, mels), with torch.nn.functional only."""

    def norm(x, name):
        keys = ("running_mean", "running_var", "weight", "bias")
        mean, var, weight, bias = (state[f"{name}.{k}"] for k in keys)
        shape = (1, -1, 1, 1)
        x = (x - mean.view(shape)) / torch.sqrt(var.view(shape) + 1e-5)
        return x * weight.view(shape) + bias.view(shape)

    x = log_mel[:, None].transpose(1, 3)  # mels where channels are
    x = norm(x, "bn0").transpose(1, 3)
    for number in range(1, 7):
        block = f"conv_block{number}"
        for layer in (1, 2):
            x = F.conv2d(x, state[f"{block}.conv{layer}.weight"], padding=1)
            x = norm(x, f"{block}.bn{layer}").clamp(min=0)
        if number <= halvings:
            batch, channels, frames, mels = x.shape
            x = x[:, :, : frames // 2 * 2, : mels // 2 * 2]
            x = x.reshape(batch, channels, frames // 2, 2, mels // 2, 2).mean((3, 5))
    x = x.mean(3)
    x = x.max(2).values + x.mean(2)
    x = (x @ state["fc1.weight"].T + state["fc1.bias"]).clamp(min=0)
    return x @ state["fc_audioset.weight"].T + state["fc_audioset.bias"], x


def test_the_whole_network_has_the_published_weights():
    model = Cnn14()
    assert {k: tuple(v.shape) for k, v in model.state_dict().items()} == published_shapes()
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 80_753_615
    assert model.dim == 2048
    del model
    gc.collect()


@pytest.mark.parametrize(("halvings", "frames"), [(5, 70), (6, 64), (6, 131)])
def test_forward_is_the_published_one(halvings, frames):
    model = small(halvings=halvings)
    log_mel = torch.randn(2, 64, frames) * 3 - 5
    with torch.inference_mode():
        logits, embedding = model(log_mel[:, None])
        expected = naive(model.state_dict(), log_mel.transpose(1, 2), halvings)
    assert logits.shape == (2, 527) and embedding.shape == (2, model.dim)
    torch.testing.assert_close(logits, expected[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(embedding, expected[1], rtol=1e-4, atol=1e-4)
    assert embedding.abs().max() > 0.01


def test_dropout_is_for_training_only():
    model, log_mel = small(), torch.randn(1, 1, 64, 40)
    with torch.no_grad():
        assert torch.equal(model(log_mel)[1], model(log_mel)[1])
        model.train()
        assert not torch.equal(model(log_mel)[1], model(log_mel)[1])


def test_input_that_does_not_fit_is_named():
    model = small()
    for shape in ((1, 64, 40), (1, 1, 128, 40), (1, 1, 64, 31)):
        with pytest.raises(ValueError, match="with at least 32 frames"):
            model(torch.zeros(shape))
    with pytest.raises(ValueError, match="halvings 7"):
        Cnn14(1 / 16, halvings=7)
    with pytest.raises(ValueError, match="at least 513 samples"):
        PannsLogMel()(torch.zeros(1, 100))
    with pytest.raises(ValueError, match="found waveforms of shape"):
        DcaseLogMel()(torch.zeros(44_100))


def test_front_end_of_the_baseline_is_librosas(rng):
    wave = rng.normal(size=30_001).astype(np.float32) * np.linspace(0, 0.5, 30_001, dtype="f4")
    mel = librosa.feature.melspectrogram(
        y=wave, sr=44_100, n_fft=2048, hop_length=882, win_length=1764, n_mels=64
    )
    expected = np.log(mel + np.spacing(1))
    found = DcaseLogMel()(torch.from_numpy(wave[None]))[0].numpy()
    assert found.shape == expected.shape == (64, 1 + 30_001 // 882)
    np.testing.assert_allclose(found, expected, atol=2e-3)
    silence = DcaseLogMel()(torch.zeros(1, 882))
    np.testing.assert_allclose(silence, -36.0437, atol=1e-3)


def test_front_end_of_panns_is_librosas(rng):
    wave = rng.normal(size=16_000).astype(np.float32) * 0.1
    power = np.abs(librosa.stft(wave, n_fft=1024, hop_length=320, pad_mode="reflect")) ** 2
    filters = librosa.filters.mel(sr=32_000, n_fft=1024, n_mels=64, fmin=50, fmax=14_000)
    expected = librosa.power_to_db(filters @ power, ref=1.0, amin=1e-10, top_db=None)
    model = small()
    for front_end in (PannsLogMel(), model.front_end()):
        found = front_end(torch.from_numpy(wave[None]))
        np.testing.assert_allclose(found[0], expected, atol=2e-3)
    assert model(found[:, None])[0].shape == (1, 527)
    np.testing.assert_allclose(PannsLogMel()(torch.zeros(1, 640)), -100)


def test_checkpoint_is_read_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("QVIM_CACHE", str(tmp_path))
    monkeypatch.setattr(cnn14, "CHANNELS", (4, 8, 8, 8, 8, 16))
    monkeypatch.setattr(cnn14, "SHA256", None)
    published = small(1.0, seed=3)
    torch.save({"iteration": 600_000, "model": published.state_dict()}, tmp_path / cnn14.FILENAME)
    loaded = load_cnn14(halvings=6)
    assert loaded.halvings == 6 and not loaded.training
    for key, value in published.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key
    torch.save({"model": {"fc1.weight": torch.zeros(3)}}, tmp_path / cnn14.FILENAME)
    with pytest.raises(CheckpointError, match="not a checkpoint of CNN14"):
        load_cnn14()


def test_without_the_checkpoint_it_says_which_file_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("QVIM_CACHE", str(tmp_path))
    with pytest.raises(DownloadError, match="put Cnn14_mAP=0.431.pth .SHA-256 0dc499e4") as error:
        load_cnn14()
    assert str(tmp_path) in str(error.value)
