"""What becomes of a voice on its way into a file: a room, a cheap microphone, a level.

Sources: Kuttruff, *Room Acoustics* (2009), section 8.3, on the decay of noise as a room's echo;
ITU-T P.48 and P.341 for what telephones and laptops pass.
"""

from __future__ import annotations

import numpy as np
import scipy
from scipy import fft

from qvim_kit.synth.speaker import Speaker


def record(
    wave: np.ndarray, sample_rate: int, peak: float, speaker: Speaker, rng: np.random.Generator
) -> np.ndarray:
    """A voice (samples,) in the speaker's room, by their microphone, with its noise.

    The level follows ``peak``, that of the sound imitated, only loosely.
    """
    slips = speaker.slips
    wave = _in_room(wave, sample_rate, speaker.room_s, rng)
    low = 40 * 2 ** (slips * rng.uniform(0, 1.9))
    high = min(speaker.microphone_hz, 0.49 * sample_rate)
    band = scipy.signal.butter(2, [low, high], "band", fs=sample_rate, output="sos")
    wave = scipy.signal.sosfilt(band, wave)
    wave = _coloured(wave, sample_rate, slips, rng)
    wave /= max(np.abs(wave).max(), 1e-9)
    if slips and rng.random() < 0.25:  # too near the microphone
        wave = np.tanh(rng.uniform(1, 4) * wave)
        wave /= max(np.abs(wave).max(), 1e-9)
    hiss = scipy.signal.lfilter([1], [1, -rng.uniform(0, 0.95)], rng.standard_normal(len(wave)))
    wave += 10 ** (speaker.noise_db / 20) * scipy.signal.sosfilt(band, hiss / hiss.std())
    level_db = 4 * np.log10(max(peak, 1e-4)) - 4 + 2 * slips * rng.standard_normal()
    loud = peak > 1e-5  # silence is answered by the room alone
    return wave * 10 ** ((level_db if loud else -60) / 20) / max(np.abs(wave).max(), 1e-9)


def _in_room(wave: np.ndarray, sample_rate: int, reverberation_s: float, rng) -> np.ndarray:
    time = np.arange(round(reverberation_s * sample_rate) + 1) / sample_rate
    # 60 dB, a factor of exp(6.9), in one reverberation time; without a room the voice alone.
    echoes = rng.standard_normal(len(time)) * np.exp(-6.9 * time / max(reverberation_s, 1e-9))
    echoes *= 0.3 / np.linalg.norm(echoes)
    wave = np.pad(wave, (0, len(time) - 1))
    return wave + scipy.signal.fftconvolve(wave, echoes)[: len(wave)]


def _coloured(wave: np.ndarray, sample_rate: int, slips: float, rng) -> np.ndarray:
    """What distance, case and microphone do: a tilt, and two broad resonances."""
    octaves = np.log2(np.maximum(fft.rfftfreq(len(wave), 1 / sample_rate), 50) / 1000)
    gain_db = slips * rng.normal(0, 3) * octaves
    for _ in range(2):
        centre, height = rng.uniform(-2.3, 2.6), np.clip(4 * slips * rng.standard_normal(), -9, 9)
        gain_db = gain_db + height * np.exp(-((octaves - centre) ** 2))
    return fft.irfft(fft.rfft(wave) * 10 ** (np.clip(gain_db, -24, 24) / 20), len(wave))
