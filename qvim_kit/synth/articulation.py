"""What a speaker decides to do with what they heard: a plan for their mouth, frame by frame.

Sources: Lemaitre et al., JASA 139 (2016), on how pitch, tempo and sharpness are imitated;
Lemaitre et al., "Rising tones and rustling noises", PLoS ONE 12 (2017), on breath for noise, a sung
tone for a tone, and the direction of both;
Mehrabi et al., "Vocal imitation of synthesised sounds", JAES 65 (2017), on loudness and
brightness; Kent, *The Speech Sciences* (1997), on the speed of syllables and articulators.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy

from qvim_kit.synth.hearing import FRAMES_PER_S, Tracks
from qvim_kit.synth.speaker import Speaker

ARTICULATORS_S = 0.03  # tongue and jaw need about 100 ms for a movement: a Gaussian's sigma
TRILL_HZ = (18, 32)  # lips, tongue tip and uvula (Ladefoged & Maddieson 1996, section 7.1)
WHISTLE_HZ = (600, 3200)  # what lips can whistle, about two octaves and a half
CREAK_HZ = 30  # the slowest pulses of a vocal fry (Titze 1994, section 10)


class Plan(NamedTuple):
    """What the mouth does, each (frames,)."""

    loudness: np.ndarray
    pitch_hz: np.ndarray
    voicing: np.ndarray  # 0 (breath) to 1 (sung)
    vowel: np.ndarray  # place on the tongue's way, 0 /u/ to 1 /i/
    hiss: np.ndarray  # place of the constriction that makes noise, 0 /x/ to 1 /s/
    whistle: np.ndarray  # share of the tone that is whistled
    trill: np.ndarray  # depth, 0 to 1
    trill_hz: np.ndarray
    burst: np.ndarray  # strength of a plosive or click, 0 except at its frame
    hum: bool  # mouth closed
    clicks: bool  # bursts are clicks of the tongue


def articulate(heard: Tracks, speaker: Speaker, rng: np.random.Generator) -> Plan:
    """The plan of one take, in the speaker's own time; takes differ with ``rng``."""
    slips = speaker.slips
    heard = _retimed(heard, speaker, rng)
    frames, loud = len(heard.loudness), _foreground(heard.loudness)
    # Habits of this take: quiet parts too loud, intervals too narrow, too bright, too breathy.
    quiet, span, tilt, rough = np.exp(slips * rng.normal([-0.35, -0.1, 0, 0], [0.3, 0.3, 0.4, 0.5]))
    weight = loud**2
    voicing = np.clip((heard.voicing - 0.45) / 0.35, 0, 1) ** rough
    tonal = float((voicing * weight).sum() / (weight.sum() + 1e-9))
    # Low sounds are done lower and bright ones brighter: half the energy of real imitations lies
    # below some 100 Hz (breakers, blown) to 5 kHz (a forest's birds).
    exaggerated = slips * rng.uniform(0, 1) if slips else 0.0
    bright = heard.brightness_hz * (heard.brightness_hz / 700).clip(0.1, 10) ** exaggerated
    bright = bright * tilt * 2 ** (0.35 * slips * drift(frames, 0.4, rng))
    pitch = _melody(heard, voicing, tonal, bright, slips, rng)
    whistles = tonal > 0.5 and np.median(pitch) > 500 and rng.random() < speaker.whistles
    clicks = _is_percussive(loud, heard.onset) and rng.random() < speaker.clicks
    # Some growl or sing along with noise, others only blow.
    if tonal < 0.5 and slips and rng.random() < 0.3:
        voicing = np.maximum(voicing, rng.uniform(0.3, 0.9))
    sung = _into_range(pitch, voicing * loud, span, whistles, speaker)
    sung = sung * 2 ** (0.05 * slips * drift(frames, 0.3, rng))
    trill, trill_hz = _trills(heard, sung, tonal, speaker, rng)
    flat = slips * rng.uniform(0, 0.4) if slips else 0.0  # some hardly move their tongues
    place = np.clip(np.log2(np.maximum(bright, 20) / 250) / np.log2(20), 0, 1)
    place = (1 - flat) * place + flat * rng.random()
    vowel = np.clip(place + 0.1 * slips * drift(frames, 0.4, rng), 0, 1)
    loud = loud**quiet * 10 ** (0.1 * slips * drift(frames, 0.5, rng))
    dull = 2.0 * (np.median(bright) < 500)  # a closed mouth is dull by itself
    plosive = clicks or rng.random() < speaker.plosives
    burst = np.where(rng.random(frames) < (1 if clicks else 0.8), heard.onset, 0) * plosive
    smooth = ARTICULATORS_S * FRAMES_PER_S
    hiss = np.clip(np.log2(bright / 400) / np.log2(16), 0, 1)
    return Plan(
        loudness=loud * _closures(burst) * (0.12 if clicks else 1),
        pitch_hz=sung,
        voicing=scipy.ndimage.gaussian_filter1d(voicing, 1.5),
        vowel=scipy.ndimage.gaussian_filter1d(vowel, smooth),
        hiss=scipy.ndimage.gaussian_filter1d(hiss, smooth),
        whistle=np.full(frames, float(whistles)),
        trill=trill,
        trill_hz=trill_hz,
        burst=burst,
        hum=bool(not clicks and tonal > 0.4 and rng.random() < speaker.hums * (1 + dull)),
        clicks=bool(clicks),
    )  # fmt: skip


