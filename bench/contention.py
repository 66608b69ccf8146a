"""One and two threads, alone and beside busy processes: this build, and beside it an older one.

    python bench/contention.py [--before FOLDER] [--rounds 5] [--json FILE]

The demo model decodes (tokens/s), encodes six clips (clips/s) and answers a small sweep (answers/s): alone,
beside one process that is always busy, and beside two. FOLDER holds another build of the package: a folder
that has `ltu` in it. Everything takes turns; figures are medians, ratios are medians of the ratios within a
round (above 1: the first named is faster).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from machine import processor

TOKENS, CLIPS = 96, 6
TERMS = ("animal", "vehicle", "bird", "tool", "weather", "timepiece", "aircraft", "human sound")
QUESTIONS, REPEATS = 4, 4  # about each clip
BUSY = (0, 1, 2)
Key = tuple[str, str, int, int]  # build, work, threads, busy processes


class Work:
    """What is timed, in a process of its own; piece `number` is the same work in every process."""

    def __init__(self, threads: int) -> None:
        import ltu
        from ltu.demo import SOUNDS

        self.ltu, self.model = ltu, ltu.load(device="cpu", threads=threads)
        self.clips = []
        for name, *_ in SOUNDS[:CLIPS]:
            with as_file(files("ltu") / "assets" / "clips" / name) as path:
                self.clips.append(ltu.load_audio(path))

    def decode(self, number: int) -> int:
        hot = self.ltu.Sampling(temperature=5, top_k=100)  # nonsense that does not end
        text = "Write a story."
        self.model.generate(text, seed=number, max_new_tokens=TOKENS, sampling=hot)
        return TOKENS

    def encode(self, number: int) -> int:
        for clip in self.clips:  # turned in time: embeddings are kept
            self.model.encode(self.ltu.load_audio(np.roll(clip.waveform, 160 * number)))
        return CLIPS

    def sweep(self, number: int) -> int:
        queries = []
        for clip in self.clips:
            for i in range(QUESTIONS):
                text = f"Question {number}: is [AUDIO] a type of {TERMS[(number + i) % len(TERMS)]}?"
                sequence = self.model.prompter.sequence(text, [clip])
                queries.append(self.ltu.Query(sequence, repeats=REPEATS, seed=number))
        return sum(1 for _ in self.model.answers(queries))


KINDS = ("decode", "encode", "sweep")


def serve(threads: int) -> None:
    """Reads "KIND NUMBER" lines, answers each with units a second."""
    work = Work(threads)
    print("ready", flush=True)
    for line in sys.stdin:
        kind, number = line.split()
        start = time.perf_counter()
        units = getattr(work, kind)(int(number))
        print(units / (time.perf_counter() - start), flush=True)


def start(folder: Path | None, threads: int) -> subprocess.Popen[str]:
    environment = dict(os.environ)
    if folder:
        environment["PYTHONPATH"] = str(folder.resolve())
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve", str(threads)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert server.stdout
    assert server.stdout.readline() == "ready\n"
    return server


def ask(server: subprocess.Popen[str], kind: str, number: int) -> float:
    assert server.stdin
    assert server.stdout
    print(kind, number, file=server.stdin, flush=True)
    return float(server.stdout.readline())


@contextmanager
def busy(processes: int) -> Iterator[None]:
    program = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"  # ends with this one
    running = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def measure(builds: dict[str, Path | None], rounds: int) -> dict[Key, list[float]]:
    """Units a second in each round."""
    servers = {(build, threads): start(builds[build], threads) for build in builds for threads in (1, 2)}
    rates: dict[Key, list[float]] = {}
    for server in servers.values():
        for kind in KINDS:
            ask(server, kind, 0)
    for turn in range(rounds):
        for processes in BUSY:
            number = 1 + turn * len(BUSY) + processes
            with busy(processes):
                for kind in KINDS:
                    for (build, threads), server in servers.items():
                        rate = ask(server, kind, number)
                        rates.setdefault((build, kind, threads, processes), []).append(rate)
    for server in servers.values():
        server.communicate()
    return rates


def ratio(above: list[float], below: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--before", type=Path)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--json", type=Path)
    options.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.serve:
        return serve(chosen.serve)

    builds: dict[str, Path | None] = {"this": None}
    if chosen.before:
        builds["before"] = chosen.before
    rates = measure(builds, chosen.rounds)
    records = []
    for kind in KINDS:
        for processes in BUSY:
            record: dict[str, object] = {"what": kind, "busy_processes": processes}
            for build in builds:
                one, two = (rates[build, kind, threads, processes] for threads in (1, 2))
                record[f"{build}_one_thread"] = statistics.median(one)
                record[f"{build}_two_threads"] = statistics.median(two)
                record[f"{build}_two_against_one"] = ratio(two, one)
            if chosen.before:
                for threads, name in ((1, "one_thread"), (2, "two_threads")):
                    this, before = (rates[build, kind, threads, processes] for build in ("this", "before"))
                    record[f"{name}_against_before"] = ratio(this, before)
            records.append(record)

    console = Console()
    console.print(f"{processor()}, {os.cpu_count()} cores, median of {chosen.rounds} rounds")
    table = Table(*(name.replace("_", " ") for name in records[0]))
    for record in records:
        table.add_row(
            *(f"{value:.3g}" if isinstance(value, float) else str(value) for value in record.values())
        )
    console.print(table)
    if chosen.json:
        description = {"processor": processor(), "cores": os.cpu_count(), "rounds": chosen.rounds}
        chosen.json.write_text(json.dumps({**description, "results": records}, indent=1) + "\n")


if __name__ == "__main__":
    main()
