import librosa
import numpy as np
import pytest
import scipy.signal
import scipy.stats
import soxr
import torch
import torchaudio

from qvim_kit import augment as A
from qvim_kit.augment.base import uniform
from qvim_kit.augment.stretch import HOP, N_FFT, resample, stretch

RATE = 32_000


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def voice(hertz: float, seconds: float = 1.5) -> torch.Tensor:
    time = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    harmonics = [torch.sin(2 * torch.pi * k * hertz * time) / k for k in range(1, 9)]
    return (0.1 * sum(harmonics)).float()


def pitch(clip: torch.Tensor) -> float:
    """Median fundamental by YIN, away from the ends, Hz."""
    track = librosa.yin(clip.numpy(), fmin=80, fmax=1_000, sr=RATE, frame_length=2048)
    return float(np.median(track[8:-24]))


def test_roll_is_torch_roll_within_its_limits():
    x = torch.arange(50.0).repeat(500, 1)
    out = A.Roll(max_samples=7)(x, seeded())
    shifts = [next(s for s in range(-25, 25) if torch.equal(row.roll(s), x[0])) for row in out]
    assert set(shifts) == set(range(-7, 8))
    assert all(torch.equal(row, x[0].roll(-s)) for row, s in zip(out, shifts, strict=True))
    first = A.Roll(max_fraction=0.2)(x, seeded())[:, 0]
    assert set(first.tolist()) == {float(s % 50) for s in range(-10, 11)}


def test_gain_in_decibels():
    x = torch.randn(1_000, 64, generator=seeded())
    out = A.Gain(max_db=10)(x, seeded(1))
    decibels = 20 * np.log10((out.norm(dim=1) / x.norm(dim=1)).numpy())
    torch.testing.assert_close(out / x, (out / x)[:, :1].expand_as(x))
    assert scipy.stats.kstest(decibels, "uniform", args=(-10, 20)).pvalue > 0.01


@pytest.mark.parametrize("color", ["white", "pink"])
def test_noise_has_the_signal_to_noise_ratio(color):
    x = voice(220).repeat(40, 1)
    noise = A.AddNoise(snr_db=(5, 15), color=color)(x, seeded()) - x
    snr = 10 * np.log10((x.square().sum(1) / noise.square().sum(1)).numpy())
    assert 5 <= snr.min() < 6 and 14 < snr.max() <= 15
    exact = A.AddNoise(snr_db=(12, 12), color=color)(x, seeded()) - x
    assert 10 * torch.log10(x.square().sum() / exact.square().sum()) == pytest.approx(12, abs=0.01)
    frequency, density = scipy.signal.welch(noise.numpy(), RATE, nperseg=2048)
    slope = np.polyfit(np.log(frequency[4:-4]), np.log(density.mean(0)[4:-4]), 1)[0]
    assert slope == pytest.approx({"white": 0, "pink": -1}[color], abs=0.05)


def test_noise_amplitude_and_silence():
    silence = torch.zeros(200, 8_000)
    assert torch.equal(A.AddNoise(snr_db=(0, 0))(silence, seeded()), silence)
    level = A.AddNoise(amplitude=(0.001, 0.015))(silence, seeded()).std(1).numpy()
    assert scipy.stats.kstest(level, "uniform", args=(0.001, 0.014)).pvalue > 0.01


def test_pitch_moves_by_the_semitones_drawn():
    x = voice(220).repeat(6, 1)
    out = A.PitchShift(max_semitones=6)(x, seeded(2))
    generator = seeded(2)
    uniform(0, 1, 6, generator)  # whether each clip changes
    drawn = uniform(-6, 6, 6, generator).numpy()
    heard = [12 * np.log2(pitch(clip) / 220) for clip in out]
    np.testing.assert_allclose(heard, drawn, atol=0.1)
    assert np.ptp(drawn) > 6
    # As loud as before, and as long.
    middle = out[:, 8_000:40_000].std(1) / x[:, 8_000:40_000].std(1)
    assert ((middle > 0.7) & (middle < 1.2)).all()
    assert (out[:, -4_000:].std(1) > 0.02).all()


