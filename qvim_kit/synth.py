"""A virtual voice that imitates any sound, by the source-filter model of speech.

An effect is heard as four tracks: loudness, pitch, how tonal and how bright it is. A speaker
answers each within their means: pitch is moved into their range, tonal sound becomes glottal
pulses, noise breath, and brightness moves the vowel from /u/ over /a/ to /i/. Time, level and
pitch come out a little wrong. Sources: Fant, *Acoustic Theory of Speech Production* (1960);
Titze, *Principles of Voice Production* (1994); Boersma, Proc. IFA 17 (1993).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from fractions import Fraction
from numbers import Real
from typing import NamedTuple

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter1d, median_filter, uniform_filter1d
from scipy.signal import butter, fftconvolve, resample_poly, sosfilt

RATE, HOP, WINDOW = 16_000, 128, 512
TEMPO_RANGE = (0.8, 1.25)  # the duration of an imitation over its effect's

# Formants in Hz of /u/, /a/, open /e/, /i/: Peterson & Barney (1952), table II, men; and two more.
_FORMANTS = [[300, 730, 530, 270], [870, 1090, 1840, 2290], [2240, 2440, 2480, 3010]]
_FORMANTS += [[3500] * 4, [4500] * 4]
_POSITIONS = 48


@dataclass(frozen=True)
class Speaker:
    """One person's voice and habits, in real units."""

    tract_length_cm: float = 17.0  # scales the formants
    pitch_low_hz: float = 90.0
    pitch_high_hz: float = 450.0  # falsetto included
    jitter: float = 0.008  # standard deviation of a glottal cycle's length, as a fraction
    shimmer: float = 0.04  # the same of its amplitude
    breathiness: float = 0.15  # amplitude of breath in a sung tone, the tone's being 1
    tempo: float = 1.0  # duration of the imitation over the effect's, kept to TEMPO_RANGE
    transposition_semitones: float = 0.0  # how far off, after a move by whole octaves
    room_s: float = 0.2  # reverberation time of the room around them
    slips: float = 1.0  # scales the chance errors; 0 is a careful mimic
    seed: int = 0  # draws them

    def __post_init__(self):
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        off = fields.pop("transposition_semitones")
        bad = {n: v for n, v in fields.items() if not isinstance(v, Real) or not 0 <= v < np.inf}
        if bad or not np.isfinite(off):
            raise ValueError(f"Speaker: found {bad or off}, expected finite numbers from 0 up")
        if not (0 < self.pitch_low_hz < self.pitch_high_hz and self.tract_length_cm and self.tempo):
            raise ValueError(f"{self}: expected 0 < low pitch < high pitch, a tract and a tempo")

    @classmethod
    def random(cls, seed: int) -> Speaker:
        """An adult with a healthy voice, always the same for a seed.

        Vocal tract 15.5 to 18 cm in men, 13.5 to 15.5 cm in women (Fant 1960); pitch from about
        90 or 165 Hz up over two octaves or more, jitter near 1 %, shimmer 2 to 6 % (Titze 1994).
        """
        uniform = np.random.default_rng([71, seed]).uniform
        man = uniform() < 0.5
        tract, low = (uniform(15.5, 18), 75) if man else (uniform(13.5, 15.5), 140)
        low *= uniform(1, 1.4)
        pitch = {"pitch_low_hz": low, "pitch_high_hz": low * 2 ** uniform(2, 2.5)}
        glottis = {"jitter": uniform(0.004, 0.012), "shimmer": uniform(0.02, 0.06)}
        habits = {"tempo": uniform(0.88, 1.15), "transposition_semitones": uniform(-3, 3)}
        scene = {"room_s": uniform(0.1, 0.35), "slips": uniform(0.7, 1.5), "seed": seed}
        return cls(tract, breathiness=uniform(0.05, 0.3), **pitch, **glottis, **habits, **scene)


class Tracks(NamedTuple):
    """What is heard or sung, each (frames,), one frame every ``HOP / RATE`` s."""

    loudness: np.ndarray  # root mean square over 20 ms
    pitch_hz: np.ndarray
    voicing: np.ndarray  # 0 (noise) to 1 (periodic)
    brightness_hz: np.ndarray  # centroid of the power spectrum


