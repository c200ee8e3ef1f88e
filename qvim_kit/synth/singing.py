"""The plan as sound: pulses, breath, whistle and bursts, through a vocal tract, frame by frame.

Sources: the glottis of Rosenberg, JASA 49 (1971); resonances in series by Fant, *Acoustic Theory
of Speech Production* (1960), section 1.3; vowels of Peterson & Barney, JASA 24 (1952), table II;
spectra of fricatives and plosives by Stevens, *Acoustic Phonetics* (1998), chapters 7 and 8.
"""

from __future__ import annotations

import numpy as np
import scipy
from scipy import fft

from qvim_kit.synth.articulation import Plan
from qvim_kit.synth.hearing import FRAMES_PER_S, spectra
from qvim_kit.synth.speaker import Speaker

RATE = 32_000
HOP = round(RATE / FRAMES_PER_S)
WINDOW = 4 * HOP
# Formants in Hz of /u/, /o/, /a/, open /e/, /i/ (men), and three that hardly move.
_VOWELS = [[300, 570, 730, 530, 270], [870, 840, 1090, 1840, 2290], [2240, 2410, 2440, 2480, 3010]]
_VOWELS += [[3500] * 5, [4500] * 5, [5800] * 5]
_BANDWIDTHS = [80, 100, 140, 200, 300, 400]  # Hz, of a closed glottis
_PLACES, _EFFORTS = 48, 8


def sing(plan: Plan, speaker: Speaker, rng: np.random.Generator) -> np.ndarray:
    """The plan as a waveform (frames * ``HOP``,) at ``RATE``, before the room."""
    frames, window = len(plan.loudness), np.hanning(WINDOW).astype(np.float32)
    vowels, constrictions, tilts = _tract(speaker, plan.hum, rng)
    vowel = np.round(plan.vowel * (_PLACES - 1)).astype(int)
    hiss = np.round(plan.hiss * (_PLACES - 1)).astype(int)
    # Louder voices are brighter: the glottis closes faster (Titze 1994, section 9).
    effort = np.clip(
        20 * np.log10(plan.loudness / max(plan.loudness.max(), 1e-9) + 1e-3) / 24 + 1, 0, 1
    )
    high = np.clip(np.log2(plan.pitch_hz / speaker.pitch_high_hz), 0, 1)  # falsetto is softer
    tilt = np.round((_EFFORTS - 1) * effort * (1 - high)).astype(int)
    tone = spectra(_glottis(plan.pitch_hz, speaker, rng), window, HOP)
    tone *= (vowels * 1.0)[vowel] * tilts[tilt]
    breath = spectra(rng.standard_normal(frames * HOP), window, HOP) * constrictions[hiss]
    sung, blown = plan.voicing * (1 - plan.whistle), 1 - plan.voicing + speaker.breathiness**2
    parts = [(tone, sung), (breath, blown)]
    if plan.whistle.any():
        parts.append(
            (spectra(_whistle(plan.pitch_hz, rng), window, HOP), plan.voicing * plan.whistle)
        )
    mixed = np.zeros_like(tone)
    for spectrum, power in parts:
        scale = WINDOW / (np.linalg.norm(spectrum, axis=-1) + 1e-6)
        mixed += spectrum * (plan.loudness * np.sqrt(power) * scale).astype(np.float32)[:, None]
    wave = _overlap_add(mixed)[: frames * HOP]
    return _bursts(_trilled(wave, plan), plan, speaker, rng)


