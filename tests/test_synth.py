"""The virtual voice follows loudness, pitch, noisiness and brightness, and refuses bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import butter, chirp, find_peaks, sosfilt, spectrogram

from qvim_kit.synth import Speaker, imitate
from qvim_kit.synth.hearing import RATE, track

SAMPLE_RATE = 32_000
CAREFUL = Speaker(slips=0.0, breathiness=0.05, room_s=0.1, plosives=0.0, patience_s=15.0)


def singer(seed: int) -> Speaker:
    """Somebody who sings, and neither whistles nor clicks nor trills."""
    return replace(Speaker.random(seed), whistles=0.0, clicks=0.0, trills=0.0, plosives=0.0)


def seconds(duration: float, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    return np.arange(round(duration * sample_rate)) / sample_rate


def tone(hz: float, duration: float = 1.0, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * seconds(duration, sample_rate))).astype(np.float32)


def noise(duration: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (0.2 * rng.standard_normal(round(duration * SAMPLE_RATE))).astype(np.float32)


def flatness(wave: np.ndarray) -> float:
    """Spectral flatness (0 tonal to 1 noise) from 200 Hz to 3 kHz, median over frames of 64 ms."""
    hz, _, power = spectrogram(wave, SAMPLE_RATE, nperseg=2048)
    power = power[(hz > 200) & (hz < 3000)] + 1e-12
    return float(np.median(np.exp(np.log(power).mean(0)) / power.mean(0)))


def sung_pitch(wave: np.ndarray, speaker: Speaker) -> np.ndarray:
    """The pitch of a voice by probabilistic YIN, which shares nothing with the tracker here."""
    import librosa

    low, high = 0.8 * speaker.pitch_low_hz, 1.1 * speaker.falsetto_hz
    pitch, *_ = librosa.pyin(
        librosa.resample(wave, orig_sr=SAMPLE_RATE, target_sr=8000),
        fmin=low, fmax=high, sr=8000, frame_length=512, fill_na=None,
    )  # fmt: skip
    return pitch


def loudness(wave: np.ndarray, width_s: float = 0.03) -> np.ndarray:
    width = round(width_s * SAMPLE_RATE)
    return np.sqrt(np.convolve(wave.astype(float) ** 2, np.ones(width) / width, mode="same"))


def test_a_speaker_and_a_waveform_give_one_imitation():
    wave = tone(440)
    first = imitate(wave, SAMPLE_RATE, Speaker.random(3))
    np.testing.assert_array_equal(first, imitate(wave.copy(), SAMPLE_RATE, Speaker.random(3)))
    other = imitate(wave, SAMPLE_RATE, Speaker.random(4))
    assert len(first) != len(other) or not np.allclose(first, other)


@pytest.mark.parametrize("seed", range(4))
def test_other_last_bits_of_the_sound_make_the_same_take(seed):
    """Other processors and versions of NumPy compute the same sound a little differently."""
    sound = (tone(330) + noise()) * np.linspace(0.1, 1, SAMPLE_RATE, dtype=np.float32)
    nudged = np.nextafter(sound, np.float32(1))
    one, other = imitate(sound, SAMPLE_RATE, seed), imitate(nudged, SAMPLE_RATE, seed)
    assert len(one) == len(other)
    assert np.linalg.norm(one - other) < 0.01 * np.linalg.norm(one)


def test_the_waveform_is_left_as_it_was():
    wave = tone(440)
    before = wave.copy()
    imitate(wave, SAMPLE_RATE, CAREFUL)
    np.testing.assert_array_equal(wave, before)


def test_speakers_differ_within_the_ranges_of_adults():
    speakers = [Speaker.random(seed) for seed in range(60)]
    assert Speaker.random(0) == speakers[0]
    assert len({speaker.tract_length_cm for speaker in speakers}) == 60
    for speaker in speakers:
        assert 13.5 <= speaker.tract_length_cm <= 18
        assert 70 < speaker.pitch_low_hz < 200 and speaker.pitch_high_hz < 850
        assert speaker.falsetto_hz >= 4 * speaker.pitch_low_hz
        assert 0.8 < speaker.tempo < 1.25 and 5 <= speaker.syllables_hz <= 8
    men = [speaker for speaker in speakers if speaker.tract_length_cm > 15.5]
    assert 10 < len(men) < 50


@pytest.mark.parametrize("sample_rate", [8000, 11_025, 32_000, 44_100, 192_000])
def test_rates_and_durations(sample_rate):
    wave = tone(300, 0.5, sample_rate)
    for seed in range(3):
        voice = imitate(wave, sample_rate, Speaker.random(seed))
        assert voice.dtype == np.float32 and voice.ndim == 1
        assert 0.1 < len(voice) / sample_rate < 8
        assert np.isfinite(voice).all() and 0.05 < np.abs(voice).max() <= 0.95
        assert max(abs(voice[0]), abs(voice[-1])) < 1e-3


@pytest.mark.parametrize("duration", [0.05, 15.0])
def test_the_shortest_and_the_longest(duration):
    voice = imitate(tone(300, duration), SAMPLE_RATE, Speaker.random(0))
    assert np.isfinite(voice).all() and np.abs(voice).max() > 0.05


def test_silence_is_answered_by_near_silence():
    voice = imitate(np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE, Speaker.random(0))
    assert np.isfinite(voice).all() and np.abs(voice).max() < 0.01


@pytest.mark.parametrize("scale", [1e-3, 1e3, 1e30])
def test_the_scale_of_the_effect_does_not_break_the_voice(scale):
    voice = imitate(tone(300) * np.float32(scale), SAMPLE_RATE, CAREFUL)
    assert np.isfinite(voice).all() and 0.05 < np.abs(voice).max() <= 0.95


@pytest.mark.parametrize(("start", "stop"), [(300, 900), (900, 300), (2500, 1000)])
def test_voices_glide_as_the_effect_does(start, stop):
    """Of seven singers most: pYIN loses the pitch of a hoarse one."""
    time = seconds(3.0)
    wave = 0.5 * chirp(time, start, time[-1], stop, method="logarithmic").astype(np.float32)
    slopes = []
    for speaker in [CAREFUL, *map(singer, range(6))]:
        pitch = np.log2(sung_pitch(imitate(wave, SAMPLE_RATE, speaker), speaker))
        slopes.append(np.corrcoef(np.arange(len(pitch)), pitch)[0, 1] * np.sign(stop - start))
    assert sum(slope > 0.8 for slope in slopes) >= 5


@pytest.mark.parametrize("hz", [60, 220, 700, 3000])
def test_a_steady_tone_is_sung_at_its_pitch_moved_by_octaves(hz):
    pitch = np.median(sung_pitch(imitate(tone(hz), SAMPLE_RATE, CAREFUL), CAREFUL))
    assert CAREFUL.pitch_low_hz * 0.97 < pitch < CAREFUL.pitch_high_hz * 1.03
    octaves = np.log2(pitch / hz)
    assert abs(octaves - round(octaves)) < 0.04


@pytest.mark.parametrize("speaker", [CAREFUL, Speaker.random(5), Speaker.random(6)])
def test_two_bursts_give_two_bursts(speaker):
    bursts = np.zeros(2 * SAMPLE_RATE, np.float32)
    bursts[8000:14_000] = bursts[40_000:46_000] = tone(400, 6000 / SAMPLE_RATE)
    takes = [loudness(imitate(bursts, SAMPLE_RATE, speaker, take)) for take in range(5)]
    found = []
    for loud in takes:
        apart = {"prominence": 0.3 * loud.max(), "distance": SAMPLE_RATE // 4}
        found.append(find_peaks(np.pad(loud, 1), **apart)[0])
        assert loud[(found[-1][0] + found[-1][1]) // 2] < 0.1 * loud.max()
    assert np.median([len(peaks) for peaks in found]) == 2  # some say a sound again


def test_a_careful_mimic_keeps_the_rise_and_fall_of_loudness():
    swell = (0.05 + np.sin(np.pi * seconds(2.0)) ** 2).astype(np.float32)
    voice = imitate(swell * tone(300, 2.0), SAMPLE_RATE, CAREFUL)
    length = min(len(voice), len(swell))
    assert np.corrcoef(loudness(voice)[:length], swell[:length])[0, 1] > 0.9


@pytest.mark.parametrize("speaker", [CAREFUL, singer(2), singer(9)])
def test_noise_is_answered_by_breath_and_a_tone_by_the_glottis(speaker):
    breath = imitate(noise(), SAMPLE_RATE, speaker)
    sung = imitate(tone(300), SAMPLE_RATE, speaker)
    assert flatness(breath) > 2 * flatness(sung)


def test_breath_and_voice_are_as_loud_as_what_they_imitate():
    both = np.concatenate([tone(300), noise() * np.float32(0.5 / np.sqrt(2) / 0.2)])
    loud = loudness(imitate(both, SAMPLE_RATE, CAREFUL))
    sung, breathed = np.median(loud[4000:28_000]), np.median(loud[36_000:60_000])
    assert 0.5 < breathed / sung < 2


def test_bright_noise_is_answered_by_brighter_breath():
    import librosa

    dark = sosfilt(butter(4, 400, fs=SAMPLE_RATE, output="sos"), noise()).astype(np.float32)
    bright = sosfilt(butter(4, 4000, "high", fs=SAMPLE_RATE, output="sos"), noise())
    centroids = [
        librosa.feature.spectral_centroid(y=imitate(w, SAMPLE_RATE, CAREFUL), sr=SAMPLE_RATE)
        for w in (dark, bright.astype(np.float32))
    ]
    assert np.median(centroids[1]) > 2 * np.median(centroids[0])


def test_a_shorter_tract_raises_the_formants():
    import librosa

    def centroid(length: float, take: int) -> float:
        speaker = Speaker(slips=0.0, breathiness=0.0, tract_length_cm=length)
        voice = imitate(tone(220), SAMPLE_RATE, speaker, take)
        return librosa.feature.spectral_centroid(y=voice, sr=SAMPLE_RATE).mean()

    raised = [centroid(13.5, take) / centroid(18.0, take) for take in range(5)]
    assert min(raised) > 1 and np.median(raised) > 1.03


@pytest.mark.parametrize("hz", [60.0, 441.0, 3000.0])
def test_track_hears_a_tone(hz):
    heard = track(tone(hz, 1.0, RATE))
    inside = slice(5, -5)
    assert np.median(np.abs(np.log2(heard.pitch_hz[inside] / hz))) < 0.01
    assert heard.voicing[inside].min() > 0.9
    np.testing.assert_allclose(heard.loudness[inside], 0.5 / np.sqrt(2), rtol=0.1)
    np.testing.assert_allclose(heard.brightness_hz[inside], hz, rtol=0.05)


def test_track_hears_noise_as_unvoiced_and_silence_as_nothing():
    assert np.median(track(noise()[::2]).voicing) < 0.4
    silent = track(np.zeros(RATE, np.float32))
    assert silent.loudness.max() == 0 and silent.voicing.max() == 0
    assert np.isfinite(np.array(silent)).all()


def test_one_voiced_frame_or_none_still_has_a_pitch():
    noise = 0.1 * np.random.default_rng(1).standard_normal(RATE).astype(np.float32)
    for wave in (noise, noise[:400], np.zeros(RATE, np.float32)):
        assert (track(wave).pitch_hz > 30).all()


@pytest.mark.parametrize(
    ("wave", "found"),
    [
        (np.zeros(0, np.float32), "lasts 0.000 s; expected 0.05 to 15 s"),
        (np.zeros((2, 8000), np.float32), r"float32 \(2, 8000\); expected .*\(samples,\)"),
        (np.zeros(8000, np.int16), "int16.*expected an array of floats"),
        ([0.0] * 8000, "list.*expected an array of floats"),
        (np.full(8000, np.nan, np.float32), "NaN or infinite"),
        (np.zeros(16 * SAMPLE_RATE, np.float32), "lasts 16.000 s; expected 0.05 to 15 s"),
    ],
)
def test_a_bad_waveform_is_refused(wave, found):
    with pytest.raises(ValueError, match=f"waveform .*{found}"):
        imitate(wave, SAMPLE_RATE, CAREFUL)


def test_all_faults_are_named_at_once():
    with pytest.raises(
        ValueError, match="NaN.*sample_rate is 100.*speaker is 'Anna'.*grains is 'voice'"
    ):
        imitate(np.full(8000, np.nan, np.float32), 100, "Anna", grains="voice")
    with pytest.raises(ValueError, match="expected 0 < low < high <= falsetto pitch"):
        imitate(tone(300), SAMPLE_RATE, Speaker(pitch_low_hz=500, pitch_high_hz=100))


@pytest.mark.parametrize(
    "field", [{"tempo": np.nan}, {"room_s": -1.0}, {"seed": -1}, {"tract_length_cm": "long"},
              {"pitch_low_hz": 500.0}, {"tract_length_cm": 0.0}, {"breathiness": np.inf},
              {"clicks": 1.2}],
)  # fmt: skip
def test_impossible_speakers_are_refused(field):
    with pytest.raises(ValueError, match="expected"):
        Speaker(**field)


def test_a_speaker_without_a_room():
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(16_000) / 16_000).astype(np.float32)
    dry = imitate(tone, 16_000, Speaker(room_s=0.0))
    assert np.isfinite(dry).all() and np.abs(dry).max() > 0.05


def test_a_number_stands_for_a_random_speaker():
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(8_000) / 16_000).astype(np.float32)
    np.testing.assert_array_equal(
        imitate(tone, 16_000, 7), imitate(tone, 16_000, Speaker.random(7))
    )
    with pytest.raises(ValueError, match="speaker is .*; expected a Speaker or a whole number"):
        imitate(tone, 16_000, -1)
