"""Grains of recorded voices follow pitch, brightness and loudness of what is imitated."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from qvim_kit.audio import AudioError
from qvim_kit.synth import Speaker, VoiceGrains, imitate
from qvim_kit.synth.mosaic import LENGTH

RATE = 32_000


def sung(hz, seconds=1.0):
    """A vowel-like tone with overtones."""
    time = np.arange(round(seconds * RATE)) / RATE
    return sum(np.sin(2 * np.pi * hz * k * time) / k for k in range(1, 6)) * 0.1


@pytest.fixture(scope="module")
def grains(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voices")
    for speaker, octave in (("low", 1), ("high", 2)):
        for step in range(12):
            path = folder / speaker / f"{step}.wav"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, sung(110 * octave * 2 ** (step / 12)), RATE)
    hiss = np.random.default_rng(0).standard_normal(RATE) * 0.1
    for speaker in ("low", "high"):
        soundfile.write(folder / speaker / "sh.wav", hiss, RATE)
    return VoiceGrains.from_folder(folder)


def median_pitch(wave):
    import librosa

    return np.nanmedian(
        librosa.pyin(wave, fmin=70, fmax=800, sr=RATE, frame_length=2048, hop_length=512)[0]
    )


def flatness(wave):
    import librosa

    return np.median(librosa.feature.spectral_flatness(y=wave))


def test_one_speaker_for_each_folder(grains):
    assert set(grains.speaker) == {0, 1} and len(grains) == len(grains.starts) > 100


def test_no_part_of_a_recording_is_kept_twice(grains):
    assert 20 * RATE < grains.recordings.size <= 26 * RATE
    assert grains.starts.max() + LENGTH <= grains.recordings.size


def test_a_grain_is_of_one_recording_whatever_stands_before_it(tmp_path):
    for name, wave in (("low", sung(200)), ("short", sung(300, 0.05)), ("high", sung(400, 1.3))):
        soundfile.write(tmp_path / f"{name}.wav", wave, RATE)
    paths = [tmp_path / f"{name}.wav" for name in ("low", "short", "high")]
    every, alone = VoiceGrains({"one": paths}), VoiceGrains({"one": paths[2:]})
    assert len(every) > len(alone) > 2
    for one, other in zip(every.starts[::-1], alone.starts[::-1], strict=False):
        read = every.recordings[one : one + LENGTH]
        np.testing.assert_array_equal(read, alone.recordings[other : other + LENGTH])


def test_higher_sounds_are_pieced_together_from_higher_grains(grains):
    speaker = Speaker(slips=0.0, plosives=0.0, room_s=0.0)
    pitches = [
        median_pitch(imitate(sung(hz).astype(np.float32), RATE, speaker, grains=grains))
        for hz in (130, 260)
    ]
    assert pitches[1] > 1.3 * pitches[0]


def test_noise_is_pieced_together_from_noise(grains):
    speaker = Speaker(slips=0.0, plosives=0.0, room_s=0.0)
    noise = 0.1 * np.random.default_rng(1).standard_normal(RATE).astype(np.float32)
    tone = sung(200).astype(np.float32)
    rough, clear = (flatness(imitate(w, RATE, speaker, grains=grains)) for w in (noise, tone))
    assert rough > 10 * clear


def test_loudness_is_followed_and_a_take_comes_again(grains):
    swell = (sung(200, 2.0) * np.linspace(0.02, 1, 2 * RATE)).astype(np.float32)
    speaker = Speaker(slips=0.0, plosives=0.0, room_s=0.0)
    voice = imitate(swell, RATE, speaker, grains=grains)
    quarter = len(voice) // 4
    assert np.std(voice[-quarter:]) > 3 * np.std(voice[:quarter])
    np.testing.assert_array_equal(voice, imitate(swell, RATE, speaker, grains=grains))
    assert not np.array_equal(voice, imitate(swell, RATE, speaker, take=1, grains=grains))


def test_without_a_voice_there_are_no_grains(tmp_path):
    with pytest.raises(ValueError, match="no sound of 0.3 s"):
        VoiceGrains.from_folder(tmp_path)
    (tmp_path / "._take.wav").write_bytes(b"what a file system adds")
    with pytest.raises(ValueError, match="no sound of 0.3 s"):
        VoiceGrains.from_folder(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "broken.wav").write_bytes(b"no audio")
    with pytest.raises(AudioError, match="broken.wav"):
        VoiceGrains.from_folder(tmp_path)