def imitate(waveform: np.ndarray, sample_rate: int, speaker: Speaker | int) -> np.ndarray:
    """The speaker's vocal imitation of a sound, the same each time.

    ``speaker`` is a `Speaker`, or a number that stands for ``Speaker.random(number)``.
    ``waveform`` is (samples,), 0.05 to 15 s at 8000 to 192000 Hz. Returns float32 at the same
    rate, 0.8 to 1.25 times as long, peak at most 0.95, band-limited to 7 kHz; silence gives the
    faint hiss of the room. Raises ``ValueError`` naming every fault of the arguments.
    """
    if isinstance(speaker, (int, np.integer)) and not isinstance(speaker, bool) and speaker >= 0:
        speaker = Speaker.random(int(speaker))
    effect = _checked(waveform, sample_rate, speaker)
    rng = np.random.default_rng([speaker.seed, zlib.crc32(effect.tobytes())])
    take = speaker.tempo * 2 ** (0.12 * speaker.slips * rng.standard_normal())
    tempo, peak = float(np.clip(take, *TEMPO_RANGE)), float(np.abs(effect).max())
    heard = track(_resample(effect / max(peak, 1e-4), sample_rate, RATE))
    sung = _sing(_articulate(heard, tempo, speaker, rng), speaker, rng)
    recorded = _room(sung, peak, speaker, rng)
    voice = _resample(recorded, RATE, sample_rate)[: round(len(effect) * tempo)]
    edge = np.arange(len(voice)) / (0.005 * sample_rate)
    return (voice * np.minimum(edge, edge[::-1]).clip(0, 1)).clip(-0.95, 0.95).astype(np.float32)


def _checked(waveform: np.ndarray, sample_rate: int, speaker: Speaker) -> np.ndarray:
    faults, dtype = [], getattr(waveform, "dtype", type(waveform).__name__)
    if getattr(dtype, "kind", "") != "f" or waveform.ndim != 1:
        dtype = f"{dtype} {getattr(waveform, 'shape', '')}"
        faults.append(f"waveform is {dtype}; expected an array of floats, shape (samples,)")
    elif not (np.abs(waveform) <= np.finfo(np.float32).max).all():  # NaN is not, either
        faults.append("waveform holds values that are NaN or infinite; expected finite ones")
    if not isinstance(sample_rate, (int, np.integer)) or not 8000 <= sample_rate <= 192_000:
        faults.append(f"sample_rate is {sample_rate!r}; expected a whole 8000 to 192000 (Hz)")
    elif not faults and not 0.05 <= (seconds := len(waveform) / sample_rate) <= 15:
        faults.append(f"waveform lasts {seconds:.3f} s; expected 0.05 to 15 s: pad or crop it")
    if not isinstance(speaker, Speaker):
        faults.append(
            f"speaker is a {type(speaker).__name__}; expected a Speaker or a number from 0 up"
        )
    if faults:
        raise ValueError("cannot imitate: " + "; ".join(faults))
    return np.ascontiguousarray(waveform, dtype=np.float32)


