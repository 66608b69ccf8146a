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
RATES = 1_000, 10_000_000  # Hz; what a damaged header says lies outside more often than not


@dataclass
class Sound:
    """float32[n] or [n, channels] at `rate`: at most `seen(rate)` samples of a recording of `seconds`."""

    name: str
    samples: Float32
    rate: float  # Hz
    seconds: float
    notes: list[str] = field(default_factory=list)  # what its owner should know


def seen(rate: float) -> int:
    """Samples at `rate` that matter: the clip and half a second, so that the resampler's end is out of it."""
    return int(CLIP_SAMPLES * rate // SAMPLE_RATE + rate // 2)


def checked_rate(rate: object, name: str) -> float:
    """A sample rate that a recording can have. Raises AudioError."""
    low, high = RATES
    if not is_real(rate) or not low <= cast(float, rate) <= high:
        raise AudioError(
            f"{name}: a sample rate of {short(rate)} Hz is not possible; "
            f"give the recording's, between {low} and {high}"
        )
    return float(cast(float, rate))
