"""What the teacher hears: a bank of varied and mixed recordings with its scores and embeddings.

The bank is a folder of pieces, each made whole from its own seed: `features-000.npy` holds log mel energies
float16[256, 512, 128], `heard-000.npz` what was heard. A piece that is there is not made again.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr
import torch

from ltu.audio import log_mel
from ltu.defaults import MELS, SAMPLE_RATE
from ltu.files import replacing
from ltu.training.demo.made import coloured
from ltu.training.demo.yamnet import HOP, PATCH, YAMNet, load_yamnet

PIECE = 256  # entries
FRAMES = 512  # of an entry: 5.1 s; a longer recording is cut at a random place
SAMPLES = 400 + 160 * (FRAMES - 1)
MOMENTS = 1 + (FRAMES - PATCH) // HOP  # that the teacher hears at most
MIXED = 0.5  # share of the entries that hold two recordings
FOLLOWED = 0.3  # share of those in which one follows the other
NOISY = 0.3  # share of the entries with noise behind
COLOURS = -1.0, 0.25  # powers of the frequency that its amplitude goes with
SPEED = 0.2  # deviation of a speed's logarithm
REVERSED = 0.1  # share of the recordings that run backwards
EQUALISED = 4.0  # decibels that a recording's spectrum is bent by on average
SWELLING, SWELL = 0.3, 6.0  # share of the recordings whose level swells, and by how many decibels

Float32 = npt.NDArray[np.float32]
Rng = np.random.Generator


@dataclass(frozen=True)
class Bank:
    """Entry i is row `i % PIECE` of `features[i // PIECE]`; the rest is [entries, …]."""

    features: Sequence[npt.NDArray[np.float16]]  # mapped
    frames: npt.NDArray[np.int64]  # of sound
    labels: npt.NDArray[np.int64]  # [entries, 2] numbers of the recordings' labels
    share: Float32  # of the power that the first recording has
    scores: Float32  # [entries, 521]
    embeddings: npt.NDArray[np.float16]  # [entries, MOMENTS, 1024]; the last moment's are repeated

    @cached_property
    def moments(self) -> npt.NDArray[np.int64]:
        """[entries] that the teacher heard."""
        return np.maximum(1, 1 + (self.frames - PATCH) // HOP)

    def embedding(self, entry: int, frames: npt.NDArray[np.int64]) -> Float32:
        """What the teacher heard at an entry's frames, [n, 1024]: between the two moments nearest to each."""
        place = np.clip((frames - PATCH / 2) / HOP, 0, self.moments[entry] - 1)
        before = np.minimum(place.astype(np.int64), max(0, self.moments[entry] - 2))
        after = np.minimum(before + 1, self.moments[entry] - 1)
        of_after = (place - before).astype(np.float32)[:, None]
        heard = self.embeddings[entry].astype(np.float32)
        return np.asarray(heard[before] * (1 - of_after) + heard[after] * of_after, np.float32)

    def power(self, entry: int) -> Float32:
        """Mel energies [frames, 128]."""
        rows = self.features[entry // PIECE][entry % PIECE, : self.frames[entry]]
        return np.exp(rows.astype(np.float32))


def make_bank(
    sounds: Sequence[Float32], labels: Sequence[int], pieces: int, folder: Path, workers: int, seed: int
) -> None:
    """Waveforms and the number of each one's label → the bank's pieces, in processes of one thread each."""
    folder.mkdir(parents=True, exist_ok=True)
    load_yamnet(folder.parent)  # fetched once, before the processes need it
    missing = [n for n in range(pieces) if not (folder / f"heard-{n:03}.npz").is_file()]
    context = get_context("spawn")  # torch's threads forbid a fork
    with ProcessPoolExecutor(workers, context, _start, (list(sounds), list(labels), folder, seed)) as pool:
        for number in pool.map(_make_piece, missing):
            print(f"{folder}: piece {number + 1} of {pieces}", flush=True)


def read_bank(folder: Path) -> Bank:
    heard = [dict(np.load(path)) for path in sorted(folder.glob("heard-*.npz"))]
    joined = {name: np.concatenate([piece[name] for piece in heard]) for name in heard[0]}
    features = [np.load(path, mmap_mode="r") for path in sorted(folder.glob("features-*.npy"))]
    return Bank(
        features,
        joined["frames"].astype(np.int64),
        joined["labels"].astype(np.int64),
        joined["share"],
        joined["scores"].astype(np.float32),
        joined["embeddings"],
    )


def _start(sounds: list[Float32], labels: list[int], folder: Path, seed: int) -> None:
    global _maker
    torch.set_num_threads(1)
    _maker = Maker(sounds, labels, folder, seed, load_yamnet(folder.parent))


def _make_piece(number: int) -> int:
    _maker.make(number)
    return number


class Maker:
    """Makes pieces of a bank, each from the seed and its number alone."""

    def __init__(
        self, sounds: list[Float32], labels: list[int], folder: Path, seed: int, teacher: YAMNet
    ) -> None:
        self._sounds, self._labels, self._folder, self._seed = sounds, labels, folder, seed
        self._teacher = teacher
        by_label: dict[int, list[int]] = {}
        for index, label in enumerate(labels):
            by_label.setdefault(label, []).append(index)
        self._by_label = list(by_label.values())

    def make(self, number: int) -> None:
        rng = np.random.default_rng((self._seed, number))
        features = np.full((PIECE, FRAMES, MELS), -15.94, np.float16)
        names = ("frames", "labels", "share", "scores", "embeddings")
        rows: dict[str, list[object]] = {name: [] for name in names}
        for row in range(PIECE):
            waveform, labels, share = self._entry(rng)
            mel = log_mel(waveform)[:FRAMES]
            features[row, : len(mel)] = mel
            scores, heard = self._teacher.hear(waveform)
            embeddings = heard[np.minimum(np.arange(MOMENTS), len(heard) - 1)]
            values = (len(mel), labels, share, scores, embeddings)
            for name, value in zip(rows, values, strict=True):
                rows[name].append(value)
        arrays = {name: np.array(values) for name, values in rows.items()}
        arrays |= {name: arrays[name].astype(np.float16) for name in ("scores", "embeddings")}
        arrays["share"] = arrays["share"].astype(np.float32)
        with replacing(self._folder / f"features-{number:03}.npy") as draft, draft.open("wb") as file:
            np.save(file, features)
        with replacing(self._folder / f"heard-{number:03}.npz") as draft, draft.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    def _entry(self, rng: Rng) -> tuple[Float32, tuple[int, int], float]:
        """Every label is as frequent as every other."""
        first, second = (self._pick(rng) for _ in range(2))
        waveform = vary(self._sounds[first], rng)
        share = 1.0
        if rng.random() < MIXED:
            other, share = vary(self._sounds[second], rng), float(rng.beta(0.5, 0.5))
            waveform = (follow if rng.random() < FOLLOWED else mix)(waveform, other, share)
        if rng.random() < NOISY:
            behind = np.asarray(coloured(len(waveform), COLOURS, rng), np.float32)
            waveform = mix(waveform, behind, 1 / (1 + 10 ** rng.uniform(-4, -0.3)))
        labels = (self._labels[first], self._labels[second])
        return waveform * np.float32(10 ** rng.uniform(-1, 0)), labels, share

    def _pick(self, rng: Rng) -> int:
        recordings = self._by_label[rng.integers(len(self._by_label))]
        return recordings[rng.integers(len(recordings))]


def vary(waveform: Float32, rng: Rng) -> Float32:
    """Faster or slower, through another microphone and room, louder and softer, from another moment; peak 1.

    The student has to learn what the teacher makes of any sound, and recordings are few: what both hear need
    not be natural.
    """
    speed = float(np.exp(np.clip(rng.normal(0, SPEED), -3 * SPEED, 3 * SPEED)))
    waveform = soxr.resample(waveform, SAMPLE_RATE * speed, SAMPLE_RATE, "LQ")
    waveform = np.roll(waveform, rng.integers(len(waveform)))[:SAMPLES]
    if rng.random() < REVERSED:
        waveform = waveform[::-1]
    spectrum = np.fft.rfft(waveform)
    bands = np.linspace(0, 1, len(spectrum)) ** 0.5  # finer where the low frequencies lie
    spectrum *= 10 ** (_curve(bands, rng.exponential(EQUALISED), rng) / 20)
    waveform = np.fft.irfft(spectrum, len(waveform)).astype(np.float32)
    if rng.random() < SWELLING:
        times = np.linspace(0, 1, len(waveform), dtype=np.float32)
        waveform *= 10 ** (_curve(times, rng.exponential(SWELL), rng) / 20)
    return _peak_1(waveform)


def _curve(places: npt.NDArray[Any], decibels: float, rng: Rng) -> npt.NDArray[Any]:
    """A smooth random curve of so many decibels over places from 0 to 1."""
    order = np.arange(1, 6)
    waves = np.cos(np.pi * (order[:, None] * places + rng.random((5, 1))))
    return np.asarray(rng.normal(0, decibels / order**0.7) @ waves)


def mix(first: Float32, second: Float32, share: float) -> Float32:
    """Two sounds at equal mean power, added with `share` of the power from the first; peak 1."""
    second = _level(first, np.resize(second, len(first)))
    return _peak_1(np.sqrt(share) * first + np.sqrt(1 - share) * second)


def follow(first: Float32, second: Float32, share: float) -> Float32:
    """The first sound for its share of the time, then the second at equal mean power; peak 1."""
    cut = int(share * len(first))
    second = _level(first, np.resize(second, len(first)))
    return _peak_1(np.concatenate([first[:cut], second[cut:]]))


def _level(first: Float32, second: Float32) -> Float32:
    """The second sound at the first one's mean power."""
    ratio = np.sqrt(np.mean(first**2) / max(float(np.mean(second**2)), 1e-10))
    return np.asarray(ratio * second, np.float32)


def _peak_1(waveform: Float32) -> Float32:
    return np.asarray(waveform / max(float(np.abs(waveform).max()), 1e-6), np.float32)


_maker: Maker  # of a process that makes pieces
