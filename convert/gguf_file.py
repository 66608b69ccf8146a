"""GGUF files: keys and tensors, read without loading the weights and written tensor by tensor.

Format: ggml's docs/gguf.md, version 3, little-endian.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ltu import _engine, checks
from ltu.convert.tensor import TYPES, NotFinite, Tensor, finite
from ltu.errors import ModelFileError

Value = Any
"""Of a key: bool, int, float, str or a list of one of them."""
Progress = Callable[[str, int, int], None]
"""Name of the tensor that is being written, bytes written so far, bytes in all."""

MAGIC = b"GGUF"
ALIGNMENT = 32
STRING, ARRAY = 8, 9
SCALARS = {4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q"}  # that we write
NO_NUMBERS = "holds values that are NaN or infinite; get the weights again"
CHUNK_VALUES = 8 << 20


@dataclass(frozen=True)
class GgufFile:
    path: Path
    keys: dict[str, Value] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)


def read(path: Path) -> GgufFile:
    """Keys and tensors of a file; weights are read when their rows are asked for. Raises ModelFileError.

    The header is read, and checked, by the engine's own reader.
    """
    with checks.path_bytes(checks.path("the path", path)) as name:
        keys, tensors = _engine.read_gguf(name)
    found = {name: Tensor.in_file(path, offset, shape[::-1], type) for name, shape, type, offset in tensors}
    return GgufFile(path, keys, found)


def write(
    path: Path, keys: Mapping[str, Value], tensors: Mapping[str, Tensor], progress: Progress | None = None
) -> None:
    """Writes a file; each tensor is computed and written a few rows at a time."""
    total = sum(tensor.bytes for tensor in tensors.values())
    done = 0
    with open(path, "wb") as file:
        file.write(header(keys, tensors))
        for name, tensor in tensors.items():
            step = max(1, CHUNK_VALUES // tensor.columns)
            for first in range(0, tensor.row_count, step):
                done += file.write(_rows(name, tensor, first, min(first + step, tensor.row_count)))
                if progress:
                    progress(name, done, total)
            _pad(file)


def _rows(name: str, tensor: Tensor, first: int, end: int) -> bytes:
    try:
        rows = tensor.rows(first, end)
    except NotFinite:
        raise ModelFileError(f"tensor {name}: {NO_NUMBERS}") from None
    if not finite(rows, tensor.type, tensor.columns):
        other = f"holds values that {tensor.type} can't hold; take another type, or get the weights again"
        raise ModelFileError(f"tensor {name}: {NO_NUMBERS if tensor.type == 'f32' else other}")
    return rows.tobytes()


def rewrite_keys(path: Path, keys: Mapping[str, Value], tensors: Mapping[str, Tensor]) -> None:
    """Writes a file's keys anew, when they take as many bytes as the ones that it was written with."""
    with open(path, "r+b") as file:
        file.write(header(keys, tensors))


def header(keys: Mapping[str, Value], tensors: Mapping[str, Tensor]) -> bytes:
    """Everything before the weights. Integers become u32 (in arrays i32, as in llama.cpp), floats f32."""
    parts = [MAGIC, struct.pack("<IQQ", 3, len(tensors), len(keys))]
    for key, value in keys.items():
        parts += [_packed_string(key), _packed(value)]
    offset = 0
    for name, tensor in tensors.items():
        shape = tensor.shape[::-1]
        parts += [_packed_string(name), struct.pack(f"<I{len(shape)}Q", len(shape), *shape)]
        parts.append(struct.pack("<IQ", TYPES[tensor.type][0], offset))
        offset = _padded(offset + tensor.bytes, ALIGNMENT)
    data = b"".join(parts)
    return data + bytes(_padded(len(data), ALIGNMENT) - len(data))


def _packed(value: Value) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", STRING) + _packed_string(value)
    if isinstance(value, bool | int | float):
        kind = _kind(value, small=4)
        return struct.pack("<I", kind) + struct.pack(SCALARS[kind], value)
    if isinstance(value[0] if value else "", str):
        head = struct.pack("<IIQ", ARRAY, STRING, len(value))
        return head + b"".join(_packed_string(str(text)) for text in value)
    kind = max(_kind(item, small=5) for item in value)
    array = np.array(value, np.dtype(SCALARS[kind]))
    return struct.pack("<IIQ", ARRAY, kind, len(value)) + array.tobytes()


def _kind(value: bool | int | float, small: int) -> int:
    if isinstance(value, bool):
        return 7
    if isinstance(value, float):
        return 6
    if -(2**31) <= value < 2**31:
        return 5 if value < 0 else small
    return 4 if 0 < value < 2**32 and small == 4 else 10 if value > 0 else 11


def _packed_string(text: str) -> bytes:
    data = text.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def _padded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def _pad(file: BinaryIO) -> None:
    file.write(bytes(_padded(file.tell(), ALIGNMENT) - file.tell()))
