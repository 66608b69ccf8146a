"""The token tree: what it saves is computed once, and nothing that it does changes an answer by a bit."""

import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2_contingency

import ltu
from ltu.audio import Clip
from ltu.readings import Reading
from tiny import tiny_gguf

SAMPLING = ltu.Sampling(temperature=0.7, top_k=20, top_p=0.95, repetition_penalty=1.1)
NARROW = ltu.Sampling(temperature=0.05, top_k=20)
WORDS = ("yes", "no", "bird", "not", "maybe", "it", "is", "a")
PROMPTS = ("Is [AUDIO] a bird?", "Is [AUDIO] a bus?", "Is [AUDIO] similar to a dog?", "What is [AUDIO]?")
CLIPS = [
    Clip(np.random.default_rng(seed).normal(0, 0.1, 16_000).astype(np.float32), f"{seed:064x}")
    for seed in range(3)
]
AUDIO_POSITIONS = 32
Rows = dict[tuple[int, int], object]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf(tmp_path_factory.mktemp("tree") / "tiny.gguf", words=WORDS, outtype="q8_0")


def load(path: Path, **options: object) -> ltu.Model:
    return ltu.load(path, device="cpu", threads=1, **options)  # type: ignore[arg-type]


def queries(model: ltu.Model, tokens: int = 12) -> list[ltu.Query]:
    """Four repeats of every prompt about every clip, and of every fourth the exact answer."""
    asked = []
    for number, (clip, prompt) in enumerate((clip, prompt) for clip in CLIPS for prompt in PROMPTS):
        sequence = model.prompter.sequence(prompt, [clip])
        sampling = NARROW if number % 2 else SAMPLING
        asked.append(ltu.Query(sequence, 4, number, sampling, tokens, tag=number))
        if number % 4 == 0:
            reading = Reading("careful", "bird")
            asked.append(
                ltu.Query(
                    sequence,
                    sampling=SAMPLING,
                    max_new_tokens=tokens,
                    mode="exact",
                    reading=reading,
                    node_budget=30,
                    tag=-1 - number,
                )
            )
    return asked


def rows(answers: Iterable[ltu.Answer]) -> Rows:
    return {(a.tag, a.repeat): (a.token_ids, a.logprob, a.stop, a.distribution) for a in answers}


@pytest.fixture(scope="module")
def expected(path: Path) -> Rows:
    """Each query alone, without tree and drafts."""
    model = load(path, tree=False, draft_width=1)
    return {key: row for query in queries(model) for key, row in rows(model.answers([query])).items()}


def test_tree_and_drafts_change_no_answer(path: Path, expected: Rows) -> None:
    computed = {}
    for tree in (False, True):
        for width in (1, 8, 200):
            model = load(path, tree=tree, draft_width=width)
            for _ in range(2):  # the second time drafts come from earlier answers
                assert rows(model.answers(queries(model))) == expected
            about = model.description()
            computed[tree, width] = about["prompt_positions"]
            assert (about["taken_drafts"] > 0) == (width == 200)
    assert computed[True, 1] < computed[False, 1] / 4


def test_drafts_save_steps_and_change_no_answer(path: Path) -> None:
    """One stream of answers that resemble each other."""
    steps, answers = {}, {}
    for width in (1, 8):
        model = load(path, draft_width=width)
        sequence = model.prompter.sequence(PROMPTS[0], [CLIPS[0]])
        asked = [ltu.Query(sequence, 1, seed, NARROW, 28, tag=seed) for seed in range(6)]
        answers[width] = [rows(model.answers([query])) for query in asked]
        steps[width] = model.description()["steps"]
    assert answers[8] == answers[1]
    assert steps[8] < steps[1] / 1.5


@pytest.mark.parametrize("seed", range(3))
def test_order_and_batches_change_no_answer(path: Path, expected: Rows, seed: int) -> None:
    model, shuffle = load(path), random.Random(seed)
    asked = shuffle.sample(queries(model), len(queries(model)))
    found: Rows = {}
    while asked:
        size = shuffle.randrange(1, 6)
        found |= rows(model.answers(asked[:size]))
        del asked[:size]
    assert found == expected


def test_an_interrupted_sweep_goes_on_to_the_same_answers(path: Path, expected: Rows) -> None:
    model = load(path)
    found: Rows = {}
    for answer in model.answers(queries(model)):
        found |= rows([answer])
        if len(found) == 10:
            break
    done = {tag for tag, _ in found if sum(t == tag for t, _ in found) == (4 if tag >= 0 else 1)}
    again = rows(model.answers(query for query in queries(model) if query.tag not in done))
    assert {key: row for key, row in found.items() if key[0] in done} | again == expected


