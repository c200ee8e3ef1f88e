"""Recordings and files that the page sends in chunks, as servers drop long messages silently."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qvim_kit.widgets.takes import LIMIT, OVERRUN, Take, make_take, read_file

CHUNK = 1 << 20  # bytes; Jupyter's servers drop messages of ten times that without a word
RATES = (8_000, 192_000)  # Hz, what browsers and sound cards offer
FILE_LIMIT = 32 << 20  # bytes of an uploaded file


class Incoming:
    """Puts the chunks of one upload together; a new upload takes the place of an unfinished one.

    Each chunk's message holds: ``upload``, an id; ``index`` of ``chunks``; ``kind``, "pcm" or
    "file"; ``name``; ``source``; and for PCM ``rate`` in Hz and ``scale``, the factor by which
    the recording was turned down to fit into int16.
    """

    def __init__(self):
        self._upload: str | None = None
        self._parts: list[bytes] = []
        self._done: Take | None = None

    def add(self, message: dict[str, Any], buffers: list) -> tuple[int, Take | None, bool]:
        """Take in one chunk.

        Returns the index of the chunk wanted next, so that a lost one is sent again; the take,
        once it is complete; and whether it became complete just now.

        Raises `ValueError` for a message that cannot be right, and as `make_take`; the upload
        is given up then.
        """
        try:
            index, chunks, limit = _checked(message, buffers)
            if message["upload"] != self._upload:
                if index:
                    return 0, None, False
                self._upload, self._parts, self._done = message["upload"], [], None
            if self._done is None and index == len(self._parts):
                self._parts.append(bytes(buffers[0]))
                # Of the first chunk's size are all but the last: what is too long is told at once.
                expected = len(self._parts[0]) * (chunks - 1)
                if max(expected, sum(map(len, self._parts))) > limit:
                    raise ValueError(_too_long(message))
            if self._done is not None or len(self._parts) < chunks:
                return len(self._parts), self._done, False
            self._done = _take_of(message, b"".join(self._parts))
            return len(self._parts), self._done, True
        except ValueError:
            self._upload, self._parts, self._done = None, [], None
            raise


def _checked(message: dict[str, Any], buffers: list) -> tuple[int, int, int]:
    """The chunk's index, how many there are, and how many bytes may come; raises `ValueError`."""
    problems = []
    index, chunks, kind = (message.get(key) for key in ("index", "chunks", "kind"))
    if not (isinstance(index, int) and isinstance(chunks, int) and 0 <= index < chunks):
        problems.append(f"chunk {index} of {chunks}")
    if kind not in ("pcm", "file"):
        problems.append(f"kind {kind!r}, expected pcm or file")
    if not isinstance(message.get("upload"), str):
        problems.append(f"upload {message.get('upload')!r}, expected text")
    size = memoryview(buffers[0]).nbytes if len(buffers) == 1 else -1
    if not 0 <= size <= CHUNK:
        problems.append(f"{len(buffers)} buffers of {size} bytes, expected one of at most {CHUNK}")
    limit = FILE_LIMIT
    if kind == "pcm":
        rate, scale = message.get("rate"), message.get("scale", 1)
        if not isinstance(rate, (int, float)) or not RATES[0] <= rate <= RATES[1] or rate % 1:
            problems.append(f"rate {rate!r} Hz, expected a whole number, {RATES[0]} to {RATES[1]}")
        else:
            limit = 2 * math.ceil((LIMIT + OVERRUN) * rate)
        if not isinstance(scale, (int, float)) or not 0 < scale <= 1:
            problems.append(f"scale {scale!r}, expected more than 0, at most 1")
    if problems:
        raise ValueError("The recording cannot be read: " + "; ".join(problems))
    return index, chunks, limit


def _too_long(message: dict[str, Any]) -> str:
    if message["kind"] == "pcm":
        return f"Longer than {LIMIT:.0f} s. Record a shorter imitation."
    return f"{message.get('name')} is larger than {FILE_LIMIT >> 20} MB. Open a shorter file."


def _take_of(message: dict[str, Any], data: bytes) -> Take:
    name = str(message.get("name") or "take")
    if message["kind"] == "file":
        return make_take(name, *read_file(name, data), "file")
    if len(data) % 2:
        raise ValueError(f"The recording cannot be read: {len(data)} bytes are no int16")
    waveform = np.frombuffer(data, dtype="<i2").astype(np.float32)
    waveform /= 32_767 * float(message.get("scale", 1))
    source = "file" if message.get("source") == "file" else "microphone"
    return make_take(name, waveform, int(message["rate"]), source)
