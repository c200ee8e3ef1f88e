"""The recorder without a browser: messages are handed to the widget as the page sends them."""

import io
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from qvim_kit.widgets import Recorder
from qvim_kit.widgets.incoming import CHUNK, FILE_LIMIT
from qvim_kit.widgets.messages import Asked, bundle
from qvim_kit.widgets.recorder import SCRIPTS
from qvim_kit.widgets.takes import LIMIT, make_take, sounding_part

RATE = 48_000


def hum(seconds=1.0, hertz=440.0, rate=RATE, level=0.5):
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def int16(waveform):
    return np.round(np.asarray(waveform) * 32_767).astype("<i2").tobytes()


class Page:
    """Stands where the browser is: sends questions, keeps the answers."""

    def __init__(self, widget):
        self.widget, self.answers, self.asked = widget, [], 0
        widget.send = lambda content, buffers=None: self.answers.append((content, buffers or []))

    def ask(self, what, *buffers, **fields):
        self.asked += 1
        question = {"do": what, "ask": f"page-{self.asked}", **fields}
        self.widget._handle_custom_msg(question, [memoryview(b) for b in buffers])
        (answer, sent), *more = [a for a in self.answers if a[0]["answer"] == question["ask"]]
        assert not more
        return answer | {"buffers": sent}

    def send_sound(self, data, size=CHUNK, **about):
        """All chunks, each when it is asked for."""
        about = {"kind": "pcm", "rate": RATE, "upload": f"u{self.asked}", **about}
        parts = [data[start : start + size] for start in range(0, len(data), size)] or [b""]
        index = 0
        while True:
            answer = self.ask("chunk", parts[index], index=index, chunks=len(parts), **about)
            if "error" in answer or answer["take"]:
                return answer
            index = answer["next"]


@pytest.fixture
def recorder():
    return Recorder(examples={})


@pytest.fixture
def page(recorder):
    return Page(recorder)


