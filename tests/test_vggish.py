import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchaudio
from scipy.signal import get_window

from qvim_kit.downloads import DownloadError
from qvim_kit.models import vggish
from qvim_kit.models.mobilenet import CheckpointError
from qvim_kit.models.vggish import VGGish, VGGishLogMel, load_vggish, mel_filters

FILE = "vggish-10086976.pth"
SHAPES = {  # of the published checkpoint
    "features.0.weight": (64, 1, 3, 3),
    "features.3.weight": (128, 64, 3, 3),
    "features.6.weight": (256, 128, 3, 3),
    "features.8.weight": (256, 256, 3, 3),
    "features.11.weight": (512, 256, 3, 3),
    "features.13.weight": (512, 512, 3, 3),
    "embeddings.0.weight": (4096, 12288),
    "embeddings.2.weight": (4096, 4096),
    "embeddings.4.weight": (128, 4096),
}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return VGGish().eval()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("QVIM_CACHE", str(tmp_path))
    return tmp_path


def small_file(path, **changed):
    """A checkpoint of the right shapes whose weights are all 1 / 64; a few kB instead of 288 MB."""
    shapes = {**SHAPES, **{k[:-6] + "bias": v[:1] for k, v in SHAPES.items()}, **changed}
    one = torch.tensor(1 / 64)
    torch.save({k: one.expand(shape) for k, shape in shapes.items() if shape}, path)


def by_hand(waveform):
    """The front end frame by frame and band by band in float64, (frames, 64)."""

    def mel(hertz):
        return 2595 * np.log10(1 + np.asarray(hertz) / 700)

    edges = np.linspace(mel(125), mel(7500), 66)
    frequencies = mel(np.arange(257) * 31.25)
    window = get_window("hann", 400, fftbins=True)
    rows = []
    for start in range(0, len(waveform) - 399, 160):
        padded = np.zeros(512)
        padded[:400] = waveform[start : start + 400] * window
        magnitude = np.abs(np.fft.fft(padded))[:257]
        bands = [np.interp(frequencies, edges[m : m + 3], [0, 1, 0]) for m in range(64)]
        rows.append([np.log(magnitude @ band + 0.01) for band in bands])
    return np.array(rows)


def test_front_end_equals_a_computation_by_hand(rng):
    waveforms = rng.normal(size=(2, 4_000)) * np.linspace(0, 0.5, 4_000)
    found = VGGishLogMel()(torch.from_numpy(waveforms)).numpy()
    np.testing.assert_allclose(found, [by_hand(w) for w in waveforms], atol=1e-5)


def test_front_end_equals_the_published_values():
    # Made by torchvggish 0.2: mel_features.log_mel_spectrogram with the parameters of vggish_params
    bands = [0, 5, 9, 10, 11, 20, 40, 41, 63]
    published = [
        *(-3.841236410, -0.352077640, 3.645768182, 1.792510583, -0.525835873),
        *(-4.164756950, -1.791380740, 2.631480535, -4.602798876),
    ]
    seconds = np.arange(1_600) / 16_000
    sound = np.sin(2 * np.pi * 440 * seconds) / 2 + np.cos(2 * np.pi * 3_000 * seconds) / 10
    found = VGGishLogMel()(torch.from_numpy(sound[None]))
    assert found.shape == (1, 8, 64)
    np.testing.assert_allclose(found[0, 3, bands].numpy(), published, atol=1e-4)


def test_filters_are_kaldis():
    kaldi, _ = torchaudio.compliance.kaldi.get_mel_banks(
        64, 512, 16_000.0, 125.0, 7_500.0, 100.0, -500.0, 1.0
    )
    filters = mel_filters()
    torch.testing.assert_close(filters[:256].T, kaldi, atol=5e-5, rtol=0)
    assert not filters[256].any()


@pytest.mark.parametrize(("samples", "frames"), [(400, 1), (559, 1), (560, 2), (246_400, 1538)])
def test_frames_lie_inside_the_waveform_and_silence_is_the_floor(samples, frames):
    log_mel = VGGishLogMel()(torch.zeros(1, samples))
    assert log_mel.shape == (1, frames, 64)
    torch.testing.assert_close(log_mel, torch.full_like(log_mel, float(np.log(0.01))))


@pytest.mark.parametrize("shape", [(1, 399), (16_000,), (1, 1, 16_000)])
def test_front_end_states_the_shape_it_expects(shape):
    with pytest.raises(ValueError, match=r"expected \(batch, samples\) with at least 400"):
        VGGishLogMel()(torch.zeros(shape))


def test_weights_have_the_published_names_and_shapes():
    with torch.device("meta"):
        model = VGGish()
    shapes = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    biases = {name[:-6] + "bias": shape[:1] for name, shape in SHAPES.items()}
    assert shapes == {**SHAPES, **biases}
    assert sum(weight.numel() for weight in model.parameters()) == 72_141_184
    assert not VGGishLogMel().state_dict()


def test_network_equals_its_layers_one_by_one(network):
    weights = network.state_dict()
    log_mel = torch.randn(2, 1, 96, 64, generator=torch.Generator().manual_seed(1))
    x = log_mel
    for layer, pool in ((0, 1), (3, 1), (6, 0), (8, 1), (11, 0), (13, 1)):
        name = f"features.{layer}"
        x = F.relu(F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1))
        x = F.max_pool2d(x, 2) if pool else x
    x = torch.stack([x[:, :, t, m] for t in range(6) for m in range(4)], dim=1).flatten(1)
    for layer in (0, 2, 4):
        name = f"embeddings.{layer}"
        x = F.relu(F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"]))
    with torch.inference_mode():
        found = network(log_mel)
    assert found.shape == (2, 128) and found.any()
    torch.testing.assert_close(found, x, atol=1e-6, rtol=1e-4)


def test_a_layer_leaves_what_it_was_given_alone(network):
    with torch.inference_mode():
        before = network.features[:12](torch.randn(1, 1, 32, 64))
        kept = before.clone()
        network.features[12:14](before)
    torch.testing.assert_close(before, kept, atol=0, rtol=0)
    assert (before < 0).any()


def test_network_states_the_shape_it_expects(network):
    with pytest.raises(ValueError, match=r"found.*\(1, 1, 192, 64\).*expected \(batch, 1, 96, 64"):
        network(torch.zeros(1, 1, 192, 64))


def test_weights_are_read_from_the_cache(cache, monkeypatch):
    small_file(cache / FILE)
    monkeypatch.setattr(vggish, "SHA256", None)
    model = load_vggish()
    assert not model.training
    assert all((weight == 1 / 64).all() for weight in model.parameters())


def test_offline_says_which_file_to_put_where(cache):
    with pytest.raises(DownloadError) as caught:
        load_vggish()
    message = str(caught.value)
    assert f"put {FILE}" in message and str(cache) in message
    assert f"https://github.com/harritaylor/torchvggish/releases/download/v0.1/{FILE}" in message


def test_a_file_that_does_not_fit_is_named_with_all_its_keys(cache, monkeypatch):
    small_file(cache / FILE, **{"features.0.bias": None, "pca": (3,), "features.3.bias": (5,)})
    monkeypatch.setattr(vggish, "SHA256", None)
    with pytest.raises(CheckpointError, match=FILE) as caught:
        load_vggish()
    assert all(k in str(caught.value) for k in ("features.0.bias", "pca", "features.3.bias"))


def test_a_file_with_the_wrong_hash_is_not_used(cache):
    small_file(cache / FILE)
    with pytest.raises(DownloadError, match="10086976"):
        load_vggish()
