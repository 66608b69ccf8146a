"""Audio file → clip → the 1024 × 128 features that the encoder reads.

The log-mel filter bank is Kaldi's as torchaudio.compliance.kaldi computes it with LTU's settings: 25 ms
symmetric Hann window, 10 ms shift, 128 bins between 20 Hz and 8 kHz, `htk_compat`, no energy, no dither.
"""

import hashlib
import warnings
from dataclasses import dataclass, field
from functools import cache, cached_property
from os import PathLike, fspath
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from ltu.defaults import FRAMES, MELS, SAMPLE_RATE
from ltu.errors import AudioError
from ltu.front_end import FrontEnd

WINDOW, SHIFT, FFT = 400, 160, 512  # samples
BLOCK = 128  # frames that are computed at a time: they stay in the processor's cache
CLIP_SAMPLES = WINDOW + (FRAMES - 1) * SHIFT  # what 1024 frames can see: 10.255 s
LOW_HZ, HIGH_HZ = 20.0, SAMPLE_RATE / 2
PRE_EMPHASIS = 0.97
FRONT_END = 1  # goes up when the same samples give other features: kept embeddings are then computed again
FLOOR = float(np.finfo(np.float32).eps)
LTU = FrontEnd()

Float32 = npt.NDArray[np.float32]
Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Clip:
    """One sound: 16 kHz mono float32, at most CLIP_SAMPLES long when `load_audio` made it."""

    waveform: Float32 = field(repr=False)
    name: str
    _features: dict[FrontEnd, Float32] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def hash(self) -> str:
        """Hex SHA-256 of the little-endian float32 samples that the model can hear."""
        return hashlib.sha256(self.waveform[:CLIP_SAMPLES].astype("<f4").tobytes()).hexdigest()

    @property
    def seconds(self) -> float:
        return len(self.waveform) / SAMPLE_RATE

    def features(self, front_end: FrontEnd = LTU) -> Float32:
        """float32[frames, mels], normalised log-mel; computed once."""
        if front_end not in self._features:
            result = features(self.waveform, front_end)
            result.setflags(write=False)
            self._features[front_end] = result
        return self._features[front_end]


def load_audio(
    audio: str | PathLike[str] | BinaryIO | npt.NDArray[Any], sample_rate: int | None = None
) -> Clip:
    """Reads a path, an open binary file or an array [samples] or [samples, channels] as one clip.

    `sample_rate` is an array's (default 16 kHz); a file says its own. Channels are averaged, other rates are
    resampled, and what is longer than 1024 frames is cut with a warning. Raises AudioError.
    """
    if isinstance(audio, np.ndarray):
        name, samples, rate = "array", _as_float(audio), sample_rate or SAMPLE_RATE
        total = len(samples)
    else:
        name = fspath(audio) if isinstance(audio, (str, PathLike)) else str(getattr(audio, "name", "audio"))
        samples, rate, total = _decode(audio, name)
    if rate <= 0:
        raise AudioError(
            f"{name}: a sample rate of {rate} Hz is not possible; give the rate of the recording"
        )
    if samples.ndim == 2 and samples.shape[1] > 0:
        samples = samples.mean(axis=1)
    if samples.ndim != 1 or not len(samples):
        raise AudioError(f"{name}: holds no samples; give a recording of at least 25 ms")
    if not np.isfinite(samples).all():
        raise AudioError(f"{name}: holds NaN or infinite samples; export the recording again")
    samples = samples[: _seen(rate)]
    if rate != SAMPLE_RATE:
        samples = soxr.resample(samples, rate, SAMPLE_RATE)
    if len(samples) < WINDOW:
        raise AudioError(
            f"{name}: is {len(samples) / SAMPLE_RATE * 1000:.0f} ms long; at least 25 ms are needed"
        )
    if total / rate > CLIP_SAMPLES / SAMPLE_RATE:
        warnings.warn(f"{name}: is {total / rate:.1f} s long; only the first 10 s are heard", stacklevel=2)
    waveform = np.ascontiguousarray(samples[:CLIP_SAMPLES], dtype=np.float32)
    waveform.setflags(write=False)
    return Clip(waveform, name)


