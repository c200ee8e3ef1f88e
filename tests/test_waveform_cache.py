"""The cache of decoded audio."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import soundfile

import qvim_kit.training.waveform_cache as module
from qvim_kit.audio import AudioErrors, load_audio, prepare
from qvim_kit.models.dual_encoder import DualEncoder
from qvim_kit.models.mobilenet import mobilenet
from qvim_kit.systems import DualEncoderSystem
from qvim_kit.training.waveform_cache import WaveformCache, to_int16

RATE = 8_000


def write(path, waveform, rate=RATE, subtype="PCM_16"):
    path.parent.mkdir(exist_ok=True, parents=True)
    soundfile.write(path, waveform, rate, subtype=subtype)
    return path


@pytest.fixture
def sounds(tmp_path, rng):
    return [
        write(tmp_path / "sounds" / f"{n}.wav", rng.uniform(-0.9, 0.9, 4_000 + 1_000 * n))
        for n in range(4)
    ]


@pytest.fixture
def cache(tmp_path):
    return WaveformCache(tmp_path / "cache", RATE)


def test_16_bit_audio_comes_back_exactly(cache, sounds, tmp_path):
    loud = np.array([-32_768, 32_767, 0, 1, -1], dtype=np.int16)
    quiet = np.array([3, -2, 1, 0, 5], dtype=np.int16)
    paths = [
        *sounds,
        write(tmp_path / "loud.wav", loud),
        write(tmp_path / "quiet.wav", quiet),
        write(tmp_path / "silent.wav", np.zeros(9)),
    ]
    assert cache.add(paths) == 7
    for path in paths:
        waveform = cache.read(path)
        assert waveform.dtype == np.float32
        np.testing.assert_array_equal(waveform, load_audio(path, RATE))


def test_resampled_audio_is_near(cache, tmp_path, rng):
    path = write(tmp_path / "a.wav", rng.uniform(-0.01, 0.01, 44_100), 44_100, "FLOAT")
    cache.add([path])
    expected = load_audio(path, RATE)
    np.testing.assert_allclose(cache.read(path), expected, atol=0.01 * 2**-14)


@pytest.mark.parametrize("peak", [1.0, 1.3, 7.0, 1e-3])
def test_audio_of_any_level_keeps_it(cache, tmp_path, rng, peak):
    waveform = rng.uniform(-1, 1, 1_000).astype(np.float32)
    waveform *= peak / np.abs(waveform).max()
    path = write(tmp_path / "a.wav", waveform, subtype="FLOAT")
    cache.add([path])
    np.testing.assert_allclose(cache.read(path), waveform, atol=peak * 2**-14, rtol=0)


def test_silence_has_a_scale_and_nothing_overflows():
    stored, scale = to_int16(np.zeros(5, dtype=np.float32))
    assert scale > 0 and not stored.any()
    stored, scale = to_int16(np.array([0.999_999, -0.999_999], dtype=np.float32))
    np.testing.assert_allclose(stored * (scale / 32_768), [1, -1], atol=1e-4)


def test_cropped_and_padded_as_load_audio(cache, sounds):
    cache.add(sounds)
    for seconds in (0.3, 0.8):
        for path in sounds:
            samples = round(seconds * RATE)
            expected = load_audio(path, RATE, seconds)
            np.testing.assert_array_equal(cache.read(path, samples), expected)


def test_random_places(cache, sounds, rng):
    cache.add(sounds)
    whole = cache.read(sounds[0])
    starts = set()
    for _ in range(20):
        part = cache.read(sounds[0], 100, rng)
        start = next(s for s in range(3_901) if np.array_equal(whole[s : s + 100], part))
        starts.add(start)
    assert len(starts) > 10
    starts = set()
    for _ in range(20):
        padded = cache.read(sounds[0], 6_000, rng)
        start = next(s for s in range(2_001) if np.array_equal(padded[s : s + 4_000], whole))
        assert np.count_nonzero(padded) == np.count_nonzero(whole)
        starts.add(start)
    assert len(starts) > 10


def test_only_new_files_are_decoded(cache, sounds, monkeypatch):
    decoded = []

    def spy(path, *arguments):
        decoded.append(str(path))
        return load_audio(path, *arguments)

    monkeypatch.setattr(module, "load_audio", spy)
    assert cache.add(sounds[:2]) == 2
    size = (cache.folder / "audio.int16").stat().st_size
    assert cache.add(sounds) == 2 and len(decoded) == 4
    again = WaveformCache(cache.folder, RATE)
    assert again.add(sounds) == 0 and len(decoded) == 4
    moved = shutil.copy(sounds[0], sounds[0].with_name("moved.wav"))
    assert again.add([moved]) == 0 and len(decoded) == 4
    np.testing.assert_array_equal(again.read(moved), again.read(sounds[0]))
    assert (cache.folder / "audio.int16").stat().st_size > size


def test_a_changed_file_is_decoded_again(cache, sounds, rng):
    cache.add(sounds)
    write(sounds[0], rng.uniform(-0.5, 0.5, 4_000))
    os.utime(sounds[0], ns=(1, 1))
    assert cache.add(sounds) == 1
    np.testing.assert_array_equal(cache.read(sounds[0]), load_audio(sounds[0], RATE))


def test_all_bad_files_at_once_and_the_good_ones_stay(cache, sounds, tmp_path):
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "empty.wav").write_bytes(b"")
    bad = [tmp_path / "text.wav", tmp_path / "empty.wav", tmp_path / "nowhere.wav"]
    with pytest.raises(AudioErrors) as caught:
        cache.add([*bad, *sounds])
    assert {error.path for error in caught.value.errors} == set(map(str, bad))
    assert WaveformCache(cache.folder, RATE).add(sounds) == 0


def test_an_interrupted_run_keeps_what_it_decoded(cache, sounds, monkeypatch):
    whole = cache._append

    def stop_at_the_third(sound):
        if len(cache._clips) == 2:
            with (cache.folder / "audio.int16").open("ab") as handle:
                handle.write(b"half a sound")
            raise KeyboardInterrupt
        return whole(sound)

    monkeypatch.setattr(cache, "_append", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        cache.add(sounds)
    again = WaveformCache(cache.folder, RATE)
    assert again.add(sounds) == 2
    for path in sounds:
        np.testing.assert_array_equal(again.read(path), load_audio(path, RATE))
    assert not list(cache.folder.glob("*.part"))


@pytest.mark.parametrize("damage", ["text", "version", "lost audio"])
def test_a_damaged_cache_is_built_anew(cache, sounds, damage):
    cache.add(sounds)
    index = cache.folder / "index.json"
    if damage == "text":
        index.write_text("{")
    elif damage == "version":
        index.write_text(json.dumps({**json.loads(index.read_text()), "version": 0}))
    else:
        (cache.folder / "audio.int16").write_bytes(b"")
    again = WaveformCache(cache.folder, RATE)
    assert again.add(sounds) == 4
    np.testing.assert_array_equal(again.read(sounds[2]), load_audio(sounds[2], RATE))


def test_another_rate_is_not_mistaken(cache, sounds):
    cache.add(sounds)
    assert WaveformCache(cache.folder, 16_000).add(sounds) == 4


@pytest.mark.parametrize("rate", [32_000, 11_025])
def test_prepared_sounds_are_what_a_system_hears(tmp_path, rng, rate):
    """Long ones, too, of which it hears the beginning: here quiet, then silent, then loud."""
    envelope = np.repeat([0.0, 0.02, 0.0, 0.9], [2, 9, 5, 4])
    noise = rng.uniform(-1, 1, 20 * rate) * np.repeat(envelope, rate)
    paths = [
        write(tmp_path / f"{s}.wav", noise[: round(s * rate)], rate) for s in (20, 17, 9.013, 3)
    ]
    cache = WaveformCache(tmp_path / "prepared", 32_000, prepared=True)
    cache.add(paths)
    system = DualEncoderSystem(DualEncoder(mobilenet(0.1), duration=10.0, prepared=True))
    for path in paths:
        found, expected = cache.read(path, 320_000), system.load(path)
        np.testing.assert_allclose(found, expected, atol=2**-14)
        assert np.abs(found).max() > 0.05
    whole = prepare(load_audio(paths[2]), 32_000)
    np.testing.assert_allclose(cache.read(paths[2]), whole, atol=2**-14)


def test_prepared_sounds_are_not_mistaken_for_others(cache, sounds):
    cache.add(sounds)
    prepared = WaveformCache(cache.folder, RATE, prepared=True)
    assert prepared.add(sounds) == 4 and WaveformCache(cache.folder, RATE).add(sounds) == 4
    folders = {WaveformCache(sample_rate=RATE, prepared=kind).folder for kind in (True, False)}
    assert len(folders) == 2


def test_unknown_files_are_named(cache):
    with pytest.raises(KeyError, match="unknown.wav"):
        cache.read("unknown.wav")


def test_goes_to_other_processes_without_its_audio(cache, sounds):
    cache.add(sounds)
    cache.read(sounds[0])
    sent = pickle.dumps(cache)
    assert len(sent) < 5_000
    np.testing.assert_array_equal(pickle.loads(sent).read(sounds[1]), cache.read(sounds[1]))


def _add(folder, paths):
    cache = WaveformCache(folder, RATE)
    cache.add(paths)
    return [float(cache.read(path).sum()) for path in paths]


def test_two_processes_build_one_cache(cache, sounds):
    with ProcessPoolExecutor(2) as pool:
        sums = list(pool.map(_add, [cache.folder] * 2, [sounds, sounds[::-1]]))
    assert sums[0] == sums[1][::-1]
    stored = sum(clip[1] for clip in WaveformCache(cache.folder, RATE)._clips.values())
    assert (cache.folder / "audio.int16").stat().st_size == 2 * stored
