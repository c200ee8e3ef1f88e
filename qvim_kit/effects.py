"""Twelve classes of procedural sound effects, the items of the mini data set.

An effect is a function of named parameters in real units, so that a caption can state what is
heard. Each model names the chapter of Farnell, *Designing Sound* (2010), that it simplifies.
``count`` is a number of events, ``rate_hz`` their mean rate. ``glide_octaves``, ``tempo_octaves``
and ``swell_db`` are changes over the whole effect, ``sweep_octaves`` over each event: negative
falls (slows, fades), positive rises, 0 stays.
"""

from __future__ import annotations

import numpy as np
import scipy

# (low, high): log-uniform if low > 0; (-a, a): a fall, none or a rise; otherwise uniform.
_RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "Engine": {"firing_hz": (24, 110), "glide_octaves": (-1.4, 1.4), "rev_count": (0, 4)}
    | {"rev_octaves": (0.4, 1.1), "exhaust_hz": (150, 600), "roughness": (0.05, 0.6)},
    "Rain": {"drops_per_s": (6, 150), "drop_hz": (600, 5000), "drop_s": (0.01, 0.08)}
    | {"bed_db": (-40, -6), "swell_db": (-20, 20)},
    "Bark": {"count": (1, 7), "rate_hz": (1.2, 4.5), "pitch_hz": (170, 900)}
    | {"bark_s": (0.09, 0.3), "roughness": (0.02, 0.4), "glide_octaves": (-0.7, 0.7)},
    "Bell": {"count": (1, 9), "rate_hz": (0.9, 6), "pitch_hz": (250, 1800)}
    | {"decay_s": (0.25, 3), "second_octaves": (-0.6, 0.6)},
    "Laser": {"count": (1, 9), "rate_hz": (1.5, 7), "pitch_hz": (500, 2500)}
    | {"sweep_octaves": (-2.6, 2.6), "shot_s": (0.08, 0.6), "buzz_hz": (20, 90), "buzz": (0, 0.5)},
    "Footsteps": {"count": (3, 12), "rate_hz": (1.2, 4.5), "surface_hz": (120, 2200)}
    | {"step_s": (0.04, 0.25), "crunch": (0, 1), "tempo_octaves": (-1.2, 1.2)},
    "Wind": {"pitch_hz": (250, 1800), "gust_hz": (0.3, 2.2), "gust_octaves": (0.2, 1)}
    | {"sharpness": (2, 14), "swell_db": (-18, 18)},
    "Whistle": {"count": (1, 6), "rate_hz": (0.8, 4.5), "pitch_hz": (700, 2600), "note_s": (0.1, 1)}
    | {"sweep_octaves": (-1, 1), "vibrato_hz": (4, 9), "vibrato_octaves": (0, 0.09)},
    "Saw": {"count": (2, 13), "rate_hz": (0.9, 4.5), "teeth_hz": (50, 350), "body_hz": (600, 4000)}
    | {"sweep_octaves": (-0.9, 0.9), "return_db": (-20, 0)},
    "Clock": {"count": (3, 24), "rate_hz": (1.2, 8), "tick_hz": (800, 5000)}
    | {"tock_octaves": (-1, 1), "tock_db": (-12, 0), "ring_s": (0.015, 0.2)},
    "Bubble": {"count": (2, 34), "rate_hz": (1.5, 12), "pitch_hz": (220, 1400)}
    | {"rise_octaves": (0.1, 1.3), "decay_s": (0.05, 0.25), "glide_octaves": (-1, 1)},
    "Siren": {"pitch_hz": (350, 1100), "width_octaves": (0.2, 1), "sweep_hz": (0.3, 5)}
    | {"two_tone": (0, 1), "glide_octaves": (-0.9, 0.9), "swell_db": (-15, 15)},
}
CLASSES: tuple[str, ...] = tuple(_RANGES)  # each can be the name of a folder
Parameters = dict[str, float]


def draw_parameters(class_name: str, rng: np.random.Generator) -> Parameters:
    """The parameters of one effect of a class, drawn from the class's ranges.

    Always holds ``duration_s`` (1.5 to 4 s) and ``level_db`` (the peak, dB re full scale); the
    others depend on the class. Raises ``ValueError`` for a class that is not in ``CLASSES``.
    """
    drawn = {name: _draw(name, *bounds, rng) for name, bounds in _ranges(class_name).items()}
    if "count" in drawn:
        interval = 1 / drawn["rate_hz"]
        drawn["count"] = float(min(drawn["count"], int(3.6 / interval)))
        needed = drawn["count"] * interval + 0.3 + drawn.get("decay_s", 0)
        drawn["duration_s"] = float(np.clip(needed, 1.5, 4))
        for name in {"bark_s", "shot_s", "step_s", "note_s"} & set(drawn):
            drawn[name] = min(drawn[name], 0.9 * interval)
        for name in {"glide_octaves", "second_octaves"} & set(drawn):
            drawn[name] *= drawn["count"] > 1
    return drawn


