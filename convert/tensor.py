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

# name → (number in GGUF, values in a block, bytes of a block); ggml.h and gguf-py's GGML_QUANT_SIZES
TYPES = {
    "f32": (0, 1, 4),
    "f16": (1, 1, 2),
    "q4_0": (2, 32, 18),
    "q4_1": (3, 32, 20),
    "q5_0": (6, 32, 22),
    "q5_1": (7, 32, 24),
    "q8_0": (8, 32, 34),
    "q2_k": (10, 256, 84),
    "q3_k": (11, 256, 110),
    "q4_k": (12, 256, 144),
    "q5_k": (13, 256, 176),
    "q6_k": (14, 256, 210),
    "iq2_xxs": (16, 256, 66),
    "iq2_xs": (17, 256, 74),
    "iq3_xxs": (18, 256, 98),
    "iq1_s": (19, 256, 50),
    "iq4_nl": (20, 32, 18),
    "iq3_s": (21, 256, 110),
    "iq2_s": (22, 256, 82),
    "iq4_xs": (23, 256, 136),
    "i8": (24, 1, 1),
    "i16": (25, 1, 2),
    "i32": (26, 1, 4),
    "i64": (27, 1, 8),
    "f64": (28, 1, 8),
    "iq1_m": (29, 256, 56),
    "bf16": (30, 1, 2),
}


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


def permuted(tensor: Tensor, heads: int) -> Tensor:
    """Rows of q or k in the order that llama.cpp rotates them in: pairs (i, i + half) lie side by side.

    Source: llama.cpp's convert_hf_to_gguf.py, LlamaModel.permute.
    """
    head = tensor.row_count // heads
    order = np.arange(tensor.row_count).reshape(heads, 2, head // 2).swapaxes(1, 2).reshape(-1)

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
    """The tensor in another type; one that has it already keeps its bytes."""
    if tensor.type == type:
        return tensor
    return Tensor(tensor.shape, type, lambda first, end: quantize(tensor.float32(first, end), type))


def quantize(values: NDArray[np.float32], type: str) -> Rows:
    """float32[rows, columns] → uint8[rows, bytes of a row], by ggml's own quantiser."""
    return _engine.quantize(values, type)


def dequantize(rows: Rows, type: str, columns: int) -> NDArray[np.float32]:
    if type == "f32":
        return np.ascontiguousarray(rows).view(np.float32)
    if type == "f64":
        return np.ascontiguousarray(rows).view(np.float64).astype(np.float32)
    return _engine.dequantize(np.ascontiguousarray(rows), type, columns)
