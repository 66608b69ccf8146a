"""The declared table of a model file's tensors: the engine's own, in cpp/file/table.cpp."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ltu import _engine


@dataclass(frozen=True)
class Row:
    name: str
    source: str
    """The name in a checkpoint: Hugging Face's, or the original LTU's; "" where a checkpoint has none."""
    shape: tuple[int, ...]  # as NumPy and PyTorch order it
    matrix: bool
    """Whether it has the type that is asked for, as every other tensor is float32."""
    required: bool


def table(keys: Mapping[str, Any]) -> dict[str, Row]:
    """The tensors of a file with these keys by name: of the parts whose sizes are among them.

    Raises ModelFileError that names the key which is missing or can't be.
    """
    rows = (
        Row(name, source, tuple(shape[::-1]), matrix, required)
        for name, source, shape, matrix, required in _engine.tensor_table(dict(keys))
    )
    return {row.name: row for row in rows}
