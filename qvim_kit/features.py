"""Waveform → what a model sees: log-mel for the encoders, CQT and 2DFT for the baseline."""

from __future__ import annotations

import functools

import numpy as np
import torch
import torchaudio
from scipy import fft

PRE_EMPHASIS = 0.97
N_FFT, WINDOW, HOP = 1024, 800, 320  # samples at 32 kHz: 25 ms every 10 ms
CQT_LOWEST_HZ, CQT_BINS, CQT_BINS_PER_OCTAVE, CQT_HOP = 55.0, 63, 12, 64


class LogMel(torch.nn.Module):
    """The AudioSet log-mel front end of the MobileNet encoders.

    Pre-emphasis, power spectrogram, Kaldi mel filter bank, log, and a scale that brings most
    values near [-1, 1]; a silent frame is -1.4026.

    Source: EfficientAT, https://github.com/fschmid56/EfficientAT (evaluation mode).
    Notebook: 01_explore_the_data.

    Args:
        sample_rate: of the waveforms, Hz.
        mels: number of mel bands.
        fmin, fmax: lowest and highest frequency of the filter bank, Hz.

    Shape:
        - Input: (batch, samples), float in [-1, 1], at least 514 samples.
        - Output: (batch, mels, frames), frames = 1 + (samples - 1) // 320.
    """

    def __init__(
        self,
        sample_rate: int = 32_000,
        mels: int = 128,
        fmin: float = 0.0,
        fmax: float = 15_000.0,
    ):
        super().__init__()
        if not 0 <= fmin < fmax <= sample_rate / 2:
            raise ValueError(
                f"LogMel: found fmin {fmin} and fmax {fmax} Hz, expected "
                f"0 ≤ fmin < fmax ≤ {sample_rate / 2:.0f}, half the sample rate"
            )
        self.sample_rate, self.mels, self.fmin, self.fmax = sample_rate, mels, fmin, fmax
        # Constants, not weights: they stay out of checkpoints.
        window = torch.hann_window(WINDOW, periodic=False)
        self.register_buffer("window", window, persistent=False)
        filters = mel_filters(sample_rate, mels, fmin, fmax)
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        if waveforms.ndim != 2 or waveforms.shape[1] < N_FFT // 2 + 2:
            raise ValueError(
                f"LogMel: found waveforms of shape {tuple(waveforms.shape)}, "
                f"expected (batch, samples) with at least {N_FFT // 2 + 2} samples"
            )
        waveforms = waveforms.to(self.window.dtype)
        emphasised = waveforms[:, 1:] - PRE_EMPHASIS * waveforms[:, :-1]
        spectrum = torch.stft(
            emphasised, N_FFT, HOP, WINDOW, self.window, center=True, return_complex=True
        )
        power = spectrum.real.square().add_(spectrum.imag.square())
        mel = torch.matmul(self.filters, power)
        return mel.add_(1e-5).log_().add_(4.5).div_(5.0)

    def extra_repr(self) -> str:
        return f"{self.sample_rate} Hz, {self.mels} mels from {self.fmin} to {self.fmax} Hz"


def mel_filters(sample_rate: int, mels: int, fmin: float, fmax: float) -> torch.Tensor:
    """Triangular filters on the Kaldi mel scale 1127 ln(1 + f / 700), shape (mels, 513)."""
    filters, _ = torchaudio.compliance.kaldi.get_mel_banks(
        mels, N_FFT, sample_rate, fmin, fmax, vtln_low=100.0, vtln_high=-500.0, vtln_warp_factor=1.0
    )
    return torch.nn.functional.pad(filters, (0, 1))  # Kaldi leaves out the Nyquist bin


