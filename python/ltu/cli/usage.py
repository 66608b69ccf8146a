"""The table of --verbose: where the time and the memory went."""

import resource
import sys

from rich.table import Table

from ltu.model import Model


def usage_table(model: Model, load_seconds: float) -> Table:
    """Times in seconds, speed in positions or tokens a second, memory in MB (10^6 bytes)."""
    d = model.description()
    table = Table(show_header=False, box=None)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column()
    table.add_row("device", str(d["device"]), f"{d['threads']} threads, kernels: {d['kernels']}")
    if not d["batch_invariant"]:
        table.add_row("", "", "an answer's last bits depend on those beside it (--batch-invariant)")
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


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes there, KiB elsewhere


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
