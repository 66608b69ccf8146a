"""Waveform → the features that the encoder reads, LTU's 1024 × 128 or what a model file says.

The log-mel filter bank is Kaldi's as torchaudio.compliance.kaldi computes it with LTU's settings: 25 ms
symmetric Hann window, 10 ms shift, bins between 20 Hz and 8 kHz, `htk_compat`, no energy, no dither.
"""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

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
    energies = [power[:, band] @ weights for band, weights in mel_filters(mels)]
    return np.log(np.maximum(np.stack(energies, axis=1), FLOOR)).astype(np.float32)


@cache
def mel_filters(mels: int) -> list[tuple[slice, Floats]]:
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