def test_a_recording_arrives_whole_and_trimmed(recorder, page):
    heard = []
    recorder.on_take(heard.append)
    waveform = np.concatenate([np.zeros(RATE), hum(2.0), np.zeros(RATE // 2)])
    answer = page.send_sound(int16(waveform), size=100_001 * 2)
    take = recorder.take
    assert heard == [take] == recorder.takes and answer["take"] == take.id
    assert (take.name, take.sample_rate, take.source) == ("take 1", RATE, "microphone")
    np.testing.assert_allclose(take.recorded, waveform, atol=2 / 32_767)
    assert take.waveform.dtype == np.float32
    assert take.start == pytest.approx(0.95, abs=0.03) and take.end == pytest.approx(3.05, abs=0.03)
    assert take.seconds == pytest.approx(2.1, abs=0.05)
    assert recorder._takes[0]["name"] == "take 1" and recorder._current == take.id


def test_a_lost_chunk_is_asked_for_and_a_repeated_one_does_no_harm(recorder, page):
    data = int16(hum(3.0))
    third = len(data) // 3
    parts = [data[:third], data[third : 2 * third], data[2 * third :]]

    def send(index, upload="a"):
        about = {"kind": "pcm", "rate": RATE, "upload": upload, "chunks": 3}
        return page.ask("chunk", parts[index], index=index, **about)

    assert send(1)["next"] == 0  # its first chunk was lost
    assert send(0)["next"] == 1
    assert send(2)["next"] == 1  # the second was lost
    assert send(0)["next"] == 1  # the answer was lost
    assert send(1)["next"] == 2
    last = send(2)
    assert last["take"] == recorder.take.id
    assert send(2)["take"] == last["take"] and len(recorder.takes) == 1
    np.testing.assert_allclose(recorder.take.recorded, hum(3.0), atol=2 / 32_767)


def test_a_new_recording_takes_the_place_of_an_unfinished_one(recorder, page):
    data = int16(hum())
    page.ask("chunk", data[:1000], index=0, chunks=2, kind="pcm", rate=RATE, upload="given up")
    assert page.send_sound(data, upload="new")["take"]
    np.testing.assert_allclose(recorder.take.recorded, hum(), atol=2 / 32_767)


def test_what_was_turned_down_to_fit_comes_back_as_it_was(recorder, page):
    loud = hum(level=1.6)
    page.send_sound(int16(loud / 1.6), scale=1 / 1.6)
    assert np.abs(recorder.take.recorded).max() == pytest.approx(1.6, rel=1e-3)


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (np.zeros(0), "no sound came in at all"),
        (hum(0.05), "Only 0.05 s were recorded"),
        (np.zeros(RATE), "Nothing was heard (digital silence)"),
        (hum(level=3e-4), "Nothing was heard (at most -70 dBFS)"),
        (hum(LIMIT + 0.6), "Longer than 12 s"),
        (hum(60.0), "Longer than 12 s"),
    ],
)
def test_useless_recordings_are_refused_with_a_reason(recorder, page, waveform, message):
    answer = page.send_sound(int16(waveform))
    assert message in answer["error"] and recorder.takes == [] and recorder.take is None
    assert page.send_sound(int16(hum()), upload="next")["take"]  # and the next one is taken


def test_a_recording_that_overruns_a_little_is_cut_to_the_limit(recorder, page):
    page.send_sound(int16(hum(LIMIT + 0.09)))
    assert len(recorder.take.recorded) == LIMIT * RATE and not recorder.take.warning


def test_a_clipped_recording_is_kept_with_a_warning(recorder, page):
    page.send_sound(int16(np.clip(hum(level=2.0), -1, 1)))
    assert "too loud" in recorder.take.warning and "too loud" in recorder._takes[0]["warning"]
    assert "too loud" in repr(recorder.take)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rate": 0}, "rate 0 Hz"),
        ({"rate": None}, "rate None Hz"),
        ({"rate": 1e9}, "rate 1000000000.0 Hz"),
        ({"rate": float("nan")}, "rate nan Hz"),
        ({"scale": 0}, "scale 0"),
        ({"kind": "webm"}, "kind 'webm'"),
        ({"index": 2}, "chunk 2 of 1"),
        ({"index": -1}, "chunk -1 of 1"),
        ({"index": "0"}, "chunk 0 of 1"),
        ({"chunks": 10**9}, "Longer than 12 s"),
        ({"upload": 7}, "upload 7"),
    ],
)
def test_messages_that_cannot_be_right_are_refused(recorder, page, wrong, message):
    about = {"kind": "pcm", "rate": RATE, "upload": "a", "index": 0, "chunks": 1, **wrong}
    assert message in page.ask("chunk", int16(hum()), **about)["error"]
    assert recorder.takes == []


def test_several_faults_of_a_message_are_told_at_once(page):
    error = page.ask("chunk", upload="a", index=0, chunks=1, kind="pcm", rate=1, scale=9)["error"]
    assert all(part in error for part in ("0 buffers", "rate 1 Hz", "scale 9"))


def test_half_a_value_and_long_chunks_are_refused(recorder, page):
    about = {"kind": "pcm", "rate": RATE, "index": 0, "chunks": 1}
    assert "no int16" in page.ask("chunk", int16(hum())[:-1], upload="a", **about)["error"]
    long = page.ask("chunk", bytes(CHUNK + 1), upload="b", **about)
    assert "expected one of at most" in long["error"] and recorder.takes == []


def test_what_is_no_request_is_answered_or_ignored(recorder, page):
    assert "unknown request 'erase'" in page.ask("erase")["error"]
    assert "unknown request" in page.ask("__init__")["error"]
    recorder._handle_custom_msg(["no", "question"], [])
    recorder._handle_custom_msg({"do": None}, [])
    assert "unknown request 'None'" in page.answers[-1][0]["error"]
    assert "no take 99" in page.ask("use", id=99)["error"]
    assert "no take None" in page.ask("trim")["error"]


