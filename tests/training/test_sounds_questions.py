"""What the demo model is asked about sixty sounds: true, balanced, unknown where it should be."""

import re
from collections import Counter

import numpy as np
import pytest

from ltu.training.demo.questions import Item, labels_of, table, terms, training_items
from ltu.training.demo.sentences import sentence_items
from ltu.training.demo.terms import is_unknown, sound_classes

TABLE = table("sounds")
CLASSES = sound_classes(TABLE)
UNKNOWN = {name for name in CLASSES if is_unknown(name, TABLE)}
CLIPS = {f"{name}-{index}.ogg": name for name in CLASSES for index in range(2)}
NEVER_TRAINED = {"Door - wood creaks", "Drinking - sipping", "Washing machine"}


@pytest.fixture(scope="module")
def items() -> list[Item]:
    return training_items(CLIPS, pairs=4, rng=np.random.default_rng(0), about="sounds")


@pytest.fixture(scope="module")
def sentences() -> list[Item]:
    heard = dict.fromkeys(CLIPS, ("loud", "continuous", "high-pitched"))
    return sentence_items(CLIPS, heard, 20, np.random.default_rng(0))


def test_there_are_54_known_sounds_and_the_rest_is_unknown() -> None:
    assert len(CLASSES) - len(UNKNOWN) == 54
    assert {"Bass drum", "Can opening", "Mouse click", "Silence", "Noise", "Speech"} == UNKNOWN
    assert not NEVER_TRAINED & set(CLASSES)


def test_every_known_sound_has_terms_that_are_trained_and_some_that_are_not() -> None:
    for name in set(CLASSES) - UNKNOWN:
        kinds = Counter((t.kind, t.seen) for t in terms("sounds") if name in t.true_of)
        assert min(kinds["name", True], kinds["synonym", True], kinds["hypernym", True]) >= 1, name
        assert min(kinds["synonym", False], kinds["hypernym", False]) >= 1, name


def test_a_term_stands_once_and_is_true_of_no_unknown_sound() -> None:
    listed = terms("sounds")
    assert len({term.text.lower() for term in listed}) == len(listed)
    for term in listed:
        assert term.true_of, term.text
        assert term.false_of, term.text
        assert not term.true_of & (term.false_of | UNKNOWN), term.text


def test_answers_are_true_of_their_clips_and_balanced(items: list[Item]) -> None:
    by_text = {term.text.lower(): term for term in terms("sounds")}
    counts = Counter((item.term, item.output.split(",")[0]) for item in items if item.term)
    for item in items:
        name = CLIPS[str(item.audio_id)]
        if item.term:
            term = by_text[item.term]
            assert name in (term.true_of if item.output.startswith("Yes, ") else term.false_of)
            assert counts[item.term, "Yes"] == counts[item.term, "No"] > 0
        elif name in UNKNOWN:
            assert item.output == "Labels: unknown"
        else:
            assert item.output == f"Labels: {labels_of(name, 'sounds')}"


def test_held_out_terms_stand_in_no_training_text(items: list[Item], sentences: list[Item]) -> None:
    texts = (f"{item.instruction}\n{item.output}" for item in (*items, *sentences))
    text = "\n".join(texts).lower()
    for term in (term.text for term in terms("sounds") if not term.seen):
        assert not re.search(rf"\b{re.escape(term.lower())}s?\b", text), term


def test_sentences_name_and_describe_what_is_known(sentences: list[Item]) -> None:
    about = [item for item in sentences if isinstance(item.audio_id, str)]
    for item in about:
        name = CLIPS[str(item.audio_id)]
        if name in UNKNOWN:
            assert item.output == "I do not know what it is."
        else:
            assert TABLE[name]["names"][0] in item.output
    assert "It is a dog." in {item.output for item in about}
    assert any(item.output.startswith("It is an airplane, loud and ") for item in about)


def test_two_clips_are_the_same_kind_of_sound_or_not(sentences: list[Item]) -> None:
    pairs = [(item, item.audio_id) for item in sentences if isinstance(item.audio_id, list)]
    assert len(pairs) == 40
    for item, (first, other) in pairs:
        assert first != other
        assert item.instruction.count("[AUDIO]") in (0, 2)
        assert item.output.startswith("Yes, ") == (CLIPS[first] == CLIPS[other])
    assert sum(item.output.startswith("Yes, ") for item, _ in pairs) == 20
