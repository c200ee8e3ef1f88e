import librosa
import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from qvim_kit.audio import load_audio
from qvim_kit.features import LogMel, cqt, two_dft


def test_log_mel_equals_the_published_front_end(golden):
    published = np.load(golden / "mel_dev.npz")
    waveforms = torch.from_numpy(published["waveform_int16"].astype(np.float32) / 32_768)
    log_mel = LogMel()(waveforms)
    assert log_mel.shape == (2, 128, 1000)
    np.testing.assert_allclose(log_mel.numpy(), published["logmel"], atol=1e-4, rtol=0)


def test_silence_and_shape():
    log_mel = LogMel()(torch.zeros(3, 32_000))
    assert log_mel.shape == (3, 128, 100)
    torch.testing.assert_close(log_mel, torch.full_like(log_mel, -1.4026), atol=1e-4, rtol=0)


def test_a_tone_is_loudest_in_its_mel_band():
    tone = np.sin(2 * np.pi * 1_000 * np.arange(32_000) / 32_000).astype(np.float32)
    band = LogMel()(torch.from_numpy(tone)[None])[0].mean(1).argmax().item()
    mel = 1127 * np.log1p(np.array([1_000, 15_000]) / 700)
    assert band == pytest.approx(mel[0] / mel[1] * 129 - 1, abs=1)


@pytest.mark.parametrize("shape", [(32_000,), (1, 100), (1, 1, 32_000)])
def test_log_mel_states_the_shape_it_expects(shape):
    with pytest.raises(ValueError, match=r"expected \(batch, samples\)"):
        LogMel()(torch.zeros(shape))


def test_log_mel_holds_no_weights():
    assert not LogMel().state_dict()


@pytest.mark.parametrize("hertz", [110.0, 440.0, 1_760.0])
def test_a_sine_has_its_amplitude_in_its_cqt_bin(hertz):
    sine = 0.3 * np.sin(2 * np.pi * hertz * np.arange(40_000) / 8_000)
    middle = cqt(sine)[:, 300]
    assert middle.argmax() == round(12 * np.log2(hertz / 55))
    assert middle.max() == pytest.approx(0.3, rel=0.01)


def test_two_dft_ignores_when_and_how_high():
    rng = np.random.default_rng(0)
    syllable = librosa.chirp(fmin=200, fmax=400, sr=8_000, duration=0.4)
    other = np.convolve(rng.normal(size=3_200), np.ones(8) / 8, "same")
    place = lambda sound, start: np.pad(sound, (start, 40_000 - start - len(sound)))  # noqa: E731
    higher = librosa.chirp(fmin=400, fmax=800, sr=8_000, duration=0.4)
    near, late, high, far = two_dft(
        np.stack(
            [
                place(syllable, 8_000),
                place(syllable, 20_480),
                place(higher, 8_000),
                place(other, 8_000),
            ]
        )
    )
    cosine = lambda a, b: a @ b / np.linalg.norm(a) / np.linalg.norm(b)  # noqa: E731
    assert cosine(near, late) > 0.999
    assert cosine(near, high) > 0.9 > cosine(near, far) + 0.1


def test_two_dft_of_a_batch_equals_one_by_one(rng):
    waveforms = rng.normal(size=(2, 3, 8_000)).astype(np.float32)
    batch = two_dft(waveforms)
    assert batch.shape == (2, 3, 63 * 126) and batch.dtype == np.float32
    np.testing.assert_allclose(batch[1, 2], two_dft(waveforms[1, 2]), rtol=1e-4, atol=1e-4)


def test_two_dft_of_nothing():
    with pytest.raises(ValueError, match="expected"):
        two_dft(np.zeros((2, 0)))


def test_two_dft_agrees_with_the_published_similarities(golden, shared):
    published = np.load(golden / "twodft_dev.npz")
    folder = shared / "data" / "esc10"
    clips = np.stack([load_audio(folder / name, 8_000, 5.0) for name in published["files"]])
    fingerprints = two_dft(clips)
    fingerprints /= np.linalg.norm(fingerprints, axis=1, keepdims=True)
    pairs = np.triu_indices(len(clips), 1)
    ours, theirs = (fingerprints @ fingerprints.T)[pairs], published["similarity"][pairs]
    assert spearmanr(ours, theirs)[0] > 0.99
