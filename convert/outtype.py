"""Which type each tensor of a file is stored in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ltu import _engine
from ltu.convert.table import Row
from ltu.convert.tensor import TYPES, Tensor
from ltu.errors import Error

_FILES = {**_engine.weight_types(), "mixed": (15, "Q4_K_M")}
OUTTYPES = {name: number for name, (number, _) in _FILES.items()}
"""Name → general.file_type (llama.cpp's llama_ftype)."""
ENCODINGS = {name: encoding for name, (_, encoding) in _FILES.items()}
"""Name → what llama.cpp's file names call it."""
AUDIO_OUTTYPES = ("f32", "f16", "bf16", "q8_0")


@dataclass(frozen=True)
class Fallback:
    """A matrix whose rows don't fit the blocks of the type asked for."""

    tensor: str
    wanted: str
    used: str
    columns: int

    def __str__(self) -> str:
        return f"{self.tensor}: {self.used} instead of {self.wanted}, its rows hold {self.columns} values"


def choose(
    tensors: Mapping[str, Tensor], table: Mapping[str, Row], outtype: str, audio_outtype: str | None = None
) -> tuple[dict[str, str], list[Fallback]]:
    """Type of each tensor, and the matrices that could not have the one asked for.

    audio_outtype: of the encoder's and the projector's matrices; None: f32 if outtype is, else f16.
    """
    if outtype not in OUTTYPES:
        raise Error(f"unknown type {outtype}; there are {', '.join(OUTTYPES)}")
    audio_outtype = audio_outtype or ("f32" if outtype == "f32" else "f16")
    if audio_outtype not in AUDIO_OUTTYPES:
        raise Error(f"unknown type {audio_outtype} for audio; there are {', '.join(AUDIO_OUTTYPES)}")
    blocks = sum(name.endswith(".attn_q.weight") for name in tensors)
    tied = "output.weight" not in tensors
    types, fallbacks = {}, []
    for name, tensor in tensors.items():
        matrix = name in table and table[name].matrix
        wanted = _wanted(name, outtype, audio_outtype, blocks, tied) if matrix else "f32"
        types[name] = _fitting(wanted, tensor.columns)
        if types[name] != wanted:
            fallbacks.append(Fallback(name, wanted, types[name], tensor.columns))
    return types, fallbacks


def summary(fallbacks: list[Fallback]) -> list[str]:
    """One line for what happened alike in every block."""
    return list(dict.fromkeys(re.sub(r"blk\.\d+\.", "blk.*.", str(fallback)) for fallback in fallbacks))


def _wanted(name: str, outtype: str, audio_outtype: str, blocks: int, tied: bool) -> str:
    if name.startswith(("a.", "mm.")):
        return audio_outtype
    return _mixed(name, blocks, tied) if outtype == "mixed" else outtype


def _mixed(name: str, blocks: int, tied: bool) -> str:
    """llama.cpp's Q4_K_M: q6_k where errors cost most, q4_k elsewhere (llama-quant.cpp, use_more_bits)."""
    if name == "output.weight" or (tied and name == "token_embd.weight"):
        return "q6_k"
    if match := re.fullmatch(r"blk\.(\d+)\.(attn_v|ffn_down)\.weight", name):
        i, eighth = int(match[1]), blocks // 8
        if i < eighth or i >= 7 * blocks // 8 or (i - eighth) % 3 == 2:
            return "q6_k"
    return "q4_k"


def _fitting(type: str, columns: int) -> str:
    if columns % TYPES[type][1]:
        type = "q8_0"
    return "f16" if columns % TYPES[type][1] else type
