"""The engine's front end for whole batches, on whatever device they lie: `ltu.audio.features` in PyTorch."""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from ltu.audio import FLOOR, SHIFT, WINDOW
from ltu.audio.features import FFT, PRE_EMPHASIS, mel_filters
from ltu.defaults import FEATURE_MEAN, FEATURE_STD, FRAMES, MELS


def log_mel(waveforms: Tensor) -> Tensor:
    """16 kHz samples [n, samples] → natural logarithm of mel energies [n, frames, 128], float32."""
    device = waveforms.device
    frames = waveforms.unfold(1, WINDOW, SHIFT)
    frames = frames - frames.mean(2, keepdim=True)
    previous = torch.cat([frames[..., :1], frames[..., :-1]], 2)
    window, matrix = _constants(device)
    spectrum = torch.fft.rfft((frames - PRE_EMPHASIS * previous) * window, FFT)
    power = spectrum.real.square() + spectrum.imag.square()
    energies: Tensor = power @ matrix
    return energies.clamp(min=FLOOR).log()


def normalised(log: Tensor, frames: Tensor) -> Tensor:
    """Log mel energies [n, some, 128], of which `frames` [n] hold sound → features [n, 1024, 128]."""
    sound = torch.arange(log.shape[1], device=log.device)[:, None] < frames[:, None, None]
    padded = torch.zeros(len(log), FRAMES, MELS, device=log.device)
    padded[:, : log.shape[1]] = torch.where(sound, log, torch.zeros_like(log))
    return (padded - FEATURE_MEAN) / FEATURE_STD


@cache
def _constants(device: torch.device) -> tuple[Tensor, Tensor]:
    """The window [400] and the filters [257, 128]."""
    matrix = np.zeros((FFT // 2 + 1, MELS), np.float32)
    for band, (bins, weights) in enumerate(mel_filters(MELS)):
        matrix[bins, band] = weights
    window = np.hanning(WINDOW).astype(np.float32)
    return torch.from_numpy(window).to(device), torch.from_numpy(matrix).to(device)
