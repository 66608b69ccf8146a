"""A SHARD-sized sweep on one card: random weights in a model's shape, given answers.

    python bench/gpu/sweep.py SHAPE TYPE CLIPS [--device cuda] [--answers N] [--prompt-positions N]

SHAPE: of bench/shapes.py, with an encoder of LTU's size. TYPE: f16 or a quantised one. Nine questions
about each clip, four answers to each (work.py); every answer is drawn under LTU's sampling and the given
token taken in its place. Features are random and made ahead, so reading clips and log-mel take no part;
encoding the clips does, `--together` at once, as soon as a question needs one of them. The model file is made
once and kept in the folder for temporary files.
"""

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from work import EOS, Question, read_work

from ltu import _engine
from ltu.defaults import FRAMES, MELS, SAMPLING
from shapes import LTU, SHAPES, SMALLEST, write_random

HERE = Path(__file__).resolve().parent
MAX_NEW_TOKENS = 64
ROWS = (1, 32, 64, 128, 256, 512, 1024, 2048, 1 << 30)  # steps are told apart by

Float32 = npt.NDArray[np.float32]


class Sweep:
    """Questions are added when the engine has room, clips encoded when their first question is added."""

    def __init__(self, engine: _engine.Engine, features: Float32, together: int, name: str) -> None:
        self.engine, self._features, self._together = engine, features, together
        self._name = name  # of the clips, which no other sweep of this engine has
        self._embeddings: dict[int, Float32] = {}
        self.encode_seconds = 0.0
        self.steps: list[tuple[int, float]] = []  # rows, seconds
        self.logprobs: dict[tuple[int, tuple[int, ...], int], float] = {}  # of clip, question, repeat

    def run(self, work: Sequence[Question]) -> int:
        """The number of answers that finished."""
        room: int = self.engine.description()["step_answers"]
        sampling = SAMPLING.engine()
        waiting, asked, done = list(reversed(work)), 0, 0
        questions: dict[int, Question] = {}
        self._clips = 1 + max(question.clip for question in work)
        before = self._positions()
        while waiting or not self.engine.idle():
            while waiting and asked < room:
                question = waiting.pop()
                hash = sha256(f"{self._name} {question.clip}".encode()).digest()
                clip = (hash, self._embedded(question.clip))
                answers = [[*answer, EOS] for answer in question.answers]
                how = _engine.Score(answers, sampling, by_token=True)
                number = self.engine.add(_engine.Query(question.ids, [clip], how, 0, MAX_NEW_TOKENS))
                questions[number] = question
                asked += len(answers)
            start = time.perf_counter()
            events = self.engine.step()
            seconds = time.perf_counter() - start
            if failed := [event.stop for event in events if event.kind == "failed"]:
                raise RuntimeError(failed[0])
            after = self._positions()
            self.steps.append((after - before, seconds))
            before = after
            asked -= len(events)
            done += len(events)
            for event in events:
                question = questions[event.query]
                self.logprobs[question.clip, tuple(question.ids), event.repeat] = event.logprob
        return done

    def _embedded(self, clip: int) -> Float32:
        if clip not in self._embeddings:
            start = time.perf_counter()
            batch = range(clip, min(clip + self._together, self._clips))
            features = np.stack([self._features[number % len(self._features)] for number in batch])
            self._embeddings |= zip(batch, self.engine.encode(features), strict=True)
            self.encode_seconds += time.perf_counter() - start
        return self._embeddings[clip]

    def _positions(self) -> int:
        d = self.engine.description()
        return int(d["prompt_positions"] + d["answer_positions"] + d["draft_positions"])


def in_other_company(
    engine: _engine.Engine, features: Float32, sweep: Sweep, work: Sequence[Question]
) -> dict[str, int]:
    """Answers whose log-probabilities change when the clips are encoded one by one and the questions asked in
    another order among fewer, or each by itself; to be 0 where nothing depends on company."""
    few = [question for question in work if question.clip < 20]
    again = Sweep(engine, features, 1, "again")
    again.run(few[::-1])
    alone = Sweep(engine, features, 1, "alone")
    for question in few[::10]:
        alone.run([question])
    other = {
        name: sum(sweep.logprobs[key] != logprob for key, logprob in asked.logprobs.items())
        for name, asked in (("among_fewer", again), ("alone", alone))
    }
    return other | {"asked_again": len(again.logprobs), "asked_alone": len(alone.logprobs)}


def by_rows(steps: Sequence[tuple[int, float]]) -> list[dict[str, Any]]:
    found = []
    for low, high in itertools.pairwise(ROWS):
        seconds = [taken for rows, taken in steps if low <= rows < high]
        if seconds:
            row = {"rows_from": low, "steps": len(seconds), "median_ms": 1e3 * float(np.median(seconds))}
            found.append(row | {"seconds": sum(seconds)})
    return found


