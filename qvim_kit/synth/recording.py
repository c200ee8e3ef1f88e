"""What becomes of a voice on its way into a file: a room, a cheap microphone, a level.

Sources: Kuttruff, *Room Acoustics* (2009), section 8.3, on the decay of noise as a room's echo;
ITU-T P.48 and P.341 for what telephones and laptops pass.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

from qvim_kit.synth.speaker import Speaker


def record(
    wave: np.ndarray, sample_rate: int, peak: float, speaker: Speaker, rng: np.random.Generator
) -> np.ndarray:
    """A voice (samples,) in the speaker's room, by their microphone, with its noise.

    The level follows ``peak``, that of the sound imitated, only loosely.
    """
    slips = speaker.slips
    wave = _in_room(wave, sample_rate, speaker.room_s, rng)
    low = 60 * 2 ** (slips * rng.uniform(0, 1.3))
    high = min(speaker.microphone_hz, 0.49 * sample_rate)
    band = butter(2, [low, high], "band", fs=sample_rate, output="sos")
    wave = sosfilt(band, wave)
    for _ in range(2):  # resonances of a small case
        centre, gain_db = 200 * 30 ** rng.uniform(), 4 * slips * rng.standard_normal()
        wave = _peaking(wave, centre, float(np.clip(gain_db, -9, 9)), sample_rate)
    wave /= max(np.abs(wave).max(), 1e-9)
    if slips and rng.random() < 0.25:  # too near the microphone
        wave = np.tanh(rng.uniform(1, 4) * wave)
        wave /= max(np.abs(wave).max(), 1e-9)
    hiss = lfilter([1], [1, -rng.uniform(0, 0.95)], rng.standard_normal(len(wave)))
    wave += 10 ** (speaker.noise_db / 20) * sosfilt(band, hiss / hiss.std())
    level_db = 4 * np.log10(max(peak, 1e-4)) - 4 + 2 * slips * rng.standard_normal()
    loud = peak > 1e-5  # silence is answered by the room alone
    return wave * 10 ** ((level_db if loud else -60) / 20) / max(np.abs(wave).max(), 1e-9)


def _in_room(wave: np.ndarray, sample_rate: int, reverberation_s: float, rng) -> np.ndarray:
    time = np.arange(round(reverberation_s * sample_rate) + 1) / sample_rate
    # 60 dB, a factor of exp(6.9), in one reverberation time; without a room the voice alone.
    echoes = rng.standard_normal(len(time)) * np.exp(-6.9 * time / max(reverberation_s, 1e-9))
    echoes *= 0.3 / np.linalg.norm(echoes)
    wave = np.pad(wave, (0, len(time) - 1))
    return wave + fftconvolve(wave, echoes)[: len(wave)]


def _peaking(wave: np.ndarray, hz: float, gain_db: float, sample_rate: int) -> np.ndarray:
    """A bell of ``gain_db``, an octave wide: the RBJ cookbook's peaking equaliser."""
    gain, angle = 10 ** (gain_db / 40), 2 * np.pi * hz / sample_rate
    alpha = np.sin(angle) / 2.8
    ahead = [1 + alpha * gain, -2 * np.cos(angle), 1 - alpha * gain]
    back = [1 + alpha / gain, -2 * np.cos(angle), 1 - alpha / gain]
    return lfilter(np.array(ahead) / back[0], np.array(back) / back[0], wave)
