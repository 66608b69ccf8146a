"""What is played, or said, in place of the clip."""

from typing import Literal

import numpy as np

from ltu.audio import Clip
from ltu.defaults import SAMPLE_RATE

Control = Literal["", "word", "silence", "noise", "other"]
CONTROLS: tuple[Control, ...] = ("word", "silence", "noise", "other")
SECONDS = 10


def silence() -> Clip:
    """Ten seconds of zeros."""
    return Clip(np.zeros(SECONDS * SAMPLE_RATE, np.float32), "silence")


def noise(clip: Clip) -> Clip:
    """White noise as long and, in root mean square, as loud as the clip; the same each time."""
    random = np.random.default_rng(int(clip.hash[:16], 16))
    level = float(np.sqrt(np.mean(np.square(clip.waveform, dtype=np.float64))))
    samples = random.standard_normal(len(clip.waveform)) * level
    return Clip(samples.astype(np.float32), f"noise like {clip.name}")
