"""What can be searched with: one judgement of a recording, for the command line and the widgets.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from qvim_kit.audio import check_audio, load_audio
from qvim_kit.datasets.listening import CLIPPED_SHARE, clipped_share

LIMIT = 12.0  # s; what the recorder records, and all that is kept of a longer file
OVERRUN = 0.5  # s by which a recording may be longer than it was told to be
SHORTEST = 0.1  # s
SILENCE = -60.0  # dBFS; a loudest value below it is no recording


def read_recording(path: str | os.PathLike) -> tuple[np.ndarray, int]:
    """A file → mono (samples,) float32 at its own rate, and that rate; of a long one 13 s.

    Raises `AudioError` for a file that cannot be used.
    """
    import soundfile

    check_audio(path)
    with Path(path).open("rb") as handle:
        about = soundfile.info(handle)
    longer = about.frames > (LIMIT + 1) * about.samplerate
    return load_audio(path, about.samplerate, LIMIT + 1 if longer else None), about.samplerate


def judged(
    name: str, waveform: np.ndarray, sample_rate: int, source: str = "file"
) -> tuple[np.ndarray, str]:
    """What counts of a recording, and what is wrong with it though it can be used, or "".

    Args:
        name: of the recording, for the messages.
        waveform: (samples,), full scale is 1. Of more than 12 s, the first 12 s are kept.
        source: "microphone", or where else it comes from; the cures differ.

    Returns (samples,) float32, and the warning.

    Raises `ValueError` for what cannot be searched with: nothing in it, less than 0.1 s, values
    that are not finite, or only silence.
    """
    waveform = np.asarray(waveform, dtype=np.float32)
    longest = round(LIMIT * sample_rate)
    warnings = []
    if len(waveform) > longest + OVERRUN * sample_rate:
        warnings.append(f"longer than {LIMIT:.0f} s: only its beginning is used")
    waveform = waveform[:longest]
    recorded = source == "microphone"
    if not len(waveform):
        raise ValueError("Nothing was recorded: no sound came in at all.")
    if len(waveform) < SHORTEST * sample_rate:
        seconds = len(waveform) / sample_rate
        raise ValueError(
            f"Only {seconds:.2f} s were recorded. Record for longer before you stop."
            if recorded
            else f"{name} lasts only {seconds:.3f} s, expected at least {SHORTEST} s. "
            "Record for longer."
        )
    if not np.isfinite(waveform).all():
        raise ValueError(f"{name} holds NaN or infinite values. Export it again.")
    peak = 20 * np.log10(max(float(np.abs(waveform).max()), 1e-6))
    if peak < SILENCE:
        level = "digital silence" if peak <= -119 else f"at most {peak:.0f} dBFS"
        raise ValueError(
            f"Nothing was heard ({level}). "
            "Is the right microphone chosen in the browser, and is it switched on?"
            if recorded
            else f"Nothing was heard in {name} ({level}). Take another file or record it again."
        )
    share = clipped_share(waveform[:, None])
    if share >= CLIPPED_SHARE:
        warnings.append(
            f"too loud: {share:.1%} of it is cut off. For a better search move back from the "
            "microphone and record again"
        )
    return waveform, "; ".join(warnings)


def recording(path: str | os.PathLike) -> tuple[np.ndarray, int, str]:
    """A file as it is searched with: (samples,), its rate in Hz, and a warning or "".

    Raises `AudioError`, naming the file, for one that cannot be read; `ValueError` as `judged`.
    """
    waveform, sample_rate = read_recording(path)
    waveform, warning = judged(Path(path).name, waveform, sample_rate)
    return waveform, sample_rate, warning