def synthesise(
    class_name: str, parameters: Parameters, rng: np.random.Generator, sample_rate: int = 32_000
) -> np.ndarray:
    """One sound effect, float32 of shape (samples,), samples = duration_s * sample_rate.

    What tells effects apart is in ``parameters`` (from ``draw_parameters``); ``rng`` draws only
    the grain: noise, single drops. The peak is ``level_db``; the ends are faded, the mean is 0.
    Raises ``ValueError`` for an unknown class, a missing parameter or a rate below 16 kHz.
    """
    if missing := sorted(set(_ranges(class_name)) - set(parameters)):
        raise ValueError(f"{class_name} lacks the parameters {missing}: see draw_parameters")
    if sample_rate < 16_000:
        raise ValueError(f"sample_rate is {sample_rate} Hz; expected at least 16000 Hz")
    time = np.arange(round(parameters["duration_s"] * sample_rate)) / sample_rate
    model = _MODELS[class_name], parameters, time, rng
    wave = _series(*model) if "count" in parameters else model[0](*model[1:])
    wave = wave * 10 ** (parameters.get("swell_db", 0) * (time / time[-1] - 0.5) / 20)
    rumble = scipy.signal.butter(2, 25, "high", fs=sample_rate, output="sos")
    wave = scipy.signal.sosfiltfilt(rumble, wave)
    wave *= np.sin(np.pi / 2 * np.minimum(time / 0.004, time[::-1] / 0.04).clip(0, 1)) ** 2
    return (10 ** (parameters["level_db"] / 20) * wave / np.abs(wave).max()).astype(np.float32)


def _ranges(class_name: str) -> dict[str, tuple[float, float]]:
    if class_name not in _RANGES:
        raise ValueError(f"unknown class {class_name!r}; the classes are {', '.join(CLASSES)}")
    return {**_RANGES[class_name], "level_db": (-14, -1), "duration_s": (1.5, 4)}


def _draw(name: str, low: float, high: float, rng: np.random.Generator) -> float:
    if name in ("count", "rev_count", "two_tone"):
        return float(rng.integers(low, high + 1))
    if low == -high:
        return float(rng.integers(-1, 2) * high * rng.uniform(0.4, 1))
    return float(np.exp(rng.uniform(*np.log([low, high]))) if low > 0 else rng.uniform(low, high))


def _series(event, p: Parameters, time: np.ndarray, rng) -> np.ndarray:
    """One event after another; each is given its index and its progress, 0 to 1."""
    wave, count = np.zeros(len(time)), int(p["count"])
    steps = 2 ** (-p.get("tempo_octaves", 0.0) * np.linspace(0, 1, count))
    onsets = 0.02 + (np.cumsum(steps) - steps) / steps.sum() * count / p["rate_hz"]
    for index, start in enumerate(np.round(onsets / time[1]).astype(int)):
        sound = event(p, time[: len(time) - start], rng, index, index / max(count - 1, 1))
        wave[start : start + len(sound)] += sound
    return wave


def _turns(hz: np.ndarray, time: np.ndarray) -> np.ndarray:
    return np.cumsum(np.broadcast_to(hz, time.shape)) * time[1]


def _sine(hz: np.ndarray, time: np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * _turns(hz, time))


def _resonate(wave: np.ndarray, hz: float, q: float, time: np.ndarray) -> np.ndarray:
    b, a = scipy.signal.iirpeak(min(hz, 0.45 / time[1]), q, fs=1 / time[1])
    return scipy.signal.lfilter(b, a, wave)


def _noise_band(hz: np.ndarray, width_hz: float, time: np.ndarray, rng) -> np.ndarray:
    """Noise of a bandwidth around a moving centre: low-passed complex noise, shifted up."""
    low_pass = scipy.signal.butter(2, width_hz / 2, fs=1 / time[1])
    noise = scipy.signal.lfilter(*low_pass, rng.standard_normal((2, len(time))))
    turn = 2 * np.pi * _turns(np.minimum(hz, 0.45 / time[1]), time)
    return (noise[0] * np.cos(turn) - noise[1] * np.sin(turn)) / (noise.std() + 1e-9)