def features(waveform: Float32, front_end: FrontEnd = LTU) -> Float32:
    """16 kHz float32[n] → float32[frames, mels]: log-mel padded with zeros or cut, then normalised."""
    frames = log_mel(waveform[: WINDOW + (front_end.frames - 1) * SHIFT], front_end.mels)
    padded = np.zeros((front_end.frames, front_end.mels), np.float32)
    padded[: len(frames)] = frames
    return ((padded - np.float32(front_end.mean)) / np.float32(front_end.deviation)).astype(np.float32)


def log_mel(waveform: Float32, mels: int = MELS) -> Float32:
    """16 kHz float32[n] → float32[frames, mels], natural logarithm of mel energies.

    The waveform's mean needs no subtraction of its own: each frame's mean is removed. Raises AudioError for
    fewer than 400 samples.
    """
    if len(waveform) < WINDOW:
        raise AudioError(f"a waveform of {len(waveform)} samples has no frame; at least {WINDOW} are needed")
    frames = np.lib.stride_tricks.sliding_window_view(waveform, WINDOW)[::SHIFT]
    return np.concatenate(
        [
            _log_mel_of_frames(frames[i : i + BLOCK].astype(np.float64), mels)
            for i in range(0, len(frames), BLOCK)
        ]
    )


def _log_mel_of_frames(frames: Floats, mels: int) -> Float32:
    """float64[n, 400] → float32[n, mels]. `frames` is overwritten."""
    frames -= frames.mean(axis=1, keepdims=True)
    previous = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    spectrum = np.fft.rfft((frames - PRE_EMPHASIS * previous) * np.hanning(WINDOW), FFT)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    energies = [power[:, band] @ weights for band, weights in _mel_filters(mels)]
    return np.log(np.maximum(np.stack(energies, axis=1), FLOOR)).astype(np.float32)


@cache
def _mel_filters(mels: int) -> list[tuple[slice, Floats]]:
    """Bins and their weights: triangles that are even on the mel scale; the Nyquist bin has no weight.

    Products of the few bins that count are too small for BLAS to wake its threads, which would go on to spin
    on the cores where the engine works.
    """
    low, high = _mel(np.array([LOW_HZ, HIGH_HZ]))
    edges = np.linspace(low, high, mels + 2)
    bins = _mel(np.fft.rfftfreq(FFT, 1 / SAMPLE_RATE))[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    weights = np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre))
    weights[-1] = 0
    filters = np.maximum(weights, 0).T
    bands = [np.flatnonzero(row) for row in filters]  # some of the lowest are narrower than a bin
    heard = [slice(band[0], band[-1] + 1) if band.size else slice(0) for band in bands]
    return [(band, row[band]) for band, row in zip(heard, filters, strict=True)]


def _mel(hertz: Floats) -> Floats:
    mel: Floats = 1127.0 * np.log1p(hertz / 700.0)
    return mel


def _seen(rate: int) -> int:
    """Samples at `rate` that matter: the clip and half a second, so that the resampler's end is out of it."""
    return CLIP_SAMPLES * rate // SAMPLE_RATE + rate // 2


def _as_float(array: npt.NDArray[Any]) -> Float32:
    if np.issubdtype(array.dtype, np.signedinteger):
        return array.astype(np.float32) / -np.float32(np.iinfo(array.dtype).min)
    if np.issubdtype(array.dtype, np.floating):
        return array.astype(np.float32)
    raise AudioError(f"array: samples of type {array.dtype} are not audio; give floats or signed integers")


def _decode(audio: str | PathLike[str] | BinaryIO, name: str) -> tuple[Float32, int, int]:
    """(samples [n, channels], rate, length of the whole file in samples)."""
    if isinstance(audio, (str, PathLike)):
        path = Path(audio)
        if not path.exists():
            raise AudioError(f"{name}: no such file; check the path")
        if not path.is_file():
            raise AudioError(f"{name}: is not a file; give one recording")
        if not path.stat().st_size:
            raise AudioError(f"{name}: is empty (0 bytes); give a recording")
    try:
        with soundfile.SoundFile(audio) as file:
            samples = file.read(_seen(file.samplerate), dtype="float32", always_2d=True)
            return samples, file.samplerate, max(file.frames, len(samples))
    except (soundfile.SoundFileError, OSError, TypeError, ValueError) as error:
        raise AudioError(f"{name}: is not audio that can be read (WAV, FLAC, Ogg, MP3): {error}") from None