def test_a_fault_of_ours_is_answered_and_raised():
    class Faulty(Asked):
        _esm = "export default {}"

        def _do_fail(self, content, buffers):
            return {}[content["key"]]

    page = Page(Faulty())
    with pytest.raises(KeyError):
        page.widget._hear(page.widget, {"do": "fail", "ask": 1, "key": "x"}, [])
    assert page.answers[0][0] == {"answer": 1, "error": "KeyError: 'x'"}


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3"])
def test_files_are_decoded(recorder, page, format):
    file = io.BytesIO()
    stereo = np.stack([hum(1.5), np.zeros(RATE * 3 // 2)], axis=1)
    soundfile.write(file, stereo, RATE, format=format)
    name = f"hum.{format.lower()}"
    page.send_sound(file.getvalue(), size=4_096, kind="file", name=name)
    take = recorder.take
    assert (take.name, take.source, take.sample_rate) == (name, "file", RATE)
    assert take.seconds == pytest.approx(1.5, abs=0.1)
    middle = take.waveform[RATE // 2 : RATE // 2 + RATE // 2]
    assert np.abs(middle).max() == pytest.approx(0.25, rel=0.05)  # the mean of both channels
    assert np.abs(np.fft.rfft(middle)).argmax() == 220  # half a second: 440 Hz


def test_of_a_long_file_the_beginning_is_used(recorder, page):
    file = io.BytesIO()
    soundfile.write(file, hum(20.0, rate=8_000), 8_000, format="WAV")
    page.send_sound(file.getvalue(), kind="file", name="long.wav")
    assert len(recorder.take.recorded) == LIMIT * 8_000
    assert recorder.take.warning == "longer than 12 s: only its beginning is used"


def test_bad_files_are_refused_by_name(recorder, page):
    whole = io.BytesIO()
    soundfile.write(whole, hum(), RATE, format="WAV")
    for data, reason in (
        (b"no sound at all", "cannot be decoded"),
        (b"", "is empty"),
        (whole.getvalue()[:-9_999], "is truncated"),
    ):
        answer = page.send_sound(data, kind="file", name="mine.wav")
        assert answer["error"].startswith("mine.wav: ") and reason in answer["error"]
    about = {"kind": "file", "name": "huge.wav", "upload": "h", "index": 0}
    error = page.ask("chunk", bytes(CHUNK), chunks=FILE_LIMIT // CHUNK + 2, **about)["error"]
    assert error.startswith("huge.wav is larger than 32 MB") and recorder.takes == []


def test_trimming_and_choosing_again_tell_the_callback(recorder, page):
    page.send_sound(int16(hum(2.0)))
    page.send_sound(int16(hum(1.0)))
    first, second = recorder.takes
    heard = []
    recorder.on_take(heard.append)
    assert "error" not in page.ask("trim", id=second.id, start=0.25, end=0.75)
    assert recorder.take is heard[0] and heard[0].id == second.id
    assert len(recorder.take.waveform) == RATE // 2
    np.testing.assert_array_equal(recorder.take.recorded, second.recorded)
    page.ask("use", id=first.id)
    assert heard[1] is first and recorder.take is first
    assert [take.name for take in recorder.takes] == ["take 1", "take 2"]


@pytest.mark.parametrize("part", [(0.5, 0.55), (0.9, 0.1), (2.0, 3.0), (None, 1.0), ("a", "b")])
def test_a_part_that_is_none_is_refused(recorder, page, part):
    page.send_sound(int16(hum()))
    before = recorder.take
    answer = page.ask("trim", id=before.id, start=part[0], end=part[1])
    assert "expected at least 0.1 s" in answer["error"]
    assert recorder.take is before


def test_deleting_chooses_the_newest_that_is_left(recorder, page):
    for _ in range(3):
        page.send_sound(int16(hum()))
    one, two, three = recorder.takes
    page.ask("delete", id=one.id)
    assert recorder.take is three
    page.ask("delete", id=three.id)
    assert recorder.take is two
    page.ask("delete", id=two.id)
    assert recorder.take is None and recorder._current == 0 and recorder._takes == []


def test_a_page_that_was_opened_again_gets_the_sound(recorder, page):
    page.send_sound(int16(hum(level=0.5)), scale=0.25)  # as loud as 2.0
    answer = page.ask("sound", id=recorder.take.id)
    values = np.frombuffer(answer["buffers"][0], "<i2") / 32_767 / answer["scale"]
    np.testing.assert_allclose(values, recorder.take.recorded, atol=1e-3)
    assert answer["rate"] == RATE


def test_examples_are_picked_by_name(tmp_path):
    path = tmp_path / "dog.flac"
    soundfile.write(path, hum(rate=16_000), 16_000)
    recorder = Recorder(examples={"a dog": path})
    arrived = []
    recorder.on_take(arrived.append)
    recorder._do_example({"name": "a dog", "ask": 1}, [])
    wait_for(lambda: arrived)
    assert (arrived[0].name, arrived[0].source) == ("a dog", "example")
    assert arrived[0].sample_rate == 16_000
    assert "no example 'a cat'" in Page(recorder).ask("example", name="a cat")["error"]


def wait_for(condition, seconds=10.0):
    import time

    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


def test_takes_can_be_added_from_python(recorder, tmp_path):
    take = recorder.add(hum(), RATE, name="mine")
    assert recorder.take is take and take.name == "mine"
    soundfile.write(tmp_path / "a.wav", hum(rate=8_000), 8_000)
    assert recorder.add(tmp_path / "a.wav").sample_rate == 8_000
    with pytest.raises(ValueError, match="sample_rate"):
        recorder.add(hum())
    with pytest.raises(ValueError, match="nowhere.wav: no such file"):
        recorder.add(tmp_path / "nowhere.wav")


def test_silence_is_what_is_35_decibels_below_the_loudest(rng):
    for before, after in ((0.3, 0.8), (0.0, 0.5), (1.2, 0.0)):
        swell = np.concatenate([np.zeros(1), hum(3.0) * np.hanning(3 * RATE)])
        silent = [1e-4 * rng.normal(size=round(seconds * RATE)) for seconds in (before, after)]
        waveform = np.concatenate([silent[0], swell, silent[1]])
        start, end = sounding_part(waveform, RATE)
        loud = [
            n
            for n in range(0, len(waveform) - 960, 960)
            if np.std(waveform[n : n + 960]) > 10 ** (-35 / 20) * 0.5 / np.sqrt(2)
        ]
        assert start == pytest.approx(max(0, loud[0] / RATE - 0.05), abs=0.021)
        assert end == pytest.approx(min(len(waveform), loud[-1] + 960 + 2_400) / RATE, abs=0.021)


def test_noise_around_a_sound_is_silence_and_a_steady_sound_is_not(rng):
    noisy = 0.02 * rng.normal(size=3 * RATE)
    noisy[RATE : 2 * RATE] += hum()
    start, end = sounding_part(noisy, RATE)
    assert start == pytest.approx(0.95, abs=0.05) and end == pytest.approx(2.05, abs=0.05)
    assert sounding_part(hum(2.0), RATE) == (0.0, 2.0)
    assert sounding_part(0.1 * rng.normal(size=RATE), RATE) == (0.0, 1.0)


def test_waveforms_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="mine holds NaN"):
        make_take("mine", np.full(RATE, np.nan), RATE, "file")


def test_scripts_become_one_module():
    joined = bundle(*SCRIPTS)
    assert "import " not in joined.replace("important", "") and "\nexport " not in joined
    assert Recorder._esm.count("export default") == 1 and "http" not in joined.replace(
        "http://www.w3.org/2000/svg", ""
    ).replace("http://localhost or by https", "")


def test_players_come_without_anywidget():
    code = "import qvim_kit.widgets, sys; print(*{'anywidget', 'torch', 'pandas'} & {*sys.modules})"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == ""
