"""CNN14: a plain convolutional network for audio tagging, with the AudioSet weights of PANNs.

Kong et al., "PANNs: Large-Scale Pretrained Audio Neural Networks for Audio Pattern Recognition",
IEEE/ACM TASLP 28, 2020, table I; https://github.com/qiuqiangkong/audioset_tagging_cnn (MIT,
weights CC BY 4.0). The audio encoder of the DCASE 2023 baseline for search by text. Notebook:
07_search_by_text.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from qvim_kit.downloads import fetch
from qvim_kit.models.mobilenet import AUDIOSET_CLASSES, CheckpointError
from qvim_kit.paths import cache_folder

CHANNELS = (64, 128, 256, 512, 1024, 2048)  # of the six blocks, at width 1
MELS = 64
DROP_CONV, DROP_LINEAR = 0.2, 0.5

URL = "https://zenodo.org/records/3987831/files/Cnn14_mAP%3D0.431.pth?download=1"
FILENAME = "Cnn14_mAP=0.431.pth"
# As projects that use the file state it; Zenodo itself gives an MD5 only.
SHA256 = "0dc499e40e9761ef5ea061ffc77697697f277f6a960894903df3ada000e34b31"


class PannsLogMel(nn.Module):
    """The log-mel front end that CNN14 was trained on, as its checkpoint stores it.

    32 kHz, frames of 1024 samples every 320 (Hann window, centred, reflected at the ends), power,
    64 triangles on Slaney's mel scale from 50 Hz to 14 kHz, each of area 1, in dB; a silent frame
    is -100. The Fourier transform is a convolution with the windowed waves.

    Shape: (batch, samples) at 32 kHz, at least 513 samples → (batch, 64, frames), frames =
    1 + samples // 320.
    """

    sample_rate, mels = 32_000, MELS
    N_FFT, HOP = 1024, 320

    def __init__(self):
        super().__init__()
        # The names of these modules and weights are the checkpoint's.
        self.spectrogram_extractor, self.logmel_extractor = nn.Module(), nn.Module()
        self.spectrogram_extractor.stft = stft = nn.Module()
        bins = torch.arange(self.N_FFT // 2 + 1, dtype=torch.float64)
        turns = bins[:, None] * torch.arange(self.N_FFT) / self.N_FFT % 1
        window = torch.hann_window(self.N_FFT, dtype=torch.float64)
        for name, wave in (("conv_real", torch.cos), ("conv_imag", lambda x: -torch.sin(x))):
            conv = nn.Conv1d(1, len(bins), self.N_FFT, self.HOP, bias=False)
            conv.weight.data = (wave(2 * torch.pi * turns) * window)[:, None].float()
            setattr(stft, name, conv.requires_grad_(False))
        filters = mel_filters(self.sample_rate, self.N_FFT, 50.0, 14_000.0).T.contiguous()
        self.logmel_extractor.melW = nn.Parameter(filters, requires_grad=False)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        _check_waveforms("PannsLogMel", waveforms, self.N_FFT // 2 + 1)
        stft = self.spectrogram_extractor.stft
        padded = F.pad(waveforms[:, None], (self.N_FFT // 2,) * 2, mode="reflect")
        power = stft.conv_real(padded).square() + stft.conv_imag(padded).square()
        mel = self.logmel_extractor.melW.T @ power
        return 10 * mel.clamp(min=1e-10).log10()


class DcaseLogMel(nn.Module):
    """The log-mel front end of the DCASE 2023 language-based retrieval baseline.

    44.1 kHz, windows of 40 ms every 20 ms (Hann, centred, zeros beyond the ends), n_fft 2048,
    power, 64 triangles on Slaney's mel scale from 0 Hz to 22.05 kHz, each of area 1,
    ln(x + 2.2e-16); a silent frame is -36.04.

    Source: Xie et al., https://github.com/xieh97/dcase2023-audio-retrieval, who compute it with
    `librosa.feature.melspectrogram`.

    Shape: (batch, samples) at 44.1 kHz → (batch, 64, frames), frames = 1 + samples // 882.
    """

    sample_rate, mels = 44_100, MELS
    N_FFT, WINDOW, HOP = 2048, 1764, 882
    OFFSET = 2.0**-52

    def __init__(self):
        super().__init__()
        # Constants, not weights: they stay out of checkpoints.
        self.register_buffer("window", torch.hann_window(self.WINDOW), persistent=False)
        filters = mel_filters(self.sample_rate, self.N_FFT, 0.0, self.sample_rate / 2)
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        _check_waveforms("DcaseLogMel", waveforms, 1)
        sizes = {"n_fft": self.N_FFT, "hop_length": self.HOP, "win_length": self.WINDOW}
        options = {"window": self.window, "pad_mode": "constant", "return_complex": True}
        spectrum = torch.stft(waveforms.to(self.window.dtype), **sizes, **options)
        power = spectrum.real.square() + spectrum.imag.square()
        return torch.log(self.filters @ power + self.OFFSET)

    def extra_repr(self) -> str:
        return f"{self.sample_rate} Hz, {self.mels} mels"


def mel_filters(sample_rate: int, n_fft: int, fmin: float, fmax: float) -> torch.Tensor:
    """64 triangles on Slaney's mel scale, each of area 1 in Hz; (64, n_fft // 2 + 1).

    Source: `librosa.filters.mel`, with its defaults.
    """
    import librosa

    filters = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=MELS, fmin=fmin, fmax=fmax)
    return torch.from_numpy(filters).float()


class ConvBlock(nn.Module):
    """Twice a 3×3 convolution, batch norm and ReLU; then the mean of ``pool`` × ``pool``."""

    def __init__(self, channels: int, out: int, pool: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(out), nn.BatchNorm2d(out)
        self.pool = pool
        for conv in (self.conv1, self.conv2):
            nn.init.xavier_uniform_(conv.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        x = F.avg_pool2d(x, self.pool)
        return F.dropout(x, DROP_CONV, self.training)


class Cnn14(nn.Module):
    """CNN14; 80 753 615 weights at width 1, and a front end of constants.

    The names of the weights are the published ones, so that ``load_state_dict`` takes what the
    checkpoint holds under "model". SpecAugment and mixup, which it was trained with, are left out.

    Args:
        width: factor on every channel count; the embedding has 2048 · width dimensions.
        classes: of the classifier; 527 for AudioSet.
        halvings: how many of the six blocks halve both axes: 5, or 6 as in the DCASE baseline.

    Shape:
        - Input: (batch, 1, 64, frames), at least 2 ** halvings frames: what a front end returns,
          with a channel axis.
        - Output: logits (batch, classes) and embedding (batch, dim), never negative.
    """

    def __init__(self, width: float = 1.0, classes: int = AUDIOSET_CLASSES, halvings: int = 5):
        super().__init__()
        if not width * CHANNELS[0] >= 1 or halvings not in range(7):
            raise ValueError(
                f"Cnn14: found width {width} and halvings {halvings}, expected a positive factor "
                f"of at least 1/{CHANNELS[0]}, and 0 to 6"
            )
        self.width, self.halvings = width, halvings
        front_end = PannsLogMel()
        self.spectrogram_extractor = front_end.spectrogram_extractor
        self.logmel_extractor = front_end.logmel_extractor
        self.bn0 = nn.BatchNorm2d(MELS)  # over mel bands, not channels
        before = 1
        for number, channels in enumerate(CHANNELS, start=1):
            channels = round(width * channels)
            block = ConvBlock(before, channels, 2 if number <= halvings else 1)
            setattr(self, f"conv_block{number}", block)
            before = channels
        self.dim = before
        self.fc1 = nn.Linear(before, before)
        self.fc_audioset = nn.Linear(before, classes)

    def front_end(self) -> PannsLogMel:
        """The network's own front end, with the filters that its checkpoint brought."""
        made = PannsLogMel()
        made.spectrogram_extractor = self.spectrogram_extractor
        made.logmel_extractor = self.logmel_extractor
        return made.eval()

    def forward(self, log_mel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        shortest = 2**self.halvings
        if log_mel.ndim != 4 or log_mel.shape[1:3] != (1, MELS) or log_mel.shape[3] < shortest:
            raise ValueError(
                f"Cnn14: found input of shape {tuple(log_mel.shape)}, expected "
                f"(batch, 1, {MELS}, frames) with at least {shortest} frames"
            )
        x = self.bn0(log_mel.transpose(1, 2)).transpose(1, 2)
        x = x.transpose(2, 3)  # (batch, 1, frames, mels), as it was trained
        for number in range(1, len(CHANNELS) + 1):
            x = getattr(self, f"conv_block{number}")(x)
        x = x.mean(3)  # over frequency
        x = x.amax(2) + x.mean(2)  # over time
        x = F.dropout(x, DROP_LINEAR, self.training)
        x = torch.relu(self.fc1(x))
        return self.fc_audioset(x), F.dropout(x, DROP_LINEAR, self.training)


def load_cnn14(halvings: int = 5) -> Cnn14:
    """CNN14 with its AudioSet weights, in evaluation mode.

    The file, 327 MB, is taken from the cache folder (``QVIM_CACHE``, else the platform's) or
    downloaded there. Nothing in it is run.

    Raises `DownloadError`, which says which file to put where, if it is neither cached nor can be
    fetched, and `CheckpointError` where the file does not fit the network.
    """
    path = fetch(URL, cache_folder(), FILENAME, SHA256)
    model = Cnn14(halvings=halvings)
    try:
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["model"])
    except Exception as error:  # torch raises anything from EOFError to UnpicklingError
        raise CheckpointError(
            f"{path}: not a checkpoint of CNN14 ({error}); delete it and run again"
        ) from error
    return model.eval()


def _check_waveforms(caller: str, waveforms: torch.Tensor, shortest: int) -> None:
    if waveforms.ndim != 2 or waveforms.shape[1] < shortest:
        raise ValueError(
            f"{caller}: found waveforms of shape {tuple(waveforms.shape)}, "
            f"expected (batch, samples) with at least {shortest} samples"
        )