def mel_to_audio(
    log_mel: torch.Tensor,
    front_end: LogMel | None = None,
    iterations: int = 32,
    seed: int = 0,
) -> torch.Tensor:
    """A log-mel back to a waveform: hear what the encoder hears.

    Undoes `LogMel` step by step. The mel bands give the power spectrum that explains them best,
    never negative; Griffin-Lim finds phases for it, as the log-mel holds none; a recursive
    filter takes the pre-emphasis back.

    Source: Lee & Seung, "Algorithms for Non-negative Matrix Factorization", NIPS 2000, eq. 5
    (`torchaudio.transforms.InverseMelScale` cannot: several low mel bands share one frequency
    bin); Perraudin et al., "A fast Griffin-Lim algorithm", WASPAA 2013.
    Notebook: 01_explore_the_data.

    Args:
        log_mel: what ``front_end`` returned.
        front_end: the default `LogMel` if left out.
        iterations: of Griffin-Lim; more sound less hollow.
        seed: of the phases it starts from.

    Shape: (batch, mels, frames) → (batch, samples), at the front end's sample rate, samples =
    320 (frames - 1) + 1. Raises ValueError for another shape or fewer than 3 frames.
    """
    front_end = LogMel() if front_end is None else front_end
    log_mel = torch.as_tensor(log_mel)
    if log_mel.ndim != 3 or log_mel.shape[1] != front_end.mels or log_mel.shape[2] < 3:
        raise ValueError(
            f"mel_to_audio: found log_mel of shape {tuple(log_mel.shape)}, "
            f"expected (batch, {front_end.mels}, frames) with at least 3 frames"
        )
    if not len(log_mel):
        return log_mel.new_zeros(0, HOP * (log_mel.shape[2] - 1) + 1)
    # Clip by clip: a sound does not depend on its neighbours, and large batches are slower.
    # On the CPU: one seed, one sound, wherever the log-mel lies.
    clips = log_mel.detach().float().cpu().split(1)
    sounds = [_invert(clip, front_end, iterations, seed) for clip in clips]
    return torch.cat(sounds).to(log_mel.device)


def _invert(log_mel: torch.Tensor, front_end: LogMel, iterations: int, seed: int) -> torch.Tensor:
    mel = torch.exp(log_mel * 5.0 - 4.5) - 1e-5
    mel[mel < 1e-10] = 0  # what rounding leaves of silence
    power = _undo_mel(mel, front_end.filters.to(mel))
    with torch.random.fork_rng(devices=[]):  # griffinlim asks the global generator
        torch.default_generator.manual_seed(seed)
        emphasised = torchaudio.functional.griffinlim(
            power,
            window=front_end.window.to(mel),
            n_fft=N_FFT,
            hop_length=HOP,
            win_length=WINDOW,
            power=2.0,
            n_iter=iterations,
            momentum=0.99,
            length=HOP * (log_mel.shape[2] - 1),
            rand_init=True,
        )
    # x[t + 1] = y[t] + 0.97 x[t] from x[0] = 0. torchaudio's deemphasis would clip to [-1, 1].
    return torchaudio.functional.lfilter(
        torch.nn.functional.pad(emphasised, (1, 0)),
        a_coeffs=mel.new_tensor([1.0, -PRE_EMPHASIS]),
        b_coeffs=mel.new_tensor([1.0, 0.0]),
        clamp=False,
    )


def _undo_mel(mel: torch.Tensor, filters: torch.Tensor, iterations: int = 30) -> torch.Tensor:
    """The power spectrum ≥ 0 whose mel bands are nearest in Kullback-Leibler divergence.

    Multiplying keeps it positive. Unlike least squares it fits soft bands as well as loud
    ones, which is what counts after a log.
    """
    tiny = 1e-12
    reach = filters.sum(0)[:, None].clamp(min=tiny)
    power = filters.T @ mel / (filters.T @ filters.sum(1, keepdim=True)).clamp(min=tiny)
    for _ in range(iterations):
        power = power * (filters.T @ (mel / (filters @ power + tiny))) / reach
    return power


