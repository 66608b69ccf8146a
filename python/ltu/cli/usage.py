"""The table of --verbose: where the time and the memory went."""

import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from ltu.model import Model

NVIDIA = Path("/proc/driver/nvidia/version")


def usage_table(model: Model, load_seconds: float) -> Table:
    """Times in seconds, speed in positions or tokens a second, memory in MB (10^6 bytes)."""
    d = model.description()
    table = Table(show_header=False, box=None)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column()
    table.add_row("device", str(d["device"]), f"{d['threads']} threads, kernels: {d['kernels']}")
    for note in notes(d):
        table.add_row("", "", note)
    table.add_row("load", f"{load_seconds:.2f} s")
    table.add_row("encode", f"{d['encode_seconds']:.2f} s", f"{d['clips']} clips")
    for name, what, more in (("prompt", "prefill", 0), ("answer", "decode", d["taken_drafts"])):
        seconds, tokens = d[f"{name}_seconds"], d[f"{name}_positions"] + more
        rate = f", {tokens / seconds:.0f} tokens/s" if seconds else ""
        drafts = f", {more} of them drafts" if more else ""
        table.add_row(what, f"{seconds:.2f} s", f"{tokens} tokens{rate}{drafts}")
    cache = d["kv_cells_used"] * d["kv_cell_bytes"]
    table.add_row("weights", _mb(d["weight_bytes"]))
    table.add_row("KV cache", _mb(cache), f"{d['kv_cells_used']} positions in {d['kv_type']}")
    table.add_row("peak memory", _mb(_peak_bytes()), "resident, of the whole process")
    return table


def notes(description: Mapping[str, Any]) -> list[str]:
    """What is not as the file, the device or the build would have it; a line each."""
    lines = []
    if not description["batch_invariant"]:
        lines.append("an answer's last bits depend on those beside it (--batch-invariant)")
    if description["converted"]:
        changes = (f"{count} {change}" for change, count in description["converted"].items())
        lines.append(f"matrices that the device holds in another type: {', '.join(changes)}")
    if description["left_to_cpu"]:
        parts, names = description["graph_parts"], ", ".join(sorted(description["left_to_cpu"]))
        lines.append(f"operations that the device leaves to the CPU: {names} ({parts} parts of a graph)")
    if description["device"] == "cpu" and NVIDIA.exists() and not _has_cuda():
        lines.append("an NVIDIA card, and no CUDA in this build: pip install . -C cmake.define.LTU_CUDA=ON")
    return lines


def _has_cuda() -> bool:
    from ltu import _engine

    return any(name.startswith("cuda") for name in _engine.devices())


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes there, KiB elsewhere


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
