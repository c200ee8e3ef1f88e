"""What an imitator hears in a sound: tracks of loudness, pitch, noise, brightness and onsets.

Source of the pitch: Boersma, "Accurate short-term analysis of the fundamental frequency", Proc.
IFA 17 (1993). Of the onsets: spectral flux (Müller, *Fundamentals of Music Processing*, 6.1.2).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy
from scipy import fft

RATE, HOP, WINDOW = 16_000, 128, 512  # of hearing; pitch and timbre need no more
FRAMES_PER_S = RATE / HOP


class Tracks(NamedTuple):
    """What is heard, each (frames,), one frame every ``HOP / RATE`` s.

    Attributes:
        loudness: root mean square over 20 ms.
        pitch_hz: 40 Hz to 3.5 kHz; carried over where there is none.
        voicing: 0 (noise) to 1 (periodic).
        brightness_hz: centroid of the power spectrum.
        onset: strength of an event's beginning, 0 to 1; 0 except at its frame.
        flutter: depth, 0 to 1, of a modulation of the loudness too fast for syllables.
        flutter_hz: its rate, 12 to 60 Hz.
    """

    loudness: np.ndarray
    pitch_hz: np.ndarray
    voicing: np.ndarray
    brightness_hz: np.ndarray
    onset: np.ndarray
    flutter: np.ndarray
    flutter_hz: np.ndarray


def track(wave: np.ndarray) -> Tracks:
    """Hear a waveform (samples,) at ``RATE`` Hz: its ``Tracks``, ``samples // HOP + 1`` frames."""
    window = np.hanning(2 * WINDOW).astype(np.float32)
    power = np.abs(spectra(np.pad(wave, (0, HOP)), window, HOP)) ** 2
    energy = scipy.ndimage.uniform_filter1d(
        np.pad(wave, (0, 1)).astype(float) ** 2, RATE // 50, mode="constant"
    )
    loudness, power = np.sqrt(energy[::HOP].clip(0)), power[: len(energy[::HOP])]
    brightness = power @ fft.rfftfreq(4 * WINDOW, 1 / RATE) / (power.sum(-1) + 1e-9)
    pitch, voicing = _pitch(power, window)
    voicing = voicing * (loudness > 0.003 * loudness.max() + 1e-6)
    # The pitch of voiced frames, freed of stray octaves, is carried over the others.
    voiced = np.flatnonzero(voicing > 0.5) if voicing.max() > 0.5 else np.arange(1)
    # Not by SciPy's median filter, which in 1.15 makes 0 of a single value.
    around = np.pad(np.log2(pitch[voiced]), 2, mode="edge")
    tidy = np.median(np.lib.stride_tricks.sliding_window_view(around, 5), axis=-1)
    pitch = 2 ** np.interp(np.arange(len(pitch)), voiced, tidy)
    brightness = np.maximum(brightness, 20)
    return Tracks(
        loudness, pitch, voicing, brightness, _onsets(loudness), *_flutter(wave, loudness)
    )


def audible(heard: Tracks, range_db: float = 45) -> Tracks:
    """Without what is silent at the beginning and the end, ``range_db`` below the loudest."""
    heard_at = np.flatnonzero(heard.loudness > heard.loudness.max() * 10 ** (-range_db / 20))
    first, last = (heard_at[0], heard_at[-1]) if len(heard_at) else (0, len(heard.loudness) - 1)
    return Tracks(*(values[max(first - 2, 0) : last + 3] for values in heard))


def spectra(wave: np.ndarray, window: np.ndarray, hop: int) -> np.ndarray:
    """Spectra (frames, len(window) + 1) centred on every ``hop``, padded to twice the window."""
    padded = np.pad(wave, (len(window) // 2, len(window) // 2 - 1)).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, len(window))[::hop]
    return fft.rfft(frames * window, 2 * len(window), axis=-1)


def _pitch(power: np.ndarray, window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pitch, 40 Hz to 3.5 kHz, and its strength (frames,) by autocorrelation (Boersma 1993)."""
    longest, size = RATE // 20, 4 * len(window)
    own = fft.irfft(np.abs(fft.rfft(window, size // 2)) ** 2, size)[: longest + 2]
    raw = fft.irfft(power, size, axis=-1)[:, : longest + 2]
    strength = raw / (raw[:, :1] + 1e-7) * (own[0] / own)
    before, here, after = strength[:, :-2], strength[:, 1:-1], strength[:, 2:]
    shift = 0.5 * (before - after) / np.minimum(before - 2 * here + after, -1e-6)
    lags = np.arange(1, longest + 1)
    merit = here - 0.25 * (before - after) * shift - 0.02 * np.log2(lags)
    merit[(here < before) | (here < after) | (lags < 2 * RATE / 3500)] = -1
    chosen = np.arange(len(merit)), merit.argmax(-1)
    period = lags[chosen[1]] + np.clip(shift[chosen], -0.5, 0.5)
    return 2 * RATE / period, np.clip(here[chosen], 0, 1) * (merit[chosen] > -1)


def _onsets(loudness: np.ndarray) -> np.ndarray:
    """Where the loudness in dB rises most within 24 ms, at least 6 dB and 60 ms apart."""
    level = 20 * np.log10(loudness / max(loudness.max(), 1e-9) + 0.01)
    rise = np.pad(level, (3, 0), constant_values=-40)
    rise = np.minimum(rise[3:] - rise[:-3], level + 40)  # a rise out of silence ends in sound
    peak = (rise == scipy.ndimage.maximum_filter1d(rise, round(0.06 * FRAMES_PER_S))) & (rise > 6)
    return np.where(peak, np.clip(rise / 30, 0, 1), 0)


def _flutter(wave: np.ndarray, loudness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth and rate (frames,) of the loudness's modulation from 12 to 60 Hz."""
    step = 32  # samples between values of the envelope, 2 ms
    envelope = np.sqrt(
        scipy.ndimage.uniform_filter1d(wave.astype(float) ** 2, 2 * step)[::step].clip(0)
    )
    swing = scipy.signal.sosfiltfilt(
        scipy.signal.butter(2, [12, 60], "band", fs=RATE / step, output="sos"), envelope, padlen=0
    )
    width = round(0.25 * RATE / step)
    mean = scipy.ndimage.uniform_filter1d(envelope, width) + 1e-5
    depth = np.sqrt(2 * scipy.ndimage.uniform_filter1d(swing**2, width).clip(0)) / mean
    crossings = np.diff(np.signbit(swing), prepend=swing[0] < 0).astype(float)
    rate = scipy.ndimage.uniform_filter1d(crossings, width) * RATE / step / 2
    places = np.minimum(np.arange(len(loudness)) * HOP // step, len(depth) - 1)
    return np.clip(depth[places], 0, 1), np.clip(rate[places], 12, 60)
