"""A model under GGUF names, and the way from there to a file."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ltu.convert import check, gguf_file, outtype
from ltu.convert.gguf_file import Progress, Value
from ltu.convert.llama_cpp import as_llama_cpp
from ltu.convert.table import Row, table
from ltu.convert.tensor import Tensor, converted
from ltu.convert.vocabulary import PREFIX
from ltu.errors import Error, ModelFileError
from ltu.files import replacing


@dataclass(frozen=True)
class Model:
    """A whole LTU or its language model alone, with the keys and rows that llama_cpp.py says are ours."""

    keys: dict[str, Value]
    tensors: dict[str, Tensor]
    where: str  # what it was read from, for messages


@dataclass(frozen=True)
class Written:
    """What a conversion made."""

    path: Path
    bytes: int
    notes: tuple[str, ...]


def write_model(
    model: Model,
    type: str | None,
    output: Path,
    progress: Progress | None = None,
    audio_type: str | None = None,
) -> Written:
    """Writes the file whole or not at all; the engine computes what `inspect --self-test` compares.

    type None: tensors keep theirs. Raises Error, ModelFileError.
    """
    rows = rows_of(model)
    check_shapes(model, rows)
    is_ltu = model.keys["general.architecture"] == "ltu"
    keys, tensors, notes = dict(model.keys), model.tensors, []
    if type:
        types, fallbacks = outtype.choose(tensors, rows, type, audio_type)
        tensors = {name: converted(tensor, types[name]) for name, tensor in tensors.items()}
        notes = outtype.summary(fallbacks)
        keys["general.file_type"] = outtype.OUTTYPES[type]
        keys["general.quantization_version"] = 2
        keys.pop("ltu.convert.fallbacks", None)
        if notes and is_ltu:
            keys["ltu.convert.fallbacks"] = list(notes)
    if is_ltu:
        keys |= check.placeholder(keys, model.where)
    else:
        keys, tensors = as_llama_cpp(keys, tensors)
    if is_ltu and f"{PREFIX}eos_token_id" not in keys:
        notes.append("no end token is known (eos_token_id): answers end at --max-new-tokens alone")
    with replacing(output) as draft:
        _check_space(draft.parent, sum(tensor.bytes for tensor in tensors.values()))
        gguf_file.write(draft, keys, tensors, progress)
        if is_ltu and (reason := check.obstacle(draft)):
            notes.append(reason)
        elif is_ltu:
            gguf_file.rewrite_keys(draft, keys | check.compute(draft, keys, tensors), tensors)
        size = draft.stat().st_size
    return Written(output, size, tuple(notes))


def rows_of(model: Model) -> dict[str, Row]:
    """The tensors that its keys ask for. Raises ModelFileError."""
    try:
        return table(model.keys)
    except ModelFileError as error:
        raise ModelFileError(f"{model.where}: {error}") from None


def check_shapes(model: Model, rows: Mapping[str, Row]) -> None:
    """Compares with the table. Raises ModelFileError that names what differs."""
    problems = [
        f"{row.name} is missing" for row in rows.values() if row.required and row.name not in model.tensors
    ]
    for name, tensor in model.tensors.items():
        if name not in rows:
            problems.append(f"{name} is not part of an LTU model")
        elif tensor.type.startswith("i"):
            problems.append(f"{name} is of the type {tensor.type}, whole numbers: of a quantised checkpoint?")
        elif tensor.shape != rows[name].shape:
            expected = list(rows[name].shape)
            problems.append(f"{name} has shape {list(tensor.shape)}, its sizes ask for {expected}")
    if problems:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ModelFileError(f"{model.where}: {'; '.join(problems[:3])}{more}")


def sizes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, int]]:
    """Type → (number of tensors, bytes)."""
    result: dict[str, tuple[int, int]] = {}
    for tensor in tensors.values():
        count, size = result.get(tensor.type, (0, 0))
        result[tensor.type] = (count + 1, size + tensor.bytes)
    return result


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Error(f"{folder}: {needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free")