def drift(frames: int, every_s: float, rng: np.random.Generator) -> np.ndarray:
    """A slow wander (frames,) about 0, of roughly unit size, a turn every few moments."""
    moments = np.arange(frames) / FRAMES_PER_S / every_s
    knots = rng.standard_normal(int(moments[-1]) + 2)
    return np.interp(moments, np.arange(len(knots)), knots)


def _foreground(loudness: np.ndarray) -> np.ndarray:
    """Loudness (frames,), the largest 1, without a steady background behind louder events."""
    loud = loudness / max(loudness.max(), 1e-9)
    background = np.percentile(loud, 20)
    stands_out = np.clip(
        np.log2(max(np.percentile(loud, 95), 1e-6) / max(background, 1e-6)) - 1, 0, 1
    )
    return np.sqrt(np.maximum(loud**2 - stands_out * (1.5 * background) ** 2, 1e-6 * loud**2))


def _retimed(heard: Tracks, speaker: Speaker, rng: np.random.Generator) -> Tracks:
    """Hurried here, late there; long sounds cut short, short ones said again, dense ones slowed."""
    count, slips = len(heard.loudness), speaker.slips
    first, last = 0.0, count - 1.0
    seconds, patience = count / FRAMES_PER_S, speaker.patience_s
    if slips and seconds > patience:  # they do the part that they remember
        first = rng.uniform(0, 1 - patience / seconds) * count
        last = first + patience * FRAMES_PER_S - 1
    tempo = speaker.tempo * 2 ** (0.25 * slips * rng.standard_normal())
    gaps = np.diff(np.flatnonzero(heard.onset[int(first) : int(last) + 1] > 0.3)) / FRAMES_PER_S
    if len(gaps) > 2:  # one by one only as fast as the tongue goes
        tempo *= np.clip(1 / (np.median(gaps) * speaker.syllables_hz), 1, 1.6)
    frames = max(6, round((last - first) * float(np.clip(tempo, 0.5, 2.2))))
    pace = np.cumsum(np.exp(0.2 * slips * drift(frames, 0.6, rng)))
    moments = first + (pace - pace[0]) / (pace[-1] - pace[0]) * (last - first)
    seconds = frames / FRAMES_PER_S
    times = int(rng.integers(1, 4)) if slips and seconds < 1 and rng.random() < 0.4 else 1
    gap = np.full(round(rng.uniform(0.05, 0.5) * FRAMES_PER_S), np.nan)
    moments = np.concatenate([moments, *[gap, moments] * (times - 1)])
    place = np.nan_to_num(moments)
    taken = {name: np.interp(place, np.arange(count), x) for name, x in heard._asdict().items()}
    taken["loudness"] = np.where(np.isnan(moments), 0, taken["loudness"])
    taken["onset"] = np.zeros(len(moments))
    for onset in np.flatnonzero(heard.onset):
        hits = np.flatnonzero((place[:-1] < onset) & (place[1:] >= onset) | (place[:-1] == onset))
        taken["onset"][hits] = heard.onset[onset]
    return Tracks(**taken)


