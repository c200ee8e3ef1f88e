import numpy as np
import pytest
import soundfile
import torch
import torch.nn.functional as F

from qvim_kit.audio import load_audio
from qvim_kit.downloads import DownloadError
from qvim_kit.models.vggish import VGGish, VGGishLogMel
from qvim_kit.systems import MVGGish

SEGMENT = 192 * 160  # samples from one segment to the next
TWO = 2 * SEGMENT + 240  # samples that make exactly two segments

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return VGGish()


@pytest.fixture
def system(network):
    return MVGGish(network, duration=TWO / 16_000, device="cpu")


@pytest.fixture
def noise(rng):
    return rng.normal(scale=0.1, size=(3, TWO)).astype(np.float32)


def by_hand(network, waveform):
    """The embedding segment by segment, from the weights alone; (dim,)."""
    weights = network.state_dict()
    log_mel = VGGishLogMel()(torch.from_numpy(waveform)[None])[0]
    rows = []
    for start in range(0, len(log_mel) - 191, 192):
        x, kept = log_mel[None, None, start : start + 192], []
        for layer, pool in ((0, 1), (3, 1), (6, 0), (8, 1), (11, 0), (13, 0)):
            x = F.conv2d(
                x, weights[f"features.{layer}.weight"], weights[f"features.{layer}.bias"], padding=1
            )
            if layer >= 11:
                kept.append(x.flatten())
            x = F.max_pool2d(F.relu(x), 2) if pool else F.relu(x)
        rows.append(torch.cat(kept))
    return torch.stack(rows).mean(0).numpy()


def test_equals_the_layers_by_hand(system, network, noise):
    found = system.embed_batch(noise[:2], "item")
    assert found.shape == (2, 2 * 512 * 24 * 8) and found.dtype == np.float32
    np.testing.assert_allclose(found, [by_hand(network, w) for w in noise[:2]], atol=1e-5)
    assert (found < 0).any()  # before the ReLU


def test_clips_do_not_depend_on_their_neighbours(system, noise):
    together = system.embed_batch(noise, "query")
    alone = np.concatenate([system.embed_batch(w[None], "query") for w in noise[::-1]])[::-1]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_the_padding_counts_as_segments_of_silence(network, tmp_path, noise):
    path = tmp_path / "short.wav"
    soundfile.write(path, noise[0, :SEGMENT], 16_000, "FLOAT")
    long = MVGGish(network, duration=(4 * SEGMENT + 240) / 16_000, device="cpu")
    one = MVGGish(network, duration=(SEGMENT + 240) / 16_000, device="cpu")
    silence = one.embed_batch(np.zeros((1, SEGMENT + 240), np.float32), "item")
    sound = one.embed_batch(np.pad(noise[:1, :SEGMENT], ((0, 0), (0, 240))), "item")
    found = long.embed_items([path])
    np.testing.assert_allclose(found, (sound + 3 * silence) / 4, atol=1e-5)
    assert np.abs(silence).max() > 1e-3  # else the line above could not tell


def test_frames_that_fill_no_segment_are_left_out(network, noise):
    longer = MVGGish(network, duration=(TWO + SEGMENT - 160) / 16_000, device="cpu")
    ends = np.concatenate([noise[:2, -1:] * 0 + 0.3, noise[1:, : SEGMENT - 161]], axis=1)
    waveforms = np.concatenate([noise[[0, 0]], ends], axis=1)
    first, second = longer.embed_batch(waveforms, "item")
    exact = MVGGish(network, duration=TWO / 16_000, device="cpu")
    np.testing.assert_allclose(first, second, atol=1e-6)
    np.testing.assert_allclose(first, exact.embed_batch(noise[:1], "item")[0], atol=1e-5)


def test_defaults_are_the_published_ones_and_silence_is_computed_once(network, noise):
    system = MVGGish(network, device="cpu")
    assert (system.name, system.sample_rate, system.duration) == ("M-VGGish", 16_000, 15.4)
    waveforms = np.zeros((2, 246_400), np.float32)
    waveforms[0, 8_000:12_000] = noise[0, :4_000]
    sizes = []
    hook = system.layers[0].register_forward_hook(lambda _, given, out: sizes.append(len(out)))
    embeddings = system.embed_batch(waveforms, "item")
    hook.remove()
    assert embeddings.shape == (2, 196_608)
    assert sizes == [2]  # one segment with sound, one of silence, out of 16


def test_similarities_of_files_are_cosines(system, tmp_path, noise):
    files = {f"{n}.wav": str(tmp_path / f"{n}.wav") for n in range(3)}
    for path, waveform in zip(files.values(), noise, strict=True):
        soundfile.write(path, waveform * np.linspace(0, 1, TWO), 16_000)
    scores = system.compute_similarities(files, files)
    a, b = (
        system.embed_batch(load_audio(files[f"{n}.wav"], 16_000, TWO / 16_000)[None], "item")[0]
        for n in (0, 2)
    )
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert scores["0.wav"]["2.wav"] == pytest.approx(cosine, abs=1e-5)
    assert scores["1.wav"]["1.wav"] == pytest.approx(1, abs=1e-5)


def test_fingerprint_follows_what_the_embedding_depends_on():
    network = VGGish()
    system = MVGGish(network, duration=2.0, device="cpu")
    before = system.fingerprint("item")
    assert MVGGish(network, duration=2.0, device="cpu").fingerprint("query") == before
    assert MVGGish(network, duration=4.0, device="cpu").fingerprint("item") != before
    with torch.no_grad():
        network.embeddings[0].bias += 1  # not among the layers used
        assert system.fingerprint("item") == before
        network.features[13].bias[0] += 1
    assert system.fingerprint("item") != before

    class Odd(torch.nn.ReLU):
        pass

    network.features[1] = Odd()
    assert MVGGish(network, duration=2.0, device="cpu").fingerprint("item") is None


def test_without_weights_it_says_which_file_to_put_where(tmp_path):
    with pytest.raises(DownloadError) as caught:
        MVGGish()
    assert "vggish-10086976.pth" in str(caught.value)
    assert str(tmp_path / "cache") in str(caught.value)


def test_mistakes_are_named(network):
    with pytest.raises(TypeError, match="vggish: found str, expected a models.vggish.VGGish"):
        MVGGish("vggish")
    for duration in (1.9, 0, float("nan")):
        with pytest.raises(ValueError, match="duration: found .* expected at least 1.935 s"):
            MVGGish(network, duration=duration)
