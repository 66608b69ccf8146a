"""What `load_audio` takes: paths, open files, bytes, arrays and arrays with their rates."""

import io
import os
import stat
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt

from ltu.audio.decode import decode
from ltu.audio.features import CLIP_SAMPLES
from ltu.audio.sound import Float32, Sound, checked_rate, seen
from ltu.defaults import SAMPLE_RATE
from ltu.errors import AudioError
from ltu.files import KINDS

AudioInput: TypeAlias = (
    str
    | PathLike[str]
    | BinaryIO
    | bytes
    | npt.NDArray[Any]
    | Sequence[float]
    | tuple[npt.NDArray[Any], float]
    | Mapping[str, Any]
)
MOST_CHANNELS = 64  # a table with more columns is no sound


def sound_of(audio: Any, sample_rate: float | None = None, heard: int = CLIP_SAMPLES) -> Sound:
    """The recording in anything that load_audio takes, as much of it as is heard.

    heard: samples at 16 kHz. Raises AudioError that names what it can't take.
    """
    if isinstance(audio, (str, PathLike)):
        return _path(os.fsdecode(audio), heard)
    if isinstance(audio, (bytes, bytearray, memoryview)):
        return decode(io.BytesIO(audio), type(audio).__name__, heard)
    if isinstance(audio, Mapping):
        return _entry(audio, heard)
    if hasattr(audio, "read"):
        return _open_file(audio, heard)
    if hasattr(audio, "get_all_samples"):  # the decoder that newer `datasets` give
        samples = audio.get_all_samples()
        return _array(samples.data, samples.sample_rate, "array", heard)
    if is_pair(audio):
        array, rate = audio if _is_one(audio[1]) else audio[::-1]
        return _array(array, rate, "array", heard)
    if hasattr(audio, "__array__") or isinstance(audio, list):
        return _array(audio, SAMPLE_RATE if sample_rate is None else sample_rate, "array", heard)
    raise AudioError(
        f"{type(audio).__name__}: is no recording; "
        "give a path, an open file, bytes, an array or (array, rate)"
    )


def is_pair(audio: object) -> bool:
    """Whether it is (array, rate), in either order."""
    return isinstance(audio, tuple) and len(audio) == 2 and _is_one(audio[0]) != _is_one(audio[1])


def _is_one(value: object) -> bool:
    """Whether it is one value, also as an array or a tensor without a dimension."""
    return bool(np.isscalar(value)) or getattr(value, "ndim", None) == 0


def _path(name: str, heard: int) -> Sound:
    if not name:
        raise AudioError("the path of the recording is empty; give a path")
    try:
        mode = os.stat(name).st_mode
        if stat.S_ISREG(mode):
            with open(name, "rb") as file:
                return decode(file, name, heard)
        if stat.S_ISFIFO(mode):  # also the shell's <(command)
            return decode(io.BytesIO(Path(name).read_bytes()), name, heard)
    except FileNotFoundError:
        if "://" in name:
            raise AudioError(
                f"{name}: is an address on the web, not a path; download the recording first"
            ) from None
        raise AudioError(f"{name}: no such file; check the path") from None
    except (OSError, ValueError) as error:  # not allowed, too long, a NUL in it
        raise AudioError(
            f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}; check the path"
        ) from None
    what = next((kind for is_kind, kind in KINDS if is_kind(mode)), "something else")
    raise AudioError(f"{name}: is not a file but {what}; give one recording")


def _open_file(file: Any, heard: int) -> Sound:
    name = getattr(file, "name", None)
    name = os.fsdecode(name) if isinstance(name, (str, bytes)) else type(file).__name__
    try:
        start = file.tell() if file.seekable() else 0
        if isinstance(file, (io.BufferedReader, io.BytesIO)) and start == 0 and file.seekable():
            return decode(file, name, heard)
        data = file.read()
    except io.UnsupportedOperation:
        raise AudioError(f'{name}: is not open for reading; open it with mode "rb"') from None
    except (AttributeError, OSError, ValueError) as error:
        raise AudioError(f"{name}: cannot be read: {error}; give an open binary file") from None
    if not isinstance(data, bytes):
        raise AudioError(f'{name}: is opened as text; open it with mode "rb"')
    if start and not data:
        raise AudioError(f"{name}: is at its end; go back with seek(0)")
    try:
        return decode(io.BytesIO(data), name, heard)
    except AudioError as error:
        if not start:
            raise
        raise AudioError(f"{name}: holds no recording from byte {start} on; go back with seek(0)") from error


def _entry(entry: Mapping[str, Any], heard: int) -> Sound:
    """A row of `datasets`: {"array", "sampling_rate"}, or {"bytes", "path"} before it is decoded."""
    name = str(entry.get("path") or "array")
    if "array" in entry and "sampling_rate" in entry:
        return _array(entry["array"], entry["sampling_rate"], name, heard)
    if isinstance(entry.get("bytes"), (bytes, bytearray, memoryview)):
        return decode(io.BytesIO(entry["bytes"]), name if entry.get("path") else "bytes", heard)
    if isinstance(entry.get("path"), (str, PathLike)):
        return _path(os.fsdecode(entry["path"]), heard)
    if entry.keys() >= {"bytes", "path"} and entry["bytes"] is entry["path"] is None:
        raise AudioError("a dictionary whose 'bytes' and 'path' are None is no recording; give one of them")
    raise AudioError(
        f"a dictionary of {', '.join(map(repr, entry)) or 'nothing'} is no recording; "
        "it needs 'array' and 'sampling_rate', or 'bytes' or 'path'"
    )


def _array(given: Any, rate: Any, name: str, heard: int) -> Sound:
    rate = checked_rate(rate.item() if getattr(rate, "ndim", None) == 0 else rate, name)
    if np.ma.is_masked(given):
        raise AudioError(f"{name}: has masked samples; fill them first, with filled(0)")
    try:
        if hasattr(given, "detach"):  # a tensor: with a gradient, on a device, in bfloat16
            given = given.detach().cpu()
            given = given.float() if given.is_floating_point() else given
        array = np.asarray(given)
    except (
        TypeError,
        ValueError,
        RuntimeError,
    ) as error:  # ragged lists, tensors on devices
        problem = " ".join(str(error).split())[:120]
        raise AudioError(f"{name}: is no array of samples: {problem}") from None
    if array.ndim == 2 and array.shape[0] < array.shape[1]:
        array = array.T  # [channels, n]: a recording has more samples than channels
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[1] > MOST_CHANNELS):
        raise AudioError(f"{name}: has the shape {array.shape}; give samples as [n] or [n, channels]")
    samples = _as_float(np.ascontiguousarray(array[: seen(rate, heard)]), name)
    return Sound(name, samples, rate, len(array) / rate)


def _as_float(array: npt.NDArray[Any], name: str) -> Float32:
    if array.dtype == np.int64:
        raise AudioError(
            f"{name}: samples of type int64 have no full scale; "
            "give floats within ±1, or 16-bit samples as int16"
        )
    if np.issubdtype(array.dtype, np.signedinteger):
        return array.astype(np.float32) / -np.float32(np.iinfo(array.dtype).min)
    if np.issubdtype(array.dtype, np.floating):
        with np.errstate(over="ignore"):  # what becomes infinite is refused later
            return array.astype(np.float32)
    raise AudioError(
        f"{name}: samples of type {array.dtype} are not audio; give floats within ±1 or signed integers"
    )
