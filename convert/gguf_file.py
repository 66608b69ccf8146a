"""GGUF files: keys and tensors, read without loading the weights and written tensor by tensor.

Format: ggml's docs/gguf.md, version 3 (2 reads the same way), little-endian.
"""

import mmap
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ltu.convert.tensor import TYPES, Tensor
from ltu.errors import ModelFileError

Value = Any
"""Of a key: bool, int, float, str or a list of one of them."""
Progress = Callable[[str, int, int], None]
"""Name of the tensor that is being written, bytes written so far, bytes in all."""

MAGIC = b"GGUF"
ALIGNMENT = 32
STRING, ARRAY = 8, 9
SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
TYPE_NAMES = {number: name for name, (number, _, _) in TYPES.items()}
CHUNK_VALUES = 8 << 20


@dataclass(frozen=True)
class GgufFile:
    path: Path
    keys: dict[str, Value] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)


def read(path: Path) -> GgufFile:
    """Keys and tensors of a file; weights are read when their rows are asked for. Raises ModelFileError."""
    try:
        size = os.path.getsize(path)
        if size < 4:
            raise ModelFileError(f"{path}: is no GGUF file, it has {size} bytes")
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Header(path, data).parse()
    except OSError as error:
        raise ModelFileError(f"{path}: {error.strerror}") from error
    except (struct.error, UnicodeDecodeError, MemoryError) as error:
        raise ModelFileError(f"{path}: the header is broken ({error}); get the file again") from error


class _Header:
    """A cursor over a file's header."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path, self._data, self._at = path, data, 0

    def parse(self) -> GgufFile:
        if self._bytes(4) != MAGIC:
            raise ModelFileError(f"{self._path}: is no GGUF file")
        version = self._number("<I")
        if version not in (2, 3):
            raise ModelFileError(f"{self._path}: GGUF version {version} is not supported, 2 and 3 are")
        tensor_count, key_count = self._number("<Q"), self._number("<Q")
        keys = {self._string(): self._value(self._number("<I")) for _ in range(key_count)}
        infos = [self._tensor_info() for _ in range(tensor_count)]
        alignment = keys.get("general.alignment", ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1:
            raise ModelFileError(f"{self._path}: key general.alignment is {alignment!r}")
        start = _padded(self._at, alignment)
        tensors = {name: self._tensor(name, start + at, shape, kind) for name, shape, kind, at in infos}
        return GgufFile(self._path, keys, tensors)

    def _bytes(self, count: int) -> bytes:
        if count > len(self._data) - self._at:
            raise ModelFileError(f"{self._path}: the file ends inside its header; get it again")
        self._at += count
        return self._data[self._at - count : self._at]

    def _number(self, kind: str) -> Any:
        [value] = struct.unpack(kind, self._bytes(struct.calcsize(kind)))
        return value

    def _string(self) -> str:
        return self._bytes(self._number("<Q")).decode("utf-8")

    def _value(self, kind: int) -> Value:
        if kind == STRING:
            return self._string()
        if kind in SCALARS:
            return self._number(SCALARS[kind])
        if kind != ARRAY:
            raise ModelFileError(f"{self._path}: the header holds a value of the unknown type {kind}")
        element, count = self._number("<I"), self._number("<Q")
        if element in SCALARS:
            dtype = np.dtype(SCALARS[element])
            return np.frombuffer(self._bytes(count * dtype.itemsize), dtype).tolist()
        if element != STRING:
            raise ModelFileError(f"{self._path}: the header holds an array of the unknown type {element}")
        return [self._string() for _ in range(count)]

    def _tensor_info(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._string()
        shape = tuple(self._number("<Q") for _ in range(self._number("<I")))
        return name, shape[::-1], self._number("<I"), self._number("<Q")

    def _tensor(self, name: str, offset: int, shape: tuple[int, ...], kind: int) -> Tensor:
        if kind not in TYPE_NAMES:
            raise ModelFileError(f"{self._path}: tensor {name} is of the unknown type {kind}")
        tensor = Tensor.in_file(self._path, offset, shape, TYPE_NAMES[kind])
        if offset + tensor.bytes > len(self._data):
            raise ModelFileError(f"{self._path}: the file ends inside tensor {name}; get it again")
        return tensor


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
                done += file.write(tensor.rows(first, min(first + step, tensor.row_count)).tobytes())
                if progress:
                    progress(name, done, total)
            _pad(file)


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
