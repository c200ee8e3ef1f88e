"""The procedural sound effects: deterministic, audible, and what their parameters say."""

from __future__ import annotations

import numpy as np
import pytest

from qvim_kit.effects import CLASSES, draw_parameters, synthesise

RATE = 32_000


def make(class_name: str, seed: int) -> tuple[dict[str, float], np.ndarray]:
    rng = np.random.default_rng(seed)
    parameters = draw_parameters(class_name, rng)
    return parameters, synthesise(class_name, parameters, rng)


def drawn_with(class_name: str, **chosen: float) -> np.ndarray:
    """An effect of known parameters; those not chosen come from a fixed draw."""
    rng = np.random.default_rng(5)
    return synthesise(class_name, draw_parameters(class_name, rng) | chosen, rng)


def count_bursts(wave: np.ndarray, quiet_s: float = 0.03) -> int:
    """Stretches louder than a tenth of the loudest, after 10 ms of smoothing."""
    loud = np.convolve(np.abs(wave), np.ones(RATE // 100), mode="same")
    above = np.flatnonzero(loud > 0.1 * loud.max())
    return 1 + int((np.diff(above) > quiet_s * RATE).sum())


def pitch_track(wave: np.ndarray, low: float, high: float) -> np.ndarray:
    import librosa

    return librosa.yin(wave, fmin=low, fmax=high, sr=RATE, frame_length=2048)


def test_there_are_twelve_classes_that_can_name_folders():
    assert len(set(CLASSES)) == 12
    assert all(name.isalpha() and name[0].isupper() for name in CLASSES)


@pytest.mark.parametrize("class_name", CLASSES)
def test_every_effect_is_finite_and_as_long_and_loud_as_its_parameters_say(class_name):
    for seed in range(12):
        parameters, wave = make(class_name, seed)
        assert wave.dtype == np.float32 and wave.shape == (round(parameters["duration_s"] * RATE),)
        assert 1.5 <= parameters["duration_s"] <= 4.0
        assert np.isfinite(wave).all()
        peak_db = 20 * np.log10(np.abs(wave).max())
        assert peak_db == pytest.approx(parameters["level_db"], abs=0.01)
        assert np.abs(wave).max() <= 0.95
        assert abs(wave.mean()) < 0.01 * np.abs(wave).max()
        assert max(abs(wave[0]), abs(wave[-1])) < 1e-3
        assert wave.std() > 0.01 * np.abs(wave).max()


@pytest.mark.parametrize("class_name", CLASSES)
def test_a_seed_gives_one_effect_and_another_seed_another(class_name):
    parameters, wave = make(class_name, 3)
    again, wave_again = make(class_name, 3)
    assert parameters == again
    np.testing.assert_array_equal(wave, wave_again)
    others, other_wave = make(class_name, 4)
    assert parameters != others
    length = min(len(wave), len(other_wave))
    assert not np.allclose(wave[:length], other_wave[:length])


@pytest.mark.parametrize("class_name", CLASSES)
def test_the_draw_varies_every_parameter(class_name):
    rng = np.random.default_rng(0)
    draws = [draw_parameters(class_name, rng) for _ in range(30)]
    assert all(set(draw) == set(draws[0]) for draw in draws)
    for name in draws[0]:
        assert all(isinstance(draw[name], float) for draw in draws)
        assert len({draw[name] for draw in draws}) > 1, name


def test_the_global_random_state_is_not_touched():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    make("Rain", 0)
    np.testing.assert_array_equal(before, np.random.get_state()[1])


@pytest.mark.parametrize(
    ("class_name", "chosen"),
    [
        ("Bark", {"count": 4.0, "rate_hz": 2.0, "bark_s": 0.15}),
        ("Footsteps", {"count": 5.0, "rate_hz": 2.0, "step_s": 0.06, "tempo_octaves": 0.0}),
        ("Clock", {"count": 6.0, "rate_hz": 3.0, "ring_s": 0.03, "tock_db": 0.0}),
        ("Laser", {"count": 3.0, "rate_hz": 2.0, "shot_s": 0.2}),
        ("Whistle", {"count": 3.0, "rate_hz": 1.5, "note_s": 0.4}),
    ],
)
def test_count_is_the_number_of_events_heard(class_name, chosen):
    duration = chosen["count"] / chosen["rate_hz"] + 0.3
    assert count_bursts(drawn_with(class_name, duration_s=duration, **chosen)) == chosen["count"]


def test_tempo_octaves_above_zero_speeds_the_steps_up():
    chosen = {"count": 6.0, "rate_hz": 2.0, "step_s": 0.05, "duration_s": 3.5}
    wave = drawn_with("Footsteps", tempo_octaves=1.0, **chosen)
    loud = np.convolve(np.abs(wave), np.ones(RATE // 100), mode="same")
    above = np.flatnonzero(loud > 0.1 * loud.max())
    onsets = above[np.flatnonzero(np.diff(above, prepend=-RATE) > 0.05 * RATE)]
    assert len(onsets) == 6
    intervals = np.diff(onsets)
    assert (np.diff(intervals) < 0).all()


@pytest.mark.parametrize(("octaves", "sign"), [(-1.0, -1), (1.0, 1)])
def test_sweep_octaves_is_the_way_a_whistle_glides(octaves, sign):
    chosen = {"count": 1.0, "rate_hz": 0.8, "note_s": 1.0, "pitch_hz": 1200.0}
    wave = drawn_with(
        "Whistle", sweep_octaves=octaves, vibrato_octaves=0.0, duration_s=1.5, **chosen
    )
    pitch = pitch_track(wave[int(0.05 * RATE) : int(1.0 * RATE)], 500, 3000)
    assert np.log2(pitch[-4] / pitch[4]) == pytest.approx(sign * 0.87, abs=0.15)


def test_a_siren_sweeps_as_wide_as_width_octaves():
    wave = drawn_with(
        "Siren", pitch_hz=600.0, width_octaves=0.8, sweep_hz=0.5, two_tone=0.0, glide_octaves=0.0
    )
    pitch = pitch_track(wave, 300, 1200)[3:-3]
    assert np.log2(pitch.max() / pitch.min()) == pytest.approx(0.8, abs=0.1)


@pytest.mark.parametrize("class_name", ["Rain", "Wind", "Siren"])
def test_swell_makes_the_end_louder_or_softer(class_name):
    halves = {}
    for swell in (-15.0, 15.0):
        wave = drawn_with(class_name, swell_db=swell, duration_s=4.0)
        halves[swell] = np.log10(wave[len(wave) // 2 :].std() / wave[: len(wave) // 2].std())
    assert halves[-15.0] < 0 < halves[15.0]


@pytest.mark.parametrize("sample_rate", [16_000, 44_100])
def test_other_rates_keep_the_duration(sample_rate):
    for class_name in CLASSES:
        rng = np.random.default_rng(1)
        parameters = draw_parameters(class_name, rng)
        wave = synthesise(class_name, parameters, rng, sample_rate)
        assert len(wave) == round(parameters["duration_s"] * sample_rate)
        assert np.isfinite(wave).all()


def test_faults_are_named():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="unknown class 'Cat'.*Engine, Rain, Bark"):
        draw_parameters("Cat", rng)
    with pytest.raises(ValueError, match="unknown class 'Cat'.*Siren"):
        synthesise("Cat", {}, rng)
    with pytest.raises(ValueError, match="Bell lacks the parameters .*'decay_s'.*'pitch_hz'"):
        synthesise("Bell", {"count": 1.0}, rng)
    with pytest.raises(ValueError, match="sample_rate is 8000 Hz; expected at least 16000"):
        synthesise("Bell", draw_parameters("Bell", rng), rng, sample_rate=8000)
