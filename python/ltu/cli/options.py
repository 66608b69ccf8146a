"""Options that several commands have: one spelling, one help, one check."""

import re
from typing import Annotated

import typer

from ltu.cli.console import wrong_usage

MOST_THREADS = 512  # of the engine
LARGEST = 2**31 - 1  # of the engine's whole numbers
LARGEST_SEED = 2**63 - 1  # what a database holds, too


Gguf = Annotated[
    str | None,
    typer.Option(
        "--gguf",
        metavar="FILE",
        help="The model file, or hf:org/repo[:type] of the Hugging Face Hub; without it the demo model.",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        help="Where the model computes: cpu, or a back end that was built in, as in cuda or cuda:1. "
        "auto takes the first back end, else the CPU."
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MOST_THREADS,
        help="How many CPU threads compute; without it one for each physical core that the container grants.",
    ),
]
KvMemory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="How much memory the KV cache may take, as in 512M or 4G; without it a quarter of what is free.",
    ),
]
BatchInvariant = Annotated[
    bool,
    typer.Option(
        "--batch-invariant",
        help="Compute each answer alone on devices other than the CPU, so that no other answer changes its "
        "last bits.",
    ),
]


def memory_of(option: str, text: str | None) -> int | None:
    """Bytes of "512M"."""
    if text is None:
        return None
    units = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    size = int(float(match[1]) * units[match[2].upper()]) if match else 0
    if not 0 < size < 1 << 63:
        raise wrong_usage(option, f"{text!r} is no size; write 512M or 4G")
    return size
