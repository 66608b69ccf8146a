"""Tensors that are read, merged and quantised a few rows at a time: a big model needs little memory."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ltu import _engine
from ltu.errors import ModelFileError

Rows = NDArray[np.uint8]

TYPES = _engine.tensor_types()
"""ggml's types of tensors: name → (number in GGUF, values in a block, bytes of a block)."""


class NotFinite(Exception):  # noqa: N818
    """A tensor holds infinity or what is no number."""


def row_bytes(type: str, columns: int) -> int:
    _, values, size = TYPES[type]
    return -(-columns // values) * size


@dataclass(frozen=True)
class Tensor:
    """`rows(first, end)` gives uint8[end - first, bytes of a row] in a ggml type; a vector is one row."""

    shape: tuple[int, ...]  # as NumPy and PyTorch order it
    type: str
    rows: Callable[[int, int], Rows]

    @classmethod
    def in_file(cls, path: Path, offset: int, shape: Sequence[int], type: str) -> "Tensor":
        """Contiguous values in a file. Nothing is mapped: mapped pages would count as memory of ours."""
        size = row_bytes(type, shape[-1] if shape else 1)

        def rows(first: int, end: int) -> Rows:
            with open(path, "rb") as file:
                file.seek(offset + first * size)
                data = file.read((end - first) * size)
            if len(data) != (end - first) * size:
                raise ModelFileError(f"{path}: the file ends inside its weights; get it again")
            return np.frombuffer(data, np.uint8).reshape(end - first, size)

        return cls(tuple(shape), type, rows)

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> "Tensor":
        matrix = np.ascontiguousarray(values, np.float32).reshape(-1, values.shape[-1])
        return cls(values.shape, "f32", lambda first, end: matrix[first:end].view(np.uint8))

    @property
    def columns(self) -> int:
        return self.shape[-1] if self.shape else 1

    @property
    def row_count(self) -> int:
        return math.prod(self.shape[:-1])

    @property
    def bytes(self) -> int:
        return self.row_count * row_bytes(self.type, self.columns)

    def float32(self, first: int = 0, end: int | None = None) -> NDArray[np.float32]:
        """float32[rows, columns] of some rows, by default of all."""
        end = self.row_count if end is None else end
        return dequantize(self.rows(first, end), self.type, self.columns)


def reshaped(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """The same values in rows of another length, a multiple of the old one. Not for quantised types."""
    if math.prod(shape) != math.prod(tensor.shape) or shape[-1] % tensor.columns:
        raise ModelFileError(f"shape {list(tensor.shape)} can't become {list(shape)}")
    joined = shape[-1] // tensor.columns

    def rows(first: int, end: int) -> Rows:
        return tensor.rows(first * joined, end * joined).reshape(end - first, -1)

    return replace(tensor, shape=tuple(shape), rows=rows)


def paired(tensor: Tensor, heads: int) -> Tensor:
    """Rows of q or k in the order that they are rotated in: of a head, (i, i + half) lie side by side.

    A bias is a vector of such rows. Source: llama.cpp's convert_hf_to_gguf.py, LlamaModel.permute.
    """
    return _reordered(tensor, _pairs(tensor, heads))


def unpaired(tensor: Tensor, heads: int) -> Tensor:
    """The reverse of `paired`."""
    return _reordered(tensor, np.argsort(_pairs(tensor, heads)))


def _pairs(tensor: Tensor, heads: int) -> NDArray[np.int64]:
    head = tensor.shape[0] // heads
    return np.arange(tensor.shape[0]).reshape(heads, 2, head // 2).swapaxes(1, 2).reshape(-1)


def _reordered(tensor: Tensor, order: NDArray[np.int64]) -> Tensor:
    if len(tensor.shape) == 1:
        return Tensor.of(tensor.float32()[0][order])

    def rows(first: int, end: int) -> Rows:
        wanted = order[first:end]
        start = int(wanted.min())
        return np.ascontiguousarray(tensor.rows(start, int(wanted.max()) + 1)[wanted - start])

    return replace(tensor, rows=rows)


def merged(tensor: Tensor, lora_a: Tensor, lora_b: Tensor, scale: float) -> Tensor:
    """W + scale · B A in float32: computed in float64 and rounded once. A is [r, in], B is [out, r]."""
    a = lora_a.float32().astype(np.float64)

    def rows(first: int, end: int) -> Rows:
        update = lora_b.float32(first, end).astype(np.float64) @ a
        return (tensor.float32(first, end) + scale * update).astype(np.float32).view(np.uint8)

    return Tensor(tensor.shape, "f32", rows)


def converted(tensor: Tensor, type: str) -> Tensor:
    """The tensor in another type; one that has it already keeps its bytes.

    Its rows raise NotFinite for values that are no numbers, of which quantisers make zeros.
    """
    if tensor.type == type:
        return tensor

    def rows(first: int, end: int) -> Rows:
        values = tensor.float32(first, end)
        if not np.isfinite(values).all():
            raise NotFinite
        return quantize(values, type)

    return Tensor(tensor.shape, type, rows)


def finite(rows: Rows, type: str, columns: int) -> bool:
    """Whether all values of the rows are numbers."""
    return bool(np.isfinite(dequantize(rows, type, columns)).all())


def quantize(values: NDArray[np.float32], type: str) -> Rows:
    """float32[rows, columns] → uint8[rows, bytes of a row], by ggml's own quantiser."""
    return _engine.quantize(values, type)


def dequantize(rows: Rows, type: str, columns: int) -> NDArray[np.float32]:
    if type == "f32":
        return np.ascontiguousarray(rows).view(np.float32)
    if type == "f64":
        return np.ascontiguousarray(rows).view(np.float64).astype(np.float32)
    return _engine.dequantize(np.ascontiguousarray(rows), type, columns)
