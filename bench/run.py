"""Encoder and language model against PyTorch and llama.cpp, in one run, as ratios.

    python bench/run.py [--rounds 5] [--types f32,f16,q8_0,q4_0] [--json FILE]

One model (CAV-MAE at LTU's full size with random weights, on SmolLM2-135M-Instruct) in several types. The
peers take turns, two threads each; figures are medians, ratios are medians of the ratios within a round
(above 1: ours is faster).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from ltu.convert import convert, export_llama, requantise
from ltu.demo_model import demo_base
from machine import processor
from peers import LlamaCpp, Ours, TorchModel, write_checkpoint

THREADS = 2
PROMPT, DECODE = 512, 64  # positions

MEMORY_PROGRAM = """
import sys
from pathlib import Path
import numpy as np
import ltu
import ltu._engine

def peak():  # bytes; getrusage's figure would hold the parent's, too
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index("VmHWM:") + 1]) * 1024

before = peak()
model = ltu.load(sys.argv[1], device="cpu", threads=2)
clip = ltu.load_audio(np.sin(np.arange(160000, dtype=np.float32)), 16000)
model.generate("What is [AUDIO]?", audio=clip)
used = model.description()
print(peak() - before - used["kv_cells_used"] * used["kv_cell_bytes"])
"""


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(peers: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each peer in each round; a round runs them all, the first one is not counted."""
    for work in peers.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(rounds):
        for name, work in peers.items():
            times[name].append(seconds(work))
    return times


def records(what: str, unit: float, times: dict[str, list[float]]) -> list[dict[str, object]]:
    ours = next(iter(times.values()))
    return [
        {
            "what": what,
            "peer": name,
            "per_second": unit / statistics.median(taken),
            "ours_is_faster_by": statistics.median(t / o for t, o in zip(taken, ours, strict=True)),
        }
        for name, taken in times.items()
    ]


def memory(path: Path) -> dict[str, object]:
    """Peak resident memory of loading and asking once, less that of the import and the KV cache."""
    used = int(
        subprocess.run(
            [sys.executable, "-c", MEMORY_PROGRAM, str(path)], capture_output=True, check=True
        ).stdout
    )
    return {
        "file_mb": path.stat().st_size / 1e6,
        "peak_mb": used / 1e6,
        "of_file": used / path.stat().st_size,
    }


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--types", default="f32,f16,q8_0,q4_0")
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.set_num_threads(THREADS)
    results: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        base = demo_base()
        torch_model = TorchModel(base)
        write_checkpoint(torch_model, Path(folder))
        rng = np.random.default_rng(0)
        features = rng.standard_normal((1, 1024, 128)).astype(np.float32)
        ids = [int(id) for id in rng.integers(100, 40000, PROMPT)]
        bfloat16 = (
            "amx_bf16" in Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else False
        )
        for type in chosen.types.split(","):
            path = convert(
                base, checkpoint=Path(folder), outtype=type, output=Path(folder) / f"{type}.gguf"
            ).path
            llama = export_llama(path, Path(folder) / f"{type}-llama.gguf").path
            ours, peer = Ours(path, THREADS), LlamaCpp(llama, THREADS)
            encoders = {f"ours {type}": lambda m=ours: m.encode(features)}
            prompts = {
                f"ours {type}": lambda m=ours: m.prompt(ids),
                f"llama.cpp {type}": lambda m=peer: m.prompt(ids),
            }
            decodes = {
                f"ours {type}": lambda m=ours: m.decode(DECODE),
                f"llama.cpp {type}": lambda m=peer: m.decode(DECODE),
            }
            if type == "q8_0":
                audio = Path(folder) / "audio.gguf"
                eight_bit = Ours(requantise(path, type, audio, audio_outtype=type).path, THREADS)
                encoders["ours audio q8_0"] = lambda m=eight_bit: m.encode(features)
            encoders["PyTorch float32"] = lambda: torch_model.encode(features)
            if bfloat16:
                encoders["PyTorch bfloat16"] = lambda: torch_model.encode(features, bfloat16=True)
            if type == "f32":
                prompts["PyTorch float32"] = lambda: torch_model.prompt(ids)
                decodes["PyTorch float32"] = lambda: torch_model.decode(DECODE)
            results += records("encoder, clips/s", 1, compare(encoders, chosen.rounds))
            results += records(f"prompt of {PROMPT}, positions/s", PROMPT, compare(prompts, chosen.rounds))
            results += records(f"decode of {DECODE}, tokens/s", DECODE, compare(decodes, chosen.rounds))
            del ours, peer
            results.append({"what": "memory", "peer": f"ours {type}", **memory(path)})

    console = Console()
    console.print(
        f"{processor()}, {THREADS} threads, PyTorch {torch.__version__}, median of {chosen.rounds} rounds"
    )
    table = Table("what", "peer", "per second", "ours is faster by")
    for record in results:
        if record["what"] != "memory":
            table.add_row(
                record["what"],
                record["peer"],
                f"{record['per_second']:.2f}",
                f"{record['ours_is_faster_by']:.2f}×",
            )
    console.print(table)
    for record in results:
        if record["what"] == "memory":
            console.print(
                f"{record['peer']}: peak {record['peak_mb']:.0f} MB for a file of {record['file_mb']:.0f} MB"
                f" ({record['of_file']:.2f}×), without import and KV cache"
            )
    if chosen.json:
        chosen.json.write_text(
            json.dumps({"processor": processor(), "threads": THREADS, "results": results}, indent=1)
        )


if __name__ == "__main__":
    main()
