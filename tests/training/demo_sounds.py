"""Tones as recordings, and a teacher of one layer, for tests of the demo's stages."""

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ltu.training.demo.yamnet import EMBEDDING, SCORES, YAMNet

RATE = 16_000
Float32 = npt.NDArray[np.float32]


def tone(hertz: float, seconds: float = 1.0, level: float = 1.0) -> Float32:
    times = np.arange(int(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def small_teacher() -> YAMNet:
    """One convolution over whole patches of 96 frames in eighths, with ReLU, in place of 27."""
    torch.manual_seed(0)
    convolution = nn.Conv2d(1, EMBEDDING, (12, 64), (12, 64))
    return YAMNet([convolution, nn.ReLU()], nn.Linear(EMBEDDING, SCORES))
