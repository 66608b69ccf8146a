"""What the demo model is asked in training: balanced, in the paper's words, without the held-out terms."""

import re
from collections import Counter

import numpy as np
import pytest

from ltu.training.demo.questions import Item, ask, labels_of, table_1, terms, training_items

CLASSES = sorted({name for term in terms() for name in term.true_of})
CLIPS = {f"{name}-{index}.ogg": name for name in CLASSES for index in range(3)}


@pytest.fixture(scope="module")
def items() -> list[Item]:
    return training_items(CLIPS, pairs=6, rng=np.random.default_rng(0))


def test_every_term_is_asked_as_often_with_yes_as_with_no(items: list[Item]) -> None:
    asked = Counter((item.term, item.output.split(",")[0]) for item in items if item.term)
    for term in {term.text.lower() for term in terms() if term.seen}:
        assert asked[term, "Yes"] == asked[term, "No"] > 0, term


def test_a_question_alone_says_nothing_about_its_answer() -> None:
    answers: dict[str, Counter[bool]] = {}
    for seed in range(12):  # each with wordings of its own for every clip
        for item in training_items(CLIPS, pairs=6, rng=np.random.default_rng(seed)):
            if item.term:
                answers.setdefault(item.instruction, Counter())[item.output.startswith("Yes")] += 1
    often = [count for count in answers.values() if count.total() >= 16]
    assert len(often) > 100
    off = [(count[True] - count[False]) / count.total() ** 0.5 for count in often]  # each about N(0, 1)
    assert abs(np.mean(off)) < 4 / len(off) ** 0.5
    assert np.mean(np.square(off)) < 1.5


def test_questions_of_one_kind_about_a_clip_share_their_wording(items: list[Item]) -> None:
    asked: dict[tuple[str, bool], set[str]] = {}
    for item in items:
        if not item.term:
            asked.setdefault((item.audio_id, "[AUDIO]" in item.instruction), set()).add(item.instruction)
    assert len(asked) == 2 * len(CLIPS)
    assert all(len(wordings) == 1 for wordings in asked.values())


def test_first_words_are_the_beginning_of_the_whole_answers(items: list[Item]) -> None:
    short = training_items(CLIPS, pairs=6, rng=np.random.default_rng(0), first_words=True)
    for item, whole in zip(short, items, strict=True):
        assert (item.audio_id, item.instruction) == (whole.audio_id, whole.instruction)
        assert item.open == bool(item.term)
        assert whole.output.startswith(item.output)
    assert {item.output for item in short if item.term} == {"Yes", "No"}


def test_answers_are_true_of_their_clips(items: list[Item]) -> None:
    by_text = {term.text.lower(): term for term in terms()}
    for item in items:
        name = CLIPS[item.audio_id]
        if item.term:
            true_of, false_of = by_text[item.term].true_of, by_text[item.term].false_of
            assert name in (true_of if item.output.startswith("Yes, ") else false_of)
        else:
            assert item.output == f"Labels: {labels_of(name)}"


def test_held_out_terms_stand_in_no_training_text(items: list[Item]) -> None:
    text = "\n".join(f"{item.instruction}\n{item.output}" for item in items).lower()
    unseen = [term.text for term in terms() if not term.seen]
    for term in unseen:
        assert not re.search(rf"\b{re.escape(term.lower())}s?\b", text), term
    for name in CLASSES:
        kinds = {term.kind for term in terms() if not term.seen and name in term.true_of}
        assert kinds == {"synonym", "hypernym"}, name


def test_both_formats_are_asked_about_evenly(items: list[Item]) -> None:
    interleaved = sum("[AUDIO]" in item.instruction for item in items)
    assert 0.4 < interleaved / len(items) < 0.6
    assert all(item.instruction.count("[AUDIO]") <= 1 for item in items)


def test_table_1_is_the_papers_byte_for_byte() -> None:
    assert table_1("identity") == {
        "prepended": "Can you list the labels based on this audio file?",
        "interleaved": "Can you list the labels based on [AUDIO] ?",
    }
    asked = {relation: table_1(relation) for relation in ("type", "similar")}
    assert ask(asked["type"]["prepended"], "type", "bird", True) == (
        "Is the sound of the object in this audio signal a type of bird?",
        "Yes, it is a type of bird.",
    )
    assert ask(asked["type"]["interleaved"], "type", "bird", False)[0] == "Is [AUDIO] a type of bird?"
    assert ask(asked["similar"]["interleaved"], "similar", "cock", False) == (
        "Is [AUDIO] similar to cock?",
        "No, it is not similar to cock.",
    )


def test_a_term_is_true_false_or_unclear_of_a_class_never_two_of_them() -> None:
    for term in terms():
        assert term.true_of, term.text
        assert term.false_of, term.text
        assert not term.true_of & term.false_of
