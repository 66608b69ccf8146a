"""Exact answers, scores and early stops against enumeration, sampling and the model's own logits."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest

import ltu
from ltu import _engine
from ltu.readings import Reading, decide
from ltu.readings.rules import DECISIONS
from tiny import tiny_gguf

PROMPT = "is it a bird?"
READING = Reading("careful", "bird")
SAMPLING = ltu.Sampling(temperature=1.5, top_k=6, top_p=0.98, repetition_penalty=1.2)
TOKENS = 4
WORDS = ("yes", "no", "bird", "not", "maybe", "yeah", "nope", "nah", "does", "it", "is", "a")
SEED = 33  # of the random weights: with these, yes and no are said now and then


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ltu.Model:
    path: Path = tiny_gguf(tmp_path_factory.mktemp("exact") / "tiny.gguf", words=WORDS, seed=SEED)
    return ltu.load(path, device="cpu", threads=1)


def query(model: ltu.Model, **settings: object) -> ltu.Query:
    return ltu.Query(
        model.prompter.sequence(PROMPT), **{"sampling": SAMPLING, "max_new_tokens": TOKENS, **settings}
    )  # type: ignore[arg-type]


def text_of(model: ltu.Model, ids: Sequence[int]) -> str:
    """The text of the tokens' bytes (the decoder blanks a whole run of byte tokens that is no UTF-8).

    The space before a first word is the vocabulary's, not the text's.
    """
    table = model.prompter.token_bytes(model.info["llama.vocab_size"])
    return b"".join(table[id] for id in ids).decode(errors="replace").removeprefix(" ")


def enumerate_answers(
    model: ltu.Model, prompt: list[int], ids: tuple[int, ...] = ()
) -> Iterator[tuple[float, str]]:
    """Every answer that the sampler could give, with its probability."""
    eos = model.info["tokenizer.ggml.eos_token_id"]
    logits = model.logits([*prompt, *ids])[-1]
    for token, probability in enumerate(SAMPLING.probabilities(logits, [*prompt, *ids])):
        if probability == 0:
            continue
        longer = (*ids, token)
        if token == eos:
            yield probability, text_of(model, ids)
        elif len(longer) == TOKENS:
            yield probability, text_of(model, longer)
        else:
            for rest, text in enumerate_answers(model, prompt, longer):
                yield probability * rest, text


def exact(model: ltu.Model, **settings: object) -> ltu.Distribution:
    (answer,) = model.answers([query(model, mode="exact", reading=READING, **settings)])
    assert answer.distribution is not None
    return answer.distribution


def test_exact_answers_equal_full_enumeration(model: ltu.Model) -> None:
    expected = dict.fromkeys(DECISIONS, 0.0)
    for probability, text in enumerate_answers(model, list(model.prompter.sequence(PROMPT).ids)):
        expected[decide(text, "bird")] += probability
    found = exact(model, epsilon=1e-9, node_budget=100_000)
    assert found.undecided < 1e-9
    assert [found.yes, found.no, found.neither] == pytest.approx([expected[o] for o in DECISIONS], abs=2e-6)
    assert found.yes > 0.001
    assert found.no > 0.001


def test_whole_answers_equal_full_enumeration(model: ltu.Model) -> None:
    expected: dict[str, float] = {}
    for probability, text in enumerate_answers(model, list(model.prompter.sequence(PROMPT).ids)):
        expected[text] = expected.get(text, 0) + probability
    found = model.likely_answers(
        PROMPT, sampling=SAMPLING, max_new_tokens=TOKENS, epsilon=1e-6, node_budget=100_000
    )
    assert found.undecided < 1e-6
    printable = {text: p for text, p in found.answers if text.isascii() and text.isprintable()}
    assert len(printable) > 5
    for text, probability in printable.items():
        assert probability == pytest.approx(expected[text], abs=2e-6), text
    assert sum(p for _, p in found.answers) + found.undecided == pytest.approx(1, abs=1e-5)
    rough = model.likely_answers(PROMPT, sampling=SAMPLING, max_new_tokens=TOKENS, epsilon=0.3)
    assert rough.nodes < found.nodes
    for text, probability in rough.answers:  # never more than the truth, and short of it by what is undecided
        if text in printable:
            assert probability <= printable[text] + 1e-6
            assert printable[text] <= probability + rough.undecided + 1e-6


def test_sampled_answers_tend_to_the_exact_ones(model: ltu.Model) -> None:
    draws = 20_000
    counts = dict.fromkeys(DECISIONS, 0)
    for answer in model.answers([query(model, repeats=draws)]):
        counts[decide(text_of(model, answer.token_ids), "bird")] += 1
    found = exact(model, epsilon=1e-6, node_budget=100_000)
    for decision in DECISIONS:
        p = getattr(found, decision)
        assert abs(counts[decision] / draws - p) < 4 * math.sqrt(p * (1 - p) / draws) + 1e-6, decision


def test_an_exact_answer_does_not_depend_on_its_neighbours(model: ltu.Model) -> None:
    alone = exact(model)
    beside = [query(model, seed=seed, repeats=20) for seed in range(4)]
    mixed = [*beside[:2], query(model, mode="exact", reading=READING, tag="exact"), *beside[2:]]
    (together,) = (answer for answer in model.answers(mixed) if answer.tag == "exact")
    assert together.distribution == alone


def test_epsilon_and_the_node_budget_bound_the_walk(model: ltu.Model) -> None:
    rough, fine = exact(model, epsilon=0.2), exact(model, epsilon=0.01)
    assert rough.undecided < 0.2
    assert fine.undecided < 0.01
    assert rough.nodes < fine.nodes
    assert exact(model, epsilon=1e-9, node_budget=7).nodes == 7
    for distribution in (rough, fine):
        assert sum(astuple(distribution)[:4]) == pytest.approx(1, abs=1e-5)


def test_scores_are_the_log_likelihood_under_the_models_own_distribution(model: ltu.Model) -> None:
    texts = ["yes", "no", "not a bird", "yes yes"]
    scores = model.score(PROMPT, texts)
    prompt = list(model.prompter.sequence(PROMPT).ids)
    for text, score in zip(texts, scores, strict=True):
        ids = model.prompter.continuation(text)
        rows = model.logits([*prompt, *ids])[len(prompt) - 1 : -1].astype(np.float64)
        logprobs = rows - np.log(np.exp(rows).sum(1, keepdims=True))
        assert score == pytest.approx(sum(logprobs[np.arange(len(ids)), ids]), abs=1e-4)


def test_tempered_scores_are_what_the_sampler_draws_from(model: ltu.Model) -> None:
    answers = model.generate(PROMPT, repeats=8, sampling=SAMPLING, max_new_tokens=TOKENS)
    whole = [answer for answer in answers if answer.stop == "length"]
    continuations = tuple(answer.token_ids for answer in whole)
    scored = model.answers([query(model, mode="score", continuations=continuations)])
    for answer in scored:
        assert answer.logprob == pytest.approx(whole[answer.repeat].logprob, abs=1e-6)


def test_forced_answers_are_scores_taken_step_by_step(model: ltu.Model) -> None:
    """One step a token, and drafts that are taken save steps: benchmarks of random weights rest on it."""
    continuations = [[70 + i % 3 for i in range(12)], [71] * 12]
    sequence = model.prompter.sequence(PROMPT)
    scored = {}
    steps = {}
    for mode, width in (("score", 1), ("forced", 1), ("forced", 8)):
        engine = _engine.Engine(model.path, "cpu", 1, draft_width=width)
        sampling = SAMPLING.engine()
        for given in continuations * 2:
            score = _engine.Score([given], sampling, by_token=mode == "forced")
            engine.add(_engine.Query(sequence.ids, [], score))
            finished = []
            while not engine.idle():
                finished += engine.step()
            assert [(event.token_ids, event.stop) for event in finished] == [(given, "given")]
            scored.setdefault((mode, width), []).append(finished[0].logprob)
        steps[mode, width] = engine.description()["steps"]
    assert scored["forced", 1] == scored["forced", 8] == scored["score", 1]
    assert steps["score", 1] == 4
    assert steps["forced", 1] == 48 > 1.5 * steps["forced", 8]


def test_stopping_when_decided_never_changes_a_decision(model: ltu.Model) -> None:
    for seed in range(3):
        whole = model.answers([query(model, repeats=200, seed=seed, max_new_tokens=12)])
        full = {answer.repeat: answer for answer in whole}
        stopped = model.answers(
            [query(model, repeats=200, seed=seed, max_new_tokens=12, stop_when_decided=READING)]
        )
        early = 0
        for answer in stopped:
            longer = full[answer.repeat]
            assert decide(text_of(model, answer.token_ids), "bird") == decide(
                text_of(model, longer.token_ids), "bird"
            )
            assert longer.token_ids[: len(answer.token_ids)] == answer.token_ids
            early += answer.stop == "decided"
        assert early > 0
