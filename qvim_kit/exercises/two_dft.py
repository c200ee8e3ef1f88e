"""Exercise: the 2DFT of a CQT. Notebook: 01_explore_the_data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qvim_kit.exercises.comparing import Case, compare


def judge(answer: Callable) -> str:
    """``answer(picture)``: a CQT (63, frames) → its 2DFT (63 · frames,)."""
    from qvim_kit.features import cqt, two_dft

    time = np.arange(4_000) / 8_000
    waveforms = {
        "The CQT of an impulse": np.eye(1, 200, 100)[0],
        "The CQT of a rising tone": np.sin(2 * np.pi * (300 + 500 * time) * time),
        "The CQT of noise": np.random.default_rng(2).normal(size=1_000),
    }
    cases = [Case(words, {"picture": cqt(x)}, two_dft(x)) for words, x in waveforms.items()]
    hint = "`numpy.fft.fft2`, `numpy.fft.fftshift`, the magnitude; then all in one row."
    compare(answer, cases, _mistakes(), hint)
    return "your 2DFT is the kit's."


def _mistakes() -> dict[str, list[Callable]]:
    fft, shift = np.fft.fft2, np.fft.fftshift
    return {
        "the numbers are right; they are to stand in one row, as `ravel` leaves them.": [
            lambda x: abs(shift(fft(x))),
            lambda x: abs(shift(fft(x))).reshape(1, -1),
        ],
        "zero is still in the corner; `numpy.fft.fftshift` moves it to the middle.": [
            lambda x: abs(fft(x)).ravel(),
            lambda x: abs(fft(x)),
        ],
        "shift the picture before it becomes one row: in a row there is no up and down.": [
            lambda x: shift(abs(fft(x)).ravel()),
        ],
        "move zero to the middle along both axes, pitch as well as time.": [
            lambda x: abs(shift(fft(x), axes=1)).ravel(),
            lambda x: abs(shift(fft(x), axes=0)).ravel(),
        ],
        "these numbers still have phases: take their magnitude, `numpy.abs`.": [
            lambda x: shift(fft(x)).ravel(),
            lambda x: shift(fft(x)),
            lambda x: fft(x).ravel(),
        ],
        "that is the real part alone; the magnitude counts the imaginary part as well.": [
            lambda x: shift(fft(x)).real.ravel(),
            lambda x: abs(shift(fft(x)).real).ravel(),
        ],
        "those are the phases, which tell when and how high; take the magnitude.": [
            lambda x: np.angle(shift(fft(x))).ravel(),
        ],
        "that is the magnitude squared.": [lambda x: (abs(shift(fft(x))) ** 2).ravel()],
        "row after row of the picture, not column after column.": [
            lambda x: abs(shift(fft(x))).T.ravel(),
        ],
        "that transforms along one axis; `fft2` does it along both, time and pitch.": [
            lambda x: abs(shift(np.fft.fft(x))).ravel(),
            lambda x: abs(shift(np.fft.fft(x, axis=0))).ravel(),
        ],
        "that makes one row first and transforms along it; transform the picture.": [
            lambda x: abs(shift(np.fft.fft(x.ravel()))),
        ],
    }
