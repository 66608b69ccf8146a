"""One sweep, four repeats a question, asked of Hugging Face, llama.cpp and this engine: side by side.

    python bench/sweep.py [--quick] [--clips 6] [--questions 9] [--rounds 3] [--peers NAME,…] [--json FILE]

The demo model (q8_0 for llama.cpp and for us), its shipped clips, Table 1's questions about the demo's terms,
LTU's sampling, two threads each. Clips are encoded before the clock starts. A peer runs in a process of its
own and answers the whole sweep `--rounds` times after one that is not counted; the time is the median.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import ltu
from ltu.convert import export_llama
from ltu.demo import ASSETS, SOUNDS, demo_base, demo_model_path
from ltu.training.questions import ask, table_1, terms
from machine import memory_mb, processor
from sweep_peers import REPEATS, Done, Question, Work, peers

QUICK = (
    "hf-float32",
    "llama.cpp-repeats",
    "llama.cpp-expert",
    "ours-tree",
    "ours-drafts",
    "ours-decided",
    "ours-exact",
)
SLOW = ("hf-float32", "hf-bfloat16", "hf-batched")  # once is enough


def work_of(gguf: Path, clips: int, questions: int) -> Work:
    """`questions` about each clip: what it is, then terms, true and false, both formats in turn."""
    model = ltu.load(gguf, device="cpu", threads=2)
    chosen = [term for term in terms() if term.kind != "name" and term.seen]
    embeddings, asked = [], []
    for number, (file, *_) in enumerate(SOUNDS[:clips]):
        with as_file(ASSETS / "clips" / file) as path:
            clip = ltu.load_audio(path)
        embeddings.append(model.encode(clip))
        for index in range(questions):
            format = ("prepended", "interleaved")[index % 2]
            relation = "identity" if index < 2 else ("type", "similar")[index // 2 % 2]
            term = chosen[(7 * number + 3 * index) % len(chosen)].text
            text = table_1(relation)[format]
            prompt = text if relation == "identity" else ask(text, relation, term, True)[0]
            asked.append(Question(number, tuple(model.prompter.sequence(prompt, [clip], format).ids)))
    return Work(embeddings, asked, model.info["tokenizer.ggml.eos_token_id"])


def tree_size(work: Work, done: Done) -> int:
    """Positions that have to be computed, counted on paper: distinct prefixes of prompts and answers."""
    nodes: set[tuple[Any, ...]] = set()
    for index, question in enumerate(work.questions):
        path: list[Any] = []
        for id in question.ids:
            path += [id] if id >= 0 else [(question.clip, i) for i in range(32)]
        for answer in (done.answers or [])[index * REPEATS : (index + 1) * REPEATS]:
            whole = (*path, *answer)
            nodes |= {whole[:end] for end in range(1, len(whole) + 1)}
    return len(nodes)


def measure(name: str, chosen: argparse.Namespace, llama: Path) -> dict[str, Any]:
    """In a process of its own: the record of one peer."""
    gguf = demo_model_path()
    work = work_of(gguf, chosen.clips, chosen.questions)
    with as_file(files("ltu") / "assets" / "demo") as checkpoint:
        make = peers(demo_base(), checkpoint, gguf, llama)[name]
        peer = make()
    times, done = [], Done()
    for round in range(1 if name in SLOW else chosen.rounds + 1):
        if name.startswith("ours"):
            peer = make()  # it would remember the answers of the round before and guess them
        start = time.perf_counter()
        done = peer(work)
        if round or name in SLOW:
            times.append(time.perf_counter() - start)
    answers = done.answers or []
    return {
        "peer": name,
        "model": "demo",
        "seconds": statistics.median(times),
        "answers_per_second": len(answers) / statistics.median(times),
        "positions": done.positions,
        "tokens_an_answer": sum(map(len, answers)) / len(answers),
        "peak_rss_mb": memory_mb("VmHWM"),
        "tree_positions": tree_size(work, done) if name == "ours-tree" else None,
    }


def records(chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        llama = export_llama(demo_model_path(), Path(folder) / "llama.gguf").path
        for name in chosen.peers:
            options = [f"--{key}={getattr(chosen, key)}" for key in ("clips", "questions", "rounds")]
            command = [sys.executable, __file__, "--peer", name, "--llama", str(llama), *options]
            result = subprocess.run(command, capture_output=True, text=True)
            if result.returncode:
                print(f"{name}: left out: {result.stderr.strip().splitlines()[-1]}", file=sys.stderr)
                continue
            yield json.loads(result.stdout.splitlines()[-1])


def show(found: list[dict[str, Any]]) -> None:
    table = Table(
        "peer", "seconds", "answers/s", "positions", "tokens an answer", "peak MB", "time / ours-tree"
    )
    for row in found:
        table.add_row(
            row["peer"],
            f"{row['seconds']:.2f}",
            f"{row['answers_per_second']:.1f}",
            str(row["positions"]),
            f"{row['tokens_an_answer']:.1f}",
            f"{row['peak_rss_mb']:.0f}",
            f"{row['ratio_to_ours']:.2f}" if row["ratio_to_ours"] else "",
        )
    Console().print(table)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--quick", action="store_true")
    options.add_argument("--clips", type=int, default=6)
    options.add_argument("--questions", type=int, default=9)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--peers", type=lambda text: text.split(","))
    options.add_argument("--json", type=Path)
    options.add_argument("--peer", help=argparse.SUPPRESS)
    options.add_argument("--llama", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.peer:
        print(json.dumps(measure(chosen.peer, chosen, chosen.llama)))
        return
    if chosen.quick:
        chosen.clips, chosen.peers = 2, chosen.peers or list(QUICK)
    if chosen.peers is None:
        chosen.peers = list(peers(*[Path()] * 4))
    found = list(records(chosen))
    ours = next((row["seconds"] for row in found if row["peer"] == "ours-tree"), None)
    for row in found:
        row["ratio_to_ours"] = row["seconds"] / ours if ours else None
    show(found)
    for row in found:
        if row["tree_positions"]:
            share = row["positions"] / row["tree_positions"]
            print(f"positions computed / the tree's size on paper ({row['tree_positions']}): {share:.3f}")
    print(f"{processor()}; two threads each")
    if chosen.json:
        about = {"processor": processor(), "clips": chosen.clips, "questions": chosen.questions}
        chosen.json.write_text(json.dumps({**about, "records": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