def _resample(wave: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    ratio = Fraction(new_rate, rate).limit_denominator(1000)
    return resample_poly(wave, ratio.numerator, ratio.denominator)


def track(wave: np.ndarray) -> Tracks:
    """Hear a waveform (samples,) at ``RATE`` Hz: its ``Tracks``, ``samples // HOP + 1`` frames."""
    window = np.hanning(2 * WINDOW).astype(np.float32)
    power = np.abs(_spectra(np.pad(wave, (0, HOP)), window)) ** 2
    energy = uniform_filter1d(np.pad(wave, (0, 1)).astype(float) ** 2, RATE // 50, mode="constant")
    loudness, power = np.sqrt(energy[::HOP].clip(0)), power[: len(energy[::HOP])]
    brightness = power @ fft.rfftfreq(4 * WINDOW, 1 / RATE) / (power.sum(-1) + 1e-9)
    pitch, voicing = _pitch(power, window)
    voicing = voicing * (loudness > 0.003 * loudness.max() + 1e-6)
    # The pitch of voiced frames, freed of stray octaves, is carried over the others.
    voiced = np.flatnonzero(voicing > 0.5) if voicing.max() > 0.5 else np.arange(1)
    tidy = median_filter(np.log2(pitch[voiced]), 5, mode="nearest")
    octaves = np.interp(np.arange(len(pitch)), voiced, tidy)
    return Tracks(loudness, 2**octaves, voicing, np.maximum(brightness, 20))


def _spectra(wave: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Spectra (frames, len(window) + 1) centred on every ``HOP``, padded to twice the window."""
    padded = np.pad(wave, (len(window) // 2, len(window) // 2 - 1)).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, len(window))[::HOP]
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


def _drift(frames: int, every_s: float, rng: np.random.Generator) -> np.ndarray:
    """A slow wander (frames,) about 0, of roughly unit size, a turn every few moments."""
    moments = np.arange(frames) * HOP / RATE / every_s
    knots = rng.standard_normal(int(moments[-1]) + 2)
    return np.interp(moments, np.arange(len(knots)), knots)


def _articulate(heard: Tracks, tempo: float, speaker: Speaker, rng) -> Tracks:
    """What the speaker will do, in their own time: hurried here, late there."""
    count, slips = len(heard.loudness), speaker.slips
    frames = max(2, round(count * tempo))
    pace = np.cumsum(np.exp(0.18 * slips * _drift(frames, 0.6, rng)))
    moments = (pace - pace[0]) / (pace[-1] - pace[0]) * (count - 1)
    loud, pitch, voicing, bright = (np.interp(moments, np.arange(count), x) for x in heard)
    # Habits of this take: quiet parts too loud, intervals too narrow, too bright, too breathy.
    quiet, span, tilt, rough = np.exp(slips * rng.normal([-0.3, -0.1, 0, 0], [0.2, 0.3, 0.35, 0.4]))
    loud = loud**quiet * 10 ** (0.12 * slips * _drift(frames, 0.5, rng))
    bright = bright * tilt * 2 ** (0.4 * slips * _drift(frames, 0.4, rng))
    voicing = gaussian_filter1d(np.clip((voicing - 0.5) / 0.35, 0, 1) ** rough, 1.5)
    sung = _transpose(pitch, voicing * loud, span, speaker)
    sung = sung * 2 ** (0.06 * slips * _drift(frames, 0.3, rng))
    return Tracks(loud, sung, voicing, gaussian_filter1d(bright, 2))


def _transpose(pitch: np.ndarray, weight: np.ndarray, span: float, speaker: Speaker) -> np.ndarray:
    """Fold a melody (frames,) by whole octaves into the speaker's range, scaled by ``span``."""
    # It moves as one piece: folding each frame alone would break a glide that leaves the range.
    low, high = np.log2([speaker.pitch_low_hz, speaker.pitch_high_hz])
    octaves = gaussian_filter1d(np.log2(pitch), 2)
    bottom, top = np.percentile(octaves[weight >= 0.1 * weight.max()], [3, 97])
    middle, width = (bottom + top) / 2, max(top - bottom, 1e-6)
    span = min(span, 0.9 * (high - low) / width)
    moved = middle + round(0.55 * low + 0.45 * high - middle) + speaker.transposition_semitones / 12
    moved = np.clip(moved, low + span * width / 2, high - span * width / 2)
    return 2 ** np.clip(moved + span * (octaves - middle), low, high)


def _sing(plan: Tracks, speaker: Speaker, rng: np.random.Generator) -> np.ndarray:
    """The plan as sound (samples,): pulses and breath through the tract, frame by frame."""
    frames, window = len(plan.loudness), np.hanning(WINDOW).astype(np.float32)
    vowels, rush = _tract(speaker)
    # Brightness from 200 Hz to 5 kHz spans the tongue's way from /u/ to /i/.
    place = np.clip(np.log2(plan.brightness_hz / 200) / np.log2(25), 0, 1)
    index = np.round(place * (_POSITIONS - 1)).astype(int)
    tone = _spectra(_glottis(plan.pitch_hz, speaker, rng), window) * vowels[index]
    breath = _spectra(rng.standard_normal(frames * HOP), window) * rush[index]
    mixed = np.zeros_like(tone)
    for spectra, power in (tone, plan.voicing), (breath, 1 - plan.voicing + speaker.breathiness**2):
        scale = WINDOW / (np.linalg.norm(spectra, axis=-1) + 1e-6)
        mixed += spectra * (plan.loudness * np.sqrt(power) * scale)[:, None]
    pieces = fft.irfft(mixed, 2 * WINDOW, axis=-1).reshape(frames, -1, HOP)
    wave = np.zeros((frames + pieces.shape[1], HOP))
    for block in range(pieces.shape[1]):
        wave[block : block + frames] += pieces[:, block]
    return wave.ravel()[WINDOW // 2 :]


def _glottis(pitch_hz: np.ndarray, speaker: Speaker, rng: np.random.Generator) -> np.ndarray:
    """The derivative of the glottal flow of Rosenberg (JASA 49, 1971), with jitter and shimmer."""
    hz = np.interp(np.arange(len(pitch_hz) * HOP) / HOP, np.arange(len(pitch_hz)), pitch_hz)
    cycle = np.cumsum(hz / RATE).astype(int)
    slip, swing = rng.standard_normal((2, 2 * cycle[-1] + 2))
    phase = np.cumsum(hz / RATE * (1 + speaker.jitter * slip[cycle]).clip(0.5, 1.5))
    where, cycle = phase % 1, phase.astype(int)
    closing = np.cos(0.5 * np.pi * (where.clip(0.4, 0.56) - 0.4) / 0.16)
    flow = np.where(where < 0.4, 0.5 - 0.5 * np.cos(np.pi * where / 0.4), closing)
    return np.diff(flow * (1 + speaker.shimmer * swing[cycle]), prepend=0)


def _tract(speaker: Speaker) -> tuple[np.ndarray, np.ndarray]:
    """Gains (positions, bins) for voice, five resonances in series (Fant 1960, section 1.3), and
    for breath: these at half strength, behind a constriction that moves from /x/ to /s/.
    """
    hz, at = fft.rfftfreq(2 * WINDOW, 1 / RATE), np.linspace(0, 3, _POSITIONS)
    formants = np.array([np.interp(at, range(4), formant) for formant in _FORMANTS])
    square = (formants[..., None] * 17.5 / speaker.tract_length_cm) ** 2
    damping = (np.array([90, 110, 150, 200, 300])[:, None, None] * hz) ** 2
    vowels = (square / np.sqrt((square - hz**2) ** 2 + damping)).prod(0)
    centre = 250 * 22 ** np.linspace(0, 1, _POSITIONS)[:, None]
    hiss = np.exp(-0.5 * (np.log2(np.maximum(hz, 20) / centre) / 0.7) ** 2) + 0.01
    return vowels, np.sqrt(vowels) * hiss


def _room(wave: np.ndarray, peak: float, speaker: Speaker, rng) -> np.ndarray:
    """A small room and a plain microphone; the level follows the effect's only loosely."""
    time = np.arange(round(speaker.room_s * RATE) + 1) / RATE
    # 60 dB, a factor of exp(6.9), in one reverberation time; without a room the voice alone.
    echoes = rng.standard_normal(len(time)) * np.exp(-6.9 * time / max(speaker.room_s, 1e-9))
    wave = np.pad(wave, (0, len(time) - 1)) + fftconvolve(
        wave, 0.35 * echoes / np.linalg.norm(echoes)
    )
    wave = sosfilt(butter(2, [90, 7000], "band", fs=RATE, output="sos"), wave)
    level_db = 10 * np.log10(max(peak, 1e-4)) - 3 + 2 * speaker.slips * rng.standard_normal()
    level = 10 ** (np.clip(level_db, -20, -1) / 20) if peak > 1e-4 else 0
    return wave * level / max(np.abs(wave).max(), 1e-9) + 3e-4 * rng.standard_normal(len(wave))
