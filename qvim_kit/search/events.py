"""What a line of the feedback file may say, and the recordings it speaks of.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
from collections.abc import Iterable
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qvim_kit.audio import LOWEST_RATE
from qvim_kit.paths import beside

TAKEN_BACK = "taken back"  # the verdict that leaves a sound, or "none of these", unsaid
VERDICTS = ("right", "wrong", TAKEN_BACK)
FULL_SCALE = 2**23  # of 24 bits: what FLAC keeps, and all that float32 below 1 can tell


class DamagedLine(NamedTuple):
    """A line of a feedback file that says nothing: number counts from 1."""

    number: int
    reason: str
    text: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.reason}"


class FeedbackWarning(UserWarning):
    """Lines or recordings that are left out; the message names them."""


def parse_events(content: bytes) -> tuple[list[dict[str, Any]], list[DamagedLine]]:
    """The events in a file's content, in order, and the lines that are none."""
    events, damaged = [], []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            event = json.loads(line.decode("utf-8"))
            if wrong := problems_of(event):
                raise ValueError("; ".join(wrong))
            events.append(event)
        except (ValueError, RecursionError) as error:
            text = line.decode("utf-8", errors="replace")
            damaged.append(DamagedLine(number, f"is no event ({error})", text))
    return events, damaged


def problems_of(event: Any) -> list[str]:
    """All that is wrong with an event; kinds that are not known here pass."""
    if not isinstance(event, dict) or not isinstance(event.get("kind"), str):
        return ["expected an object with a kind"]
    problems = []
    try:
        datetime.datetime.fromisoformat(event.get("time"))
    except (TypeError, ValueError):
        problems.append(f"time: found {event.get('time')!r}, expected ISO 8601")
    if event["kind"] == "feedback":
        problems += _problems_of_feedback(event)
    if event["kind"] == "rating":
        problems += _problems_of_rating(event)
    return problems


def _problems_of_feedback(event: dict) -> list[str]:
    problems = [
        f"{name}: found {event.get(name)!r}, expected {what}"
        for name, right, what in (
            ("system", _is_name(event.get("system")), "the name of a system"),
            ("ranking", _are_names(event.get("ranking")), "a list of names"),
            ("verdict", event.get("verdict") in VERDICTS, f"one of {VERDICTS}"),
            ("panel", event.get("panel") in (None, "A", "B"), "'A', 'B' or None"),
        )
        if not right
    ]
    for name in ("query", "chosen", "other_system", "audio"):
        if event.get(name) is not None and not _is_name(event[name]):
            problems.append(f"{name}: found {event[name]!r}, expected text or None")
    other = event.get("other_ranking")
    if other is not None and not _are_names(other):
        problems.append(f"other_ranking: found {other!r}, expected a list of names or None")
    if event.get("other_system") is None and (event.get("panel") or other is not None):
        problems.append("other_system: found None, expected the other panel's system")
    if event.get("other_system") is not None and event["other_system"] == event.get("system"):
        problems.append(f"other_system: found {event['system']!r}, expected another than system")
    if event.get("chosen") is None and event.get("verdict") == "right":
        problems.append("chosen: found None, expected the name of the right sound")
    return problems


def _problems_of_rating(event: dict) -> list[str]:
    problems = [
        f"{name}: found {event.get(name)!r}, expected text"
        for name in ("test", "trial", "query", "listener")
        if not isinstance(event.get(name), str)
    ]
    ratings = event.get("ratings")
    if not isinstance(ratings, dict) or not ratings or not all(map(is_rating, ratings.values())):
        problems.append(f"ratings: found {ratings!r}, expected system → 0 … 100")
    return problems


def is_rating(value: Any) -> bool:
    """Whether a value is a number from 0 to 100; NaN is none."""
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= value <= 100


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _are_names(values: Any) -> bool:
    return isinstance(values, list) and all(map(_is_name, values))


def to_time(time: datetime.datetime | float | None) -> str:
    """ISO 8601 in UTC: of now, of seconds since 1970, or of a datetime (naive: local time)."""
    utc = datetime.timezone.utc
    if time is None:
        time = datetime.datetime.now(utc)
    elif isinstance(time, Real):
        time = datetime.datetime.fromtimestamp(float(time), utc)
    return time.astimezone(utc).isoformat()


def hash_audio(waveform: np.ndarray, sample_rate: int) -> str:
    """16 hexadecimal digits that name a recording: equal samples at an equal rate.

    Args:
        waveform: (samples,) float, 1 is full scale, or whole numbers; (samples, channels) are
            averaged. Compared in steps of 24 bits, so that the FLAC file of `store_audio`, loaded
            again, has the same name.
        sample_rate: Hz.

    Raises `ValueError` for a waveform or rate that is no sound.
    """
    stored, rate = _to_24_bits(waveform, sample_rate)
    return hashlib.sha256(f"{rate} Hz".encode() + stored.tobytes()).hexdigest()[:16]


def is_hash(query: Any) -> bool:
    """Whether an event's query is a recording's hash, and not a name."""
    return isinstance(query, str) and re.fullmatch("[0-9a-f]{16}", query) is not None


def store_audio(folder: Path, waveform: np.ndarray, sample_rate: int) -> Path:
    """Write a recording as ``folder/<its hash>.flac`` unless it is there.

    24 bits at its own rate; what is beyond full scale is cut off.
    """
    import soundfile

    target = folder / f"{hash_audio(waveform, sample_rate)}.flac"
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        stored, rate = _to_24_bits(waveform, sample_rate)
        with beside(target) as part:
            soundfile.write(part, stored << 8, rate, format="FLAC", subtype="PCM_24")
    return target


def _to_24_bits(waveform: np.ndarray, sample_rate: int) -> tuple[np.ndarray, int]:
    waveform = np.asarray(waveform)
    if waveform.ndim not in (1, 2) or not waveform.size or waveform.dtype.kind not in "fi":
        raise ValueError(
            f"query_audio: found {waveform.dtype} of shape {waveform.shape}, expected a waveform "
            "(samples,) or (samples, channels) of floats or signed whole numbers"
        )
    if waveform.dtype.kind == "i":
        waveform = waveform / -float(np.iinfo(waveform.dtype).min)
    if waveform.ndim == 2:
        waveform = waveform.mean(axis=1)
    if not np.isfinite(waveform).all():
        raise ValueError("query_audio: found NaN or infinite samples, expected finite ones")
    if not isinstance(sample_rate, Real) or not sample_rate >= LOWEST_RATE or sample_rate % 1:
        raise ValueError(f"sample_rate: found {sample_rate!r}, expected whole hertz, such as 48000")
    steps = np.rint(waveform.astype(np.float64) * FULL_SCALE)
    return np.clip(steps, -FULL_SCALE, FULL_SCALE - 1).astype("<i4"), int(sample_rate)


def texts(names: Iterable[str | os.PathLike] | None) -> list[str] | None:
    """Names as json writes them: of a column, an index or a list."""
    if isinstance(names, str):
        raise TypeError(f"ranking: found the text {names!r}, expected a list of names")
    return None if names is None else [os.fspath(name) for name in names]
