import os
import pickle
import struct

import librosa
import numpy as np
import pytest
import soundfile

from qvim_kit.audio import AudioError, AudioErrors, audio_files, check_audio, fit, load_audio
from qvim_kit.datasets.listening import listen


def tone(rate, seconds=0.5, channels=1):
    wave = 0.4 * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate)
    return (
        wave if channels == 1 else np.stack([wave * (c + 1) / channels for c in range(channels)], 1)
    )


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000])
def test_equals_librosa_at_every_rate(tmp_path, rate):
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(rate), rate)
    expected, _ = librosa.load(path, sr=32_000)
    np.testing.assert_array_equal(load_audio(path), expected)


@pytest.mark.parametrize("duration", [0.25, 0.5, 2.0])
def test_duration_cuts_as_librosa_and_pads_with_zeros(tmp_path, duration):
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(44_100), 44_100)
    expected, _ = librosa.load(path, sr=16_000, duration=duration)
    loaded = load_audio(path, 16_000, duration)
    assert loaded.shape == (duration * 16_000,) and loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded[: len(expected)], expected)
    assert not loaded[len(expected) :].any()


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_every_sample_format_and_channel_count(tmp_path, subtype, channels):
    path = tmp_path / "ünï code (1), copy.WAV"
    wave = tone(32_000, channels=channels)
    soundfile.write(path, wave, 32_000, subtype=subtype)
    expected = wave if channels == 1 else wave.mean(axis=1)
    np.testing.assert_allclose(load_audio(path), expected, atol=0.01 if "U8" in subtype else 1e-4)


@pytest.mark.parametrize("kind", ["flac", "ogg", "mp3", "aiff"])
def test_other_formats_also_under_a_wrong_name(tmp_path, kind):
    right, wrong = tmp_path / f"tone.{kind}", tmp_path / "tone.wav"
    soundfile.write(right, tone(32_000), 32_000)
    wrong.write_bytes(right.read_bytes())
    expected, _ = librosa.load(right, sr=32_000)
    np.testing.assert_array_equal(load_audio(right), expected)
    np.testing.assert_array_equal(load_audio(wrong), expected)


@pytest.mark.parametrize("rate", [8_000, 32_000, 192_000])
def test_one_sample(tmp_path, rate):
    path = tmp_path / "one.wav"
    soundfile.write(path, np.array([0.5]), rate)
    loaded = load_audio(path, 32_000, 0.1)
    assert loaded.shape == (3_200,) and np.isfinite(loaded).all()


def wav_bytes(tmp_path):
    soundfile.write(tmp_path / "good.wav", tone(32_000), 32_000)
    return (tmp_path / "good.wav").read_bytes()


def bad_files(tmp_path):
    """name → (content, what the message says)."""
    good = wav_bytes(tmp_path)
    flac = tmp_path / "good.flac"
    soundfile.write(flac, tone(32_000), 32_000)
    nan, nothing = tone(32_000), np.zeros(0)
    nan[7] = np.nan
    soundfile.write(tmp_path / "nan.wav", nan, 32_000, subtype="FLOAT")
    soundfile.write(tmp_path / "nothing.wav", nothing, 32_000)
    return {
        "zero_bytes.wav": (b"", "empty"),
        "header_only.wav": (good[:44], "truncated"),
        "half.wav": (good[: len(good) // 2], "truncated"),
        "half_header.wav": (good[:20], "decoded"),
        "half.flac": (flac.read_bytes()[: flac.stat().st_size // 2], ""),
        "no_samples.wav": ((tmp_path / "nothing.wav").read_bytes(), "no samples; download"),
        "nan.wav": ((tmp_path / "nan.wav").read_bytes(), "NaN"),
        "text.wav": (b"<!doctype html>quota exceeded", "decoded"),
        "headerless.raw": (good[44:], "decoded"),
    }


def test_bad_files_end_in_one_error_that_names_file_and_reason(tmp_path):
    for name, (content, reason) in bad_files(tmp_path).items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(AudioError) as caught:
            load_audio(path)
        assert str(path) in str(caught.value) and reason in caught.value.reason, name


def test_check_audio_agrees_for_all_that_a_header_shows(tmp_path):
    for name, (content, reason) in bad_files(tmp_path).items():
        path = tmp_path / name
        path.write_bytes(content)
        if name in ("nan.wav", "half.flac"):  # only decoding tells
            check_audio(path)
            continue
        with pytest.raises(AudioError, match=reason) as caught:
            check_audio(path)
        assert "<_io" not in str(caught.value)


def test_an_absurd_sample_rate_is_refused(tmp_path):
    content = bytearray(wav_bytes(tmp_path))
    content[24:28] = struct.pack("<I", 1)
    path = tmp_path / "slow.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match="claims a sample rate of 1 Hz"):
        load_audio(path)


def test_a_moment_is_at_least_one_sample(tmp_path):
    wav_bytes(tmp_path)
    assert load_audio(tmp_path / "good.wav", duration=1e-9).shape == (1,)


def test_missing_file_and_folder(tmp_path):
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(AudioError, match="no such file"):
        load_audio(tmp_path / "absent.wav")
    with pytest.raises(AudioError, match="is a folder"):
        load_audio(tmp_path / "folder.wav")
    with pytest.raises(AudioError, match="no such file"):
        load_audio("a\0b.wav")


def without_privileges(work):
    """Do something as one who may not open everything, also where the tests run as root."""
    if os.geteuid():
        return work()
    os.seteuid(65_534)
    try:
        return work()
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.name == "nt", reason="folders are not closed by a mode there")
def test_a_file_in_a_closed_folder_cannot_be_read(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir()
    wav_bytes(folder)
    folder.chmod(0)
    try:
        for use in (load_audio, check_audio):
            with pytest.raises(AudioError, match="good.wav: cannot be read .permission denied"):
                without_privileges(lambda use=use: use(folder / "good.wav"))
        (heard,) = without_privileges(lambda: listen([folder / "good.wav"]))
        assert heard.error == "cannot be read (permission denied)" and not heard.missing
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("wav", {"endian": "BIG"}), ("aiff", {}), ("aiff", {"subtype": "ULAW"}), ("au", {})],
)
def test_a_cut_file_is_told_also_where_libsndfile_goes_without_the_rest(tmp_path, kind, options):
    path = tmp_path / f"cut.{kind}"
    soundfile.write(path, tone(32_000), 32_000, **options)
    content = path.read_bytes()
    assert len(load_audio(path)) == 16_000
    path.write_bytes(content[:-1000])
    for use in (load_audio, check_audio):
        with pytest.raises(AudioError, match="truncated: 1000 bytes of its samples are missing"):
            use(path)


@pytest.mark.parametrize(("kind", "place"), [("aiff", b"SSND"), ("au", b"\x00\x00\x00\x18")])
@pytest.mark.parametrize("length", [0x7F000008, 0xFFFFFFFF])
def test_aiff_and_au_of_unknown_length(tmp_path, kind, place, length):
    path = tmp_path / f"pipe.{kind}"
    soundfile.write(path, tone(32_000), 32_000)
    content = bytearray(path.read_bytes())
    begin = content.index(place) + 4
    content[begin : begin + 4] = struct.pack(">I", length)
    path.write_bytes(content)
    assert len(load_audio(path)) == 16_000


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF])
def test_wav_of_unknown_length_as_encoders_write_to_a_pipe(tmp_path, length):
    content = bytearray(wav_bytes(tmp_path))
    content[40:44] = struct.pack("<I", length)
    path = tmp_path / "pipe.wav"
    path.write_bytes(content)
    if length:
        assert len(load_audio(path)) == 16_000
    else:
        with pytest.raises(AudioError, match="no samples"):
            load_audio(path)


