"""Hugging Face on the same questions, in bfloat16: one answer at a time, four together, continuous batching.

    python bench/gpu/huggingface.py SHAPE QUESTIONS [--seconds 20] [--device cuda] [--json FILE]

Random weights; a clip's places take a word's embedding, which costs less than encoding; every answer has the
mean length of those that the engine gives in sweep.py. `generate` stops taking questions after so many
seconds. `generate_batch` gets all of them, or as many as a first few say that it can answer in that time;
what it can't do of LTU's sampling is left out, and said.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM
from work import REPEATS, read_work, tokens_an_answer

from ltu import defaults
from shapes import SHAPES, llama_sizes

HERE = Path(__file__).resolve().parent
AUDIO_POSITIONS, WORD = 32, 5
SAMPLING = {"do_sample": True, **asdict(defaults.SAMPLING)}
FIRST = 16  # questions that say how long the others will take


def random_model(shape: str, device: str) -> Any:
    config = LlamaConfig(**llama_sizes(shape), eos_token_id=None, pad_token_id=0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        return LlamaForCausalLM(config).eval().requires_grad_(False)


class Generate:
    """`generate`: so many repeats of a question at once."""

    def __init__(self, model: Any, together: int, length: int, seconds: float) -> None:
        self._model, self._together, self._seconds = model, together, seconds
        self._how = {**SAMPLING, "max_new_tokens": length, "min_new_tokens": length}

    def __call__(self, prompts: Sequence[list[int]]) -> dict[str, float]:
        self._answer(prompts[0])
        answers, start = 0, time.perf_counter()
        for prompt in prompts:
            if time.perf_counter() - start > self._seconds:
                break
            self._answer(prompt)
            answers += REPEATS
        seconds = time.perf_counter() - start
        return {"answers": answers, "seconds": seconds, "answers_per_second": answers / seconds}

    def _answer(self, prompt: list[int]) -> None:
        ids = torch.tensor([prompt], device=self._model.device)
        for _ in range(REPEATS // self._together):
            made = self._model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                num_return_sequences=self._together,
                **self._how,
            )
            made.cpu()


class GenerateBatch:
    """`generate_batch`: paged attention, answers start and end at any step."""

    def __init__(self, model: Any, length: int, seconds: float, without: Sequence[str]) -> None:
        self._model, self._seconds = model, seconds
        how = {key: value for key, value in SAMPLING.items() if key not in without}
        self._how = GenerationConfig(max_new_tokens=length, eos_token_id=-1, pad_token_id=0, **how)

    def __call__(self, prompts: Sequence[list[int]]) -> dict[str, float]:
        self._answer(prompts[:2])
        first = self._answer(prompts[:FIRST])
        count = min(len(prompts), max(FIRST, int(FIRST * self._seconds / first)))
        seconds = self._answer(prompts[:count])
        answers = REPEATS * count
        found = {"answers": answers, "seconds": seconds, "answers_per_second": answers / seconds}
        if count > FIRST:  # every call starts a manager; a long sweep would not notice
            found["without_start_per_second"] = REPEATS * (count - FIRST) / (seconds - first)
        return found

    def _answer(self, prompts: Sequence[list[int]]) -> float:
        inputs = [list(prompt) for prompt in prompts for _ in range(REPEATS)]
        start = time.perf_counter()
        results = self._model.generate_batch(inputs=inputs, generation_config=self._how, progress_bar=False)
        seconds = time.perf_counter() - start
        lengths = [len(result.generated_tokens) for result in results.values()]
        if len(lengths) != len(inputs) or set(lengths) != {self._how.max_new_tokens}:
            raise RuntimeError(f"{len(lengths)} answers to {len(inputs)} prompts, of {set(lengths)} tokens")
        return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("questions", type=int)
    parser.add_argument("--seconds", type=float, default=20, help="that each way may take, about")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--work", type=Path, default=HERE.parents[1] / ".gpu" / "work.json.gz")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    work = read_work(options.work, 1 << 30)[: options.questions]
    length = tokens_an_answer(work)
    prompts = [[x for id in q.ids for x in ([WORD] * AUDIO_POSITIONS if id < 0 else [id])] for q in work]
    model = random_model(options.shape, options.device)
    seconds = options.seconds
    ways: dict[str, Callable[[Sequence[list[int]]], dict[str, float]]] = {
        "generate, one by one": Generate(model, 1, length, seconds),
        f"generate, {REPEATS} together": Generate(model, REPEATS, length, seconds),
        "generate_batch": GenerateBatch(model, length, seconds, ()),
        "generate_batch, no penalty": GenerateBatch(model, length, seconds, ("repetition_penalty",)),
        "generate_batch, greedy": GenerateBatch(model, length, seconds, tuple(SAMPLING)),
    }
    record: dict[str, Any] = {"shape": options.shape, "tokens_an_answer": length, "ways": {}}
    for name, way in ways.items():
        try:
            found = way(prompts)
        except Exception as error:  # what a release of transformers can do changes
            print(f"{name}: {error!r}"[:600], flush=True)
            record["ways"][name] = {"error": repr(error)[:600]}
            continue
        print(f"{name}: {found['answers_per_second']:.1f} answers/s ({found})", flush=True)
        record["ways"][name] = found
        if options.json:
            options.json.write_text(json.dumps(record, indent=1) + "\n")
        if name.startswith("generate_batch"):
            break
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
