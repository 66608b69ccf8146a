"""What the card does with a product: its bits alone and in company, its rates, its memory's.

    python bench/gpu/gemm.py [--device cuda] [--size 8192] [--json FILE]

A column of X·Wᵀ (float16, summed in float32) is computed alone and among up to 1024 others, in the shapes of
Vicuna-7B, with cuBLAS's workspace as it is and bounded, each in a process of its own: whether an answer can
have the same bits in any company at full speed. PyTorch's products, not the engine's.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

SHAPES = ((4096, 4096), (11008, 4096), (4096, 11008), (32000, 4096))  # rows of W, columns
COLUMNS = (1, 16, 64, 100, 128, 256, 362, 512, 800, 1024)
WORKSPACES = (None, ":16:8", ":4096:8")  # CUBLAS_WORKSPACE_CONFIG


def seconds(work: Callable[[], object], device: str, times: int = 10) -> float:
    """The median of a call, after two that are not counted."""
    found = []
    for number in range(times + 2):
        wait(device)
        start = time.perf_counter()
        work()
        wait(device)
        if number >= 2:
            found.append(time.perf_counter() - start)
    return statistics.median(found)


def wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def in_company(device: str, factor: int) -> list[dict[str, Any]]:
    """Each product of `SHAPES` (divided by `factor`) with so many columns, and among 1024."""
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    found = []
    for rows, inner in ((rows // factor, inner // factor) for rows, inner in SHAPES):
        w = torch.randn(rows, inner, device=device, dtype=torch.float16)
        x = torch.randn(1024, inner, device=device, dtype=torch.float16)
        ways: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"f16 out": lambda part, w=w: part @ w.T}
        if device != "cpu":
            ways["f32 out"] = lambda part, w=w: torch.mm(part, w.T, out_dtype=torch.float32)
        for way, product in ways.items():
            whole = product(x)
            for columns in COLUMNS:
                part = x[:columns]
                took = seconds(lambda product=product, part=part: product(part), device)
                row = {"rows": rows, "inner": inner, "columns": columns, "way": way}
                row |= {"same_bits": torch.equal(product(part), whole[:columns])}
                found.append(row | {"us": 1e6 * took, "tflops": 2e-12 * rows * inner * columns / took})
    return found


def rates(device: str, size: int) -> dict[str, float]:
    """Terabytes a second of a copy, read and written, and TFLOP/s of square products."""
    values = torch.empty(size * size * 16, device=device, dtype=torch.uint8)
    other = torch.empty_like(values)
    took = seconds(lambda: other.copy_(values), device)
    found = {"copy_tb_s": 2e-12 * values.numel() / took}
    for name, type in (("f16", torch.float16), ("bf16", torch.bfloat16)):
        a, b = (torch.randn(size, size, device=device, dtype=type) for _ in range(2))
        found[f"{name}_tflops"] = 2e-12 * size**3 / seconds(lambda a=a, b=b: a @ b, device)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", type=int, default=8192, help="of the square products")
    parser.add_argument("--factor", type=int, default=1, help="by which the shapes are smaller")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        print(json.dumps(in_company(options.device, options.factor)))
        return
    record: dict[str, Any] = {"rates": rates(options.device, options.size), "products": {}}
    print(record["rates"], flush=True)
    for workspace in WORKSPACES:
        environment = dict(os.environ)
        if workspace:
            environment["CUBLAS_WORKSPACE_CONFIG"] = workspace
        given = [f"--device={options.device}", f"--factor={options.factor}"]
        command = [sys.executable, __file__, "--alone", *given]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True)
        if ran.returncode:
            print(f"workspace {workspace}: {ran.stderr.strip()[-400:]}", flush=True)
            continue
        found = json.loads(ran.stdout.splitlines()[-1])
        record["products"][workspace or "default"] = found
        for way in dict.fromkeys(row["way"] for row in found):
            rows = [row for row in found if row["way"] == way]
            other = [f"{r['rows']}x{r['inner']}x{r['columns']}" for r in rows if not r["same_bits"]]
            print(f"workspace {workspace}, {way}: {len(other)} of {len(rows)} have other bits: {other}")
            widest = [f"{r['tflops']:.0f}" for r in rows if r["columns"] == COLUMNS[-1]]
            print(f"  TFLOP/s at {COLUMNS[-1]} columns: {', '.join(widest)}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
