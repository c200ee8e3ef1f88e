import numpy as np
import pytest
import scipy.signal
import scipy.stats
import torch

from qvim_kit import augment as A
from qvim_kit.augment.spectrogram import MASKED, SILENT
from qvim_kit.features import LogMel, mel_filters

RATE = 32_000


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def check_runs(covered: torch.Tensor) -> np.ndarray:
    """Widths of the covered run in each row, which must be one run."""
    edges = np.abs(np.diff(np.pad(covered.int().numpy(), ((0, 0), (1, 1))), axis=1)).sum(1)
    assert set(edges) <= {0, 2}
    return covered.sum(1).numpy()


@pytest.mark.parametrize("mask, axis", [(A.TimeMask(5), 2), (A.FrequencyMask(5), 1)])
def test_masks_are_uniform_in_width_and_filled_as_published(mask, axis):
    x = torch.randn(3_000, 12, 12, generator=seeded())
    out = mask(x, seeded())
    covered = out != x
    assert torch.equal(covered.all(3 - axis), covered.any(3 - axis))
    widths = check_runs(covered.all(3 - axis))
    counts = np.bincount(widths)
    assert len(counts) == 6 and scipy.stats.chisquare(counts).pvalue > 0.01
    assert MASKED == 0.9 and torch.equal(out[covered], torch.full_like(out[covered], 0.9))
    assert covered.all(3 - axis).any(0).all()  # both ends included


def test_masks_longer_than_the_clip():
    widths = check_runs((A.TimeMask(400)(torch.zeros(500, 2, 10), seeded()) != 0).all(1))
    assert set(widths) == set(range(11))


def test_spectrogram_stretch_equals_numpy_interpolation():
    x = torch.randn(3, 8, 50, generator=seeded())
    for rate in (0.7, 1.6):
        out = A.SpectrogramTimeStretch(rate, rate)(x, seeded()).numpy()
        longer = np.concatenate([x.numpy(), np.full((3, 8, 200), SILENT)], axis=2)
        for clip in range(3):
            for mel in range(8):
                row = np.interp(np.arange(50) * rate, np.arange(250), longer[clip, mel])
                np.testing.assert_allclose(out[clip, mel], row, atol=1e-4)
    assert LogMel()(torch.zeros(1, 1_000)).mean().item() == pytest.approx(SILENT, abs=1e-4)


def test_mix_style_against_a_naive_loop():
    generator = seeded(3)
    x = torch.randn(2, 5, 400, generator=generator) * (
        0.5 + torch.rand(2, 5, 1, generator=generator)
    )
    x = (x + torch.randn(2, 5, 1, generator=generator)).double()
    out = A.FrequencyMixStyle(p=1)(x, seeded()).numpy()
    x = x.numpy()
    for clip in range(2):
        own, other = x[clip], x[1 - clip]
        share = (out[clip, 0].mean() - other[0].mean()) / (own[0].mean() - other[0].mean())
        assert 0 <= share <= 1
        for mel in range(5):
            mean = share * own[mel].mean() + (1 - share) * other[mel].mean()
            std = share * own[mel].std() + (1 - share) * other[mel].std()
            assert out[clip, mel].mean() == pytest.approx(mean, abs=1e-6)
            assert out[clip, mel].std() == pytest.approx(std, rel=1e-3)
            assert np.corrcoef(out[clip, mel], own[mel])[0, 1] == pytest.approx(1)


def test_mix_style_shares_are_beta_distributed_and_partners_differ():
    x = torch.stack([torch.zeros(1, 4), torch.ones(1, 4)]).double()
    generator, mix = seeded(1), A.FrequencyMixStyle(alpha=0.4, p=1)
    shares = [mix(x, generator)[1].mean().item() for _ in range(800)]
    assert scipy.stats.kstest(shares, "beta", args=(0.4, 0.4)).pvalue > 0.01
    # Clip k holds 10^k: whom a clip was mixed with shows in what it gained.
    powers = (10.0 ** torch.arange(4))[:, None, None].expand(4, 1, 4).double()
    partners = set()
    for _ in range(200):
        out = mix(powers, generator)[2].mean().item()
        partners.add(out > 100)
    assert partners == {True, False}
    assert torch.equal(mix(x[:1], generator), x[:1])


def test_mel_jitter_draws_the_published_ranges():
    front_end, generator, jitter = LogMel(), seeded(), A.MelJitter()
    drawn = [jitter(front_end, generator) for _ in range(300)]
    assert {one.fmin for one in drawn} == set(map(float, range(10)))
    highest = np.array([one.fmax for one in drawn])
    assert highest.min() >= 14_001 and highest.max() <= 16_000
    assert scipy.stats.kstest(highest, "uniform", args=(14_001, 1_999)).pvalue > 0.01
    assert torch.equal(drawn[0].filters, mel_filters(RATE, 128, drawn[0].fmin, drawn[0].fmax))
    assert (front_end.fmin, front_end.fmax) == (0, 15_000)
    same = A.MelJitter(fmin_hz=0, fmax_hz=0)(front_end, generator)
    assert torch.equal(same.filters, front_end.filters)
    assert jitter(LogMel(fmax=16_000), seeded()).fmax <= 16_000


def test_mel_jitter_moves_the_bands():
    tone = torch.sin(2 * torch.pi * 5_000 * torch.arange(16_000) / RATE)[None]
    for seed in range(8):
        front_end = A.MelJitter(fmin_hz=0)(LogMel(), seeded(seed))
        band = front_end(tone)[0].mean(1).argmax().item()
        mel = 1127 * np.log1p(np.array([5_000, front_end.fmax]) / 700)
        assert band == pytest.approx(mel[0] / mel[1] * 129 - 1, abs=0.6)
