"""PyTorch's .bin files without PyTorch, and without running what a pickle says.

A file written by torch.save (since PyTorch 1.6) is a zip archive: `data.pkl` describes the tensors, storages
are uncompressed members. The unpickler knows the few names that describe a tensor and refuses every other.
"""

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ltu.convert.tensor import Tensor, row_bytes
from ltu.errors import ModelFileError

STORAGES = {
    "FloatStorage": "f32",
    "HalfStorage": "f16",
    "BFloat16Storage": "bf16",
    "DoubleStorage": "f64",
    "LongStorage": "i64",
    "IntStorage": "i32",
    "ShortStorage": "i16",
    "CharStorage": "i8",
    "ByteStorage": "i8",
    "BoolStorage": "i8",
}
OLD_START = b"\x80\x02\x8a\x0a"  # of the format before PyTorch 1.6: a pickled long number
WRAPPERS = ("state_dict", "model_state_dict", "model")
MAX_DESCRIPTION = 256 << 20  # bytes of data.pkl; a 7B model's has 0.1 MB


@dataclass(frozen=True)
class _StorageType:
    type: str


@dataclass(frozen=True)
class _Storage:
    path: Path
    offset: int
    count: int
    type: str


def read_pickled(path: Path, start: bytes) -> dict[str, Tensor]:
    """Tensors by name. start: the file's first four bytes. Raises ModelFileError, also for hostile files."""
    if start == OLD_START:
        raise ModelFileError(
            f"{path}: is in the format from before PyTorch 1.6; load it with torch.load and save it again"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            state = _Unpickler(path, archive).load()
    except zipfile.BadZipFile:
        raise ModelFileError(
            f"{path}: is no PyTorch checkpoint (not a zip archive), or was cut off"
        ) from None
    except ModelFileError:
        raise
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a broken pickle can raise anything
        raise ModelFileError(f"{path}: its description of tensors is broken ({error})") from None
    if isinstance(state, dict):  # what training programs wrap around the tensors
        state = next((state[name] for name in WRAPPERS if isinstance(state.get(name), dict)), state)
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise ModelFileError(f"{path}: holds no dictionary of tensors")
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


class _Unpickler(pickle.Unpickler):
    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        members = [info for info in archive.infolist() if info.filename.rsplit("/", 1)[-1] == "data.pkl"]
        if len(members) != 1 or members[0].file_size > MAX_DESCRIPTION:
            raise ModelFileError(f"{path}: is no PyTorch checkpoint: it holds no data.pkl")
        super().__init__(io.BytesIO(archive.read(members[0])))
        self._path, self._archive = path, archive
        self._folder = members[0].filename.removesuffix("data.pkl")

    def find_class(self, module: str, name: str) -> Any:
        """What a name in the pickle means; made anew each time, so that nothing of ours can be altered."""
        if module in ("torch", "torch.storage") and name in STORAGES:
            return _StorageType(STORAGES[name])
        allowed: dict[tuple[str, str], Callable[..., Any]] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): lambda *args: _tensor(self._path, *args),
            ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
        }
        if (module, name) not in allowed:
            raise ModelFileError(f"{self._path}: refused: it asks for {module}.{name}, which no tensor needs")
        return allowed[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage_type, key, _device, count = pid
        if kind != "storage" or not isinstance(storage_type, _StorageType):
            raise ModelFileError(f"{self._path}: holds something else than tensors")
        info = self._archive.getinfo(f"{self._folder}data/{key}")
        size = row_bytes(storage_type.type, count)
        if info.compress_type != zipfile.ZIP_STORED or size > info.file_size:
            raise ModelFileError(f"{self._path}: storage {key} is compressed or cut off; save the file again")
        return _Storage(self._path, _start_of(self._archive, info), count, storage_type.type)


def _tensor(
    path: Path, storage: _Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> Tensor:
    """What torch._utils._rebuild_tensor_v2 would build; checked against the storage's size."""
    numbers = (offset, *shape, *stride)
    if not all(isinstance(number, int) and number >= 0 for number in numbers) or len(shape) != len(stride):
        raise ModelFileError(f"{path}: a tensor has impossible sizes")
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if 0 not in shape and last >= storage.count:
        raise ModelFileError(f"{path}: a tensor reaches beyond its storage; get the file again")
    contiguous = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
    size = row_bytes(storage.type, 1)
    if all(n == 1 or step == usual for n, step, usual in zip(shape, stride, contiguous, strict=True)):
        return Tensor.in_file(path, storage.offset + offset * size, shape, storage.type)

    def rows(first: int, end: int) -> Any:  # a transposed or sliced view: small ones only, so read all of it
        whole = Tensor.in_file(path, storage.offset, (storage.count,), storage.type).rows(0, 1)
        values = np.lib.stride_tricks.as_strided(
            whole.view(f"V{size}")[0, offset:], shape, [step * size for step in stride]
        )
        matrix = np.ascontiguousarray(values).reshape(-1, shape[-1])
        return matrix[first:end].view(np.uint8)

    return Tensor(shape, storage.type, rows)


def _start_of(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin: behind its local header, whose variable parts may differ in length."""
    file = archive.fp
    assert file is not None
    file.seek(info.header_offset)
    head = file.read(30)
    if len(head) != 30 or head[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile
    return (
        info.header_offset
        + 30
        + int.from_bytes(head[26:28], "little")
        + int.from_bytes(head[28:30], "little")
    )
