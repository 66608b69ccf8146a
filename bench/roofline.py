"""How near the engine comes to what the machine can do: decode against memory, prefill against arithmetic.

    python bench/roofline.py [--shapes tinyllama-1.1b,vicuna-7b] [--types q4_0,q4_k] [--rounds 5]
        [--json FILE]

Random weights in the shapes of real models, two threads. Engine and bounds take turns, because the memory of
a shared machine has good and bad seconds: a share is the median over the turns. The bounds are the rate at
which memory can be read (PyTorch's sum over a gigabyte) and PyTorch's product of a prefill's shape in
float32 or bfloat16, whichever is faster here.
"""

import argparse
import json
import statistics
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
from ltu.convert.tensor import row_bytes
from machine import memory_mb, processor
from shapes import SHAPES, write_random

THREADS = 2
PROMPT, DECODE = 512, 12  # positions


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def product_of(rows: int, inner: int, columns: int, type: torch.dtype) -> Callable[[], object]:
    x, w = torch.randn(rows, inner, dtype=type), torch.randn(columns, inner, dtype=type)
    return lambda: torch.nn.functional.linear(x, w)


def measure(path: Path, shape: str, type: str, rounds: int) -> dict[str, Any]:
    """The engine and the bounds take turns."""
    width, feed_forward, *_, vocabulary = SHAPES[shape]
    memory = torch.from_numpy(np.ones(1 << 28, np.float32))  # NumPy asks for huge pages, as the engine does
    products = [product_of(PROMPT, width, feed_forward, t) for t in (torch.float32, torch.bfloat16)]
    product = min(products, key=lambda product: min(seconds(product) for _ in range(3)))
    engine = _engine.Engine(str(path), "cpu", THREADS, 0, True, 1)
    greedy = _engine.Sampling(1.0, 0, 1.0, 1.0, True)
    ids = np.random.default_rng(0).integers(3, vocabulary, PROMPT).tolist()

    def decode() -> float:
        """Of one token."""
        engine.add(_engine.Query([1], [], _engine.Sample(greedy), max_new_tokens=DECODE))
        steps = []
        while not engine.idle():
            steps.append(seconds(engine.step))
        return statistics.median(steps)

    turns = []
    for round in range(rounds + 1):
        turn = (
            seconds(memory.sum),
            decode(),
            seconds(product),
            seconds(lambda: engine.logits(ids, [], last_only=True)),
        )
        if round:  # the first one warms up
            turns.append(turn)
    matrices = [s for name, s, needed in _tensors(path) if needed and not name.startswith("token_embd")]
    weights = sum(int(np.prod(s)) for s in matrices)
    read = sum(int(np.prod(s[:-1])) * row_bytes(type, s[-1]) for s in matrices)
    inner = 2 * PROMPT * (weights - width * vocabulary)  # logits of one position alone
    operations = 2 * PROMPT * width * feed_forward
    memory_rates = [memory.nbytes / t[0] for t in turns]
    decode_rates = [read / t[1] for t in turns]
    product_rates = [operations / t[2] for t in turns]
    prefill_rates = [inner / t[3] for t in turns]
    del memory
    return {
        "model": shape,
        "type": type,
        "decode_tokens_per_second": statistics.median(1 / t[1] for t in turns),
        "decode_bytes_per_second": decode_rates,
        "memory_bytes_per_second": memory_rates,
        "decode_share": share(decode_rates, memory_rates),
        "prefill_tokens_per_second": statistics.median(PROMPT / t[3] for t in turns),
        "prefill_operations_per_second": prefill_rates,
        "product_operations_per_second": product_rates,
        "prefill_share": share(prefill_rates, product_rates),
        "resident_gb": memory_mb("VmRSS") / 1e3,
    }


def share(reached: list[float], bound: list[float]) -> float:
    """Median over the turns; noise that strikes a turn strikes both."""
    return statistics.median(r / b for r, b in zip(reached, bound, strict=True))


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
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    torch.set_num_threads(THREADS)
    table = Table(
        "model", "type", "decode tokens/s", "of memory", "prefill tokens/s", "of product", "resident GB"
    )
    found = []
    for shape in chosen.shapes.split(","):
        for type in chosen.types.split(","):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "random.gguf"
                write_random(path, shape, type)
                row = measure(path, shape, type, chosen.rounds)
            found.append(row)
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
    for what, unit in (("memory_bytes", "GB/s"), ("product_operations", "GFLOPS")):
        rates = [rate / 1e9 for row in found for rate in row[f"{what}_per_second"]]
        print(f"{what.split('_')[0]}: {min(rates):.0f} to {max(rates):.0f} {unit}")
    print(f"{processor()}; {THREADS} threads")
    if chosen.json:
        chosen.json.write_text(json.dumps({"processor": processor(), "records": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
