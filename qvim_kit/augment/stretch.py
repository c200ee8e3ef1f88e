"""Change the speed of sounds: with their pitch (resampling) or without it (phase vocoder).

Every clip of a batch has its own rate, which torchaudio's functions do not offer.
"""

from __future__ import annotations

import torch

N_FFT, HOP = 1024, 256  # samples: 32 ms every 8 ms at 32 kHz
ONSET = 1.3  # a frame this many times as loud as the last one starts a sound
GUARD = 1024  # zeros that keep the ringing of a clip's end out of its beginning


def resample(waveforms: torch.Tensor, rates: torch.Tensor) -> torch.Tensor:
    """Play each clip ``rate`` times as fast, its pitch rising by the same factor.

    Band-limited: the spectrum of the whole clip is cut, or continued with zeros, at the new
    Nyquist frequency. `torchaudio.functional.resample` would build a filter bank for each ratio,
    gigabytes of it for a ratio like 32 000 : 31 013.

    Source: Oppenheim & Schafer, "Discrete-Time Signal Processing", section 4.6.

    Shape: (batch, samples), (batch,) → (batch, samples / slowest rate), zeros at the ends.
    """
    samples = waveforms.shape[1]
    padded = -(-(samples + GUARD) // 4096) * 4096  # a length of small factors: a fast transform
    played = []
    for clip, rate in zip(waveforms, rates.tolist(), strict=True):
        length = 2 * round(padded / rate / 2)
        whole = torch.fft.irfft(torch.fft.rfft(clip, padded), length) * (length / padded)
        played.append(whole[: round(samples / rate)])
    return torch.nn.utils.rnn.pad_sequence(played, batch_first=True)


def stretch(waveforms: torch.Tensor, rates: torch.Tensor, samples: int) -> torch.Tensor:
    """Play each clip ``rate`` times as fast at its own pitch, cut or padded to ``samples``.

    A phase vocoder: magnitudes are interpolated between frames, and each phase turns on as it
    turned in the frame that is being read. Frames are read one hop on, so the turn is the plain
    phase difference and needs no unwrapping. At an onset all phases start afresh from those of
    the clip: a click is a click only while its phases belong together.

    Source: Flanagan & Golden, "Phase Vocoder", Bell System Technical Journal 45 (1966);
    D. Ellis, "A Phase Vocoder in Matlab" (2002); onsets: Röbel, "A New Approach to Transient
    Processing in the Phase Vocoder", DAFx 2003, simplified to whole frames.

    Shape: (batch, any length), (batch,) → (batch, samples).
    """
    window = torch.hann_window(N_FFT, dtype=waveforms.dtype, device=waveforms.device)
    spectrum = torch.stft(
        waveforms, N_FFT, HOP, window=window, pad_mode="constant", return_complex=True
    ).transpose(1, 2)  # (batch, frames, bins), as stft lays it out in memory
    # Two silent frames at the end: what a clip that runs out plays on with.
    magnitude = torch.nn.functional.pad(spectrum.abs(), (0, 0, 0, 2))
    phase = torch.nn.functional.pad(spectrum.angle(), (0, 0, 0, 2))

    frames, end = 1 + samples // HOP, spectrum.shape[1]
    steps = torch.arange(frames, device=waveforms.device)
    position = (steps.double() * rates.to(steps.device)[:, None]).clamp(max=end)
    before = position.long()
    weight = (position - before).to(waveforms.dtype)[..., None]
    magnitude = torch.lerp(_read(magnitude, before), _read(magnitude, before + 1), weight)
    loudness = magnitude.sum(2)
    onset = torch.nn.functional.pad(loudness[:, 1:] > ONSET * loudness[:, :-1], (1, 0), value=True)
    start = torch.where(onset, steps, 0).cummax(1).values  # of the sound that each frame is in

    turn = torch.nn.functional.pad(phase.diff(dim=1), (0, 0, 0, 1))
    turned = torch.nn.functional.pad(_read(turn, before[:, :-1]).cumsum(1), (0, 0, 1, 0))
    phase = turned + _read(_read(phase, before) - turned, start)
    # torch.polar computes the same ten times slower.
    spectrum = torch.complex(magnitude * phase.cos(), magnitude * phase.sin()).transpose(1, 2)
    return torch.istft(spectrum, N_FFT, HOP, window=window, length=samples)


def _read(frames: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Rows of each clip: (batch, frames, bins), (batch, n) → (batch, n, bins)."""
    batch, count, bins = frames.shape
    start = torch.arange(batch, device=index.device)[:, None] * count
    rows = frames.reshape(batch * count, bins).index_select(0, (start + index).flatten())
    return rows.reshape(batch, -1, bins)
