"""Which groups a step trains on: an order that seed and epoch alone decide, whatever process draws it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset, Sampler

from ltu.training.items.packing import Group

MEGABATCH = 32  # batches that are sorted by length together


class Batches(Sampler[list[int]]):
    """One process's share of each global batch, groups of like length together.

    `batch` is a process's; a global batch is cut the same way whether one process draws it or many. An
    element is the number of a drawing, see `Drawings`. A process for which a last, short batch has nothing
    left gets its first group without targets, so that all processes make the same number of steps.
    """

    def __init__(
        self,
        lengths: npt.ArrayLike,
        batch: int,
        seed: int,
        processes: int = 1,
        process: int = 0,
        positions: int | None = None,
    ) -> None:
        """`positions`: most in a global batch, padding included, in place of a number of groups."""
        self._lengths, self._seed, self._positions = np.asarray(lengths), seed, positions
        self._whole = batch * processes
        self._processes, self._process = processes, process
        self.epoch = 0

    def __len__(self) -> int:
        if self._positions:
            return len(self._filled(np.argsort(-self._lengths, kind="stable"), self._positions))
        return -(-len(self._lengths) // self._whole)

    def __iter__(self) -> Iterator[list[int]]:
        count, rng = len(self._lengths), np.random.default_rng([self._seed, self.epoch])
        order = rng.permutation(count)
        if self._positions:
            order = order[np.argsort(-self._lengths[order], kind="stable")]
            batches = self._filled(order, self._positions)
        else:
            for start in range(0, count, self._whole * MEGABATCH):
                part = order[start : start + self._whole * MEGABATCH]
                part[:] = part[np.argsort(-self._lengths[part], kind="stable")]
            batches = [order[start : start + self._whole] for start in range(0, count, self._whole)]
        for number in rng.permutation(len(batches)):
            batch = batches[number] + self.epoch * count
            share = batch[self._process :: self._processes].tolist()
            yield share or [-1 - int(batch[0])]

    def _filled(self, order: npt.NDArray[np.intp], positions: int) -> list[npt.NDArray[np.intp]]:
        """Cuts groups, the longest first, into batches of at most `positions`; a longer group is alone."""
        starts, longest = [0], self._lengths[order[0]]
        for place, index in enumerate(order):
            if (place + 1 - starts[-1]) * longest > positions and place > starts[-1]:
                starts.append(place)
                longest = self._lengths[index]
        return np.split(order, starts[1:])


class Drawings(Dataset[Group]):
    """The groups of all epochs under numbers: epoch e asks for group i of n under the number e · n + i.

    The number seeds the choice of views, so that each epoch hears others. Number k is also there as -1 - k,
    without targets: `Batches` gives it to a process that has nothing left of a last, short batch.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        self._groups = groups

    def __len__(self) -> int:
        return len(self._groups)

    def __getitem__(self, number: int) -> Group:
        silent = number < 0
        number = -1 - number if silent else number
        return replace(self._groups[number % len(self._groups)], drawing=number, silent=silent)
