"""`Clip`, what the model hears, and `load_audio`, which makes one of anything that holds sound."""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

import numpy as np
import soxr

from ltu.audio.features import CLIP_SAMPLES, LTU, WINDOW, Float32, features
from ltu.audio.inputs import AudioInput, is_pair, sound_of
from ltu.audio.sound import LOUDEST, Sound
from ltu.checks import short
from ltu.defaults import SAMPLE_RATE
from ltu.errors import AudioError
from ltu.front_end import FrontEnd

WINDOW_SAMPLES = 10 * SAMPLE_RATE  # of a longer recording's part
LONGEST = 3600 * SAMPLE_RATE
LOUDEST_WHOLE = 1.0  # of floats that are whole numbers, such as a quiet recording's undivided integers
SILENT = 1e-4  # between the lowest and the highest sample: three steps of 16 bits
CANCELLED = 1e-2  # of what the louder channel has, when the mean of all has less


@dataclass(frozen=True, eq=False)
class Clip:
    """One sound: 16 kHz mono float32, at most CLIP_SAMPLES long when `load_audio` made it."""

    waveform: Float32 = field(repr=False)
    name: str
    start: float = 0.0  # seconds into its recording
    _features: dict[FrontEnd, Float32] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def hash(self) -> str:
        """Hex SHA-256 of the little-endian float32 samples that the model can hear."""
        return hashlib.sha256(self.waveform[:CLIP_SAMPLES].astype("<f4").tobytes()).hexdigest()

    @property
    def seconds(self) -> float:
        return len(self.waveform) / SAMPLE_RATE

    def features(self, front_end: FrontEnd = LTU) -> Float32:
        """float32[frames, mels], normalised log-mel as a model's front end wants it; computed once."""
        if front_end not in self._features:
            result = features(self.waveform, front_end)
            result.setflags(write=False)
            self._features[front_end] = result
        return self._features[front_end]


def load_audio(audio: AudioInput, sample_rate: float | None = None, channel: int | None = None) -> Clip:
    """Reads a path, an open binary file, a file's bytes or samples as one clip.

    Samples are an array [n], [n, channels] or [channels, n] of floats within ±1 or of signed integers; its
    rate is `sample_rate` (default 16 kHz) or stands beside it: (array, rate), or a dictionary of `datasets`.
    Channels are averaged, or one is heard alone: `channel`, from 1 (the original LTU hears the first).
    Other rates are resampled, and what is longer than 1024 frames is cut. Warns of a recording that is cut,
    damaged or silent; raises AudioError.
    """
    samples, sound = _at_16_khz(audio, sample_rate, channel, CLIP_SAMPLES)
    if sound.seconds > CLIP_SAMPLES / SAMPLE_RATE:
        sound.notes.append(f"is {sound.seconds:.1f} s long; only the first 10 s are heard")
    _warn(sound)
    return Clip(_kept(samples[:CLIP_SAMPLES]), sound.name)


def load_windows(
    audio: AudioInput, sample_rate: float | None = None, channel: int | None = None
) -> list[Clip]:
    """Reads a recording as clips of ten seconds, one behind the other; the rest as `load_audio`.

    The last one ends where the recording ends and overlaps the one before it: nothing is left out, and none
    is shorter than the others. A recording of up to 10.255 s is one clip, the very one of `load_audio`. What
    lies beyond the first hour is left out, with a warning. Their names say when they begin and end.
    """
    samples, sound = _at_16_khz(audio, sample_rate, channel, LONGEST)
    if sound.seconds > LONGEST / SAMPLE_RATE:
        sound.notes.append(f"is {sound.seconds:.0f} s long; only the first hour is heard")
    _warn(sound)
    samples = samples[:LONGEST]
    if len(samples) <= CLIP_SAMPLES:
        return [Clip(_kept(samples), sound.name)]
    last = len(samples) - WINDOW_SAMPLES
    starts = [*range(0, last, WINDOW_SAMPLES), last]
    return [
        Clip(
            _kept(samples[start : start + WINDOW_SAMPLES]),
            f"{sound.name} {start / SAMPLE_RATE:.1f}–{(start + WINDOW_SAMPLES) / SAMPLE_RATE:.1f} s",
            start / SAMPLE_RATE,
        )
        for start in starts
    ]


