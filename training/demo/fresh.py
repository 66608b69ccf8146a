"""Sounds made on the spot, whole batches on the device that learns from them: no two steps hear the same.

What bank.py does to one waveform after another on a processor, in PyTorch for hundreds at once, and more:
echoes, bands cut off, three and four sounds together, one sound's bands or envelope with another's. Which
entries of a batch are of which kind is fixed, so all batches of a length have the same shapes.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ltu.audio import SHIFT, WINDOW
from ltu.training.demo.bank import COLOURS, EQUALISED, NOISY, REVERSED, SPEED, SWELL, SWELLING

LOOPED = 0.7  # share of the recordings that go on from their beginning where they end
CUT_OFF = 0.15  # share of the recordings above whose cut-off there is little
ECHOING, ECHO_SECONDS = 0.2, 0.25
ENVELOPE = 640  # samples that a level is the mean of
SHORTER = 0.3  # share of the entries that end before the others
LEAST_FRAMES = 64
KINDS = {  # share of a batch's entries
    "plain": 0.12,  # one recording as it is
    "single": 0.30,
    "follow": 0.10,  # one recording for a part of the time, then another
    "bands": 0.08,  # the low frequencies of one and the high ones of another
    "envelope": 0.08,  # one recording as loud at each moment as another
    "two": 0.20,
    "three": 0.07,
    "four": 0.05,
}
WAVES = 5  # cosines in a random curve

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Fresh:
    waveforms: Tensor  # [entries, samples], silent behind the end
    frames: Tensor  # int64[entries] of sound
    shares: Tensor  # [entries, labels], of the power or of the time


class Maker:
    """Makes batches of recordings, each label as often as every other, from one stream of random numbers."""

    def __init__(
        self, sounds: Sequence[Float32], labels: Sequence[int], device: torch.device, seed: int
    ) -> None:
        lengths = torch.tensor([len(sound) for sound in sounds])
        self._samples = torch.from_numpy(np.concatenate(sounds)).to(device)
        self._lengths, self._starts = lengths.to(device), (lengths.cumsum(0) - lengths).to(device)
        self._labels = torch.tensor(labels, device=device)
        count = max(labels) + 1
        by_label = [[index for index, label in enumerate(labels) if label == n] for n in range(count)]
        self._counts = torch.tensor([len(own) for own in by_label], device=device)
        most = max(map(len, by_label))
        self._table = torch.tensor([own + [0] * (most - len(own)) for own in by_label], device=device)
        self.device = device
        self._random = torch.Generator(device).manual_seed(seed)

    def batch(self, size: int, frames: int) -> Fresh:
        """A batch of every one of KINDS; at most `frames` long."""
        ends = np.cumsum(list(KINDS.values())) * size
        begin = dict(zip(KINDS, [0, *(round(end) for end in ends[:-1].tolist())], strict=True))
        together, third, fourth = begin["follow"], begin["three"], begin["four"]
        chosen = [self._pick(count) for count in (size, size - together, size - third, size - fourth)]
        plain = torch.arange(sum(map(len, chosen)), device=self.device) < begin["single"]
        samples = WINDOW + SHIFT * (frames - 1)
        parts = torch.split(self._varied(torch.cat(chosen), samples, plain), [len(each) for each in chosen])
        waveforms, shares = parts[0].clone(), torch.ones(size, 1, device=self.device)
        pairs = slice(together, size), slice(third, size), slice(fourth, size)
        weights = [shares]
        for number, (rows, other) in enumerate(zip(pairs, parts[1:], strict=True)):
            first = waveforms[rows]
            other = _level(first, other)
            if number == 0:
                edges = [begin[kind] - together for kind in ("bands", "envelope", "two")]
                mixed, share = self._paired(first, other, edges)
            else:
                share = 0.5 + 0.4 * self._uniform(len(first), 1)
                mixed = share.sqrt() * first + (1 - share).sqrt() * other
            waveforms[rows] = mixed
            for weight in weights:
                weight[rows] *= share
            new = torch.zeros(size, 1, device=self.device)
            new[rows] = 1 - share
            weights.append(new)
        waveforms[begin["single"] :] = self._finished(waveforms[begin["single"] :])
        found = torch.zeros(size, len(self._counts), device=self.device)
        for first, weight, own in zip((0, together, third, fourth), weights, chosen, strict=True):
            found[first:].scatter_add_(1, self._labels[own][:, None], weight[first:])
        return self._ended(waveforms, self._ends(chosen[0], frames, begin["single"]), found)

    def views(self, chosen: Tensor, frames: int, plain: bool) -> Fresh:
        """The recordings of these numbers, each alone: as they are, or varied and about as loud."""
        rows = len(chosen)
        as_is = torch.full((rows,), plain, device=self.device)
        waveforms = self._varied(chosen, WINDOW + SHIFT * (frames - 1), as_is)
        if not plain:
            still = self._varied(chosen, waveforms.shape[1], ~as_is).abs().amax(1, keepdim=True)
            gain = 10 ** (self._uniform(rows, 1) - 0.6)
            waveforms = self._noisy(waveforms)
            waveforms = (waveforms / _peak(waveforms) * still * gain).clamp(-1, 1)
        ends = self._ends(chosen, frames, rows if plain else 0)
        return self._ended(waveforms, ends, torch.zeros(rows, 0, device=self.device))

    def _pick(self, count: int) -> Tensor:
        """Numbers of recordings."""
        label = torch.randint(len(self._counts), (count,), generator=self._random, device=self.device)
        within = (self._uniform(count) * self._counts[label]).long()
        return self._table[label, within.minimum(self._counts[label] - 1)]

    def _varied(self, chosen: Tensor, samples: int, plain: Tensor) -> Tensor:
        """Recordings [rows, samples], those that are not plain faster or slower, through other microphones,
        rooms and hands, from other moments on, at peak 1."""
        waveforms = self._played(chosen, samples, plain)
        still = plain[:, None]
        size = _quick_size(samples)
        spectrum = torch.fft.rfft(waveforms, size)
        places = torch.linspace(0, 1, spectrum.shape[1], device=self.device)
        decibels = self._curves(len(chosen), places.sqrt(), EQUALISED)  # finer where low frequencies lie
        cut = 0.2 + 0.8 * self._uniform(len(chosen), 1)
        cut = torch.where(self._uniform(len(chosen), 1) < CUT_OFF, cut, 1.0)
        decibels = decibels - 300 * (places - cut).clamp(min=0)
        spectrum = spectrum * 10 ** (decibels / 20)
        echoing = self._some(len(chosen), ECHOING)
        if len(echoing):
            spectrum[echoing] = spectrum[echoing] * self._room(len(echoing), size)
        changed = torch.fft.irfft(spectrum, size)[:, :samples]
        times = torch.linspace(0, 1, samples, device=self.device)
        swelling = (self._uniform(len(chosen), 1) < SWELLING).float()
        changed = changed * 10 ** (swelling * self._curves(len(chosen), times, SWELL) / 20)
        changed = changed / _peak(changed)
        return torch.where(still, waveforms, changed)

    def _played(self, chosen: Tensor, samples: int, plain: Tensor) -> Tensor:
        """Recordings at random speeds, some backwards, by cubic interpolation."""
        rows = len(chosen)
        length, start = self._lengths[chosen], self._starts[chosen]
        speed = (SPEED * self._normal(rows).clamp(-3, 3)).exp().double()
        backwards, looped = self._uniform(rows) < REVERSED, self._uniform(rows) < LOOPED
        first = torch.where(looped, self._uniform(rows).double() * length, 0.0)
        first = torch.where(backwards & ~looped, length - 1.0, first)
        step = torch.where(plain, 1.0, torch.where(backwards, -speed, speed))
        first, looped = torch.where(plain, 0.0, first), looped & ~plain
        place = first[:, None] + step[:, None] * torch.arange(samples, device=self.device)
        whole = place.floor()
        t = (place - whole).float()
        index, count = whole.long(), length[:, None]
        weights = (
            ((2 - t) * t - 1) * t / 2,
            ((3 * t - 5) * t * t + 2) / 2,
            ((4 - 3 * t) * t + 1) * t / 2,
            (t - 1) * t * t / 2,
        )
        values = torch.zeros_like(t)
        for offset, weight in zip((-1, 0, 1, 2), weights, strict=True):
            values += weight * self._samples[start[:, None] + (index + offset).remainder(count)]
        inside = looped[:, None] | ((index >= 0) & (index < count))
        return values * inside

    def _paired(self, first: Tensor, other: Tensor, edges: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Two sounds of equal power in one of four ways, of which the edges tell the first rows → the sound
        and the share of the first, [rows, 1]."""
        bands, envelope, two = edges
        share = (math.pi / 2 * self._uniform(len(first), 1)).sin().square()  # Beta(1/2, 1/2)
        mixed = share.sqrt() * first + (1 - share).sqrt() * other
        samples = first.shape[1]
        before = torch.arange(samples, device=self.device) < share[:bands] * samples
        mixed[:bands] = torch.where(before, first[:bands], other[:bands])
        if bands < envelope:
            rows = slice(bands, envelope)
            mixed[rows], share[rows] = self._crossed(first[rows], other[rows])
        rows = slice(envelope, two)
        mixed[rows] = first[rows] * (_envelope(other[rows]) / _envelope(first[rows])).clamp(max=30)
        share[rows] = 0.5
        return mixed, share

    def _crossed(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """What lies below a frequency of one, above it of the other."""
        size = _quick_size(low.shape[1])
        places = torch.linspace(0, 1, size // 2 + 1, device=self.device)
        corner = 0.02 + 0.4 * self._uniform(len(low), 1).square()
        passes = ((corner - places) / (0.2 * corner)).sigmoid()
        below = torch.fft.irfft(torch.fft.rfft(low, size) * passes, size)[:, : low.shape[1]]
        above = torch.fft.irfft(torch.fft.rfft(high, size) * (1 - passes), size)[:, : low.shape[1]]
        above = _level(below, above)
        return below + above, torch.full_like(corner, 0.5)

    def _finished(self, waveforms: Tensor) -> Tensor:
        """Some with noise behind them, each at a level of its own."""
        noisy = self._noisy(waveforms)
        return noisy / _peak(noisy) * 10 ** (-1.5 * self._uniform(len(noisy), 1))

    def _noisy(self, waveforms: Tensor) -> Tensor:
        """With noise behind NOISY of them, 3 to 40 dB below."""
        rows = self._some(len(waveforms), NOISY)
        if not len(rows):
            return waveforms
        size = _quick_size(waveforms.shape[1])
        spectrum = torch.view_as_complex(self._normal(len(rows), size // 2 + 1, 2))
        low, high = COLOURS
        slope = low + (high - low) * self._uniform(len(rows), 1)
        frequency = torch.arange(spectrum.shape[1], device=self.device).clamp(min=1).float()
        noise = torch.fft.irfft(spectrum * frequency**slope, size)[:, : waveforms.shape[1]]
        behind = _level(waveforms[rows], noise) * 10 ** (self._uniform(len(rows), 1) * 1.85 - 2)
        found = waveforms.clone()
        found[rows] += behind
        return found

    def _ends(self, first: Tensor, frames: int, plain: int) -> Tensor:
        """Frames [entries]: the plain ones' own, which come first, and random ones."""
        own = (1 + (self._lengths[first] - WINDOW) // SHIFT).clamp(max=frames)
        some = (LEAST_FRAMES + self._uniform(len(first)) * (frames - LEAST_FRAMES)).long()
        drawn = torch.where(self._uniform(len(first)) < SHORTER, some, frames)
        return torch.where(torch.arange(len(first), device=self.device) < plain, own, drawn)

    def _ended(self, waveforms: Tensor, frames: Tensor, shares: Tensor) -> Fresh:
        times = torch.arange(waveforms.shape[1], device=self.device)
        return Fresh(waveforms * (times < (WINDOW + SHIFT * (frames - 1))[:, None]), frames, shares)

    def _curves(self, rows: int, places: Tensor, decibels: float) -> Tensor:
        """Smooth random curves [rows, places] of so many decibels on average over places from 0 to 1."""
        order = torch.arange(1, WAVES + 1, device=self.device)
        angles = math.pi * order[:, None] * places
        strength = -decibels * self._uniform(rows, 1).clamp(min=1e-6).log() / order**0.7
        height = strength * self._normal(rows, WAVES)
        phase = math.pi * self._uniform(rows, WAVES)
        curves: Tensor = (height * phase.cos()) @ angles.cos() - (height * phase.sin()) @ angles.sin()
        return curves

    def _room(self, rows: int, size: int) -> Tensor:
        """The spectrum of an impulse and its decaying echoes."""
        times = torch.arange(size, device=self.device) / 16_000
        decay = ECHO_SECONDS * (0.1 + self._uniform(rows, 1))
        echo = self._normal(rows, size) * (-times / decay).exp()
        echo = echo / echo.square().sum(1, keepdim=True).sqrt() * self._uniform(rows, 1) * 1.5
        found: Tensor = 1 + torch.fft.rfft(echo, size)
        return found

    def _some(self, rows: int, share: float) -> Tensor:
        """Numbers of a share of the rows, drawn without return; none of few."""
        order = torch.randperm(rows, generator=self._random, device=self.device)
        return order[: round(share * rows)]

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self._random, device=self.device)

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self._random, device=self.device)


def _level(first: Tensor, second: Tensor) -> Tensor:
    """The second sounds at the first ones' mean power."""
    power = second.square().mean(1, keepdim=True).clamp(min=1e-10)
    return second * (first.square().mean(1, keepdim=True) / power).sqrt()


def _peak(waveforms: Tensor) -> Tensor:
    return waveforms.abs().amax(1, keepdim=True).clamp(min=1e-6)


def _envelope(waveforms: Tensor) -> Tensor:
    """The level at each moment, [rows, samples]."""
    power = F.avg_pool1d(waveforms.square()[:, None], ENVELOPE, ENVELOPE // 2, ENVELOPE // 2)
    level = F.interpolate(power, waveforms.shape[1], mode="linear")[:, 0].sqrt()
    return level + 0.02 * level.amax(1, keepdim=True) + 1e-6


def _quick_size(samples: int) -> int:
    """The next product of small primes, for which Fourier transforms are quick."""
    sizes: Iterator[int] = (2**a * 3**b * 5**c for a in range(1, 19) for b in range(5) for c in range(4))
    return min(size for size in sizes if size >= samples)
