"""An imitation pieced together from grains of real voices: audio mosaicing.

Whoever has recordings of voices (shouts, words, laughter; anyone's) can let them imitate: the plan
of `articulation.articulate` is followed with the grains that fit it best. Sources: Schwarz,
"Corpus-based concatenative synthesis", IEEE Signal Processing Magazine 24 (2007); Driedger,
Prätzlich & Müller, "Let it bee", ISMIR (2015).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import scipy

from qvim_kit.audio import AudioError, audio_files, fit, load_audio
from qvim_kit.synth.articulation import Plan
from qvim_kit.synth.hearing import RATE as HEARING_RATE
from qvim_kit.synth.hearing import track
from qvim_kit.synth.singing import HOP, RATE

GRAIN = 16  # frames, 128 ms: long enough to keep what makes it human
STRIDE = GRAIN // 2
LENGTH = 3 * GRAIN * HOP // 2  # a margin lets a grain be read faster, to be sung higher
CHOICES = 6  # one of the best so many is taken


class VoiceGrains:
    """Grains of recorded voices, findable by pitch, brightness and voicing.

    Args:
        voices: name of a speaker → their recordings, each a path.

    Attributes:
        features: (grains, 3), as `_features` describes.
        speaker: (grains,), the speaker's number.
        recordings: (samples,), all in a row; neighbouring grains overlap.
        starts: (grains,), where in the recordings each begins.

    Raises `AudioError` for a file that cannot be read, `ValueError` if there is no voice in them.
    """

    def __init__(self, voices: Mapping[str, Iterable[str | os.PathLike]]):
        features, speakers, recordings, begins, samples = [], [], [], [], 0
        for number, paths in enumerate(voices.values()):
            for path in paths:
                wave = load_audio(path, RATE)
                heard = track(scipy.signal.resample_poly(wave, 1, RATE // HEARING_RATE))
                starts = np.arange(0, len(heard.loudness) - 2 * GRAIN, STRIDE // 2)
                loud = np.array([heard.loudness[s : s + GRAIN].mean() for s in starts])
                starts = starts[loud > 0.1 * heard.loudness.max()] if len(starts) else starts
                for start in starts:
                    part = slice(start, start + GRAIN)
                    features.append(_features(*(np.median(x[part]) for x in heard[1:4])))
                    speakers.append(number)
                if len(starts):
                    recordings.append(fit(wave, starts[-1] * HOP + LENGTH))
                    begins.append(samples + starts * HOP)
                    samples += len(recordings[-1])
        if not features:
            raise ValueError("voices: found no sound of 0.3 s in them, expected recorded voices")
        self.features, self.speaker = np.array(features), np.array(speakers)
        self.recordings, self.starts = np.concatenate(recordings), np.concatenate(begins)

    @classmethod
    def from_folder(cls, folder: str | os.PathLike) -> VoiceGrains:
        """One speaker for each folder of recordings; a file's name up to ``__`` where there are
        files and no folders. Raises `AudioError` for a part that cannot be read.
        """
        errors: list[AudioError] = []
        voices: dict[str, list[Path]] = {}
        for path in sorted(map(Path, audio_files(folder, errors))):
            inside = path.relative_to(folder)
            known = inside.parts[0] if len(inside.parts) > 1 else path.stem.rpartition("__")[0]
            voices.setdefault(known, []).append(path)
        if errors:
            raise errors[0]
        return cls(voices)

    def __len__(self) -> int:
        return len(self.features)

    def sing(self, plan: Plan, rng: np.random.Generator) -> np.ndarray:
        """The plan as a waveform (frames * HOP,), in the voice of one speaker, sometimes two."""
        frames, window = len(plan.loudness), np.hanning(GRAIN * HOP)
        names = np.unique(self.speaker)
        own = np.isin(self.speaker, rng.choice(names, min(len(names), 1 + (rng.random() < 0.3))))
        own = np.flatnonzero(own)
        brightness = 250 * 20**plan.vowel
        wave, weight = np.zeros((2, (frames + 2 * GRAIN) * HOP))
        for start in range(0, frames, STRIDE):
            part = slice(start, min(start + GRAIN, frames))
            tracks = plan.pitch_hz, plan.voicing, brightness
            wanted = _features(*(np.median(values[part]) for values in tracks))
            cost = np.abs(self.features[own] - wanted).sum(1)
            best = own[np.argpartition(cost, min(CHOICES, len(own) - 1))[:CHOICES]]
            chosen = rng.choice(best)
            # Read faster or slower by up to a fourth, to come nearer to the pitch.
            shift = np.clip(wanted[0] - self.features[chosen][0], -0.4, 0.4) / _WEIGHTS[0]
            ratio = 2 ** float(np.clip(shift, -5 / 12, 5 / 12))
            places = np.arange(GRAIN * HOP) * ratio
            read = self.recordings[self.starts[chosen] :][:LENGTH]
            grain = np.interp(places, np.arange(LENGTH), read)
            grain /= np.sqrt(np.mean(grain**2)) + 1e-6
            begin = start * HOP
            wave[begin : begin + len(grain)] += window * grain
            weight[begin : begin + len(grain)] += window**2
        loud = np.interp(np.arange(frames * HOP) / HOP, np.arange(frames), plan.loudness)
        return (wave / np.sqrt(weight + 1e-3))[: frames * HOP] * loud


_WEIGHTS = (1.0, 1.5, 0.7)


def _features(pitch_hz: float, voicing: float, brightness_hz: float) -> np.ndarray:
    """Octaves of pitch, voicing and octaves of brightness, each times its weight."""
    return np.array(_WEIGHTS) * [np.log2(pitch_hz), voicing, np.log2(max(brightness_hz, 50))]
