"""A virtual voice that imitates any sound, by the source-filter model of speech.

- `speaker`: who imitates. `hearing`: what they hear. `articulation`: what they decide to do.
- `singing`: what their mouth makes of it. `mosaic`: the same from grains of recorded voices.
- `recording`: room and microphone.

Notebook: 02_augment.
"""

from __future__ import annotations

import zlib
from fractions import Fraction

import numpy as np
import scipy

from qvim_kit.synth import hearing, singing
from qvim_kit.synth.articulation import articulate
from qvim_kit.synth.mosaic import VoiceGrains
from qvim_kit.synth.recording import record
from qvim_kit.synth.speaker import Speaker

__all__ = ["Speaker", "VoiceGrains", "imitate"]


def imitate(
    waveform: np.ndarray,
    sample_rate: int,
    speaker: Speaker | int,
    take: int = 0,
    grains: VoiceGrains | None = None,
) -> np.ndarray:
    """The speaker's vocal imitation of a sound, the same each time.

    Args:
        waveform: (samples,) floats, 0.05 to 15 s.
        sample_rate: 8000 to 192000 Hz.
        speaker: a `Speaker`, or a number that stands for ``Speaker.random(number)``.
        take: people do not imitate a sound twice in the same way.
        grains: of recorded voices, to be pieced together instead of singing.

    Returns float32 at the same rate, 0.1 to about 20 s long and seldom much longer than the
    speaker's patience, peak at most 0.95; silence gives the faint hiss of the room. Raises
    ``ValueError`` naming every fault of the arguments.
    """
    if isinstance(speaker, (int, np.integer)) and not isinstance(speaker, bool) and speaker >= 0:
        speaker = Speaker.random(int(speaker))
    sound = _checked(waveform, sample_rate, speaker, take, grains)
    rng = np.random.default_rng([speaker.seed, take, _number_of(sound)])
    peak = float(np.abs(sound).max())
    heard = hearing.track(_resample(sound / max(peak, 1e-4), sample_rate, hearing.RATE))
    plan = articulate(hearing.audible(heard), speaker, rng)
    sung = grains.sing(plan, rng) if grains else singing.sing(plan, speaker, rng)
    return _finished(sung, peak, sample_rate, speaker, rng)


def _number_of(sound: np.ndarray) -> int:
    """A number for this sound, so that a speaker does not make the same slips with every one.

    From how loud its sixteen parts are to a tenth of a decibel, not from its bits: other processors
    and other versions of NumPy and SciPy compute the same sound with other last bits.
    """
    levels = [np.abs(part).mean(dtype=float) for part in np.array_split(sound, 16)]
    return zlib.crc32(np.round(200 * np.log10(np.add(levels, 1e-6))).astype("<i4").tobytes())


def _finished(sung: np.ndarray, peak: float, sample_rate: int, speaker: Speaker, rng) -> np.ndarray:
    """In the room, at the caller's rate, without clicks at the ends."""
    recorded = record(sung, singing.RATE, peak, speaker, rng)
    voice = _resample(recorded, singing.RATE, sample_rate)
    edge = np.arange(len(voice)) / (0.005 * sample_rate)
    return (voice * np.minimum(edge, edge[::-1]).clip(0, 1)).clip(-0.95, 0.95).astype(np.float32)


def _checked(
    waveform: np.ndarray, sample_rate: int, speaker: Speaker, take: int, grains: VoiceGrains | None
) -> np.ndarray:
    faults, dtype = [], getattr(waveform, "dtype", type(waveform).__name__)
    if getattr(dtype, "kind", "") != "f" or waveform.ndim != 1:
        dtype = f"{dtype} {getattr(waveform, 'shape', '')}".strip()
        faults.append(f"waveform is {dtype}; expected an array of floats, shape (samples,)")
    elif not (np.abs(waveform) <= np.finfo(np.float32).max).all():  # NaN is not, either
        faults.append("waveform holds values that are NaN or infinite; expected finite ones")
    if not isinstance(sample_rate, (int, np.integer)) or not 8000 <= sample_rate <= 192_000:
        faults.append(f"sample_rate is {sample_rate!r}; expected a whole 8000 to 192000 (Hz)")
    elif not faults and not 0.05 <= (seconds := len(waveform) / sample_rate) <= 15:
        faults.append(f"waveform lasts {seconds:.3f} s; expected 0.05 to 15 s: pad or crop it")
    if not isinstance(speaker, Speaker):
        faults.append(f"speaker is {speaker!r}; expected a Speaker or a whole number from 0 up")
    if not isinstance(take, (int, np.integer)) or take < 0:
        faults.append(f"take is {take!r}; expected a whole number from 0 up")
    if grains is not None and not isinstance(grains, VoiceGrains):
        faults.append(f"grains is {grains!r}; expected what VoiceGrains.from_folder returns")
    if faults:
        raise ValueError("cannot imitate: " + "; ".join(faults))
    return np.ascontiguousarray(waveform, dtype=np.float32)


def _resample(wave: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    ratio = Fraction(new_rate, rate).limit_denominator(1000)
    return scipy.signal.resample_poly(wave, ratio.numerator, ratio.denominator)
