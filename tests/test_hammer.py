"""Eight callers, two hundred mixed calls each, one model: every answer has the bits that it has alone."""

import asyncio
import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ltu
from ltu.audio import Clip
from tiny import tiny_gguf

CALLERS = 8
CALLS = 200
SAMPLED = ltu.Sampling(temperature=0.8, top_k=50, top_p=0.95, repetition_penalty=1.1)
PROMPTS = ("Is [AUDIO] a bird?", "Is [AUDIO] a bus?", "What is [AUDIO]?")
CLIPS = [
    Clip(np.random.default_rng(seed).normal(0, 0.1, 8_000).astype(np.float32), f"{seed}") for seed in range(3)
]
KINDS = 12  # different calls of each sort
Call = Callable[[ltu.Model], Any]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ltu.Model]:
    path = tiny_gguf(tmp_path_factory.mktemp("hammer") / "tiny.gguf", words=("yes", "no", "bird", "it"))
    with ltu.load(path, device="cpu", threads=2) as model:
        yield model


def query(model: ltu.Model, kind: int, **settings: Any) -> ltu.Query:
    prompt, clip = PROMPTS[kind % 3], CLIPS[kind // 3 % 3]
    return model.query(prompt, clip, 1 + kind % 3, kind, SAMPLED, 6, **settings)


def generate(model: ltu.Model, kind: int) -> Any:
    return model.submit(query(model, kind)).result()


def several(model: ltu.Model, kind: int) -> Any:
    asked = (query(model, kind + more, tag=more) for more in range(3))
    return sorted(model.answers(asked), key=lambda answer: (answer.tag, answer.repeat))


def exact(model: ltu.Model, kind: int) -> Any:
    return model.answer_distribution(PROMPTS[kind % 3], CLIPS[kind % 2], "bird", node_budget=10 + kind)


def score(model: ltu.Model, kind: int) -> Any:
    return model.score(PROMPTS[kind % 3], ["yes", "no", "it"], CLIPS[kind % 3])


def encode(model: ltu.Model, kind: int) -> Any:
    return model.encode(CLIPS[kind % 3]).tobytes()


def logits(model: ltu.Model, kind: int) -> Any:
    return model.logits([1, CLIPS[kind % 3], 5 + kind]).tobytes()


def cancel(model: ltu.Model, kind: int) -> Any:
    model.submit(query(model, kind, tag="cancelled")).cancel()
    return None


def cancel_one(model: ltu.Model, kind: int) -> Any:
    ticket = model.submit(query(model, 3 * kind + 2))
    ticket.cancel(repeat=2)
    return ticket.result()[:2]


def stop_early(model: ltu.Model, kind: int) -> Any:
    answers = model.answers(query(model, n) for n in range(100))
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    return None


def break_off(model: ltu.Model, kind: int) -> Any:
    def broken() -> Iterator[ltu.Query]:
        yield query(model, kind)
        raise LookupError("in the iterable")

    with pytest.raises(LookupError):
        list(model.answers(broken()))
    return None


def too_long(model: ltu.Model, kind: int) -> Any:
    with pytest.raises(ltu.PromptError):
        model.submit(ltu.Query([5] * 10_000)).result()
    return None


SORTS = (
    generate,
    several,
    exact,
    score,
    encode,
    logits,
    cancel,
    cancel_one,
    stop_early,
    break_off,
    too_long,
)


def resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def expected(model: ltu.Model) -> dict[tuple[int, int], Any]:
    """Each call by itself, one after the other."""
    return {(sort, kind): SORTS[sort](model, kind) for sort in range(len(SORTS)) for kind in range(KINDS)}


def calls(caller: int) -> Iterator[tuple[int, int]]:
    chance = random.Random(caller)
    return ((chance.randrange(len(SORTS)), chance.randrange(KINDS)) for _ in range(CALLS))


def test_threads_hear_the_same_bits_as_alone(model: ltu.Model, expected: dict[tuple[int, int], Any]) -> None:
    wrong: list[tuple[int, int]] = []

    def caller(number: int) -> None:
        for sort, kind in calls(number):
            try:
                if SORTS[sort](model, kind) != expected[sort, kind]:
                    wrong.append((sort, kind))
            except BaseException:
                wrong.append((sort, kind))
                raise

    before, threads_before = resident_bytes(), threading.active_count()
    threads = [threading.Thread(target=caller, args=(number,)) for number in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert generate(model, 0) == expected[0, 0]
    assert resident_bytes() < before + (64 << 20)
    assert threading.active_count() == threads_before


def test_a_loop_hears_the_same_bits_as_alone(model: ltu.Model, expected: dict[tuple[int, int], Any]) -> None:
    async def caller(number: int) -> None:
        for sort, kind in calls(number):
            if SORTS[sort] is generate:
                found = await model.submit(query(model, kind))
            elif SORTS[sort] is cancel:
                task = asyncio.ensure_future(gathered(model.submit(query(model, kind))))
                await asyncio.sleep(0)
                task.cancel()
                continue
            else:
                found = await asyncio.to_thread(SORTS[sort], model, kind)
            assert found == expected[sort, kind]

    async def all_callers() -> None:
        await asyncio.gather(*(caller(number) for number in range(CALLERS)))

    asyncio.run(all_callers())


async def gathered(ticket: ltu.Ticket) -> list[ltu.Answer]:
    return await ticket