def _melody(heard: Tracks, voicing, tonal: float, bright, slips: float, rng) -> np.ndarray:
    """The pitch to sing; without a pitch to hear, brightness is often sung as pitch."""
    if tonal > 0.3 or not slips:
        return heard.pitch_hz
    follows = rng.uniform(0, 1.2)
    return np.median(bright) * (bright / np.median(bright)) ** follows / 8


def _is_percussive(loud: np.ndarray, onset: np.ndarray) -> bool:
    """Short hits with little between them."""
    hits = scipy.ndimage.maximum_filter1d(onset > 0.25, 2 * round(0.08 * FRAMES_PER_S) + 1)
    return bool((onset > 0.25).any() and (loud[hits] ** 2).sum() > 0.75 * (loud**2).sum())


def _into_range(pitch, weight, span: float, whistles: bool, speaker: Speaker) -> np.ndarray:
    """Fold a melody (frames,) by whole octaves into the speaker's range, scaled by ``span``.

    It moves as one piece: folding each frame alone would break a glide that leaves the range.
    """
    low, high = (speaker.pitch_low_hz, speaker.pitch_high_hz)
    least, most = WHISTLE_HZ if whistles else (CREAK_HZ, speaker.falsetto_hz)
    low, high = np.log2(WHISTLE_HZ if whistles else (low, high))
    octaves = scipy.ndimage.gaussian_filter1d(np.log2(pitch), 2)
    bottom, top = np.percentile(octaves[weight >= 0.1 * weight.max()], [3, 97])
    middle, width = (bottom + top) / 2, max(top - bottom, 1e-6)
    span = min(span, 0.9 * np.log2(most / (2**low)) / width)
    # Low sounds stay low and high sounds high, as far as the voice reaches.
    wanted = np.clip(middle, low + 0.15 * (high - low), high - 0.15 * (high - low))
    moved = middle + round(wanted - middle) + speaker.transposition_semitones / 12
    return np.clip(2 ** (moved + span * (octaves - middle)), least, most)


def _trills(
    heard: Tracks, sung, tonal: float, speaker: Speaker, rng
) -> tuple[np.ndarray, np.ndarray]:
    """Lips or tongue flutter for what flutters, and for what rumbles."""
    wish = speaker.trills and rng.random() < speaker.trills
    rumble = 0.8 if np.median(heard.brightness_hz) < 500 and tonal > 0.2 else 0.0
    depth = wish * np.clip(np.maximum(2.5 * heard.flutter - 0.4, rumble), 0, 0.95)
    wander = 2 ** (0.1 * speaker.slips * drift(len(sung), 0.2, rng))
    return depth, np.clip(heard.flutter_hz * wander, *TRILL_HZ)


def _closures(burst: np.ndarray) -> np.ndarray:
    """Before a burst the mouth is shut for some 40 ms: what the loudness is multiplied by."""
    shut = round(0.04 * FRAMES_PER_S)
    ahead = scipy.ndimage.maximum_filter1d((burst > 0).astype(float), shut, origin=-(shut // 2))
    return np.where((ahead > 0) & (burst == 0), 0.1, 1.0)