def _engine(p: Parameters, time: np.ndarray, rng) -> np.ndarray:
    """Farnell, Cars: one pulse per firing, four unequal cylinders, an exhaust that resonates."""
    octaves = p["rev_octaves"] * np.sin(np.pi * p["rev_count"] * time / time[-1]) ** 2
    octaves += p["glide_octaves"] * (time / time[-1] - 0.5)
    phase = _turns(p["firing_hz"] * 2**octaves, time)
    loud = 1 + 0.5 * p["roughness"] * rng.standard_normal(4)[phase.astype(int) % 4]
    pulse = np.exp(-6 * (phase % 1)) * (loud + p["roughness"] * rng.standard_normal(len(time)))
    pipes = sum(_resonate(pulse, p["exhaust_hz"] * k, 3, time) / k for k in (1, 2.4, 4.1))
    return np.tanh(2 * (pipes + 0.3 * pulse)) * 2 ** (0.5 * octaves)


def _rain(p: Parameters, time: np.ndarray, rng) -> np.ndarray:
    """Farnell, Rain: single drops on a surface that rings, over the hiss of the distant ones."""
    wave = 10 ** (p["bed_db"] / 20) * rng.standard_normal(len(time))
    for hz in p["drop_hz"] * 2 ** rng.uniform(-0.4, 0.4, size=6):
        drops = (rng.random(len(time)) < p["drops_per_s"] * time[1] / 6) * rng.random(len(time))
        ringing = _resonate(drops, hz, max(np.pi * hz * p["drop_s"] / 6.9, 0.7), time)
        wave += 3 * ringing / max(np.abs(ringing).max(), 1e-9)
    return wave


def _bark(p: Parameters, time: np.ndarray, rng, index: int, progress: float) -> np.ndarray:
    """Farnell, Mammals: rough glottal pulses, an arch of pitch, a mouth that opens and shuts."""
    t = time[time < p["bark_s"]]
    octaves = p["glide_octaves"] * (progress - 0.5) + 0.7 * np.sin(3 * t / p["bark_s"])
    hz = p["pitch_hz"] * 2**octaves * (1 + p["roughness"] * _noise_band(0 * t, 60, t, rng))
    source = (1 - _turns(hz, t) % 1) ** 3 + p["roughness"] * rng.standard_normal(len(t))
    mouths = (p["pitch_hz"] / 350) ** 0.5 * np.array([650, 1150, 2400])
    mouth = sum(_resonate(source, hz, 5, t) for hz in mouths)
    return mouth * np.minimum(t / 0.01, 1) * (1 - t / p["bark_s"]) ** 0.7


def _bell(p: Parameters, time: np.ndarray, rng, index: int, progress: float) -> np.ndarray:
    """Farnell, Telephone bell; the partials are a church bell's (Fletcher & Rossing 1998)."""
    t = time[time < 1.2 * p["decay_s"]]
    ratios = np.array([0.5, 1, 1.2, 1.5, 2, 2.51, 3, 4.1])
    weights = np.array([0.5, 1, 0.7, 0.3, 0.8, 0.3, 0.3, 0.2])
    hz = p["pitch_hz"] * 2 ** (p["second_octaves"] * (index % 2)) * ratios
    poles = 2j * np.pi * hz - 6.9 / p["decay_s"] * ratios**0.6
    weights *= (hz < 0.45 / time[1]) * rng.uniform(0.8, 1)
    return weights @ np.exp(poles[:, None] * t).imag


def _laser(p: Parameters, time: np.ndarray, rng, index: int, progress: float) -> np.ndarray:
    """Farnell, Red alert: a swept oscillator with overtones, here with a fast buzz on its pitch."""
    t = time[time < p["shot_s"]]
    octaves = 0.4 * p["buzz"] * _sine(p["buzz_hz"], t)
    octaves += p["sweep_octaves"] * ((t / t[-1]) ** 0.7 - 0.5)
    tone = np.tanh(2 * _sine(p["pitch_hz"] * 2**octaves, t))
    return tone * np.minimum(t / 0.004, 1) * (1 - t / t[-1]) ** 0.8


def _footsteps(p: Parameters, time: np.ndarray, rng, index: int, progress: float) -> np.ndarray:
    """Farnell, Footsteps: heel, then ball of the foot, press on a surface; gravel breaks up."""
    t = time[time < 1.5 * p["step_s"]]
    press = np.exp(-6.9 * t / p["step_s"]) + 0.5 * np.exp(-13.8 * np.abs(t / p["step_s"] - 0.35))
    grain = rng.standard_normal(len(t)) * (rng.random(len(t)) < 1 - 0.97 * p["crunch"])
    ground = _resonate(grain * press, p["surface_hz"] * (1 + 0.12 * (index % 2)), 2, t)
    return ground / (ground.std() + 1e-9) * rng.uniform(0.7, 1)


