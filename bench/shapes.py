"""Models with random weights in the shapes of real ones: as slow as those, and they say nothing."""

from pathlib import Path
from typing import Any

import numpy as np

from ltu.convert import gguf_file
from ltu.convert.ltu_part import audio_keys, prompt_keys
from ltu.convert.table import table
from ltu.convert.tensor import TYPES, Rows, Tensor, row_bytes

SCALES = {"q4_0": 1, "q8_0": 1, "q4_k": 2}  # float16 numbers that a block begins with
SHAPES = {  # width, feed-forward, blocks, heads, key and value heads, vocabulary
    "tinyllama-1.1b": (2048, 5632, 22, 32, 4, 32000),
    "vicuna-7b": (4096, 11008, 32, 32, 32, 32000),
}


def random_blocks(shape: tuple[int, ...], type: str) -> Tensor:
    """Quantised weights of about unit gain."""
    _, values, size = TYPES[type]
    rng = np.random.default_rng(shape[0])

    def rows(first: int, end: int) -> Rows:
        data = rng.integers(0, 256, (end - first, row_bytes(type, shape[-1])), np.uint8)
        blocks = data.reshape(end - first, shape[-1] // values, size)
        scale = np.float16(0.2 / shape[-1] ** 0.5)
        blocks[:, :, : 2 * SCALES[type]] = np.full(SCALES[type], scale).view(np.uint8)
        return data

    return Tensor(shape, type, rows)


def write_random(path: Path, shape: str, type: str) -> None:
    """An LTU file with the smallest of encoders."""
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
    encoder = {
        "width": 64,
        "heads": 1,
        "blocks_a": 1,
        "blocks_u": 1,
        "frames": 1024,
        "mels": 128,
        "patch": 16,
    }
    keys |= audio_keys(encoder, 64, width)
    keys |= prompt_keys({"prompt_template": "{prompt}", "bos": True, "sampling": {}, "max_new_tokens": 16})
    tensors = {}
    for row in table(keys).values():
        big = row.matrix and not row.name.startswith(("a.", "mm."))
        if row.required:
            tensors[row.name] = (
                random_blocks(row.shape, type) if big else Tensor.of(np.ones(row.shape, np.float32))
            )
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
