import librosa
import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from qvim_kit.audio import load_audio
from qvim_kit.features import LogMel, cqt, mel_to_audio, two_dft


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


def test_log_mel_of_another_precision_is_the_same():
    waveforms = torch.randn(
        1, 8_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(LogMel()(waveforms), LogMel()(waveforms.float()))


def test_a_filter_bank_beyond_the_sample_rate_is_refused():
    with pytest.raises(ValueError, match="fmax ≤ 8000, half the sample rate"):
        LogMel(sample_rate=16_000)
    assert LogMel(sample_rate=16_000, fmax=7_500)(torch.zeros(1, 8_000)).shape == (1, 128, 25)


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


@pytest.mark.parametrize("samples", [40, 100, 8_000, 8_064])  # 1, 2, 126 and 127 frames
def test_two_dft_is_the_magnitude_of_numpys_transform_with_zero_in_the_middle(rng, samples):
    waveforms = rng.normal(size=(2, samples)).astype(np.float32)
    planes = cqt(waveforms).astype(np.float64)
    expected = np.fft.fftshift(np.abs(np.fft.fft2(planes)), axes=(1, 2)).reshape(2, -1)
    found = two_dft(waveforms)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * expected.max())


@pytest.mark.parametrize("waveforms", [np.zeros((2, 0)), np.float32(1), np.full(800, np.nan)])
def test_two_dft_of_nothing(waveforms):
    with pytest.raises(ValueError, match="two_dft: found .*expected"):
        two_dft(waveforms)


@pytest.mark.filterwarnings("error")
def test_two_dft_of_a_short_sound_does_not_complain():
    assert two_dft(np.ones(100)).shape == (63 * 2,)


def test_two_dft_agrees_with_the_published_similarities(golden, shared):
    published = np.load(golden / "twodft_dev.npz")
    folder = shared / "data" / "esc10"
    clips = np.stack([load_audio(folder / name, 8_000, 5.0) for name in published["files"]])
    fingerprints = two_dft(clips)
    fingerprints /= np.linalg.norm(fingerprints, axis=1, keepdims=True)
    pairs = np.triu_indices(len(clips), 1)
    ours, theirs = (fingerprints @ fingerprints.T)[pairs], published["similarity"][pairs]
    assert spearmanr(ours, theirs)[0] > 0.99


def test_mel_to_audio_sounds_as_the_log_mel_looks(golden):
    published = np.load(golden / "mel_dev.npz")
    waveforms = published["waveform_int16"][:, :64_000].astype(np.float32) / 32_768
    log_mel = LogMel()(torch.from_numpy(waveforms))
    audio = mel_to_audio(log_mel)
    assert audio.shape == (2, 63_681) and audio.dtype == torch.float32
    again = LogMel()(audio)
    assert again.shape == log_mel.shape
    assert (again - log_mel).square().mean().sqrt() < 0.06  # of values about 2 apart
    assert np.corrcoef(again.flatten(), log_mel.flatten())[0, 1] > 0.995
    # The level comes back too, low frequencies included: the pre-emphasis is undone.
    assert audio.std(1).numpy() == pytest.approx(waveforms.std(1), rel=0.05)


def test_mel_to_audio_keeps_the_pitch_of_a_sweep():
    sweep = 0.3 * librosa.chirp(fmin=150, fmax=900, sr=32_000, duration=2)
    audio = mel_to_audio(LogMel()(torch.from_numpy(sweep).float()[None]))[0].numpy()
    track = {"fmin": 100, "fmax": 1_200, "sr": 32_000, "frame_length": 2048}
    heard, sung = librosa.yin(audio, **track), librosa.yin(sweep[: len(audio)], **track)
    cents = 1_200 * np.abs(np.log2(heard / sung))
    assert np.median(cents) < 20 and np.percentile(cents, 90) < 60


def test_mel_to_audio_of_silence_is_silent():
    assert (mel_to_audio(LogMel()(torch.zeros(1, 16_000))) == 0).all()


def test_mel_to_audio_depends_on_its_seed_alone(rng):
    front_end = LogMel(mels=64, fmax=14_000)
    log_mel = front_end(torch.from_numpy(0.1 * rng.normal(size=(2, 8_000))).float())
    state = torch.get_rng_state()
    audio = mel_to_audio(log_mel, front_end, iterations=4)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(9)
    assert torch.equal(mel_to_audio(log_mel, front_end, iterations=4), audio)
    assert torch.equal(mel_to_audio(log_mel[1:], front_end, iterations=4), audio[1:])
    assert not torch.equal(mel_to_audio(log_mel, front_end, iterations=4, seed=1), audio)
    assert mel_to_audio(log_mel[:0], front_end).shape == (0, 7_681)


@pytest.mark.parametrize("shape", [(128, 50), (1, 64, 50), (1, 128, 2)])
def test_mel_to_audio_states_the_shape_it_expects(shape):
    with pytest.raises(ValueError, match=r"expected \(batch, 128, frames\)"):
        mel_to_audio(torch.zeros(shape))
