"""Random views of a sound, made on its mel energies: as another microphone, room or moment would have it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ltu.audio import FLOOR
from ltu.defaults import FEATURE_MEAN, FEATURE_STD, FRAMES, MELS

Float32 = npt.NDArray[np.float32]
Moments = npt.NDArray[np.int64]  # frames of a clip, in the order that a view shows them

GRAINS = 100  # frames of noise that are drawn; a view's frames are picked from them


@dataclass(frozen=True)
class View:
    features: Float32  # [1024, 128], normalised
    frames: int  # of sound; the rest is padding
    moments: Moments  # [frames]


def mix(first: Float32, second: Float32, share: float) -> Float32:
    """Two sounds [frames, 128] of equal mean power, added with `share` of the power from the first."""
    frames = min(len(first), len(second))
    first, second = first[:frames], second[:frames]
    level = first.mean() / (second.mean() + FLOOR)
    return np.asarray(share * first + (1 - share) * level * second, np.float32)


def random_view(power: Float32, rng: np.random.Generator) -> View:
    """Mel energies [frames, 128] of a clip → one augmented input."""
    moments = _length(_roll(_stretch(len(power), rng), rng), rng)
    power = _shift_bands(power, moments, rng) * _equaliser(rng)
    if rng.random() < 0.5:
        power = power + _noise(power, rng)
    log = np.log(np.maximum(power * np.float32(10 ** rng.uniform(-1.5, 1)), np.float32(FLOOR)))
    log = _hide_bands(log, rng)
    features = np.zeros((FRAMES, MELS), np.float32)
    features[: len(log)] = log
    return View((features - np.float32(FEATURE_MEAN)) / np.float32(FEATURE_STD), len(log), moments)


def _stretch(frames: int, rng: np.random.Generator) -> Moments:
    """Faster or slower by up to a fifth."""
    speed = np.exp(rng.uniform(-0.2, 0.2))
    return np.asarray((np.arange(int(frames / speed)) * speed).astype(np.int64))


def _roll(moments: Moments, rng: np.random.Generator) -> Moments:
    return np.roll(moments, rng.integers(len(moments)))


def _length(moments: Moments, rng: np.random.Generator) -> Moments:
    """Mostly about five seconds; sometimes a part, sometimes repeated up to ten seconds."""
    moments = moments[:FRAMES]
    kind = rng.random()
    if kind < 0.15:
        return moments[: rng.integers(len(moments) // 4, len(moments))]
    if kind < 0.3:
        return np.tile(moments, 3)[: rng.integers(len(moments), FRAMES + 1)]
    return moments


def _shift_bands(power: Float32, moments: Moments, rng: np.random.Generator) -> Float32:
    """The moments' energies, up to four mel bands up or down; the edge band is repeated."""
    bands = np.clip(np.arange(MELS) + rng.integers(-4, 5), 0, MELS - 1)
    return np.asarray(power[moments].take(bands, axis=1))


def _equaliser(rng: np.random.Generator) -> Float32:
    """A smooth frequency response of a few decibels."""
    bands = np.linspace(0, np.pi, MELS)
    order = np.arange(1, 4)[:, None]
    decibels = np.sum(rng.normal(0, 3 / order) * np.cos(order * bands), axis=0)
    return np.asarray(10 ** (decibels / 10), np.float32)


def _noise(power: Float32, rng: np.random.Generator) -> Float32:
    """Steady noise of a random colour, 5 to 40 dB below the sound's mean power."""
    tilt = np.exp(rng.normal(0, 1.5) * np.linspace(-1, 1, MELS))
    level = power.mean() * 10 ** rng.uniform(-4, -0.5)
    grain = rng.standard_gamma(4, (GRAINS, MELS), np.float32)[rng.integers(GRAINS, size=len(power))]
    return np.asarray((level * tilt / tilt.mean() / 4).astype(np.float32) * grain)


def _hide_bands(log: Float32, rng: np.random.Generator) -> Float32:
    """Up to two bands of frequencies at the clip's mean; sometimes nothing above a cut-off."""
    for _ in range(rng.integers(0, 3)):
        width = rng.integers(1, 17)
        start = rng.integers(0, MELS - width)
        log[:, start : start + width] = log.mean()
    if rng.random() < 0.1:
        log[:, rng.integers(80, MELS) :] = log.min()
    return log
