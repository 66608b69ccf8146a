"""Whoever answers a sweep: Hugging Face, llama.cpp in two ways, vLLM, and this engine in seven.

A peer takes the same work: prompts about clips as token ids (-1 where a clip's 32 embeddings stand), each to
be answered `REPEATS` times under LTU's sampling. It returns how many positions it computed and what was said.
Models with random weights say nothing: for them the work holds what is to be said, and a peer samples as ever
and takes the given token instead of the drawn one.
"""

import ctypes
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby, islice, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig

from ltu import _engine
from ltu.defaults import SAMPLING
from machine import available_bytes, has_bfloat16
from shapes import SHAPES, llama_sizes

REPEATS = 4
MAX_NEW_TOKENS = 32
SEQUENCES = 64  # that llama.cpp keeps at once

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Question:
    clip: int
    ids: tuple[int, ...]  # -1: the clip


@dataclass(frozen=True)
class Work:
    embeddings: list[Float32]  # [32, width] of each clip; no peer encodes
    questions: list[Question]  # all about one clip together
    eos: int
    forced: list[list[int]] | None = None  # ids of each question's repeats, one after another


@dataclass
class Done:
    positions: int = 0
    answers: list[list[int]] | None = None  # ids of each question's repeats, one after another


class HuggingFace:
    """The original way: `generate` on input embeddings, one prompt at a time."""

    def __init__(self, load: Callable[[torch.dtype], Any], bfloat16: bool, batched: bool) -> None:
        torch.set_num_threads(2)
        self.llama = load(torch.bfloat16 if bfloat16 else torch.float32).eval()
        self.batched = batched

    def __call__(self, work: Work) -> Done:
        done = Done(answers=[])
        together = REPEATS if self.batched else 1
        forced = iter(work.forced or [])
        embed = self.llama.get_input_embeddings()
        with torch.inference_mode():
            for question in work.questions:
                audio = torch.from_numpy(work.embeddings[question.clip]).to(embed.weight.dtype)
                parts = [audio if id < 0 else embed(torch.tensor([id])) for id in question.ids]
                inputs = torch.cat(parts)[None]
                for _ in range(REPEATS // together):
                    rows = list(islice(forced, together))
                    ids = self.llama.generate(
                        inputs_embeds=inputs,
                        attention_mask=torch.ones(inputs.shape[:2], dtype=torch.int64),
                        do_sample=True,
                        **asdict(SAMPLING),
                        max_new_tokens=MAX_NEW_TOKENS,
                        num_return_sequences=together,
                        eos_token_id=work.eos,
                        pad_token_id=work.eos,
                        logits_processor=[Forced(rows, work.eos)] if rows else None,
                    )
                    for row in ids.tolist():
                        done.answers.append(list(takewhile(lambda id: id != work.eos, row)))
                        done.positions += inputs.shape[1] + len(done.answers[-1])
        return done


class Forced:
    """Leaves one token at each step of `generate`: each row's next one, then EOS."""

    def __init__(self, rows: list[list[int]], eos: int) -> None:
        self.rows, self.eos = rows, eos

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        step = ids.shape[1]
        next_ids = torch.tensor([(row[step] if step < len(row) else self.eos) for row in self.rows])
        return torch.full_like(scores, -torch.inf).scatter(1, next_ids[:, None], 0)


def load_demo(base: Path, checkpoint: Path, dtype: torch.dtype) -> Any:
    """The demo's language model with LoRA folded in."""
    from ltu.training.config import read_config
    from ltu.training.model.base import load_base
    from ltu.training.model.ltu import LTU
    from ltu.training.run.checkpoint import load_checkpoint

    config = read_config(Path(__file__).parent.parent / "training" / "configs" / "demo.toml")
    model = LTU(load_base(base).model, config.encoder, config.lora)
    load_checkpoint(checkpoint, model)
    return model.llama.merge_and_unload().to(dtype)  # type: ignore[operator]


def load_random(shape: str, dtype: torch.dtype) -> Any:
    """Raises RuntimeError where it does not fit beside what else runs."""
    from transformers import AutoModelForCausalLM

    width, feed_forward, blocks, heads, kv_heads, vocabulary = SHAPES[shape]
    head = width // heads
    block = width * head * 2 * (heads + kv_heads) + 3 * width * feed_forward
    needed = (blocks * block + 2 * vocabulary * width) * dtype.itemsize
    free = available_bytes()
    if needed > 0.9 * free:
        raise RuntimeError(f"needs {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free")
    return AutoModelForCausalLM.from_config(LlamaConfig(**llama_sizes(shape)), dtype=dtype)


class LlamaCpp:
    """llama.cpp with sequence copies for the repeats; `expert`: also for what questions share."""

    def __init__(self, gguf: Path, expert: bool) -> None:
        import llama_cpp

        self.c, self.expert = llama_cpp, expert
        self.model = llama_cpp.Llama(str(gguf), n_ctx=64, n_threads=2, n_threads_batch=2, verbose=False)
        # A context of its own: the high-level class makes one for a single sequence.
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_seq_max = (8192, SEQUENCES) if expert else (2048, REPEATS + 1)
        params.n_batch, params.n_ubatch, params.kv_unified = 2048, 512, True
        params.n_threads = params.n_threads_batch = 2
        self.context = llama_cpp.llama_init_from_model(self.model.model, params)
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.width = llama_cpp.llama_model_n_embd(self.model.model)
        self.vocabulary = self.model.n_vocab()

    def __call__(self, work: Work) -> Done:
        done = Done(answers=[])
        size = SEQUENCES // REPEATS - 1 if self.expert else 1
        for _, group in groupby(work.questions, lambda question: question.clip):
            about = list(group)
            about.sort(key=lambda question: question.ids.index(-1))
            for _, alike in groupby(about, lambda question: question.ids[: question.ids.index(-1) + 1]):
                questions = list(alike)
                for start in range(0, len(questions), size):
                    self._answer(questions[start : start + size], work, done)
        return done

    def _answer(self, questions: Sequence[Question], work: Work, done: Done) -> None:
        """Questions whose ids are alike up to the clip, or a single one."""
        c = self.c
        c.llama_memory_clear(self.memory, True)
        first = questions[0].ids
        shared = len(first) if len(questions) == 1 else first.index(-1) + 1
        base = SEQUENCES - 1 if self.expert else REPEATS  # the sequence that is copied from
        end = 0
        for is_audio, run in groupby(first[:shared], lambda id: id < 0):
            ids = list(run)
            if is_audio:
                end = self._decode(work.embeddings[questions[0].clip], end, [base], done)
            else:
                end = self._decode(ids, end, [base], done)
        rows: list[tuple[int, int]] = []  # (sequence, index of its logits)
        if len(questions) == 1:
            rows = [(repeat, -1) for repeat in range(REPEATS)]
            for sequence, _ in rows:
                c.llama_memory_seq_cp(self.memory, base, sequence, -1, -1)
            ends = [end] * REPEATS
        else:
            sequences = [list(range(q * REPEATS, (q + 1) * REPEATS)) for q in range(len(questions))]
            for each in sequences:
                for sequence in each:
                    c.llama_memory_seq_cp(self.memory, base, sequence, -1, -1)
            suffixes = [question.ids[shared:] for question in questions]
            tokens = [
                (id, end + i, sequences[q]) for q, ids in enumerate(suffixes) for i, id in enumerate(ids)
            ]
            lasts = np.cumsum([len(ids) for ids in suffixes]) - 1
            self._batch(tokens, set(lasts.tolist()), done)
            rows = [(s, int(lasts[q])) for q, each in enumerate(sequences) for s in each]
            ends = [end + len(suffixes[q]) for q, each in enumerate(sequences) for _ in each]
        given: list[list[int]] = []
        if work.forced:
            firsts = [work.questions.index(question) * REPEATS for question in questions]
            given = [answer for first in firsts for answer in work.forced[first : first + REPEATS]]
        chains = [self._chain(questions[s // REPEATS].ids, seed) for seed, (s, _) in enumerate(rows)]
        answers: list[list[int]] = [[] for _ in rows]
        while rows:
            step: list[tuple[int, int, list[int]]] = []
            live: list[tuple[int, int]] = []
            for sequence, row in rows:
                token = c.llama_sampler_sample(chains[sequence], self.context, row)
                if given:
                    said = len(answers[sequence])
                    token = given[sequence][said] if said < len(given[sequence]) else work.eos
                if token == work.eos:
                    continue
                answers[sequence].append(token)
                if len(answers[sequence]) < MAX_NEW_TOKENS:
                    live.append((sequence, len(step)))
                    step.append((token, ends[sequence], [sequence]))
                    ends[sequence] += 1
            if step:
                self._batch(step, set(range(len(step))), done)
            rows = live
        for chain in chains:
            c.llama_sampler_free(chain)
        assert done.answers is not None
        done.answers += answers

    def _decode(self, what: Sequence[int] | Float32, start: int, sequences: list[int], done: Done) -> int:
        """Token ids or embeddings after `start` positions → the new end; the last one has logits."""
        if isinstance(what, np.ndarray):
            batch = self.c.llama_batch_init(len(what), self.width, 1)
            ctypes.memmove(batch.embd, np.ascontiguousarray(what, np.float32).ctypes.data, what.nbytes)
            self._fill(batch, [(0, start + i, sequences) for i in range(len(what))], {len(what) - 1})
            self._run(batch, done)
        else:
            self._batch([(id, start + i, sequences) for i, id in enumerate(what)], {len(what) - 1}, done)
        return start + len(what)

    def _batch(self, tokens: Sequence[tuple[int, int, list[int]]], wanted: set[int], done: Done) -> None:
        batch = self.c.llama_batch_init(len(tokens), 0, REPEATS)
        for i, (id, _, _) in enumerate(tokens):
            batch.token[i] = id
        self._fill(batch, tokens, wanted)
        self._run(batch, done)

    def _fill(self, batch: object, tokens: Sequence[tuple[int, int, list[int]]], wanted: set[int]) -> None:
        batch.n_tokens = len(tokens)  # type: ignore[attr-defined]
        for i, (_, position, sequences) in enumerate(tokens):
            batch.pos[i], batch.n_seq_id[i] = position, len(sequences)  # type: ignore[attr-defined]
            batch.logits[i] = i in wanted  # type: ignore[attr-defined]
            for place, sequence in enumerate(sequences):
                batch.seq_id[i][place] = sequence  # type: ignore[attr-defined]

    def _run(self, batch: object, done: Done) -> None:
        done.positions += batch.n_tokens  # type: ignore[attr-defined]
        if self.c.llama_decode(self.context, batch):
            raise RuntimeError("llama.cpp could not decode a batch")
        self.c.llama_batch_free(batch)

    def _chain(self, prompt: Sequence[int], seed: int) -> object:
        c = self.c
        chain = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
        for sampler in (
            c.llama_sampler_init_penalties(self.vocabulary, 1024, SAMPLING.repetition_penalty, 0.0, 0.0),
            c.llama_sampler_init_temp(SAMPLING.temperature),
            c.llama_sampler_init_top_k(SAMPLING.top_k),
            c.llama_sampler_init_top_p(SAMPLING.top_p, 1),
            c.llama_sampler_init_dist(seed),
        ):
            c.llama_sampler_chain_add(chain, sampler)
        for id in prompt:
            if id >= 0:
                c.llama_sampler_accept(chain, id)
        return chain


class Vllm:
    """vLLM in the Python that LTU_VLLM_PYTHON names: all questions at once, as prompt embeddings."""

    def __init__(self, load: Callable[[torch.dtype], Any]) -> None:
        llama = load(torch.float32)
        self.embed = llama.get_input_embeddings()
        self.folder = tempfile.TemporaryDirectory()
        plain = LlamaConfig.from_dict({**llama.config.to_dict(), "quantization_config": None})
        plain.architectures = ["LlamaForCausalLM"]
        plain.save_pretrained(self.folder.name)
        weights = {name: tensor.clone() for name, tensor in llama.state_dict().items()}  # tied ones, too
        save_file(weights, f"{self.folder.name}/model.safetensors", metadata={"format": "pt"})
        options = {
            "dtype": "bfloat16" if has_bfloat16() else "float32",
            "n": REPEATS,
            **asdict(SAMPLING),
            "max_tokens": MAX_NEW_TOKENS,
            "stop_token_ids": [llama.config.eos_token_id],
        }
        program = Path(__file__).with_name("sweep_vllm.py")
        command = [os.environ["LTU_VLLM_PYTHON"], program, self.folder.name, json.dumps(options)]
        environment = {"VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "2", **os.environ}  # GB
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)

    def __call__(self, work: Work) -> Done:
        if work.forced:
            raise RuntimeError("says what it draws; answers can't be given to it")
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        prompts = f"{self.folder.name}/prompts.pt"
        with torch.inference_mode():
            torch.save([self._embeddings(question, work).clone() for question in work.questions], prompts)
        print(prompts, file=self.process.stdin, flush=True)
        rows = json.loads(self.process.stdout.readline())
        return Done(answers=[list(takewhile(lambda id: id != work.eos, row)) for row in rows])

    def _embeddings(self, question: Question, work: Work) -> torch.Tensor:
        audio = torch.from_numpy(work.embeddings[question.clip])
        return torch.cat([audio if id < 0 else self.embed(torch.tensor([id])) for id in question.ids])


class Ours:
    """This engine. `mode`: "sample", "decided" (answers end when their decision is known) or "exact"."""

    def __init__(
        self,
        gguf: Path,
        mode: str = "sample",
        tree: bool = True,
        draft_width: int = 1,
        repeats: int = REPEATS,
        batch_invariant: bool = False,
    ) -> None:
        from ltu.readings import Reading

        self.engine = _engine.Engine(str(gguf), "cpu", 2, 0, tree, draft_width, batch_invariant)
        self.mode, self.repeats = mode, repeats
        self.most: int = self.engine.description()["step_answers"]
        self.sampling = SAMPLING.engine()
        self.reading = None if mode == "sample" else Reading("careful").automaton()
        if self.reading:
            from ltu.model import load

            prompter = load(gguf).prompter
            self.engine.set_token_bytes(prompter.token_bytes(self.engine.metadata()["llama.vocab_size"]))

    def __call__(self, work: Work) -> Done:
        before = self._computed()
        said: dict[tuple[int, int], list[int]] = {}
        questions = enumerate(work.questions)
        waiting, asked = True, 0  # answers that are on their way
        while waiting or not self.engine.idle():
            while waiting and asked < self.most:
                index, question = next(questions, (-1, None))
                if question is None:
                    waiting = False
                    break
                hash = question.clip.to_bytes(32, "big")
                clips = [(hash, work.embeddings[question.clip])]
                given = (work.forced or [])[index * REPEATS : index * REPEATS + self.repeats]
                how = (self._mode(given), index, MAX_NEW_TOKENS)
                self.engine.add(_engine.Query(list(question.ids), clips, *how))
                asked += 1 if self.mode == "exact" else self.repeats
            for event in self.engine.step():
                said[event.query, event.repeat] = event.token_ids
                asked -= 1
        return Done(self._computed() - before, [said[key] for key in sorted(said)])

    def _mode(self, given: list[list[int]]) -> Any:
        """Of a question; `given`: what its repeats answer, for models of random weights."""
        if given:
            return _engine.Score(given, self.sampling, end=True, by_token=True)
        if self.mode == "exact":
            return _engine.Exact(self.sampling, self.reading)
        return _engine.Sample(self.sampling, self.repeats, stop_when_decided=self.reading)

    def _computed(self) -> int:
        d = self.engine.description()
        return int(d["prompt_positions"] + d["answer_positions"] + d["draft_positions"])


def peers(
    load: Callable[[torch.dtype], Any], gguf: Path, llama: Path, forced: bool
) -> dict[str, Callable[[], Callable[[Work], Done]]]:
    """Each by its name, made when it is called.

    load: gives Hugging Face's model. forced: answers are given, and end where they were decided.
    """
    return {
        "hf-float32": lambda: HuggingFace(load, bfloat16=False, batched=False),
        "hf-bfloat16": lambda: HuggingFace(load, bfloat16=True, batched=False),
        "hf-batched": lambda: HuggingFace(load, bfloat16=has_bfloat16(), batched=True),
        "llama.cpp-repeats": lambda: LlamaCpp(llama, expert=False),
        "llama.cpp-expert": lambda: LlamaCpp(llama, expert=True),
        "vllm": lambda: Vllm(load),
        "ours-no-tree": lambda: Ours(gguf, tree=False),
        "ours-tree": lambda: Ours(gguf),
        "ours-drafts": lambda: Ours(gguf, draft_width=0),
        "ours-decided": lambda: Ours(gguf, mode="sample" if forced else "decided"),
        "ours-exact": lambda: Ours(gguf, mode="exact"),
        "ours-one-repeat": lambda: Ours(gguf, repeats=1),
        "ours-batch-invariant": lambda: Ours(gguf, batch_invariant=True),
    }
