"""One thread owns the engine: any number of callers ask it, and none notices the others."""

import asyncio
import itertools
import os
import queue
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ltu
from ltu.audio import Clip
from tiny import tiny_gguf

SAMPLED = ltu.Sampling(temperature=0.8, top_k=50, top_p=0.95, repetition_penalty=1.1)
PROMPT = "Is [AUDIO] a bird?"
CLIPS = [
    Clip(np.random.default_rng(seed).normal(0, 0.1, 16_000).astype(np.float32), f"{seed}")
    for seed in range(3)
]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf(tmp_path_factory.mktemp("submit") / "tiny.gguf", words=("yes", "no", "bird", "it"))


@pytest.fixture(scope="module")
def model(path: Path) -> Iterator[ltu.Model]:
    with ltu.load(path, device="cpu", threads=1) as model:
        yield model


def ask(model: ltu.Model, **settings: object) -> ltu.Query:
    chosen = {"sampling": SAMPLED, "max_new_tokens": 12, "repeats": 3, **settings}
    return model.query(PROMPT, CLIPS[0], **chosen)  # type: ignore[arg-type]


def long_query(model: ltu.Model) -> ltu.Query:
    """An answer that goes on until somebody ends it: the first token is never EOS for ever."""
    return ask(model, repeats=64, max_new_tokens=900, sampling=ltu.Sampling(temperature=50.0))


def test_a_ticket_gives_tokens_as_they_come_and_answers_as_they_finish(model: ltu.Model) -> None:
    expected = model.generate(PROMPT, CLIPS[0], 3, 0, SAMPLED, 12)
    ticket = model.submit(ask(model))
    tokens = list(ticket.tokens())
    assert ticket.result() == expected
    assert sorted(ticket.answers(), key=lambda answer: answer.repeat) == expected
    for answer in expected:
        own = [token for token in tokens if token.repeat == answer.repeat]
        assert tuple(token.id for token in own if token.id >= 0) == answer.token_ids
        assert "".join(token.text for token in own) == answer.text


def test_tickets_can_be_awaited_and_iterated_by_a_loop(model: ltu.Model) -> None:
    expected = model.generate(PROMPT, CLIPS[0], 3, 0, SAMPLED, 12)

    async def run() -> None:
        tickets = [model.submit(ask(model)) for _ in range(5)]
        for answers in await asyncio.gather(*tickets):
            assert answers == expected
        ids = [token.id async for token in model.submit(ask(model, repeats=1)) if token.id >= 0]
        assert tuple(ids) == expected[0].token_ids
        with pytest.raises(ltu.PromptError):
            await model.submit(ltu.Query([5] * (model.info["llama.context_length"] + 1)))
        slow = asyncio.ensure_future(_awaited(model.submit(long_query(model))))
        await asyncio.sleep(0.01)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow

    asyncio.run(run())
    assert model.description()["kv_cells_taken"] < 1000  # the cancelled one has given its cells back


async def _awaited(ticket: ltu.Ticket) -> list[ltu.Answer]:
    return await ticket


def test_one_repeat_or_the_whole_query_is_cancelled(model: ltu.Model) -> None:
    expected = model.generate(PROMPT, CLIPS[0], 3, 0, SAMPLED, 12)
    ticket = model.submit(ask(model))
    ticket.cancel(repeat=1)
    answers = ticket.result()
    assert [answers[0], answers[2]] == [expected[0], expected[2]]
    assert answers[1] == expected[1] or answers[1].stop == "cancelled"
    whole = model.submit(long_query(model))
    whole.cancel()
    assert {answer.stop for answer in whole.result()} <= {"cancelled", "eos"}


def test_answer_k_by_itself_is_answer_k_of_many(model: ltu.Model) -> None:
    many = model.submit(ask(model, repeats=6)).result()
    for k in (0, 2, 5):
        [alone] = model.submit(ask(model, repeats=1, first_repeat=k)).result()
        assert alone == many[k]


def test_an_iterable_that_blocks_delays_nothing_that_is_asked(model: ltu.Model) -> None:
    asked: queue.Queue[ltu.Query | None] = queue.Queue()
    asked.put(ask(model, repeats=1, tag="first"))
    answers = model.answers(iter(asked.get, None))
    assert next(answers).tag == "first"  # the queue is empty, and open
    asked.put(ask(model, repeats=1, tag="second"))
    assert next(answers).tag == "second"
    asked.put(None)
    assert list(answers) == []


