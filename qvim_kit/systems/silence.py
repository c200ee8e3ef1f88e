"""Log-mels of zero-padded clips, without computing the padding."""

from __future__ import annotations

import numpy as np
import torch

from qvim_kit.features import HOP, N_FFT, LogMel
from qvim_kit.models.graphs import evaluating


def log_mels(
    front_end: torch.nn.Module, waveforms: np.ndarray, device: str | torch.device = "cpu"
) -> torch.Tensor:
    """``front_end(waveforms)`` in evaluation mode: (batch, samples) → (batch, mels, frames).

    A silent frame of `LogMel` is one constant. On a CPU the zeros that a clip ends with are
    therefore not transformed: for a sound of 1 s, padded to 10, a tenth of the work.
    """
    with evaluating(front_end), torch.inference_mode():
        if type(front_end) is not LogMel or torch.device(device).type != "cpu":
            return front_end(torch.from_numpy(waveforms).to(device))
        return torch.cat([_log_mel(front_end, clip) for clip in waveforms])


def _log_mel(front_end: LogMel, clip: np.ndarray) -> torch.Tensor:
    sounding = clip != 0
    end = len(clip) - int(np.argmax(sounding[::-1])) if sounding.any() else 0
    # So far behind the sound that the last frame is silent, also where the end is reflected.
    log_mel = front_end(torch.from_numpy(clip[None, : end + N_FFT]))
    missing = 1 + (len(clip) - 1) // HOP - log_mel.shape[2]
    silence = log_mel[:, :, -1:].expand(-1, -1, missing)
    return torch.cat([log_mel, silence], dim=2) if missing else log_mel