def _overlap_add(mixed: np.ndarray) -> np.ndarray:
    frames = len(mixed)
    pieces = fft.irfft(mixed, 2 * WINDOW, axis=-1).reshape(frames, -1, HOP)
    wave = np.zeros((frames + pieces.shape[1], HOP), np.float32)
    for block in range(pieces.shape[1]):
        wave[block : block + frames] += pieces[:, block]
    return wave.ravel()[WINDOW // 2 :]


def _per_sample(track: np.ndarray) -> np.ndarray:
    return np.interp(np.arange(len(track) * HOP) / HOP, np.arange(len(track)), track)


def _glottis(pitch_hz: np.ndarray, speaker: Speaker, rng: np.random.Generator) -> np.ndarray:
    """The derivative of the glottal flow, with jitter and shimmer; creak below the modal voice."""
    hz = _per_sample(pitch_hz)
    cycle = np.cumsum(hz / RATE).astype(int)
    slip, swing = rng.standard_normal((2, 2 * cycle[-1] + 2))
    # Creaking pulses are irregular, and every other one is weaker (Titze 1994, section 10).
    creak = np.clip(1.3 - hz / speaker.pitch_low_hz, 0, 0.5) * 2
    slip, swing = slip[cycle], swing[cycle]
    phase = np.cumsum(hz / RATE * (1 + (speaker.jitter + 0.08 * creak) * slip).clip(0.5, 1.5))
    where, cycle = phase % 1, phase.astype(int)
    opening = 0.5 - 0.5 * np.cos(np.pi * np.minimum(where, 0.4) / 0.4)
    end = 0.4 + speaker.closing
    closing = np.cos(0.5 * np.pi * (where.clip(0.4, end) - 0.4) / speaker.closing)
    flow = np.where(where < 0.4, opening, closing)
    pulse = flow * (1 + speaker.shimmer * swing) * (1 - 0.5 * creak * (cycle % 2))
    return np.diff(pulse, prepend=0)


def _whistle(pitch_hz: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A nearly pure tone in a little wind of its own pitch."""
    hz = _per_sample(pitch_hz)
    turn = 2 * np.pi * np.cumsum(hz) / RATE
    wind = scipy.signal.lfilter([0.02], [1, -0.98], rng.standard_normal((2, len(hz))))
    return np.sin(turn) + 0.5 * (wind[0] * np.cos(turn) + wind[1] * np.sin(turn))


def _tract(speaker: Speaker, hum: bool, rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gains of vowels and of constrictions (places, bins), and of the glottis (efforts, bins).

    Breath is heard through the vowel at half strength, behind a constriction that moves from /x/
    over /ʃ/ to /s/. A hum leaves by the nose, which passes little above 1 kHz (Stevens 1998, 6.3).
    """
    hz, at = fft.rfftfreq(2 * WINDOW, 1 / RATE), np.linspace(0, 4, _PLACES)
    accent = np.exp(0.06 * speaker.slips * rng.standard_normal((len(_VOWELS), 5)))
    formants = np.array([np.interp(at, range(5), row) for row in np.array(_VOWELS) * accent])
    square = (formants[..., None] * 17.5 / speaker.tract_length_cm) ** 2
    # An open or leaky glottis damps all resonances, up to threefold (Stevens 1998, 3.4).
    damping = (3 ** rng.uniform() * np.array(_BANDWIDTHS)[:, None, None] * hz) ** 2
    vowels = (square / np.sqrt((square - hz**2) ** 2 + damping)).prod(0)
    # Above the last formant the series falls too steeply: higher ones hold it up (Fant 1960).
    vowels *= np.minimum((np.maximum(hz, 1) / 6000), 4).clip(1) ** 8
    # Before /u/ the lips all but close, to /v/ and /w/: what is left is the lowest harmonics.
    vowels /= 1 + (hz / (300 * 16.0 ** at[:, None])) ** 2
    centre = 350 * 24 ** np.linspace(0, 1, _PLACES)[:, None] * 2 ** (0.3 * rng.standard_normal())
    width = rng.uniform(0.35, 0.9)
    hiss = np.exp(-0.5 * (np.log2(np.maximum(hz, 20) / centre) / width) ** 2) + rng.uniform(
        0.005, 0.05
    )
    # Breath on the microphone rumbles; it takes wide lips, as for the dullest noises.
    wind = 10 ** (rng.uniform(-2, 1) - 2 * np.linspace(0, 1, _PLACES)[:, None])
    constrictions = np.minimum(vowels, 30) ** 0.3 * hiss + wind / (1 + (hz / 150) ** 4)
    if hum:
        nose = 1 / (1 + (hz / 350) ** 3)
        vowels, constrictions = (
            vowels[_PLACES // 4] ** 0.3 * nose + 0 * vowels,
            constrictions * nose,
        )
    # dB an octave above 250 Hz, whisper to shout
    soft = np.linspace(rng.uniform(3, 12), 0, _EFFORTS)[:, None]
    tilts = 10 ** (-soft * np.log2(np.maximum(hz, 250) / 250) / 20)
    return vowels.astype(np.float32), constrictions.astype(np.float32), tilts.astype(np.float32)


def _trilled(wave: np.ndarray, plan: Plan) -> np.ndarray:
    """Lips or tongue shut and open: the loudness swings between full and a rest."""
    if not plan.trill.any():
        return wave
    phase = np.cumsum(_per_sample(plan.trill_hz)) / RATE
    opening = (0.5 + 0.5 * np.cos(2 * np.pi * phase)) ** 1.5
    return wave * (1 - _per_sample(plan.trill) * (1 - opening))


def _bursts(wave: np.ndarray, plan: Plan, speaker: Speaker, rng) -> np.ndarray:
    """Plosives: 5 to 20 ms of noise, low at the lips, high at the teeth (Stevens 1998, 7.4).

    Clicks of the tongue are two or three times as loud and ring at the mouth's own resonance.
    """
    starts = np.flatnonzero(plan.burst)
    time = np.arange(round(0.06 * RATE)) / RATE
    wave = np.pad(wave, (0, len(time)))
    for start in starts:
        centre = 600 * 12 ** plan.hiss[start] * 2 ** (0.2 * speaker.slips * rng.standard_normal())
        decay = rng.uniform(0.002, 0.006) if plan.clicks else rng.uniform(0.005, 0.02)
        wind = rng.standard_normal(len(time)) * np.exp(-time / decay)
        pole = np.exp(
            2j * np.pi * centre / RATE - np.pi * centre / (4 if plan.clicks else 1.5) / RATE
        )
        pop = scipy.signal.lfilter([1, 0, -1], [1, -2 * pole.real, abs(pole) ** 2], wind)
        pop *= np.minimum(time / 0.001, 1) / (np.abs(pop).max() + 1e-9)
        loud = plan.loudness[start : start + 8].max() * (8 if plan.clicks else 1.5)
        wave[start * HOP : start * HOP + len(time)] += pop * loud * (0.4 + 0.6 * plan.burst[start])
    return wave
