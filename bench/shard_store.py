"""A sweep of 10 000 questions: does memory stay flat, and how much is written for it?

    python bench/shard_store.py [--questions 10000] [--tokens 2]

The 78 words with clips of noise and a tiny model of random weights whose answers are cut after a few tokens,
so that the sweep and its file are most of the work. Prints resident memory as the sweep goes on, and what the
process wrote beside the size of what it left.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "shard")]
from fake import write_clips  # noqa: E402

import ltu  # noqa: E402
from ltu.shard.run.runs import Settings, prepare  # noqa: E402
from ltu.shard.run.store import Store  # noqa: E402
from ltu.shard.run.sweep import sweep  # noqa: E402
from ltu.shard.spec.build import build  # noqa: E402
from ltu.shard.spec.clips import choose, from_folders  # noqa: E402
from ltu.shard.spec.words import shipped_words  # noqa: E402
from tiny import tiny_gguf  # noqa: E402

MIB = 1 << 20


def resident() -> float:
    """MiB of this process (Linux)."""
    line = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def written() -> float:
    """MiB that this process has handed to the system to write (Linux)."""
    line = next(row for row in Path("/proc/self/io").read_text().splitlines() if row.startswith("wchar"))
    return int(line.split()[1]) / MIB


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--questions", type=int, default=10_000)
    parser.add_argument("--tokens", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = shipped_words()
        write_clips(folder / "clips", words)
        clips = choose(from_folders(folder / "clips", words), 4, random.Random(0))
        spec = build(words, clips, folder / "clips", "bench", questions="all")
        model = ltu.load(tiny_gguf(folder / "tiny.gguf"), threads=1)
        model.max_new_tokens = options.tokens
        results = folder / "results.db"
        store = Store(results, create=True)
        done, marks = 0, []

        def progress(count: int) -> None:
            nonlocal done
            done += count
            marks.append((done, resident()))
            print(f"\r{done} of {options.questions}", end="", file=sys.stderr)

        with store.writing():
            run = prepare(store, spec, model, folder / "clips", Settings(limit=options.questions))
            start, before = time.time(), written()
            summary = sweep(model, store, run, progress, {})
        store.close()
        wrote, left = written() - before, results.stat().st_size / MIB
        print("| questions answered | resident memory, MiB |\n| --- | --- |")
        for share in (0.1, 0.25, 0.5, 0.75, 1.0):
            count, memory = next(mark for mark in marks if mark[0] >= share * summary.answered)
            print(f"| {count} | {memory:.0f} |")
        seconds = time.time() - start
        print(f"\n{summary.answered} questions, {4 * summary.answered} answers in {seconds:.0f} s")
        print(f"written {wrote:.1f} MiB, file {left:.1f} MiB: {wrote / left:.1f} bytes for each that stays")


if __name__ == "__main__":
    main()