def cqt(waveforms: np.ndarray, sample_rate: int = 8_000) -> np.ndarray:
    """Magnitude of the constant-Q transform: 63 bins from 55 Hz, twelve an octave.

    A sine shows in its bin with its amplitude, at every pitch. Each bin is as narrow as in the
    published 2DFT baseline, whose similarities these bins reproduce (Spearman > .99).

    Shape: (…, samples) → (…, 63, frames), frames = 1 + samples // 64.
    """
    waveforms = np.asarray(waveforms, dtype=np.float32)
    frames = 1 + waveforms.shape[-1] // CQT_HOP
    steps, filters = _cqt_filters(sample_rate, waveforms.shape[-1])
    spectrum = fft.fft(waveforms, steps * CQT_HOP)
    folded = np.zeros((*waveforms.shape[:-1], CQT_BINS, steps), np.complex64)
    for bin_, (first, response) in enumerate(filters):
        # To keep every hop-th sample of a signal is to fold its spectrum onto itself.
        band = spectrum[..., first : first + response.size] * response.ravel()
        folded[..., bin_, :] = band.reshape(*waveforms.shape[:-1], *response.shape).sum(-2)
    return np.abs(fft.ifft(folded)[..., :frames]) * np.float32(2 / CQT_HOP)


@functools.lru_cache(maxsize=4)
def _cqt_filters(sample_rate: int, samples: int) -> tuple[int, list[tuple[int, np.ndarray]]]:
    """Frames in a transform of so many samples, and each bin's filter in it.

    A filter is the first frequency where it passes anything, a multiple of the frames, and its
    response from there on, (folds, frames).
    """
    import librosa

    frequencies = librosa.cqt_frequencies(
        CQT_BINS, fmin=CQT_LOWEST_HZ, bins_per_octave=CQT_BINS_PER_OCTAVE
    )
    wavelets, lengths = librosa.filters.wavelet(
        freqs=frequencies, sr=sample_rate, filter_scale=2.0, norm=1
    )
    # Long enough that no filter reaches around the end into the beginning.
    steps = fft.next_fast_len(-(-(samples + int(max(lengths)) + 1) // CQT_HOP))
    responses = fft.fft(_padded(wavelets, steps * CQT_HOP)).conj()
    filters = []
    for response in responses.astype(np.complex64):
        passed = np.flatnonzero(np.abs(response) > 1e-5)
        first, last = passed[0] // steps, passed[-1] // steps + 1
        filters.append((first * steps, response[first * steps : last * steps].reshape(-1, steps)))
    return steps, filters


def _padded(wavelets: np.ndarray, size: int) -> np.ndarray:
    """Wavelets (bins, samples) in so many samples, their middle at 0."""
    middle = wavelets.shape[-1] // 2
    found = np.zeros((len(wavelets), size), np.complex64)
    found[:, : wavelets.shape[-1] - middle] = wavelets[:, middle:]
    found[:, size - middle :] = wavelets[:, :middle]
    return found


def two_dft(waveforms: np.ndarray, sample_rate: int = 8_000) -> np.ndarray:
    """The 2DFT fingerprint: magnitude of the two-dimensional Fourier transform of the CQT.

    Where a sound sits in time and in pitch only turns the phases of the 2-D transform, so its
    magnitude does not care when or how high you hum. Compare fingerprints by cosine; waveforms
    that are to be compared must have one length.

    Source: Seetharaman & Rafii, "Cover Song Identification with 2D Fourier Transform
    Sequences", ICASSP 2017; for vocal imitations Pishdadian et al., "Classifying Non-speech
    Vocals: Deep vs Signal Processing Representations", DCASE 2019.
    Notebook: 01_explore_the_data.

    Shape: (…, samples) → (…, 63 · frames), float32, frames = 1 + samples // 64.
    """
    waveforms = np.asarray(waveforms)
    if waveforms.ndim == 0 or waveforms.shape[-1] == 0 or not np.isfinite(waveforms).all():
        raise ValueError(
            f"two_dft: found shape {waveforms.shape} or values that are not finite, "
            "expected (…, samples), at least one and all finite"
        )
    magnitudes = cqt(waveforms, sample_rate)
    frames = magnitudes.shape[-1]
    # Of real numbers half the transform is enough: turned by 180°, it is the other half.
    half = fft.fftshift(np.abs(fft.rfft2(magnitudes)), axes=-2)
    other = half[..., ::-1, frames // 2 : 0 : -1]
    plane = np.concatenate([other, half[..., : (frames + 1) // 2]], axis=-1)
    return plane.reshape(*plane.shape[:-2], -1)
