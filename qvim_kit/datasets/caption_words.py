"""The words for what the parameters of `effects` make heard. Used by `captions`.

In the templates ``{a}`` stands for the article and what the sound is like, ``{x}`` for the same
without article, ``{times}`` for "once" or "three times", ``{n}`` for "one" or "three", ``{s}`` for
the plural's s, and ``{pace}`` for "slow " or "fast ".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBERS += ("eleven", "twelve")
MANY = len(NUMBERS)  # from here on nobody counts


class Trait(NamedTuple):
    """What is said where a parameter is below ``low`` or above ``high``: any of some words."""

    parameter: str
    low: float
    high: float
    below: tuple[str, ...]
    above: tuple[str, ...]


def change(parameter: str, below: tuple[str, ...], above: tuple[str, ...]) -> Trait:
    """A change that falls, stays (exactly 0) or rises."""
    return Trait(parameter, 0.0, 0.0, below, above)


@dataclass(frozen=True)
class Kind:
    """How one class is put into words.

    Attributes:
        sentences: what happens, as main clauses; ``steady`` instead where the count is 0.
        events: the events, counted, as a noun phrase; often: their number alone.
        source: what is heard, as a noun phrase.
        looks: adjectives. details: what the events are like. changes: over the whole sound.
        count: the parameter that counts events, if there are any.
        pace: how fast they follow each other.
    """

    sentences: tuple[str, ...]
    source: str
    looks: tuple[Trait, ...] = ()
    details: tuple[Trait, ...] = ()
    changes: tuple[Trait, ...] = ()
    events: str = ""
    often: str = "{times}"
    steady: tuple[str, ...] = ()
    count: str | None = None
    pace: Trait | None = None


PACE = Trait("rate_hz", 1.9, 3.6, ("slowly",), ("fast", "quickly"))
SWELL = change(
    "swell_db", ("getting quieter", "fading away"), ("getting louder", "growing in loudness")
)
FALLING, RISING = ("falling in pitch", "getting lower"), ("rising in pitch", "getting higher")
GLIDE = change("glide_octaves", FALLING, RISING)
SWEEP = change(
    "sweep_octaves",
    ("falling in pitch", "sweeping downwards"),
    ("rising in pitch", "sweeping upwards"),
)


def pitch(parameter: str, low: float, high: float) -> Trait:
    return Trait(parameter, low, high, ("low", "deep"), ("high", "high-pitched"))


WORDS: dict[str, Kind] = {
    "Engine": Kind(
        ("{a}engine revs up {times}", "{a}motor is revved up {times}"),
        "{a}engine",
        (
            pitch("firing_hz", 40, 66),
            Trait("roughness", 0.15, 0.35, ("smooth", "even"), ("rough", "sputtering")),
        ),
        (Trait("exhaust_hz", 230, 400, ("with a dull exhaust",), ("with a bright exhaust",)),),
        (change("glide_octaves", ("slowing down",) + FALLING, ("speeding up",) + RISING),),
        "{n} rev{s} of {a}engine",
        "revving up {times}",
        ("{a}engine runs", "{a}motor hums along"),
        "rev_count",
    ),
    "Rain": Kind(
        ("{x}rain falls", "{x}rain comes down"),
        "{x}rain",
        (Trait("drops_per_s", 18, 60, ("light", "sparse"), ("heavy", "dense")),),
        (
            Trait("drop_hz", 1200, 2500, ("in low, plopping drops",), ("in high, ticking drops",)),
            Trait("drop_s", 0.018, 0.045, ("the drops short and dry",), ("the drops ringing",)),
            Trait("bed_db", -30, -15, ("single drops only",), ("over a steady hiss",)),
        ),
        (SWELL,),
    ),
    "Bark": Kind(
        ("{a}dog barks {times}", "{a}dog is barking {times}"),
        "{a}dog",
        (Trait("pitch_hz", 300, 520, ("large", "deep-voiced"), ("small", "high-voiced")),),
        (
            Trait("bark_s", 0.14, 0.21, ("short and clipped",), ("long and drawn out",)),
            Trait("roughness", 0.13, 0.27, ("in a clear voice",), ("in a hoarse voice",)),
        ),
        (GLIDE,),
        "{n} {pace}bark{s} of {a}dog",
        count="count",
        pace=PACE,
    ),
    "Bell": Kind(
        ("{a}bell rings {times}", "{a}bell is struck {times}"),
        "{a}bell",
        (pitch("pitch_hz", 470, 950),),
        (Trait("decay_s", 0.55, 1.4, ("soon damped",), ("ringing on for long",)),),
        (
            change(
                "second_octaves", ("every second stroke lower",), ("every second stroke higher",)
            ),
        ),
        "{n} {pace}stroke{s} of {a}bell",
        count="count",
        pace=PACE,
    ),
    "Laser": Kind(
        ("{a}laser gun fires {times}", "{a}ray gun shoots {times}"),
        "{a}laser gun",
        (
            pitch("pitch_hz", 850, 1500),
            Trait("buzz", 0.0, 0.33, (), ("buzzing",)),
        ),
        (Trait("shot_s", 0.15, 0.3, ("short and snappy",), ("long and drawn out",)),),
        (SWEEP,),
        "{n} {pace}shot{s} of {a}laser gun",
        count="count",
        pace=PACE,
    ),
    "Footsteps": Kind(
        ("someone takes {n} step{s}", "a person walks {n} step{s}"),
        "someone walking",
        (),
        (
            Trait("surface_hz", 320, 830, ("on a dull floor",), ("on a hard, bright floor",)),
            Trait("step_s", 0.075, 0.14, ("with light steps",), ("with long, heavy steps",)),
            Trait("crunch", 0.0, 0.65, (), ("crunching on gravel",)),
        ),
        (change("tempo_octaves", ("slowing down",), ("speeding up", "getting faster")),),
        "{n} {pace}footstep{s}",
        "{n} step{s}",
        count="count",
        pace=PACE,
    ),
    "Wind": Kind(
        ("{x}wind blows", "{x}wind howls"),
        "{x}wind",
        (
            pitch("pitch_hz", 470, 950),
            Trait("sharpness", 5, 10, ("rushing",), ("whistling",)),
        ),
        (Trait("gust_octaves", 0.42, 0.72, ("hardly moving in pitch",), ("moving far in pitch",)),),
        (SWELL,),
        pace=Trait("gust_hz", 0.6, 1.2, ("in slow gusts",), ("in quick gusts",)),
    ),
    "Whistle": Kind(
        ("{a}whistle sounds {times}", "someone whistles {n} {low}note{s}"),
        "{a}whistle",
        (pitch("pitch_hz", 1080, 1700),),
        (
            Trait("note_s", 0.2, 0.4, ("short",), ("long and held",)),
            Trait("vibrato_octaves", 0.02, 0.06, ("with a steady tone",), ("with vibrato",)),
        ),
        (SWEEP,),
        "{n} {pace}{low}note{s} of a whistle",
        count="count",
        pace=PACE,
    ),
    "Saw": Kind(
        ("{a}saw cuts wood with {n} stroke{s}", "someone saws wood with {n} stroke{s}"),
        "{a}saw in wood",
        (pitch("body_hz", 1150, 2200),),
        (
            Trait("teeth_hz", 95, 190, ("with coarse teeth",), ("with fine teeth",)),
            Trait("return_db", -13, -3, ("hardly heard on the pull",), ("alike to and fro",)),
        ),
        (
            change(
                "sweep_octaves",
                ("the push falling and the pull rising",),
                ("the push rising and the pull falling",),
            ),
        ),
        "{n} {pace}stroke{s} of {a}saw",
        "{n} stroke{s}",
        count="count",
        pace=PACE,
    ),
    "Clock": Kind(
        ("{a}clock ticks {times}", "{a}clock goes tick {times}"),
        "{a}ticking clock",
        (pitch("tick_hz", 1450, 2700),),
        (Trait("ring_s", 0.035, 0.085, ("dry",), ("each tick ringing",)),),
        (
            change("tock_octaves", ("every second tick lower",), ("every second tick higher",)),
            Trait("tock_db", -8, -4, ("every second tick quieter",), ()),
        ),
        "{n} {pace}tick{s} of {a}clock",
        count="count",
        pace=PACE,
    ),
    "Bubble": Kind(
        ("{n} {low}bubble{s} rise in water", "water bubbles {times}"),
        "bubbling water",
        (pitch("pitch_hz", 400, 770),),
        (
            Trait("rise_octaves", 0.5, 0.9, ("nearly level",), ("each going up steeply",)),
            Trait("decay_s", 0.085, 0.15, ("short",), ("long",)),
        ),
        (GLIDE,),
        "{n} {pace}{low}bubble{s}",
        count="count",
        pace=PACE,
    ),
    "Siren": Kind(
        ("{a}siren goes", "{a}alarm siren sounds"),
        "{a}siren",
        (
            pitch("pitch_hz", 510, 760),
            Trait("two_tone", 0.5, 0.5, ("wailing",), ("two-tone",)),
        ),
        (Trait("width_octaves", 0.35, 0.65, ("within a narrow range",), ("over a wide range",)),),
        (GLIDE, SWELL),
        pace=Trait("sweep_hz", 0.8, 2.0, ("slowly up and down",), ("fast up and down",)),
    ),
}
