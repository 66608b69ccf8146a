"""Weights of PyTorch checkpoints: safetensors or .bin, one file or shards."""

import json
import struct
from collections import Counter
from pathlib import Path
from typing import Any

from ltu.checks import short
from ltu.convert.pickled import read_pickled
from ltu.convert.tensor import Tensor
from ltu.errors import ModelFileError
from ltu.text_files import HEAD, foreign, read_json

SAFETENSORS_TYPES = {
    "F32": "f32",
    "F16": "f16",
    "BF16": "bf16",
    "F64": "f64",
    "I64": "i64",
    "I32": "i32",
    "I16": "i16",
    "I8": "i8",
    "U8": "i8",
    "BOOL": "i8",
}
ZIP = b"PK"  # what torch.save writes
WHOLE = ("model.safetensors", "pytorch_model.bin")


def read_directory(folder: Path) -> dict[str, Tensor]:
    """All tensors of a Hugging Face directory. Raises ModelFileError."""
    for name in WHOLE:
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():  # first, as transformers takes it: shards beside it are older
            return read_weights(folder / name)
        if index.is_file():
            return _read_shards(index)
    for name in WHOLE:
        stem, suffix = name.split(".")
        if shards := sorted(folder.glob(f"{stem}-*-of-*.{suffix}")):
            raise ModelFileError(
                f"{folder}: holds {shards[0].name} and not {name}.index.json, which says what is in which "
                "shard; get it, too"
            )
    raise ModelFileError(f"{folder}: holds no weights: none of {', '.join(WHOLE)}, whole or in shards")


def weight_files(base: Path) -> list[Path]:
    """A base's files of weights, in the order in which its hash takes them."""
    return sorted([*base.glob("*.safetensors"), *base.glob("*.bin")]) if base.is_dir() else [base]


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of one file; their values stay there. Raises ModelFileError."""
    try:
        with open(path, "rb") as file:
            start = file.read(HEAD)
    except OSError as error:
        raise ModelFileError(f"{path}: {error.strerror}; check the path") from error
    if not start:
        raise ModelFileError(f"{path}: is empty (0 bytes); get it again")
    if start.startswith(b"GGUF"):
        raise ModelFileError(f"{path}: is a GGUF file; give a file of PyTorch's, or this one with --gguf")
    if not start.startswith(ZIP) and (problem := foreign(start)):
        raise ModelFileError(f"{path}: {problem}")
    # what it holds counts, not how it is called: a safetensors header is JSON behind its length
    is_safetensors = start[8:9] == b"{" or (path.suffix == ".safetensors" and not start.startswith(ZIP))
    return read_safetensors(path) if is_safetensors else read_pickled(path, start[:4])


def read_safetensors(path: Path) -> dict[str, Tensor]:
    size = path.stat().st_size
    try:
        with open(path, "rb") as file:
            [length] = struct.unpack("<Q", file.read(8))
            if length > size - 8:
                raise ModelFileError(f"{path}: the file ends inside its header; get it again")
            header = json.loads(file.read(length), object_pairs_hook=_each_once)
        tensors = {}
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            shape, (start, end) = entry["shape"], entry["data_offsets"]
            if entry["dtype"] not in SAFETENSORS_TYPES:
                raise ModelFileError(f"{path}: tensor {name} is of the unsupported type {entry['dtype']}")
            if not all(type(size) is int and size >= 0 for size in shape):
                raise ValueError(f"tensor {name} has the shape {short(shape)}")
            tensor = Tensor.in_file(path, 8 + length + start, shape, SAFETENSORS_TYPES[entry["dtype"]])
            if tensor.bytes != end - start or not 0 <= start <= end <= size - 8 - length:
                raise ModelFileError(f"{path}: tensor {name} lies outside of the file; get it again")
            tensors[name] = tensor
        return tensors
    except (AttributeError, KeyError, TypeError, ValueError, struct.error) as error:
        raise ModelFileError(f"{path}: is no safetensors file, or a broken one ({error})") from None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"{twice} is there twice")
    return found


def _read_shards(index: Path) -> dict[str, Tensor]:
    try:
        weight_map: dict[str, str] = read_json(index, ModelFileError)["weight_map"]
        files = dict.fromkeys(weight_map.values())
        shards = {name: read_weights(index.parent / Path(name).name) for name in files}
        return {name: shards[file][name] for name, file in weight_map.items()}
    except KeyError as error:
        raise ModelFileError(f"{index}: {error} is missing") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise ModelFileError(f"{index}: is no index of shards ({error})") from None
