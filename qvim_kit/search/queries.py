"""What one searches with: a recording → its embedding; a wish in words → which sounds may answer.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import math
import os
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from qvim_kit.audio import LOWEST_RATE, fit, mono

if TYPE_CHECKING:
    from qvim_kit.systems import EmbeddingSystem


def embed_query(
    system: EmbeddingSystem,
    query: str | os.PathLike | np.ndarray,
    sample_rate: float | None = None,
) -> np.ndarray:
    """Embed a recording as a query: a path, or a waveform at ``sample_rate`` → (dim,), length 1.

    A waveform is (samples,) or, as soundfile reads it, (samples, channels); whole numbers are
    scaled to [-1, 1]. It is fitted as `audio.load_audio` fits a file, so a recording in memory and
    the same one on disk have one embedding. A query that embeds to zeros (silence) stays zero.

    Raises `AudioError` for a file that cannot be used; `ValueError` for a waveform that is empty,
    not finite, of another shape, or without its sample rate, and for an embedding that is not
    finite.
    """
    if isinstance(query, (str, os.PathLike)):
        waveform = system.load(query)
    else:
        waveform = system.ready(_fitted(query, sample_rate, system.sample_rate, system.heard))
    embedding = np.asarray(system.embed_batch(waveform[None], "query"))
    if embedding.ndim != 2 or len(embedding) != 1:
        raise ValueError(
            f"{type(system).__name__}.embed_batch: found shape {embedding.shape}, expected (1, dim)"
        )
    return unit(embedding[0], "query")


def unit(embedding: np.ndarray, name: str) -> np.ndarray:
    """An embedding (dim,) scaled to length 1, float32; zeros stay zeros.

    Raises `ValueError`, which starts with ``name``, if it holds NaN or infinite numbers.
    """
    embedding = np.asarray(embedding, dtype=np.float64)
    length = math.sqrt(embedding @ embedding)
    if not math.isfinite(length):
        raise ValueError(f"{name}: its embedding holds NaN or infinite numbers")
    return (embedding / (length or 1.0)).astype(np.float32)


def _fitted(
    waveform: np.ndarray, rate: float | None, wanted_rate: int, duration: float
) -> np.ndarray:
    """A waveform → (samples,) at the system's rate and length, as `load_audio` makes it."""
    waveform = np.asarray(waveform)
    if rate is None:
        raise ValueError(
            f"sample_rate: found None, expected the rate in Hz of the waveform {waveform.shape}"
        )
    if not isinstance(rate, Real) or not LOWEST_RATE <= rate < float("inf"):
        raise ValueError(f"sample_rate: found {rate!r}, expected at least {LOWEST_RATE} Hz")
    if waveform.dtype.kind not in "fiu" or waveform.ndim not in (1, 2) or not waveform.size:
        raise ValueError(
            f"query: found {waveform.dtype} of shape {waveform.shape}, expected a waveform "
            "(samples,) or (samples, channels) with at least one number"
        )
    waveform = waveform[: max(1, int(duration * rate))]
    if waveform.dtype.kind == "u":
        raise ValueError(f"query: found {waveform.dtype}, expected float or signed whole numbers")
    if waveform.dtype.kind == "i":
        waveform = waveform / np.float32(-float(np.iinfo(waveform.dtype).min))
    waveform = waveform.astype(np.float32)
    if waveform.ndim == 2:
        waveform = mono(waveform)
    if not np.isfinite(waveform).all():
        raise ValueError("query: the waveform holds NaN or infinite numbers; record it again")
    if rate != wanted_rate:
        import soxr

        waveform = soxr.resample(waveform, rate, wanted_rate, quality="HQ")
    return fit(waveform, max(1, round(duration * wanted_rate)))


def folded(text: str) -> str:
    """Text as it is compared: without case, and é the same however it is written."""
    return unicodedata.normalize("NFKC", text).casefold()


def words_of(text: str) -> list[str]:
    """The words, folded, that all have to occur."""
    return folded(text).split()


def searched_text(name: str, class_name: str) -> str:
    """The folded text of a sound in which words are looked for."""
    return folded(f"{name} {class_name}")


def classes_named(asked: Iterable[str], known: Iterable[str]) -> list[str]:
    """The classes of a library that are asked for, whatever their capitals, sorted.

    Raises `ValueError` for names that no class has, with close ones, or all if there are few.
    """
    known = sorted(set(known))
    found, unknown = set(), []
    for name in asked:
        same = [kind for kind in known if folded(kind) == folded(name)]
        found.update([name] if name in known else same)
        unknown += [] if same else [name]
    if not unknown:
        return sorted(found)
    named = [kind for kind in known if kind]
    if not named:
        raise ValueError(
            f"class {', '.join(unknown)}: the library has no classes (a sound's class is the "
            "folder that it lies in); leave the class out"
        )
    raise ValueError(
        "; ".join(f"class {name}: no sound has it{_instead(name, named)}" for name in unknown)
    )


def _instead(name: str, known: list[str]) -> str:
    """What may have been meant by a name: what holds it, what is close to it, or what there is."""
    by_fold = {folded(kind): kind for kind in known}
    holding = [kind for fold, kind in by_fold.items() if folded(name) in fold]
    close = [by_fold[fold] for fold in get_close_matches(folded(name), by_fold)]
    if meant := list(dict.fromkeys([*holding, *close]))[:5]:
        return f", did you mean {' or '.join(meant)}?"
    more = f" … and {len(known) - 20} more" if len(known) > 20 else ""
    return f", expected one of {', '.join(known[:20])}{more}"


def class_set(classes: str | Iterable[str]) -> set[str]:
    """One class or several, as a set. Raises `TypeError` for anything but text."""
    found = {classes} if isinstance(classes, str) else set(classes)
    wrong = [name for name in found if not isinstance(name, str)]
    if wrong:
        raise TypeError(f"classes: found {wrong[0]!r}, expected names")
    return found
