"""How the golden weights become files."""

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

TESTS = Path(__file__).parent.parent
GOLDEN = TESTS / "golden"
sys.path[:0] = [str(TESTS), str(GOLDEN)]

import weights  # noqa: E402

__all__ = ["GOLDEN", "Arrays", "save_torch", "weights"]

Arrays = dict[str, npt.NDArray[np.float32]]


def save_torch(path: Path, arrays: Arrays) -> Path:
    torch.save({name: torch.from_numpy(value) for name, value in arrays.items()}, path)
    return path
