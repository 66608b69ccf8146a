"""Simple signal properties of a clip, each as a word and its opposite."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ltu.audio import Clip, log_mel

Floats = npt.NDArray[np.floating[Any]]
CLEAR = (40, 60)  # percentiles of the training clips: what lies between is neither the word nor its opposite
AUDIBLE_DB = 20.0  # below a clip's loud frames (their 95th percentile)


def loudness(clip: Clip) -> float:
    """Root mean square in decibels of full scale."""
    return float(10 * np.log10(np.mean(np.square(clip.waveform, dtype=np.float64)) + 1e-12))


def continuity(clip: Clip) -> float:
    """Share of the 10 ms frames that are audible beside the clip's loud ones."""
    level = 10 * np.log10(_energies(clip).sum(1))
    return float(np.mean(level > np.percentile(level, 95) - AUDIBLE_DB))


def pitch(clip: Clip) -> float:
    """Centroid of the mean mel spectrum, in mel bands."""
    spectrum = _energies(clip).mean(0)
    return float(spectrum @ np.arange(len(spectrum)) / spectrum.sum())


def noisiness(clip: Clip) -> float:
    """Flatness of the mel spectrum (geometric over arithmetic mean), averaged over frames by their energy."""
    energies = _energies(clip)
    flatness = np.exp(np.log(energies).mean(1)) / energies.mean(1)
    return float(np.average(flatness, weights=energies.sum(1)))


def _energies(clip: Clip) -> Floats:
    """Mel energies [frames, 128]."""
    return np.exp(log_mel(clip.waveform).astype(np.float64))


@dataclass(frozen=True)
class Property:
    word: str
    opposite: str
    measure: Callable[[Clip], float]


PROPERTIES = (
    Property("loud", "quiet", loudness),
    Property("continuous", "intermittent", continuity),
    Property("high-pitched", "low-pitched", pitch),
    Property("noisy", "tonal", noisiness),
)
OPPOSITE = {a: b for p in PROPERTIES for a, b in ((p.word, p.opposite), (p.opposite, p.word))}


class Scale:
    """Where words begin and end, by the training clips; the same for every other clip."""

    def __init__(self, clips: Sequence[Clip]) -> None:
        self._bounds: Mapping[str, tuple[float, float]] = {
            p.word: tuple(np.percentile([p.measure(clip) for clip in clips], CLEAR)) for p in PROPERTIES
        }

    def words(self, clip: Clip) -> tuple[str, ...]:
        """The words that are clearly true of a clip, in the order of PROPERTIES."""
        found = []
        for p in PROPERTIES:
            (low, high), value = self._bounds[p.word], p.measure(clip)
            if not low < value < high:
                found.append(p.word if value >= high else p.opposite)
        return tuple(found)