def _at_16_khz(
    audio: AudioInput, sample_rate: float | None, channel: int | None, heard: int
) -> tuple[Float32, Sound]:
    """(float32[n], the recording that they are of), a little more than is heard. Raises AudioError."""
    sound = sound_of(audio, sample_rate, heard)
    samples = _mixed(sound, channel)
    if sound.rate != SAMPLE_RATE:
        samples = soxr.resample(samples, sound.rate, SAMPLE_RATE)
    if len(samples) < WINDOW:
        milliseconds = len(samples) * 1000 / SAMPLE_RATE
        raise AudioError(f"{sound.name}: is {milliseconds:.1f} ms long; at least 25 ms are needed")
    return samples, sound


def _warn(sound: Sound) -> None:
    for note in sound.notes:
        warnings.warn(f"{sound.name}: {note}", stacklevel=3)


def _kept(samples: Float32) -> Float32:
    waveform = np.ascontiguousarray(samples, dtype=np.float32)
    waveform.setflags(write=False)
    return waveform


def load_clips(audio: "Clip | AudioInput | Sequence[Clip | AudioInput] | None") -> list[Clip]:
    """The clips in one recording, in a list of them, or in none. Raises AudioError."""
    if audio is None:
        return []
    if isinstance(audio, Clip):
        return [audio]
    if isinstance(audio, (list, tuple)) and not is_pair(audio):
        return [clip for item in audio for clip in load_clips(item)]
    return [load_audio(cast(AudioInput, audio))]


def _mixed(sound: Sound, channel: int | None) -> Float32:
    """float32[n]: the mean of the channels, or one of them. Notes what can't be heard. Raises AudioError for
    no samples, samples that are not finite, samples beyond all measure and a channel that is not there."""
    samples, name = sound.samples, sound.name
    if not samples.size:
        raise AudioError(f"{name}: holds no samples; give a recording of at least 25 ms")
    if channel is not None:
        samples = _one_channel(samples, channel, name)
    finite = np.isfinite(samples).reshape(len(samples), -1).all(axis=1)
    if not finite.all():
        second = np.argmin(finite) / sound.rate
        raise AudioError(
            f"{name}: holds NaN or infinite samples, the first at {second:.3f} s; export the recording again"
        )
    peak = np.abs(samples).max()
    if peak > LOUDEST or (peak > LOUDEST_WHOLE and not np.any(samples % 1)):
        raise AudioError(
            f"{name}: has samples up to {peak:.3g}, where full scale is 1; divide 16-bit samples by 32768"
        )
    mono: Float32 = samples.mean(axis=1) if samples.ndim == 2 else samples
    if np.ptp(mono) < CANCELLED * (widths := np.ptp(samples, axis=0)).max():
        loudest = int(np.argmax(widths))
        sound.notes.append(f"its channels cancel, so channel {loudest + 1} is heard alone")
        mono = samples[:, loudest]
    width = np.ptp(mono)
    if not width:
        sound.notes.append(f"is silent: every sample that is heard is {mono[0]:g}")
    elif width < SILENT:
        sound.notes.append(f"is nearly silent: its samples reach {peak:.1g}, where full scale is 1")
    return mono


def _one_channel(samples: Float32, channel: int, name: str) -> Float32:
    there = samples.shape[1] if samples.ndim == 2 else 1
    if not isinstance(channel, int) or not 1 <= channel <= there:
        which = "channel 1 alone" if there == 1 else f"channels 1 to {there}"
        raise AudioError(f"{name}: has {which}; it has no channel {short(channel)}")
    return samples[:, channel - 1] if samples.ndim == 2 else samples