def _wind(p: Parameters, time: np.ndarray, rng) -> np.ndarray:
    """Farnell, Wind: gusts move the pitch and the loudness of noise whistling past an edge."""
    gust = np.sin(2 * np.pi * (p["gust_hz"] * time - 0.25)) + 0.1 * np.sin(7.1 * time)
    hz = p["pitch_hz"] * 2 ** (0.5 * p["gust_octaves"] * gust)
    whistle = _noise_band(hz, p["pitch_hz"] / p["sharpness"], time, rng)
    return (whistle + 0.15 * _noise_band(0 * time, 800, time, rng)) * 10 ** (0.4 * gust)


def _whistle(p: Parameters, time: np.ndarray, rng, index: int, progress: float) -> np.ndarray:
    """Farnell, Birds: a nearly pure tone that glides over each note, with vibrato and breath."""
    t = time[time < p["note_s"]]
    vibrato = p["vibrato_octaves"] * _sine(p["vibrato_hz"], t)
    hz = p["pitch_hz"] * 2 ** (p["sweep_octaves"] * (t / t[-1] - 0.5) + vibrato)
    tone = _sine(hz, t) + 0.08 * _sine(2 * hz, t) + 0.04 * _noise_band(hz, 700, t, rng)
    return tone * np.clip(np.minimum(t, t[-1] - t) / 0.03, 0, 1)


def _saw(p: Parameters, time: np.ndarray, rng, index: int, progress: float) -> np.ndarray:
    """Farnell, Creaking: friction as pulses; teeth pluck the wood on the push and the return."""
    t = time[time < 0.85 / p["rate_hz"]]
    speed, back = np.sin(np.pi * t / t[-1]), index % 2
    hz = p["body_hz"] * 2 ** ((1 - 2 * back) * p["sweep_octaves"] * (t / t[-1] - 0.5))
    teeth = 0.2 + np.exp(-5 * (_turns(p["teeth_hz"] * (0.3 + speed), t) % 1))
    loud = speed * 10 ** (p["return_db"] * back / 20)
    return loud * teeth * _noise_band(hz, 0.7 * p["body_hz"], t, rng)


def _clock(p: Parameters, time: np.ndarray, rng, index: int, progress: float) -> np.ndarray:
    """Farnell, Clocks: an escapement clicks, tick and tock, and the case rings at three modes."""
    t = time[time < 0.03 + p["ring_s"]]
    hz = p["tick_hz"] * 2 ** (p["tock_octaves"] * (index % 2))
    click = rng.standard_normal(len(t)) * np.exp(-t / 0.0012)
    ring = sum(_resonate(click, hz * k, 0.45 * hz * p["ring_s"], t) for k in (1, 1.47, 0.31))
    return ring / (np.abs(ring).max() + 1e-9) * 10 ** (p["tock_db"] * (index % 2) / 20)


def _bubble(p: Parameters, time: np.ndarray, rng, index: int, progress: float) -> np.ndarray:
    """Farnell, Bubbles: a decaying sine that rises near the surface (van den Doel 2005)."""
    t = time[time < 1.2 * p["decay_s"]]
    octaves = p["glide_octaves"] * (progress - 0.5) + rng.uniform(-0.1, 0.1)
    hz = p["pitch_hz"] * 2 ** (octaves + p["rise_octaves"] * t / p["decay_s"])
    return _sine(hz, t) * np.exp(-5 * t / p["decay_s"]) * np.clip(t / 0.003, 0, 1)


def _siren(p: Parameters, time: np.ndarray, rng) -> np.ndarray:
    """Farnell, Police: an oscillator swept to and fro, or between two tones, through a horn."""
    edge = 30 if p["two_tone"] else 0.1
    sweep = np.tanh(-edge * np.cos(2 * np.pi * p["sweep_hz"] * time)) / np.tanh(edge)
    octaves = 0.5 * p["width_octaves"] * sweep + p["glide_octaves"] * (time / time[-1] - 0.5)
    tone = np.tanh(3 * _sine(p["pitch_hz"] * 2**octaves, time))
    return 0.4 * tone + _resonate(tone, 1800, 1.5, time)


_LIST = (_engine, _rain, _bark, _bell, _laser, _footsteps)
_LIST += (_wind, _whistle, _saw, _clock, _bubble, _siren)
_MODELS = dict(zip(CLASSES, _LIST, strict=True))
