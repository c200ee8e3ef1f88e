import os
import threading

import numpy as np
import pytest

from qvim_kit.audio import AudioErrors
from qvim_kit.systems import EmbeddingSystem, reading

pytestmark = pytest.mark.usefixtures("own_cache")


class Level(EmbeddingSystem):
    """Counts what it embeds."""

    sample_rate, duration, embedded = 8_000, 0.1, 0

    def embed_batch(self, waveforms, side):
        self.embedded += len(waveforms)
        return np.stack([waveforms.mean(axis=1), waveforms.std(axis=1)], axis=1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_whatever_goes_wrong_in_a_file_is_told_with_its_name(files, tmp_path):
    class Failing(Level):
        def load(self, path):
            if path.endswith("4.wav"):
                raise MemoryError
            if path.endswith("6.wav"):
                raise RuntimeError("soxr: out of luck")
            return super().load(path)

        def fingerprint(self, side):
            return "failing"

    os.mkfifo(tmp_path / "pipe.wav")  # to open it would wait for ever
    system = Failing()
    with pytest.raises(AudioErrors) as caught:
        system.embed_items([*files.values(), str(tmp_path / "pipe.wav"), "/dev/zero"])
    for told in (
        "4.wav: cannot be used (MemoryError: )",
        "6.wav: cannot be used (RuntimeError: soxr: out of luck)",
        "pipe.wav: is a pipe or a device, expected an audio file",
        "/dev/zero: is a pipe or a device, expected an audio file",
    ):
        assert told in str(caught.value)
    assert isinstance(caught.value.__cause__, MemoryError)  # whose traceback says where
    assert system.embedded == 8


def test_a_file_that_hangs_is_named(files, monkeypatch):
    woken = threading.Event()

    class Slow(Level):
        def load(self, path):
            if path.endswith("7.wav"):
                woken.wait(10)
            return super().load(path)

    monkeypatch.setattr(reading, "SLOW", 0.05)
    monkeypatch.setattr(
        reading.warnings, "warn", lambda text, **_: (told.append(text), woken.set())
    )
    told = []
    assert Slow().embed_items(files.values()).shape == (10, 2)
    (text,) = told
    assert text == f"still being read after 0.05 s: {files['7.wav']}; Ctrl-C ends the wait"


def test_ctrl_c_leaves_what_was_embedded_in_the_cache(files, tmp_path):
    class Interrupted(Level):
        batch_size, patience = 2, 3

        def embed_batch(self, waveforms, side):
            if self.patience == 0:
                raise KeyboardInterrupt
            self.patience -= 1
            return super().embed_batch(waveforms, side)

        def fingerprint(self, side):
            return "interrupted"

    first, second = Interrupted(), Interrupted()
    with pytest.raises(KeyboardInterrupt):
        first.embed_items(files.values())
    second.patience = 9
    found = second.embed_items(files.values())
    assert (first.embedded, second.embedded) == (6, 4)
    np.testing.assert_array_equal(found, Level().embed_items(files.values()))
    assert not list((tmp_path / "cache").rglob("*.part"))


def test_ctrl_c_while_a_file_hangs_does_not_wait_for_it(files):
    woken = threading.Event()

    class Hanging(Level):
        def load(self, path):
            woken.wait(10)
            return super().load(path)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(reading, "wait", interrupted)
        with reading.threads() as pool:
            reading.read_each(pool, Hanging().load, list(files.values()))
    assert not woken.is_set()  # the threads still wait, and nobody for them
    woken.set()