def test_what_an_iterable_raises_reaches_the_caller(model: ltu.Model) -> None:
    def broken() -> Iterator[ltu.Query]:
        yield ask(model)
        raise ZeroDivisionError("in the iterable")

    with pytest.raises(ZeroDivisionError, match="in the iterable"):
        list(model.answers(broken()))
    assert model.generate(PROMPT, CLIPS[0], max_new_tokens=2)


def test_logprobs_are_those_of_the_logits(model: ltu.Model) -> None:
    [answer] = model.submit(ask(model, repeats=1, logprobs=3)).result()
    items: list[int | Clip] = []
    sequence = model.prompter.sequence(PROMPT, CLIPS[:1])
    clips = iter(sequence.clips)
    items = [next(clips) if id < 0 else id for id in sequence.ids]
    history = list(sequence.ids)
    assert len(answer.logprobs) == len(answer.token_ids)
    for token, found in zip(answer.token_ids, answer.logprobs, strict=True):
        logits = model.logits(items)[-1].astype(np.float64)
        raw = logits - np.logaddexp.reduce(logits)
        drawn = SAMPLED.probabilities(logits.astype(np.float32), history)
        assert found.raw == pytest.approx(raw[token], abs=1e-5)
        assert found.drawn == pytest.approx(np.log(drawn[token]), abs=1e-5)
        assert [id for id, _ in found.best_raw] == list(np.argsort(-raw, kind="stable")[:3])
        assert [p for _, p in found.best_raw] == pytest.approx(np.sort(raw)[::-1][:3], abs=1e-5)
        best = np.sort(drawn)[::-1][: min(3, np.count_nonzero(drawn))]  # of what can be drawn
        assert [p for _, p in found.best_drawn] == pytest.approx(np.log(best), abs=1e-5)
        items.append(token)
        history.append(token)


def test_a_score_can_include_the_end_of_the_answer(model: ltu.Model) -> None:
    sequence: list[int | Clip] = [1, CLIPS[0], 5, 6]
    given = ((7, 8), (9,), ())
    answers = model.submit(ltu.Query(sequence, mode=ltu.Score(given, end=True))).result()
    for ids, answer in zip(given, answers, strict=True):
        logits = model.logits([*sequence, *ids])[-1 - len(ids) :].astype(np.float64)
        logprobs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        whole = [*ids, model.info["tokenizer.ggml.eos_token_id"]]
        assert answer.token_ids == ids
        assert answer.logprob == pytest.approx(logprobs[range(len(whole)), whole].sum(), abs=1e-4)


def test_the_exact_probability_of_each_of_several_options(model: ltu.Model) -> None:
    """Against the sum over whole answers, each read by Python's `re`."""
    options = ltu.Options(("yes", "no", "bird", "it is"))
    settings = {"sampling": ltu.Sampling(temperature=1.0, top_k=12), "max_new_tokens": 2}
    [answer] = model.submit(model.query(PROMPT, CLIPS[0], mode=ltu.Exact(options, 1e-6), **settings)).result()
    assert answer.decisions is not None
    probabilities = dict(answer.decisions.probabilities)
    assert list(probabilities) == ["yes", "no", "bird", "it is", "none"]
    likely = model.likely_answers(PROMPT, CLIPS[0], epsilon=1e-6, **settings)
    for decision, probability in probabilities.items():
        same = sum(part for text, part in likely.answers if options.decide(text) == decision)
        assert probability == pytest.approx(same, abs=1e-5)
    assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_what_a_prompt_finds_in_the_tree_is_told(path: Path) -> None:
    with ltu.load(path, device="cpu", threads=1) as model:
        [first] = model.generate(PROMPT, CLIPS[0], max_new_tokens=1)
        [again] = model.generate(PROMPT, CLIPS[0], max_new_tokens=1)
        [other] = model.generate(PROMPT, CLIPS[1], max_new_tokens=1)
        assert first.found == 0
        assert again.found == len(model.prompter.sequence(PROMPT, CLIPS[:1]).ids) + 31
        assert 0 < other.found < again.found - 32


