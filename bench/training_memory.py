"""Memory of ltu-train's data path by the number of items: tokenising them, then reading random batches.

    python bench/training_memory.py [--items 10000,100000,1000000] [--json FILE]

Items and clips are synthetic (a clip for each ten items); each size runs in a process of its own. Counted is
anonymous memory, the part that a machine can't take back: what is mapped from files isn't in it.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ltu.defaults import TEMPLATE
from ltu.training.config import DataConfig
from ltu.training.items import data
from ltu.training.items.batches import Batches, Drawings
from ltu.training.items.clips import Clips, StoredClip
from ltu.training.items.collate import Collator
from ltu.training.items.inputs import features_of
from ltu.training.items.tokenised import Tokeniser

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from tiny import tiny_model

ITEMS_PER_CLIP = 10
BATCHES, BATCH = 2000, 4


class Watch:
    """Largest growth of anonymous memory inside the block, in bytes."""

    def __enter__(self) -> "Watch":
        self._before, self.bytes, self._inside = anonymous(), 0, True
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._inside = False
        self._thread.join()

    def _run(self) -> None:
        while self._inside:
            self.bytes = max(self.bytes, anonymous() - self._before)
            time.sleep(0.02)


def anonymous() -> int:
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index("RssAnon:") + 1]) * 1024


def measure(items: Path) -> dict[str, float]:
    """In a process of its own. No clip is read: this is about the items."""
    tokeniser = Tokeniser(str(tiny_model().keys["tokenizer.huggingface.json"]), TEMPLATE, 1, 2, 108)
    clip = StoredClip(0, 1000, "0" * 64)
    data.read_clips = lambda names, *_: Clips(  # type: ignore[attr-defined]
        dict.fromkeys(names, clip), {}, np.zeros((1, 1024, 128), np.float16)
    )
    cache = items.parent / "cache"
    cache.mkdir()
    start = time.perf_counter()
    with Watch() as tokenising:
        read = data.read_data(DataConfig(items, items.parent), tokeniser)
    middle = time.perf_counter()
    with Watch() as reading:
        collate, drawings = (
            Collator(features_of(read.clips), "features", 1, False, 0),
            Drawings(read.train.groups),
        )
        for batch in itertools.islice(Batches(read.train.lengths, BATCH, 0), BATCHES):
            collate([drawings[number] for number in batch])
    return {
        "items": len(drawings),
        "tokenising_bytes": tokenising.bytes,
        "batches_bytes": reading.bytes,
        "cache_bytes": sum(path.stat().st_size for path in cache.glob("examples-*")),
        "tokenising_seconds": middle - start,
        "batch_seconds": (time.perf_counter() - middle) / BATCHES,
    }


def write_items(path: Path, count: int) -> None:
    with path.open("w") as file:
        for number in range(count):
            item = {
                "audio_id": f"clips/{number // ITEMS_PER_CLIP:08d}.flac",
                "instruction": f"Is [AUDIO] {'a type of ' * (number % 3)}bird?",
                "output": "Yes, it is." if number % 2 else "No, it is not a type of bird.",
                "term": "bird",
            }
            file.write(json.dumps(item) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", default="10000,100000,1000000")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    rows = []
    for count in map(int, options.items.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            items = Path(folder) / "items.jsonl"
            write_items(items, count)
            command = [sys.executable, __file__, "--measure", str(items)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    table = Table("items", "tokenising, MB", "batches, MB", "on disk, MB", "tokenising, s", "a batch, ms")
    for row in rows:
        table.add_row(
            f"{row['items']:,}",
            *(f"{row[key] / 1e6:.1f}" for key in ("tokenising_bytes", "batches_bytes", "cache_bytes")),
            f"{row['tokenising_seconds']:.1f}",
            f"{row['batch_seconds'] * 1e3:.2f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
