"""What an encoder expects of a clip's features, as its model file says it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ltu import defaults
from ltu.errors import ModelFileError

MOST_MELS = 256  # as many as the spectrum has lines


@dataclass(frozen=True)
class FrontEnd:
    """Frames of 10 ms and mel bins between 20 Hz and 8 kHz of sound at 16 kHz; LTU's own are the defaults.

    Features are (log-mel - mean) / deviation.
    """

    frames: int = defaults.FRAMES
    mels: int = defaults.MELS
    mean: float = defaults.FEATURE_MEAN
    deviation: float = defaults.FEATURE_STD

    @classmethod
    def of_file(cls, keys: Mapping[str, Any], path: str) -> "FrontEnd":
        """The front end that a file's keys describe. Raises ModelFileError for one that can't be computed."""

        def checked(key: str, fits: bool, wanted: str) -> Any:
            if not fits:
                raise ModelFileError(f"{path}: key {key} is {keys.get(key)!r}, supported is {wanted}")
            return keys[key]

        def count(key: str, most: int) -> int:
            value = keys.get(key)
            return int(checked(key, type(value) is int and 0 < value <= most, f"1 to {most}"))

        def number(key: str, least: float) -> float:
            value = keys.get(key)
            fits = type(value) is float and math.isfinite(value) and value > least
            return float(checked(key, fits, "a number" if least < 0 else "a positive number"))

        rate, here = "ltu.audio.sample_rate", defaults.SAMPLE_RATE
        checked(rate, keys.get(rate) == here, f"{here}: clips are brought to it when they are loaded")
        return cls(
            count("ltu.audio.frame_count", defaults.FRAMES),
            count("clip.audio.num_mel_bins", MOST_MELS),
            number("ltu.audio.feature_mean", -math.inf),
            number("ltu.audio.feature_std", 0),
        )
