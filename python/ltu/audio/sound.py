"""A recording as it came: any channels, any rate."""

from dataclasses import dataclass, field
from typing import cast

import numpy as np
import numpy.typing as npt

from ltu.audio.features import CLIP_SAMPLES
from ltu.checks import is_real, short
from ltu.defaults import SAMPLE_RATE
from ltu.errors import AudioError

Float32 = npt.NDArray[np.float32]
LOUDEST = 32.0  # full scale is 1; louder floats are integers that nobody has divided
RATES = 1_000, 10_000_000  # Hz; what a damaged header says lies outside more often than not


@dataclass
class Sound:
    """float32[n] or [n, channels] at `rate`: at most `seen(rate)` samples of a recording of `seconds`.

    Functions that make one are told how many samples are `heard` of it, at 16 kHz: those of a clip, or more.
    """

    name: str
    samples: Float32
    rate: float  # Hz
    seconds: float
    notes: list[str] = field(default_factory=list)  # what its owner should know


def seen(rate: float, heard: int = CLIP_SAMPLES) -> int:
    """Samples at `rate` that matter: those heard and half a second, which keeps the resampler's end away."""
    return int(heard * rate // SAMPLE_RATE + rate // 2)


def checked_rate(rate: object, name: str) -> float:
    """A sample rate that a recording can have. Raises AudioError."""
    low, high = RATES
    if not is_real(rate) or not low <= cast(float, rate) <= high:
        raise AudioError(
            f"{name}: a sample rate of {short(rate)} Hz is not possible; "
            f"give the recording's, between {low} and {high}"
        )
    return float(cast(float, rate))
