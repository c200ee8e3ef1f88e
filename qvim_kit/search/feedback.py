"""What people say of results: one line of JSON an event, kept for good.

- `FeedbackLog`: the file. `events`: what a line may say. `feedback_numbers`: what the lines say
  of the systems. `feedback_pairs`: what can be learnt from them.
- `rocchio`: results re-ranked at once. `simulation`: what that is worth.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import datetime
import io
import json
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from qvim_kit.downloads.locks import locked
from qvim_kit.paths import data_folder
from qvim_kit.search.events import (
    DamagedLine,
    FeedbackWarning,
    hash_audio,
    is_hash,
    parse_events,
    problems_of,
    store_audio,
    texts,
    to_time,
)
from qvim_kit.search.feedback_numbers import feedback_numbers
from qvim_kit.search.feedback_pairs import training_pairs
from qvim_kit.search.judging import Standings
from qvim_kit.search.rocchio import rocchio
from qvim_kit.search.simulation import FeedbackGain, simulate_feedback

if TYPE_CHECKING:
    from qvim_kit.datasets import RetrievalDataset

__all__ = [
    "FeedbackGain",
    "FeedbackLog",
    "FeedbackWarning",
    "hash_audio",
    "rocchio",
    "simulate_feedback",
]

FEEDBACK_COLUMNS = (
    "time", "kind", "query", "system", "ranking", "chosen", "verdict", "panel", "other_system",
    "other_ranking", "reranked", "audio",
)  # fmt: skip


class FeedbackLog:
    """A file of judgements, one line of JSON an event, to which lines are only ever added.

    Several processes may write to it. A line that cannot be read, such as one half written when
    the power failed, is left out with a warning that names its number; it stays in the file.
    Recordings are kept only where `record` is told to, in the folder ``<file name>-audio`` beside
    the log; delete one there to withdraw it.

    Args:
        path: the file; it need not exist yet. ``feedback/feedback.jsonl`` in the data folder if
            left out.

    >>> log = FeedbackLog()  # doctest: +SKIP
    >>> log.record(query_audio=(waveform, 48_000), system="2DFT", ranking=list(results["name"]),
    ...            chosen="Dog/bark.wav", verdict="right")  # doctest: +SKIP
    >>> log.numbers()  # doctest: +SKIP
    """

    def __init__(self, path: str | os.PathLike | None = None):
        self.path = Path(path or data_folder() / "feedback" / "feedback.jsonl").absolute()
        self.audio_folder = self.path.with_name(f"{self.path.stem}-audio")

    def record(
        self,
        *,
        query_audio: tuple[np.ndarray, int] | None = None,
        query: str | None = None,
        system: str,
        ranking: Iterable[str],
        chosen: str | None = None,
        verdict: str,
        keep_audio: bool = False,
        panel: str | None = None,
        other_system: str | None = None,
        other_ranking: Iterable[str] | None = None,
        reranked: bool = False,
        time: datetime.datetime | float | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """Add what was said about one result; returns the event as it stands in the file.

        Args:
            query_audio: waveform, as `hash_audio` takes it, and its sample rate in Hz. Only its
                hash is stored, as the event's ``query``.
            query: a name for a query that is no recording, such as a shipped example's; without
                this and without audio, the event belongs to no query and nothing pairs with it.
            system: whose results these are.
            ranking: names of the sounds as they were shown, best first.
            chosen: the sound that the verdict is about; None with "wrong": none of these is right.
            verdict: "right", "wrong", or "taken back": what was said of ``chosen`` before holds
                no longer. The last verdict on a sound counts.
            keep_audio: store the recording, too, as 24-bit FLAC: only where the speaker agreed.
            panel, other_system: which of two panels side by side, and whose the other one is.
            other_ranking: what the other panel showed; it makes this judgement count for both
                systems, as what is right does not depend on the panel.
            reranked: whether these rankings have learnt from marks of this query already; only
                what was shown before counts in `numbers`.
            time: now, if left out; seconds since 1970, or a datetime.
            **more: anything else that json can write. By ``library``, ``words`` and ``filter``,
                where they are given, `numbers` tells which searches are the same.

        Raises `ValueError` listing all that is wrong; then nothing was written.
        """
        if query_audio is not None and query is not None:
            raise ValueError("query: found a name besides query_audio, expected one of them")
        if keep_audio and query_audio is None:
            raise ValueError("keep_audio: found no query_audio, expected a recording to keep")
        name = query if query_audio is None else hash_audio(*query_audio)
        line = _as_line(
            "feedback",
            time,
            {
                "query": name,
                "system": system,
                "ranking": texts(ranking),
                "chosen": chosen,
                "verdict": verdict,
                "panel": panel,
                "other_system": other_system,
                "other_ranking": texts(other_ranking),
                "reranked": bool(reranked),
                "audio": f"{name}.flac" if keep_audio else None,
                **more,
            },
        )
        if keep_audio:
            store_audio(self.audio_folder, *query_audio)
        return self._write(line)

    def append(
        self, kind: str, /, *, time: datetime.datetime | float | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Add an event of any kind, as `ListeningTest.rate` does; returns it.

        Raises `ValueError` for what json cannot write or the kind does not allow, and `OSError`
        where the file cannot be written.
        """
        return self._write(_as_line(kind, time, fields))

    def _write(self, line: bytes) -> dict[str, Any]:
        event = json.loads(line)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.path), self.path.open("a+b", buffering=0) as file:
            if _ends_within_a_line(file):
                line = b"\n" + line  # so that half a line harms no other
            written = file.write(line)
            os.fsync(file.fileno())
        if written != len(line):
            raise OSError(f"{self.path}: wrote {written} of {len(line)} bytes; is the disk full?")
        return event

    def audio_of(self, query: str) -> Path | None:
        """The kept recording of a query by its hash; None if it was not kept or was deleted."""
        path = self.audio_folder / f"{query}.flac"
        return path if is_hash(query) and path.is_file() else None

    def read(self) -> tuple[list[dict[str, Any]], list[DamagedLine]]:
        """All events in the order of the file, and the lines that are none. Warns of nothing."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return [], []
        return parse_events(content)

    @property
    def damaged(self) -> list[DamagedLine]:
        """The lines that cannot be read: number (from 1), reason, text."""
        return self.read()[1]

    @property
    def events(self) -> pd.DataFrame:
        """One row an event, in the order of the file; ``time`` is in UTC.

        Warns (`FeedbackWarning`) of damaged lines.
        """
        events = self._read_and_warn()[0]
        columns = list(dict.fromkeys([*FEEDBACK_COLUMNS, *(key for e in events for key in e)]))
        rows = [{column: event.get(column) for column in columns} for event in events]
        table = pd.DataFrame(rows, columns=columns, dtype=object)
        table["time"] = pd.to_datetime(table["time"], utc=True, format="ISO8601")
        return table

    def numbers(self, *, recordings_only: bool = False) -> Standings:
        """MRR of the chosen sounds for each system, and the systems against each other.

        See `feedback_numbers.feedback_numbers` for what is counted and how. With
        ``recordings_only``, queries that have a name instead of a recording are left out.
        """
        events, damaged = self._read_and_warn()
        if recordings_only:
            events = [event for event in events if is_hash(event.get("query"))]
        return feedback_numbers(events, damaged_lines=len(damaged))

    def pairs(self, library_root: str | os.PathLike | pd.DataFrame, **options) -> RetrievalDataset:
        """Training pairs: kept recordings with the sounds that were right for them.

        See `feedback_pairs.training_pairs`; `training.fit` takes what it returns.
        """
        return training_pairs(self._read_and_warn()[0], self.audio_of, library_root, **options)

    def _read_and_warn(self) -> tuple[list[dict[str, Any]], list[DamagedLine]]:
        events, damaged = self.read()
        if damaged:
            named = "; ".join(map(str, damaged[:5])) + ("; …" if len(damaged) > 5 else "")
            message = f"{self.path}: damaged lines left out, {len(damaged)} in all: {named}"
            warnings.warn(message, FeedbackWarning, stacklevel=3)
        return events, damaged

    def __repr__(self) -> str:
        return f"FeedbackLog {self.path}: {len(self.read()[0])} events"


def _as_line(kind: str, time: datetime.datetime | float | None, fields: dict[str, Any]) -> bytes:
    """One event as it stands in the file. Raises `ValueError` listing all that is wrong."""
    if reserved := sorted({"kind", "time"} & fields.keys()):
        raise ValueError(f"{kind}: found fields named {reserved}, expected other names")
    event = {"time": to_time(time), "kind": kind, **fields}
    if problems := problems_of(event):
        raise ValueError(f"{kind}: " + "; ".join(problems))
    try:
        return json.dumps(event, allow_nan=False).encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise ValueError(f"{kind}: cannot be written as JSON ({error})") from None


def _ends_within_a_line(file: io.FileIO) -> bool:
    if not file.seek(0, os.SEEK_END):
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"