@pytest.mark.parametrize("share", [1.1, 2.5])
def test_a_small_cache_changes_no_answer(path: Path, share: float) -> None:
    """Exact answers included, which begin again when they lose their cells."""
    model = load(path)
    asked = queries(model, tokens=24)
    expected = rows(model.answers(asked))
    largest = max(len(q.sequence.ids) + AUDIO_POSITIONS - 1 + 4 * 24 for q in asked)
    cell = model.description()["kv_cell_bytes"]
    small = load(path, kv_memory=int(share * largest) * cell)
    assert rows(small.answers(asked)) == expected
    assert small.description()["kv_cells_used"] <= share * largest


def test_answers_that_lose_their_cells_go_on_to_the_same_end(path: Path) -> None:
    """One answer fits, its three neighbours have to wait and lose what they had."""
    model = load(path)
    (query, *_) = queries(model, tokens=60)
    one = len(query.sequence.ids) + AUDIO_POSITIONS - 1 + 60
    small = load(path, kv_memory=(one + 50) * model.description()["kv_cell_bytes"], draft_width=1)
    assert rows(small.answers([query])) == rows(model.answers([query]))
    assert small.description()["given_up"] > 0


def test_the_next_question_finds_what_the_last_ones_left(path: Path, expected: Rows) -> None:
    """One query at a time, as a conversation asks. Only what no prompt before began with is computed."""
    model = load(path, draft_width=1)
    found, computed = {}, []
    asked = queries(model)
    for query in asked + asked[-3:]:
        before = model.description()["prompt_positions"]
        found |= rows(model.answers([query]))
        computed.append(model.description()["prompt_positions"] - before)
    assert found == expected
    lengths = [len(query.sequence.ids) + AUDIO_POSITIONS - 1 for query in asked]
    assert computed[0] == lengths[0]
    assert computed[1] == 1  # the exact answer to the first: its last position's logits are wanted again
    assert max(computed[2:4]) < AUDIO_POSITIONS  # "Is [AUDIO] …" again
    assert computed[-3:] == [1, 1, 1]


def test_what_can_never_fit_is_refused_with_both_numbers(path: Path) -> None:
    cell = load(path).description()["kv_cell_bytes"]
    model = load(path, kv_memory=60 * cell)
    with pytest.raises(ltu.PromptError, match=r"have \d+ positions, the KV cache holds 60"):
        model.generate(PROMPTS[0], CLIPS[0], sampling=SAMPLING, max_new_tokens=100)
    assert model.generate(PROMPTS[0], CLIPS[0], sampling=SAMPLING, max_new_tokens=2)


def test_repeats_are_independent_samples(path: Path) -> None:
    """The joint counts of two repeats of one query against those of two separate queries (chi-square)."""
    model = load(path)
    sequence = model.prompter.sequence("Is it a bird?")
    hot = ltu.Sampling(temperature=0.5, top_k=6)
    draws = 10_000

    def pairs(queries: list[ltu.Query]) -> Counter[tuple[int, ...]]:
        said: dict[int, dict[int, int]] = {}
        for answer in model.answers(queries):
            tag, place = divmod(answer.tag, 2)
            said.setdefault(tag, {})[place + answer.repeat] = (answer.token_ids or (-1,))[0]
        return Counter((first[0], first[1]) for first in said.values())

    together = pairs([ltu.Query(sequence, 2, seed, hot, 1, tag=2 * seed) for seed in range(draws)])
    apart = pairs(
        [
            ltu.Query(sequence, 1, 7_000_000 + 2 * seed + place, hot, 1, tag=2 * seed + place)
            for seed in range(draws)
            for place in range(2)
        ]
    )
    kinds = sorted(together | apart)
    table = np.array([[counts[kind] for kind in kinds] for counts in (together, apart)])
    assert chi2_contingency(table[:, table.sum(0) >= 10]).pvalue > 1e-4
    # Two repeats agree as often as two independent draws do.
    single = np.array(list(Counter(first for pair in together.elements() for first in pair).values()))
    chance = float(((single / single.sum()) ** 2).sum())
    agree = sum(count for (a, b), count in together.items() if a == b) / draws
    assert abs(agree - chance) < 4 * (chance * (1 - chance) / draws) ** 0.5