@pytest.mark.parametrize(
    "arguments", [(0,), (-1,), (22_050.5,), ("16000",), (32_000, 0), (32_000, -1.0), (32_000, "1")]
)
def test_bad_arguments(tmp_path, arguments):
    wav_bytes(tmp_path)
    with pytest.raises(ValueError, match="expected a positive"):
        load_audio(tmp_path / "good.wav", *arguments)


def test_fit():
    assert fit(np.arange(5.0), 3).tolist() == [0, 1, 2]
    assert fit(np.arange(2.0), 4).tolist() == [0, 1, 0, 0]


def test_errors_survive_a_worker_process():
    errors = AudioErrors([AudioError("a.wav", "is empty"), AudioError("b.wav", "is text")])
    again = pickle.loads(pickle.dumps(errors))
    assert str(again) == str(errors) and "2 audio files cannot" in str(again)
    assert (again.path, again.reason) == ("a.wav", "is empty")  # who expects one error gets one
    assert [error.path for error in again.errors] == ["a.wav", "b.wav"]


def test_a_folder_is_listed_by_suffix_without_what_is_hidden(tmp_path):
    for name in ("a.wav", "b/c/d.FLAC", "b/._d.flac", ".trash/e.wav", "f.txt", "g", "h.wav/i.mp3"):
        (tmp_path / "sounds" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sounds" / name).touch()
    errors = []
    found = audio_files(tmp_path / "sounds", errors)
    names = {os.path.relpath(path, tmp_path / "sounds") for path in found}
    assert names == {"a.wav", os.path.join("b", "c", "d.FLAC"), os.path.join("h.wav", "i.mp3")}
    assert not errors


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_folder_behind_links_is_listed_once_and_what_leads_nowhere_is_told(tmp_path):
    (tmp_path / "sounds" / "in").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    for path in (tmp_path / "sounds" / "in" / "a.wav", tmp_path / "other" / "b.wav"):
        path.touch()
    links = {"a link": "in", "in/up": "..", "other": "../other", "no.wav": "no", "c.wav": "c.wav"}
    for name, place in links.items():
        (tmp_path / "sounds" / name).symlink_to(place)
    errors = []
    found = audio_files(tmp_path / "sounds", errors)
    names = {os.path.relpath(path, tmp_path / "sounds") for path in found}
    assert names == {os.path.join("in", "a.wav"), os.path.join("other", "b.wav")}
    (error,) = errors
    assert error.path.endswith("c.wav") and "cannot be read (too many levels" in str(error)
    assert not list(audio_files(tmp_path / "other" / "b.wav", errors)) and len(errors) == 2
    assert errors[1].path.endswith("b.wav") and "cannot be read (not a directory)" in str(errors[1])
