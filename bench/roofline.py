"""How near the engine comes to what the machine can do: decode against memory, prefill against arithmetic.

    python bench/roofline.py [--shapes tinyllama-1.1b,vicuna-7b] [--types q4_0,q4_k] [--json FILE]

Random weights in the shapes of real models. The bounds are measured on two threads before and after each
model, and the best of the run counts: the rate at which memory can be read (a sum over a gigabyte), and
PyTorch's product of a prefill's shape in bfloat16.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from ltu import _engine
from ltu.convert import gguf_file
from ltu.convert.ltu_part import audio_keys, prompt_keys
from ltu.convert.tensor import TYPES, Rows, Tensor, row_bytes
from machine import memory_mb, processor

THREADS = 2
PROMPT, DECODE = 512, 12  # positions
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


def write_model(path: Path, shape: str, type: str) -> None:
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
    for name, shape_of, required in _engine.tensor_table(keys):
        if not required:
            continue
        big = len(shape_of) == 2 and not name.startswith(("a.", "mm."))
        numbers = tuple(reversed(shape_of))  # as NumPy orders them
        tensors[name] = random_blocks(numbers, type) if big else Tensor.of(np.ones(numbers, np.float32))
    gguf_file.write(path, keys, tensors)


def best(work: Callable[[], object], rounds: int = 3) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def bounds() -> tuple[float, float]:
    """Bytes a second from memory, and operations a second (two for a multiply-add)."""
    memory = torch.ones(1 << 28, dtype=torch.float32)
    read = memory.nbytes / best(lambda: memory.sum(), 6)
    width, feed_forward, *_ = SHAPES["vicuna-7b"]
    x = torch.randn(PROMPT, width, dtype=torch.bfloat16)
    w = torch.randn(feed_forward, width, dtype=torch.bfloat16)
    product = 2 * PROMPT * width * feed_forward / best(lambda: torch.nn.functional.linear(x, w), 6)
    return read, product


def measure(path: Path, shape: str, type: str) -> dict[str, Any]:
    width, *_, vocabulary = SHAPES[shape]
    engine = _engine.Engine(str(path), "cpu", THREADS, 0, True, 1)
    greedy = _engine.Sampling(1.0, 0, 1.0, 1.0, True)

    def decode(tokens: int) -> None:
        engine.add([1], [], 1, 0, greedy, tokens)
        while not engine.idle():
            engine.step()

    decode(2)
    one = (best(lambda: decode(DECODE), 2) - best(lambda: decode(2), 2)) / (DECODE - 2)
    ids = np.random.default_rng(0).integers(3, vocabulary, PROMPT).tolist()
    prompt = best(lambda: engine.logits(ids, [], last_only=True), 2)
    matrices = [s for name, s, needed in _tensors(path) if needed and not name.startswith("token_embd")]
    weights = sum(int(np.prod(s)) for s in matrices)
    read = sum(int(np.prod(s[:-1])) * row_bytes(type, s[-1]) for s in matrices)
    inner = 2 * PROMPT * (weights - width * vocabulary)  # logits of one position alone
    return {
        "model": shape,
        "type": type,
        "decode_tokens_per_second": 1 / one,
        "decode_bytes_per_second": read / one,
        "prefill_tokens_per_second": PROMPT / prompt,
        "prefill_operations_per_second": inner / prompt,
        "resident_gb": memory_mb("VmRSS") / 1e3,
    }


def _tensors(path: Path) -> list[tuple[str, tuple[int, ...], bool]]:
    file = gguf_file.read(path)
    return [
        (n, t.shape, len(t.shape) == 2 and not n.startswith(("a.", "mm."))) for n, t in file.tensors.items()
    ]


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--shapes", default=",".join(SHAPES))
    options.add_argument("--types", default="q4_0,q4_k")
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    torch.set_num_threads(THREADS)
    table = Table(
        "model", "type", "decode tokens/s", "of memory", "prefill tokens/s", "of product", "resident GB"
    )
    found = []
    measured = [bounds()]
    for shape in chosen.shapes.split(","):
        for type in chosen.types.split(","):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "random.gguf"
                write_model(path, shape, type)
                found.append(measure(path, shape, type))
            measured.append(bounds())
    memory, product = (max(column) for column in zip(*measured, strict=True))
    for row in found:
        row["decode_share"] = row["decode_bytes_per_second"] / memory
        row["prefill_share"] = row["prefill_operations_per_second"] / product
        table.add_row(
            row["model"],
            row["type"],
            f"{row['decode_tokens_per_second']:.2f}",
            f"{row['decode_share']:.0%}",
            f"{row['prefill_tokens_per_second']:.1f}",
            f"{row['prefill_share']:.0%}",
            f"{row['resident_gb']:.2f}",
        )
    Console().print(table)
    print(f"memory {memory / 1e9:.1f} GB/s, product {product / 1e9:.0f} GFLOPS")
    print(f"{processor()}; {THREADS} threads")
    if chosen.json:
        chosen.json.write_text(
            json.dumps({"processor": processor(), "bounds": measured, "records": found}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