def encoder_alone(engine: _engine.Engine, features: Float32, seconds: float = 2.0) -> dict[str, float]:
    """Clips a second by the number that is encoded at once; each for so long."""
    rates = {}
    for together in (1, 8, 32):
        batch = np.ascontiguousarray(np.resize(features, (together, *features.shape[1:])))
        engine.encode(batch)  # allocates
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            engine.encode(batch)
            count += together
        rates[str(together)] = count / (time.perf_counter() - start)
    return rates


def model_file(shape: str, type: str) -> Path:
    path = Path(tempfile.gettempdir()) / f"ltu-random-{shape}-{type}.gguf"
    if not path.exists():
        start = time.perf_counter()
        unfinished = path.with_suffix(".part")
        write_random(unfinished, shape, type, SMALLEST if shape == "toy" else LTU)
        unfinished.rename(path)
        print(
            f"{path.stat().st_size / 1e9:.1f} GB written in {time.perf_counter() - start:.1f} s", flush=True
        )
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("type")
    parser.add_argument("clips", type=int)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--answers", type=int, default=0, help="most in a step; 0: what suits the device")
    parser.add_argument("--prompt-positions", type=int, default=0, help="most in a step, likewise")
    parser.add_argument("--under-way", type=int, default=0, help="steps at once; 0: what suits the device")
    parser.add_argument("--batch-invariant", action="store_true")
    parser.add_argument("--kv-gb", type=float, default=0, help="of KV cache; 0: what suits the device")
    parser.add_argument("--together", type=int, default=32, help="clips encoded at once")
    parser.add_argument("--encoder", action="store_true", help="measure the encoder alone, too")
    parser.add_argument("--work", type=Path, default=HERE.parents[1] / ".gpu" / "work.json.gz")
    parser.add_argument(
        "--profile", action="store_true", help="time on the card by kernel (with PyTorch's profiler)"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    work = read_work(options.work, options.clips)
    path = model_file(options.shape, options.type)
    start = time.perf_counter()
    engine = _engine.Engine(
        str(path),
        options.device,
        kv_memory=int(options.kv_gb * 1e9),
        draft_width=1,
        step_answers=options.answers,
        step_prompt_positions=options.prompt_positions,
        steps_under_way=options.under_way,
        batch_invariant=options.batch_invariant,
    )
    load_seconds = time.perf_counter() - start
    about = engine.description()
    print(f"loaded in {load_seconds:.1f} s: {about}", flush=True)
    features = np.random.default_rng(0).normal(0, 0.5, (32, FRAMES, MELS)).astype(np.float32)
    rates = encoder_alone(engine, features) if options.encoder else {}
    if rates:
        print("encoder alone, clips/s by clips at once:", {n: round(rate, 1) for n, rate in rates.items()})

    Sweep(engine, features, options.together, "warm-up").run(work[:18])
    if options.profile:
        from torch.profiler import ProfilerActivity, profile

        with profile(activities=[ProfilerActivity.CUDA]) as profiled:
            Sweep(engine, features, options.together, "profiled").run(work)
        print(
            profiled.key_averages().table(sort_by="cuda_time_total", row_limit=25, max_name_column_width=60)
        )
    sweep = Sweep(engine, features, options.together, "measured")
    start = time.perf_counter()
    answers = sweep.run(work)
    seconds = time.perf_counter() - start
    company = in_other_company(engine, features, sweep, work)
    positions, step_seconds = (sum(column) for column in zip(*sweep.steps, strict=True))
    record = {
        "shape": options.shape,
        "type": options.type,
        "device": about["device"],
        "kernels": about["kernels"],
        "clips": options.clips,
        "questions": len(work),
        "answers": answers,
        "load_seconds": load_seconds,
        "seconds": seconds,
        "answers_per_second": answers / seconds,
        "in_other_company": company,
        "encode_seconds": sweep.encode_seconds,
        "step_seconds": step_seconds,
        "steps": len(sweep.steps),
        "positions": positions,
        "rows_a_step": positions / len(sweep.steps),
        "by_rows": by_rows(sweep.steps),
        "encoder_alone_clips_per_second": rates,
        "step_answers": about["step_answers"],
        "kv_cells": about["kv_cells"],
    }
    print(
        f"{options.shape} {options.type} on {about['device']}: {answers} answers, clips encoded, in "
        f"{seconds:.2f} s = {answers / seconds:.0f} answers/s; encoding {sweep.encode_seconds:.2f} s, "
        f"{len(sweep.steps)} steps {step_seconds:.2f} s, {record['rows_a_step']:.0f} rows a step, "
        f"{positions} positions; other bits in other company: {company}"
    )
    for row in record["by_rows"]:
        print(f"  {row['steps']} steps from {row['rows_from']} rows on: median {row['median_ms']:.2f} ms")
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
