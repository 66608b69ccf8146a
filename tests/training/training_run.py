"""A tiny run of `ltu-train`: its files, and the command as a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ltu.training.model.encoder import EncoderConfig

TINY_ENCODER = EncoderConfig(width=16, mlp=32, heads=2, blocks_a=1, blocks_u=1)

CONFIG = """
name = "tiny"
license = "Apache-2.0"
[base]
path = "{base}"
source = {{ name = "tiny llama", license = "MIT" }}
[data]
items = "items.jsonl"
audio = "audio"
views = {views}
{data}
[encoder]
width = 16
mlp = 32
heads = 2
blocks_a = 1
blocks_u = 1
[lora]
r = 2
alpha = 4
dropout = {dropout}
[train]
output = "{output}"
train = {train}
{start}
epochs = 2
batch = {batch}
learning_rate = 0.01
warm_up = 1
{options}
"""

ITEMS = [
    {"audio_id": "0.wav", "instruction": "Is [AUDIO] a bird?", "output": "Yes.", "term": "bird"},
    {"audio_id": "1.wav", "instruction": "Is this a bird?", "output": "No.", "term": "bird"},
    {"audio_id": ["2.wav", "3.wav"], "instruction": "[AUDIO] or [AUDIO]?", "output": "Both."},
    {"audio_id": "", "instruction": "Is rain wet?", "output": "Yes."},
]


def write_run(folder: Path, base: Path, train: list[str], output: str = "out", **options: Any) -> Path:
    """options: items (rows, or how many of ITEMS), start, views, batch, dropout; data, options: lines."""
    items = options.get("items", ITEMS)
    rows = ITEMS[:items] if isinstance(items, int) else items
    (folder / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in rows))
    text = CONFIG.format(
        base=base,
        output=output,
        train=json.dumps(train),
        start=f'checkpoint = "{options["start"]}"' if "start" in options else "",
        views=options.get("views", 1),
        batch=options.get("batch", 2),
        dropout=options.get("dropout", 0.0),
        data=options.get("data", ""),
        options=options.get("options", ""),
    )
    path = folder / f"{output}.toml"
    path.write_text(text)
    return path


def start(program: list[str], processes: int = 1) -> subprocess.Popen[str]:
    """Starts `python -m ...` on one thread; by torchrun when there are more processes than one."""
    launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--master-port=0"]
    launcher += ["--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0"]
    command = [sys.executable, *(launcher if processes > 1 else []), *program]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
