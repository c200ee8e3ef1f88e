import numpy as np
import pytest
import scipy.signal
import scipy.stats
import torch

from qvim_kit import augment as A
from qvim_kit.features import LogMel

RATE = 32_000

# Each at full strength, and at the strength that must change nothing.
WAVEFORM = {
    A.Roll(max_samples=4_000): A.Roll(max_samples=0),
    A.Roll(max_fraction=0.2): A.Roll(max_fraction=0),
    A.Gain(max_db=10): A.Gain(max_db=0),
    A.AddNoise(snr_db=(0, 20)): A.AddNoise(snr_db=(np.inf, np.inf)),
    A.AddNoise(amplitude=(0.001, 0.015), color="pink"): A.AddNoise(amplitude=(0, 0)),
    A.LowPass(): A.LowPass(p=0),
    A.PitchShift(max_semitones=6): A.PitchShift(max_semitones=0),
    A.TimeStretch(0.67, 1.33): A.TimeStretch(1, 1),
    A.Speed(0.8, 1.25): A.Speed(1, 1),
    A.Silence(max_seconds=0.3): A.Silence(max_seconds=0),
    A.FrameCorruption(fraction=0.2): A.FrameCorruption(fraction=0),
    A.FrameCorruption(fraction=0.3, fill="zeros"): A.FrameCorruption(fraction=0, fill="zeros"),
}
SPECTROGRAM = {
    A.TimeMask(max_frames=40): A.TimeMask(max_frames=0),
    A.FrequencyMask(max_bins=30): A.FrequencyMask(max_bins=0),
    A.SpectrogramTimeStretch(0.8, 1.25): A.SpectrogramTimeStretch(1, 1),
    A.FrequencyMixStyle(p=1): A.FrequencyMixStyle(p=0),
}
EVERY = [*WAVEFORM, *SPECTROGRAM]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch_for(augment, clips: int = 6) -> torch.Tensor:
    if type(augment) in {type(a) for a in WAVEFORM}:
        return 0.1 * torch.randn(clips, 12_001, generator=seeded(1))
    return torch.randn(clips, 128, 60, generator=seeded(1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("augment", EVERY, ids=repr)
def test_keeps_shape_type_and_its_input(augment, dtype):
    x = batch_for(augment).to(dtype)
    before = x.clone()
    out = augment(x, seeded())
    assert out.shape == x.shape and out.dtype == dtype and out.device == x.device
    assert torch.equal(x, before) and out.isfinite().all() and not torch.equal(out, x)


@pytest.mark.parametrize("augment", EVERY, ids=repr)
def test_randomness_comes_from_the_generator_alone(augment):
    x = batch_for(augment)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = augment(x, seeded(3))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    assert torch.equal(augment(x, seeded(3)), first)
    assert not torch.equal(augment(x, seeded(4)), first)
    generator = seeded(3)
    augment(x, generator)
    assert not torch.equal(augment(x, generator), first)


@pytest.mark.parametrize("weak", [*WAVEFORM.values(), *SPECTROGRAM.values()], ids=repr)
def test_no_strength_is_the_identity(weak):
    x = batch_for(weak)
    out = weak(x, seeded())
    assert torch.equal(out, x) and out.data_ptr() != x.data_ptr()


@pytest.mark.parametrize("augment", EVERY, ids=repr)
def test_every_clip_has_its_own_draw(augment):
    x = batch_for(augment)
    if not isinstance(augment, A.FrequencyMixStyle):  # which needs clips that differ
        x = x[:1].expand_as(x).contiguous()
    changes = (augment(x, seeded(1)) - x).flatten(1)
    assert len(torch.unique(changes, dim=0)) >= 5


@pytest.mark.parametrize("augment", EVERY, ids=repr)
def test_p_is_the_probability_of_each_clip(augment):
    fields = {name: getattr(augment, name) for name in augment.__dataclass_fields__}
    sometimes = type(augment)(**{**fields, "p": 0.25})
    x = batch_for(augment, clips=400)
    x = x[:, :3_000] if x.ndim == 2 else x[:, :, :60]
    # Masks and silences may come out with no width.
    certain = (augment(x, seeded(7)) != x).flatten(1).any(1).sum().item()
    changed = (sometimes(x, seeded(8)) != x).flatten(1).any(1)
    assert scipy.stats.binomtest(int(changed.sum()), certain, 0.25).pvalue > 0.001
    assert torch.equal(type(augment)(**{**fields, "p": 0})(x, seeded()), x)


@pytest.mark.parametrize("augment", EVERY, ids=repr)
def test_empty_batches_and_foreign_shapes(augment):
    x = batch_for(augment)
    assert augment(x[:0], seeded()).shape == x[:0].shape
    for wrong in (x[0], x[None], x.int()):
        with pytest.raises(ValueError, match=type(augment).__name__ + ": found .* expected"):
            augment(wrong, seeded())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("augment", EVERY, ids=repr)
def test_a_gpu_gets_the_same_draws(augment):
    x = batch_for(augment)
    expected, out = augment(x, seeded()), augment(x.cuda(), seeded())
    assert out.is_cuda
    assert (out.cpu() - expected).norm() < 0.01 * expected.norm()
    assert augment(x.cuda(), torch.Generator("cuda").manual_seed(0)).is_cuda


def test_low_pass_has_the_magnitude_of_a_butterworth_filter():
    x = torch.zeros(1, 3_200)
    x[0, 0] = 1
    found = np.abs(np.fft.rfft(A.LowPass(4_000, 4_000)(x, seeded())[0].numpy()))
    hz = np.fft.rfftfreq(3_200, 1 / RATE)
    b, a = scipy.signal.butter(16, 4_000, analog=True)
    np.testing.assert_allclose(found, np.abs(scipy.signal.freqs(b, a, hz)[1]), atol=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: A.Gain(max_db=-1),
        lambda: A.Gain(max_db=1, p=1.5),
        lambda: A.Roll(max_samples=-1),
        lambda: A.AddNoise(),
        lambda: A.AddNoise(snr_db=(0, 10), amplitude=(0, 1)),
        lambda: A.AddNoise(snr_db=(10, 0)),
        lambda: A.AddNoise(amplitude=(-1, 1)),
        lambda: A.AddNoise(snr_db=(0, 10), color="brown"),
        lambda: A.LowPass(low_hz=0),
        lambda: A.LowPass(5_000, 4_000),
        lambda: A.PitchShift(max_semitones=-1),
        lambda: A.TimeStretch(1.2, 0.8),
        lambda: A.Speed(0, 1),
        lambda: A.Silence(max_seconds=-1),
        lambda: A.FrameCorruption(fraction=2),
        lambda: A.FrameCorruption(frame_seconds=0),
        lambda: A.FrameCorruption(fill="ones"),
        lambda: A.TimeMask(max_frames=-1),
        lambda: A.FrequencyMask(max_bins=-1),
        lambda: A.SpectrogramTimeStretch(0, 1),
        lambda: A.FrequencyMixStyle(alpha=0),
    ],
)
def test_parameters_out_of_range_are_named(wrong):
    with pytest.raises(ValueError, match=r"\(.*\): .*(found|give)"):
        wrong()


def test_every_problem_is_reported_and_parameters_show():
    with pytest.raises(ValueError, match="p: found 2.*fraction: found 3"):
        A.FrameCorruption(fraction=3, p=2)
    assert repr(A.PitchShift(6, p=0.5)) == "PitchShift(max_semitones=6, p=0.5)"


def test_compose_applies_in_order():
    x = torch.rand(4, 100, generator=seeded())
    double, add = (lambda x, g: x * 2), (lambda x, g: x + 1)
    assert torch.equal(A.Compose([double, add])(x, seeded()), x * 2 + 1)
    assert torch.equal(A.Compose([])(x, seeded()), x)
    chain = A.Compose([A.Roll(9), A.Gain(6)])
    generator = seeded(2)
    expected = A.Gain(6)(A.Roll(9)(x, generator), generator)
    assert torch.equal(chain(x, seeded(2)), expected)
    assert repr(A.Compose([A.Gain(6)])) == "Compose([Gain(max_db=6, p=1.0)])"


def test_one_of_picks_exactly_one_per_clip_by_weight():
    x = torch.zeros(4_000, 3)
    pick = A.one_of([lambda x, g, add=add: x + add for add in (1, 10, 100)], weights=[1, 2, 5])
    out = pick(x, seeded())
    assert torch.equal(pick(x, seeded()), out) and (x == 0).all()
    values, counts = out[:, 0].unique(return_counts=True)
    assert values.tolist() == [1, 10, 100]
    expected = np.array([1, 2, 5]) * 500
    assert scipy.stats.chisquare(counts.numpy(), expected).pvalue > 0.01
    even = A.one_of([A.Gain(6), A.Roll(5)])
    assert "Gain(max_db=6" in repr(even) and "weights=(1.0, 1.0)" in repr(even)


@pytest.mark.parametrize("count, weights", [(0, None), (2, [1]), (2, [-1, 2]), (2, [0, 0])])
def test_one_of_states_what_it_expects(count, weights):
    with pytest.raises(ValueError, match="one_of: found .* expected"):
        A.one_of([A.Gain(1)] * count, weights)


def test_recipes_hold_the_published_numbers():
    masks = [A.FrequencyMask(max_bins=2), A.TimeMask(max_frames=400)]
    published = [*masks, A.FrequencyMixStyle(alpha=0.4, p=0.3)]
    assert list(A.greif().spectrogram.augmentations) == published
    assert A.greif().waveform.augmentations == ()
    assert A.greif(roll=True).waveform.augmentations == (A.Roll(max_samples=4_000),)
    assert A.greif().mel_jitter == A.MelJitter(fmin_hz=10, fmax_hz=2_000)
    baseline = A.aes_baseline()
    assert baseline.spectrogram.augmentations == (masks[0], A.TimeMask(max_frames=200))
    assert baseline.mel_jitter == A.MelJitter() and not baseline.waveform.augmentations
    assert isinstance(A.qmul().waveform, A.one_of)
    assert A.qmul().waveform.augmentations == (
        A.Roll(max_fraction=0.2),
        A.Gain(max_db=10),
        A.PitchShift(max_semitones=6),
        A.TimeStretch(0.67, 1.33),
        A.FrameCorruption(),
    )
    assert A.aalto().waveform.augmentations == (
        A.AddNoise(amplitude=(0.001, 0.015), p=0.3),
        A.PitchShift(max_semitones=0.5, p=0.3),
        A.TimeStretch(0.95, 1.05, p=0.3),
    )


@pytest.mark.parametrize(
    "recipe", [A.greif(), A.greif(True), A.aes_baseline(), A.qmul(), A.aalto()]
)
def test_recipes_run_from_waveform_to_log_mel(recipe):
    x = 0.1 * torch.randn(6, 16_000, generator=seeded())
    plain, out = LogMel()(x), recipe(x, LogMel(), seeded())
    assert out.shape == plain.shape and not torch.equal(out, plain)
    assert torch.equal(recipe(x, LogMel(), seeded()), out)
    assert torch.equal(A.Recipe()(x, LogMel(), seeded()), plain)


@pytest.mark.parametrize("x", [[0.0, 1.0], None, "clip.wav"])
def test_what_is_no_tensor_or_generator_is_named(x):
    with pytest.raises(ValueError, match="Gain: found .*expected a torch tensor"):
        A.Gain(max_db=3)(x, torch.Generator())
    with pytest.raises(ValueError, match="Gain: found generator int, expected a torch.Generator"):
        A.Gain(max_db=3)(torch.zeros(1, 8), 3)


def test_not_a_number_is_no_strength():
    for make in (lambda: A.Gain(max_db=float("nan")), lambda: A.Silence(max_seconds=float("nan"))):
        with pytest.raises(ValueError, match="found nan"):
            make()
