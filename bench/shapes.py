"""Models with random weights in the shapes of real ones: as slow as those, and they say nothing."""

from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ltu.convert import gguf_file
from ltu.convert.ltu_part import audio_keys, prompt_keys
from ltu.convert.table import table
from ltu.convert.tensor import TYPES, Rows, Tensor, row_bytes
from ltu.defaults import FRAMES, MELS, PATCH


@dataclass(frozen=True)
class EncoderSizes:
    width: int
    feed_forward: int
    heads: int
    blocks_a: int
    blocks_u: int


SCALES = {"q4_0": 1, "q8_0": 1, "q4_k": 2}  # float16 numbers that a block begins with
SHAPES = {  # width, feed-forward, blocks, heads, key and value heads, vocabulary
    "toy": (256, 512, 2, 4, 2, 32000),  # for rehearsals: says nothing of any speed
    "tinyllama-1.1b": (2048, 5632, 22, 32, 4, 32000),
    "vicuna-7b": (4096, 11008, 32, 32, 32, 32000),
}
SMALLEST = EncoderSizes(width=64, feed_forward=64, heads=1, blocks_a=1, blocks_u=1)
LTU = EncoderSizes(width=768, feed_forward=3072, heads=12, blocks_a=11, blocks_u=1)
HALVES = 1 << 24  # float16 values that are drawn once; a tensor's rows are taken from among them


def llama_sizes(shape: str) -> dict[str, int]:
    """A shape as keywords of transformers' LlamaConfig."""
    names = (
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "vocab_size",
    )
    return dict(zip(names, SHAPES[shape], strict=True))


def random_blocks(name: str, shape: tuple[int, ...], type: str) -> Tensor:
    """Quantised weights of about unit gain."""
    _, values, size = TYPES[type]
    rng = np.random.default_rng(crc32(name.encode()))

    def rows(first: int, end: int) -> Rows:
        data = rng.integers(0, 256, (end - first, row_bytes(type, shape[-1])), np.uint8)
        blocks = data.reshape(end - first, shape[-1] // values, size)
        scale = np.float16(0.2 / shape[-1] ** 0.5)
        blocks[:, :, : 2 * SCALES[type]] = np.full(SCALES[type], scale).view(np.uint8)
        return data

    return Tensor(shape, type, rows)


@cache
def _normal() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(HALVES, np.float32)


@cache
def _halves(columns: int) -> NDArray[np.float16]:
    return (_normal() * np.float32(columns**-0.5)).astype(np.float16)


def random_halves(name: str, shape: tuple[int, ...]) -> Tensor:
    """float16 weights of unit gain: a piece of the same values, of another place for each tensor and rows, so
    that a file of 13 GB is written as fast as memory is copied."""
    values = _halves(shape[-1])

    def rows(first: int, end: int) -> Rows:
        count = (end - first) * shape[-1]
        start = crc32(f"{name} {first}".encode()) % (HALVES - count)
        return values[start : start + count].reshape(end - first, shape[-1]).view(np.uint8)

    return Tensor(shape, "f16", rows)


def write_random(path: Path, shape: str, type: str, encoder: EncoderSizes = SMALLEST) -> None:
    """An LTU file; its encoder's matrices are float16."""
    width, feed_forward, blocks, heads, kv_heads, vocabulary = SHAPES[shape]
    keys: dict[str, Any] = {
        "general.architecture": "ltu",
        "general.name": shape,
        "llama.context_length": 2048,
        "llama.embedding_length": width,
        "llama.block_count": blocks,
        "llama.feed_forward_length": feed_forward,
        "llama.vocab_size": vocabulary,
        "llama.attention.head_count": heads,
        "llama.attention.head_count_kv": kv_heads,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": width // heads,
        "llama.rope.freq_base": 10000.0,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }
    sizes = {"frames": FRAMES, "mels": MELS, "patch": PATCH, **asdict(encoder)}
    keys |= audio_keys(sizes, encoder.feed_forward, width)
    keys |= prompt_keys({"prompt_template": "{prompt}", "bos": True, "sampling": {}, "max_new_tokens": 16})
    tensors = {}
    for row in table(keys).values():
        if not row.matrix:
            values = np.zeros if row.name.endswith("bias") else np.ones
            tensor = Tensor.of(values(row.shape, np.float32))
        elif type == "f16" or row.name.startswith(("a.", "mm.")):
            tensor = random_halves(row.name, row.shape)
        else:
            tensor = random_blocks(row.name, row.shape, type)
        if row.required or row.name == "output.weight":
            tensors[row.name] = tensor
    gguf_file.write(path, keys, tensors)


def write_random_llama(path: Path, shape: str, type: str) -> None:
    """The same LLaMA for llama.cpp, without a vocabulary."""
    whole = path.with_suffix(".whole")
    write_random(whole, shape, type)
    file = gguf_file.read(whole)
    keys = {key: value for key, value in file.keys.items() if key.startswith("llama.")}
    keys |= {"general.architecture": "llama", "tokenizer.ggml.model": "none"}
    tensors = {name: t for name, t in file.tensors.items() if not name.startswith(("a.", "mm."))}
    gguf_file.write(path, keys, tensors)
    whole.unlink()
