import numpy as np
import pytest
import torch

from qvim_kit.audio import load_audio
from qvim_kit.downloads import DownloadError
from qvim_kit.features import LogMel
from qvim_kit.models.mobilenet import (
    AUDIOSET_CHECKPOINTS,
    CheckpointError,
    load_audioset,
    mobilenet,
    round_channels,
)

PUBLISHED = {  # name: embedding, parameters and trunk parameters in millions
    "mn01_as": (96, 0.124, 0.043),
    "mn02_as": (192, 0.325, 0.140),
    "mn04_as": (384, 0.984, 0.516),
    "mn05_as": (480, 1.431, 0.786),
    "mn10_as": (960, 4.877, 2.972),
    "mn20_as": (1920, 17.9, 11.6),
}


def millions(module):
    return sum(weight.numel() for weight in module.parameters()) / 1e6


@pytest.mark.parametrize("name", PUBLISHED)
def test_sizes_are_the_published_ones(name):
    dim, parameters, trunk = PUBLISHED[name]
    model = mobilenet(AUDIOSET_CHECKPOINTS[name].width)
    assert model.dim == dim
    assert millions(model) == pytest.approx(parameters, rel=0.003, abs=5e-4)
    assert millions(model.features) == pytest.approx(trunk, rel=0.01, abs=5e-4)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("batch", [1, 3])
def test_shapes_also_for_one_clip(batch, training):
    model = mobilenet(0.1).train(training)
    logits, embedding = model(torch.randn(batch, 1, 128, 200))
    assert logits.shape == (batch, 527) and embedding.shape == (batch, 96)


def test_states_the_shape_it_expects():
    with pytest.raises(ValueError, match=r"found.*\(2, 128, 100\).*expected \(batch, 1, mels"):
        mobilenet(0.1)(torch.zeros(2, 128, 100))


def test_a_width_must_be_positive():
    with pytest.raises(ValueError, match="width: found 0"):
        mobilenet(0)


def test_round_channels():
    assert [round_channels(c) for c in (1.6, 11.9, 12, 25.6, 44.4, 8.8)] == [8, 16, 16, 24, 48, 8]


def test_equals_the_published_network(golden, shared):
    published = np.load(golden / "mn04_dev.npz")
    folder = shared / "data" / "esc10"
    clips = np.stack([load_audio(folder / name, 32_000, 10.0) for name in published["files"]])
    with torch.inference_mode():
        logits, embedding = load_audioset("mn04_as")(LogMel()(torch.from_numpy(clips))[:, None])
    np.testing.assert_allclose(embedding.numpy(), published["embedding"], atol=1e-3, rtol=0)
    np.testing.assert_allclose(logits.numpy(), published["logits"], atol=1e-3, rtol=0)


def test_finds_a_checkpoint_in_the_cache_that_is_set_at_the_time(tmp_path, monkeypatch):
    torch.manual_seed(0)
    model = mobilenet(0.1)
    torch.save(model.state_dict(), tmp_path / "mn01_as_mAP_298.pt")
    monkeypatch.setenv("QVIM_CACHE", str(tmp_path))
    loaded = load_audioset("mn01_as")
    assert not loaded.training
    torch.testing.assert_close(loaded.state_dict(), model.state_dict())


def test_offline_says_which_file_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("QVIM_CACHE", str(tmp_path))
    with pytest.raises(DownloadError) as caught:
        load_audioset("mn10_as")
    message = str(caught.value)
    assert "mn10_as_mAP_471.pt" in message and str(tmp_path) in message and "https://" in message


def test_a_file_that_does_not_fit_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("QVIM_CACHE", str(tmp_path))
    path = tmp_path / "mn01_as_mAP_298.pt"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match=path.name):
        load_audioset("mn01_as")
    path.write_bytes(b"<html>quota exceeded</html>")
    with pytest.raises(DownloadError, match=f"{path.name}.*a web page was sent"):
        load_audioset("mn01_as")
    weights = mobilenet(0.1).state_dict()
    weights["extra"] = weights.pop("classifier.5.bias")
    torch.save(weights, path)
    with pytest.raises(CheckpointError, match="(?s)classifier.5.bias.*extra"):
        load_audioset("mn01_as")


def test_a_checkpoint_with_the_wrong_hash_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("QVIM_CACHE", str(tmp_path))
    torch.save(mobilenet(0.4).state_dict(), tmp_path / "mn04_as_mAP_432.pt")
    with pytest.raises(DownloadError, match="mn04_as_mAP_432.pt"):
        load_audioset("mn04_as")


def test_unknown_name():
    with pytest.raises(ValueError, match="expected one of mn01_as, "):
        load_audioset("mn99")