def bursts(every: int, length: int = 800) -> torch.Tensor:
    """Bursts of 25 ms, the first centred on sample 3200: (1, 48000)."""
    x = torch.zeros(1, 48_000)
    time = torch.arange(length) / RATE
    burst = torch.sin(2 * torch.pi * 2_000 * time) * torch.hann_window(length)
    for start in range(3_200 - length // 2, 48_000 - length, every):
        x[:, start : start + length] = burst
    return x


def heard_at(clip: torch.Tensor) -> np.ndarray:
    """Where the bursts are, in samples: the peaks of the envelope."""
    envelope = np.convolve(np.abs(clip.numpy()), np.hanning(800), "same")
    return scipy.signal.find_peaks(envelope, height=envelope.max() / 2, distance=2_000)[0]


def test_pitch_shift_keeps_the_rhythm():
    x = bursts(6_400)
    for clip in A.PitchShift(max_semitones=6)(x.repeat(4, 1), seeded(2)):
        np.testing.assert_allclose(heard_at(clip), heard_at(x[0]), atol=200)  # 6 ms


@pytest.mark.parametrize("rate", [0.67, 0.9, 1.33])
def test_time_stretch_moves_onsets_and_not_pitch(rate):
    fast = A.TimeStretch(rate, rate)
    x = bursts(6_400)
    expected = heard_at(x[0]) / rate
    heard = heard_at(fast(x, seeded())[0])
    np.testing.assert_allclose(heard, expected[expected < 47_600], atol=200)
    out = fast(voice(220)[None], seeded())[0]
    assert pitch(out[: int(48_000 / max(rate, 1))]) == pytest.approx(220, rel=0.005)
    if rate > 1:  # the rest is silent
        assert out[int(48_000 / rate) + 2_048 :].abs().max() < 1e-4


@pytest.mark.parametrize("rate", [0.8, 1.25])
def test_speed_is_a_resampling(rate):
    x = np.convolve(np.random.default_rng(0).normal(size=24_000), np.hanning(12), "same")
    out = A.Speed(rate, rate)(torch.from_numpy(x)[None], seeded())[0].numpy()
    expected = soxr.resample(x, rate * RATE, RATE, quality="VHQ")
    inside = slice(2_000, min(len(expected), 24_000) - 2_000)
    # Rates are exact to one sample over the clip, so the end may be off by a part of one.
    assert np.corrcoef(out[inside], expected[inside])[0, 1] > 0.995
    assert out.shape == (24_000,)
    if rate > 1:
        assert (out[int(24_000 / rate) + 1 :] == 0).all()


def test_speed_up_does_not_alias():
    tone = torch.sin(2 * torch.pi * 14_000 * torch.arange(16_000) / RATE)[None]
    out = resample(tone, torch.tensor([1.5]))  # 21 kHz does not exist at 32 kHz
    assert out[:, 1_000:-1_000].abs().max() < 0.01


@pytest.mark.parametrize("rate", [0.8, 1.1])
def test_stretch_equals_torchaudio_at_one_rate(rate, monkeypatch):
    monkeypatch.setattr("qvim_kit.augment.stretch.ONSET", np.inf)  # which torchaudio does not know
    x = voice(180)[None] + 0.01 * torch.randn(1, 48_000, generator=seeded())
    window = torch.hann_window(N_FFT)
    spectrum = torch.stft(x, N_FFT, HOP, window=window, pad_mode="constant", return_complex=True)
    advance = torch.linspace(0, torch.pi * HOP, N_FFT // 2 + 1)[:, None]
    slower = torchaudio.functional.phase_vocoder(spectrum, rate, advance)
    expected = torch.istft(slower, N_FFT, HOP, window=window)[:, :40_000]
    # Both rates in one batch: each clip has its own.
    ours = stretch(x.repeat(2, 1), torch.tensor([rate, 1.3]), 48_000)[:1, :40_000]
    assert (ours - expected).norm() < 0.01 * expected.norm()


def test_silence_is_one_run_of_at_most_its_length():
    x = torch.ones(500, 1_000)
    out = A.Silence(max_seconds=0.01)(x, seeded())
    widths = check_runs(out == 0)
    assert widths.min() < 10 and 310 < widths.max() <= 320
    assert (out[out != 0] == 1).all()


def check_runs(covered: torch.Tensor) -> np.ndarray:
    """Widths of the covered run in each row, which must be one run."""
    edges = np.abs(np.diff(np.pad(covered.int().numpy(), ((0, 0), (1, 1))), axis=1)).sum(1)
    assert set(edges) <= {0, 2}
    return covered.sum(1).numpy()


@pytest.mark.parametrize("fill", ["noise", "zeros"])
def test_frame_corruption(fill):
    x = torch.full((100, 8_100), 0.25)  # ten frames of 800 and a short one
    out = A.FrameCorruption(fraction=0.3, frame_seconds=0.025, fill=fill)(x, seeded())
    frames = (out != x)[:, :8_000].reshape(1_000, 800)
    assert set(frames.sum(1).tolist()) == {0, 800}
    assert scipy.stats.binomtest(int(frames[:, 0].sum()), 1_000, 0.3).pvalue > 0.01
    replaced = out[out != x]
    assert replaced.std() == pytest.approx({"noise": 0.25, "zeros": 0}[fill], rel=0.02)