@pytest.mark.parametrize("under_way", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_the_size_of_steps_changes_no_bit(path: Path, model: ltu.Model, seed: int, under_way: int) -> None:
    """Prompts in random pieces, few or many answers a step, in random company; some of it goes away."""
    from ltu import _engine
    from ltu.model import Model

    random = np.random.default_rng(seed)
    exact = ltu.Exact(ltu.Reading("careful", "bird"), node_budget=40)
    asked = [
        model.query(
            PROMPT, CLIPS[n % 3], 1 + n % 3, n, SAMPLED, 9, mode=exact if n % 4 == 3 else "sample", tag=n
        )
        for n in range(12)
    ]
    expected = {(a.tag, a.repeat): a for query in asked for a in model.answers([query])}
    sizes = {"step_answers": int(random.integers(1, 9)), "step_prompt_positions": int(random.integers(1, 40))}
    sizes["steps_under_way"] = under_way
    with Model(_engine.Engine(str(path), "cpu", 1, **sizes), str(path)) as other:
        order = [asked[n] for n in random.permutation(len(asked))]
        tickets = [other.submit(query, caller=int(random.integers(3))) for query in order]
        company = [other.submit(long_query(other), caller=int(random.integers(3))) for _ in range(3)]
        for ticket in company:
            time.sleep(random.uniform(0, 0.02))
            ticket.cancel()
        for ticket in tickets:
            for answer in ticket.result():
                assert answer == expected[answer.tag, answer.repeat]


@pytest.mark.parametrize("interrupted", [False, True])
@pytest.mark.parametrize("step_answers", [3, 5])
def test_repeats_that_part_beside_a_step_under_way(
    path: Path, model: ltu.Model, step_answers: int, interrupted: bool
) -> None:
    """Answers of a query that don't fit into one step say the same at different times: a token that is drawn
    may stand in the tree already, in a row of a step that is gone when it is read."""
    from ltu import _engine
    from ltu.model import Model

    alike = ltu.Sampling(temperature=0.3, top_k=3)
    asked = [model.query(PROMPT, CLIPS[n], 7, n, alike, 12, tag=n) for n in range(3)]
    expected = {(a.tag, a.repeat): a for query in asked for a in model.answers([query])}
    sizes = {"step_answers": step_answers, "steps_under_way": 2, "draft_width": 1}
    engine, stop = _engine.Engine(str(path), "cpu", 1, **sizes), threading.Event()

    def interrupt() -> None:
        while not stop.wait(0.003):
            engine.interrupt()

    thread = threading.Thread(target=interrupt)
    with Model(engine, str(path)) as other:
        if interrupted:
            thread.start()
        try:
            for answer in other.answers(asked):
                assert answer == expected[answer.tag, answer.repeat]
        finally:
            stop.set()
        if interrupted:
            thread.join()


def test_a_broken_query_fails_alone(model: ltu.Model) -> None:
    """Embeddings that are no numbers concern the query about them, not those beside it."""
    from ltu import _engine

    engine = model._engine
    embeddings = np.full((32, model.width), np.nan, np.float32)
    good, bad = [1, 5, 6, 7], [1, -1, 5]
    sampling = SAMPLED.engine()
    engine.add(_engine.Query(good, [], _engine.Sample(sampling, 2), 0, 5))
    alone = []
    while not engine.idle():
        alone += [(e.repeat, e.token_ids, e.stop) for e in engine.step()]
    ids = [
        engine.add(_engine.Query(good, [], _engine.Sample(sampling, 2), 0, 5)),
        engine.add(_engine.Query(bad, [(bytes(32), embeddings)], _engine.Sample(sampling, 2), 0, 5)),
        engine.add(_engine.Query(bad, [(bytes(32), embeddings)], _engine.Exact(sampling), 0, 5)),
    ]
    events = []
    while not engine.idle():
        events += engine.step()
    beside = [(e.repeat, e.token_ids, e.stop) for e in events if e.query == ids[0]]
    assert sorted(beside) == sorted(alone)  # repeats end in any order
    failed = {e.query: e.stop for e in events if e.kind == "failed"}
    assert set(failed) == set(ids[1:])
    assert all("NaN" in why for why in failed.values())


def test_an_interrupt_loses_time_and_no_answer(model: ltu.Model) -> None:
    expected = model.generate(PROMPT, CLIPS[0], 3, 0, SAMPLED, 12)
    stop = threading.Event()

    def interrupt() -> None:
        while not stop.wait(0.002):
            model._engine.interrupt()

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        for _ in range(5):
            assert model.generate(PROMPT, CLIPS[0], 3, 0, SAMPLED, 12) == expected
            assert model.encode(CLIPS[1]).shape == (32, model.width)
    finally:
        stop.set()
        thread.join()


def test_a_closed_model_says_so(path: Path) -> None:
    model = ltu.load(path, device="cpu", threads=1)
    waiting = model.submit(long_query(model))
    model.close()
    model.close()
    with pytest.raises(ltu.Error, match="closed"):
        waiting.result()
    for use in (
        lambda: model.generate("a"),
        lambda: model.encode(CLIPS[0]),
        lambda: list(model.answers([ask(model)])),
    ):
        with pytest.raises(ltu.Error, match="closed"):
            use()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_the_child_of_a_fork_gets_one_clear_error(path: Path) -> None:
    assert (
        run(
            path,
            """
        model.generate("Is it a bird?", max_new_tokens=2)
        child = os.fork()
        try:
            model.generate("Is it a bird?")
        except ltu.Error as error:
            assert child == 0 and "fork" in str(error), error
            sys.exit(7)
        assert os.waitpid(child, 0)[1] == 7 << 8
        print("parent goes on")
        """,
        )
        == "parent goes on"
    )


@pytest.mark.parametrize("how", ["pass", "sys.exit(0)", "next(model.answers(iter(lambda: query, None)))"])
def test_the_interpreter_can_exit_at_any_time(path: Path, how: str) -> None:
    script = f"""
        query = model.query("Is it a bird?", repeats=64, max_new_tokens=900, temperature=50.0)
        tickets = [model.submit(query) for _ in range(4)]
        reader = threading.Thread(target=lambda: list(tickets[0].tokens()), daemon=True)
        reader.start()
        print("leaving", flush=True)
        {how}
        """
    assert run(path, script) == "leaving"


def run(path: Path, script: str) -> str:
    """What a process of its own prints; it ends well, and in time."""
    start = f"import os, sys, threading, ltu\nmodel = ltu.load({str(path)!r}, device='cpu', threads=1)\n"
    result = subprocess.run(
        [sys.executable, "-c", start + textwrap.dedent(script)], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout.strip()


def test_answers_of_many_threads_are_those_of_one(model: ltu.Model) -> None:
    expected = [model.generate(PROMPT, CLIPS[n % 3], 2, n, SAMPLED, 9) for n in range(6)]
    found: dict[int, list[ltu.Answer]] = {}

    def one(n: int) -> None:
        found[n] = model.generate(PROMPT, CLIPS[n % 3], 2, n, SAMPLED, 9)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[n] for n in range(6)] == expected


def test_queries_take_lists_and_keywords_and_say_what_is_wrong(model: ltu.Model) -> None:
    [answer] = model.submit(ltu.Query([1, CLIPS[0], 5, 6], sampling=SAMPLED, max_new_tokens=3)).result()
    assert list(answer.token_ids) == model.generate_ids([1, CLIPS[0], 5, 6], 1, 0, SAMPLED, 3)[0]
    greedy = model.generate(PROMPT, CLIPS[0], temperature=0, max_new_tokens=5)
    file = model.sampling
    same = ltu.Sampling(0, file.top_k, file.top_p, file.repetition_penalty)
    assert greedy == model.generate(PROMPT, CLIPS[0], sampling=same, max_new_tokens=5)
    for settings, word in (
        ({"mode": "sampled"}, "unknown mode"),
        ({"mode": "exact", "logprobs": 3}, "no logprobs"),
        ({"mode": ltu.Exact(), "epsilon": 0.1}, "epsilon"),
        ({"epsilon": 0.1}, "no epsilon"),
        ({"mode": "score"}, "continuation"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": 1e-38}, "temperature"),
    ):
        with pytest.raises(ltu.Error, match=word):
            model.query(PROMPT, CLIPS[0], **settings)  # type: ignore[arg-type]
    assert "Model(" in repr(model)
    assert "<code>" in model._repr_html_()
    assert answer.stop in repr(answer)


def test_memory_stays_flat_over_many_queries(path: Path) -> None:
    with ltu.load(path, device="cpu", threads=1) as model:
        cells = []
        for n in range(30):
            queries = (ask(model, seed=seed) for seed in range(n * 10, n * 10 + 10))
            assert sum(1 for _ in itertools.islice(model.answers(queries), 25)) == 25
            cells.append(model.description()["kv_cells_taken"])
        assert len(set(cells[5:])) == 1
