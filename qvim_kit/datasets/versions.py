"""Other sounds made of one, so that a small library teaches more than its own sounds."""

from __future__ import annotations

import numpy as np

from qvim_kit.audio import prepare

SAMPLE_RATE = 32_000
LONGEST_S = 10.0  # of a sound; what comes later is left out
SHORTEST_S = 0.06


def changed(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another sound made of one, (samples,) at `SAMPLE_RATE`, as `audio.prepare` leaves it.

    A part of it, faster and higher or slower and lower as a tape by up to 10 semitones, darker or
    brighter, one in five backwards: what changes is what an imitator would follow.
    """
    for _ in range(5):  # a part may be silent
        found = prepare(_altered(sound, rng), SAMPLE_RATE)[: round(LONGEST_S * SAMPLE_RATE)]
        if len(found) >= SHORTEST_S * SAMPLE_RATE and np.abs(found).max() > 1e-5:
            return found
    return sound


def _altered(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    import soxr

    seconds = len(sound) / SAMPLE_RATE
    if seconds > 1:
        length = round(rng.uniform(max(0.4, 1 / seconds), 1) * len(sound))
        start = int(rng.integers(len(sound) - length + 1))
        sound = sound[start : start + length]
    speed = 2 ** rng.uniform(-0.8, 0.8)
    if len(sound) / speed < 2 * SHORTEST_S * SAMPLE_RATE:
        speed = 1.0
    sound = soxr.resample(sound, SAMPLE_RATE * speed, SAMPLE_RATE)
    if rng.random() < 0.2:
        sound = sound[::-1]
    octaves = np.log2(np.maximum(np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE), 60) / 1000)
    tilt_db = np.clip(rng.normal(0, 2.5) * octaves, -15, 15)
    tilted = np.fft.irfft(np.fft.rfft(sound) * 10 ** (tilt_db / 20), len(sound))
    return tilted.astype(np.float32)
