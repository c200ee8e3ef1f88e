"""Who imitates: a voice's measures, and a person's habits.

Sources: Fant, *Acoustic Theory of Speech Production* (1960); Titze, *Principles of Voice
Production* (1994); Lemaitre et al., "Vocal imitations of basic auditory features", JASA 139
(2016); Lemaitre & Rocchesso, "On the effectiveness of vocal imitations", JASA 135 (2014).
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import numpy as np


@dataclass(frozen=True)
class Speaker:
    """One person's voice, habits and room, in real units."""

    tract_length_cm: float = 17.0  # scales the formants
    pitch_low_hz: float = 90.0  # of the modal voice; creak lies below
    pitch_high_hz: float = 400.0  # of the modal voice; falsetto lies above
    falsetto_hz: float = 700.0  # the highest note
    jitter: float = 0.008  # standard deviation of a glottal cycle's length, as a fraction
    shimmer: float = 0.04  # the same of its amplitude
    closing: float = 0.16  # share of a cycle in which the glottis closes; short is bright
    breathiness: float = 0.15  # amplitude of breath in a sung tone, the tone's being 1
    tempo: float = 1.0  # duration of an imitation over the sound's
    patience_s: float = 5.0  # the longest imitation, roughly
    syllables_hz: float = 6.5  # the fastest that they articulate one by one
    transposition_semitones: float = 0.0  # how far off, after a move by whole octaves
    # How likely they are to use what a mouth can do besides speech, where it suits the sound.
    whistles: float = 0.0
    clicks: float = 0.0
    trills: float = 0.0
    hums: float = 0.0
    plosives: float = 0.5  # a burst at an onset
    room_s: float = 0.2  # reverberation time of the room around them
    microphone_hz: float = 9_000.0  # the highest frequency that it passes
    noise_db: float = -60.0  # of room and microphone, below the voice
    slips: float = 1.0  # scales the chance errors; 0 is a careful mimic
    seed: int = 0  # draws them

    def __post_init__(self):
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        signed = [fields.pop("transposition_semitones"), fields.pop("noise_db")]
        bad = {n: v for n, v in fields.items() if not isinstance(v, Real) or not 0 <= v < np.inf}
        if bad or not np.isfinite(signed).all():
            raise ValueError(f"Speaker: found {bad or signed}, expected finite numbers from 0 up")
        pitches = 0 < self.pitch_low_hz < self.pitch_high_hz <= self.falsetto_hz
        measures = (self.tract_length_cm, self.tempo, self.patience_s, self.syllables_hz)
        glottis = 0.01 <= self.closing <= 0.6
        habits = (self.whistles, self.clicks, self.trills, self.hums, self.plosives)
        able = pitches and all(measures) and glottis and max(habits) <= 1
        if not able or self.microphone_hz < 1000:
            raise ValueError(
                f"{self}: expected 0 < low < high <= falsetto pitch; tract, tempo, patience and "
                "syllables above 0; closing from .01 to .6; whistles, clicks, trills, hums "
                "and plosives up to 1; a microphone that reaches 1000 Hz"
            )

    @classmethod
    def random(cls, seed: int) -> Speaker:
        """An adult with a healthy voice, always the same for a seed.

        Vocal tract 15.5 to 18 cm in men, 13.5 to 15.5 cm in women (Fant 1960). Modal pitch from
        about 80 or 150 Hz over two octaves, falsetto an octave more, jitter near 1 %, shimmer 2
        to 6 % (Titze 1994). Five to eight syllables a second at most (Kent, *The Speech
        Sciences*, 1997). Between people, habits differ more than voices do (Lemaitre 2014).
        """
        rng = np.random.default_rng([72, seed])
        uniform, man = rng.uniform, rng.uniform() < 0.5
        low = uniform(75, 105) if man else uniform(140, 190)
        high = low * 2 ** uniform(1.6, 2.1)
        tract = uniform(15.5, 18) if man else uniform(13.5, 15.5)
        voice = {"jitter": uniform(0.004, 0.015), "shimmer": uniform(0.02, 0.06)}
        voice |= {"closing": 0.03 * 8 ** uniform(), "breathiness": uniform(0.05, 0.6)}
        voice |= {"transposition_semitones": uniform(-4, 4)}
        habits = {"tempo": uniform(0.85, 1.2), "patience_s": uniform(2.5, 7)}
        habits |= {"syllables_hz": uniform(5, 8), "hums": uniform(0, 0.3)}
        habits |= {name: uniform(0, 0.8) for name in ("whistles", "clicks", "trills", "plosives")}
        scene = {"room_s": uniform(0.08, 0.45), "microphone_hz": 3500 * 4 ** uniform()}
        scene |= {"noise_db": uniform(-80, -35), "slips": uniform(0.3, 1.6)}
        return cls(
            tract, low, high, high * 2 ** uniform(0.6, 1), **voice, **habits, **scene, seed=seed
        )
