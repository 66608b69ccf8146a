"""Answers written by hand, and what each reading makes of them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltu.readings import READINGS, decide

YES, NO, NEITHER = "yes", "no", "neither"

# (answer, term, careful, paper)
ANSWERS = [
    # a yes or no that opens the answer
    ("Yes", "bird", YES, YES),
    ("yes.", "bird", YES, YES),
    ("YES!", "bird", YES, YES),
    ("No", "bird", NO, NO),
    ("No, it is not.", "bird", NO, NO),
    ("Yes, it is.", "bird", YES, YES),
    ("  Yes it is a type of bird", "bird", YES, YES),
    ('"Yes"', "bird", YES, YES),
    ("**No**", "bird", NO, NO),
    ("“Yes, it is similar to a bird.”", "bird", YES, YES),
    ("Yeah, that is a bird.", "bird", YES, NEITHER),
    ("Nope.", "bird", NO, NEITHER),
    ("I disagree that it is a bird.", "bird", NO, NEITHER),
    ("No. It is a type of vehicle.", "bird", NO, NO),
    ("Yes, the sound is not a dog but a bird.", "bird", YES, NO),
    ("Yes, although it does not resemble a typical bird.", "bird", YES, NO),
    ("Yes, there is no doubt.", "bird", YES, NO),
    ("Yes, it is no ordinary bird.", "bird", YES, NO),
    ("No, although yes could be said.", "bird", NO, NO),
    ("Yes and no.", "bird", NEITHER, NO),
    ("Yesterday's bird", "bird", NEITHER, NEITHER),
    ("Nobody knows", "bird", NEITHER, NEITHER),
    ("Noise of a bird", "bird", NEITHER, NEITHER),
    ("Not at all.", "bird", NO, NEITHER),
    ("Not really, it is a car.", "bird", NO, NEITHER),
    ("No doubt it is a type of bird.", "bird", YES, NO),
    ("No question, a bird.", "bird", YES, NO),
    # explicit claims about the term asked for
    ("It is a type of bird.", "bird", YES, NEITHER),
    ("It is not a type of bird.", "bird", NO, NO),
    ("It isn't a type of bird.", "bird", NO, NEITHER),
    ("It isn’t a bird.", "bird", NO, NEITHER),
    ("The sound of the object in this audio signal is a type of vehicle.", "vehicle", YES, NEITHER),
    ("The sound of the object in this audio signal is not a type of vehicle.", "vehicle", NO, NO),
    ("The sound is similar to an automobile.", "automobile", YES, NEITHER),
    ("The sound is very similar to that of the automobile", "automobile", YES, NEITHER),
    ("The sound is not similar to an automobile.", "automobile", NO, NO),
    ("The sound is clearly not similar to an automobile.", "automobile", NO, NEITHER),
    ("It is clearly not a bird", "bird", NO, NEITHER),
    ("It is a bird.", "bird", YES, NEITHER),
    ("This is a small bird.", "bird", YES, NEITHER),
    ("These are birds.", "bird", YES, NEITHER),
    ("They are not birds.", "bird", NO, NEITHER),
    ("It is definitely a kind of musical instrument.", "musical instrument", YES, NEITHER),
    ("It is not any kind of musical instrument.", "musical instrument", NO, NO),
    ("The audio does not sound like a bird.", "bird", NO, NO),
    ("The audio doesn't sound like a bird.", "bird", NO, NEITHER),
    ("The audio does sound like a bird.", "bird", YES, YES),
    ("It sounds like a bird.", "bird", YES, NEITHER),
    ("It sounds a bit like a dog.", "bird", NEITHER, NEITHER),
    ("It does.", "bird", YES, YES),
    ("It does not.", "bird", NO, NO),
    ("It doesn't.", "bird", NO, NEITHER),
    ("It is not.", "bird", NO, NO),
    ("It is.", "bird", YES, NEITHER),
    ("There is a bird.", "bird", YES, NEITHER),
    ("There is no bird", "bird", NO, NO),
    ("There is no sound of a bird", "bird", NO, NO),
    ("No bird can be heard.", "bird", NO, NO),
    ("I can hear a dog but no bird.", "bird", NO, NO),
    ("Not only is it a bird", "bird", YES, NEITHER),
    ("Not only is it a bird, it is a songbird.", "bird", YES, NEITHER),
    ("A type of bird.", "bird", YES, NEITHER),
    ("Similar to a bird.", "bird", YES, NEITHER),
    ("This is a dog, not a cat.", "cat", NO, NEITHER),
    ("This is a dog, not a cat.", "dog", YES, NEITHER),
    ("This is a dog rather than a cat.", "cat", NO, NEITHER),
    ("It is different from a cat.", "cat", NO, NEITHER),
    ("It is unlike a cat.", "cat", NO, NEITHER),
    ("It resembles a cat.", "cat", YES, NEITHER),
    ("I do not think it is a type of bird.", "bird", NO, NEITHER),
    ("I don't believe this is similar to a bird.", "bird", NO, NEITHER),
    ("The answer is yes.", "bird", YES, YES),
    ("The answer is no.", "bird", NO, NO),
    ("It is never a bird.", "bird", NO, NEITHER),
    ("It cannot be a bird.", "bird", NO, NEITHER),
    ("Canis familiaris is what this is similar to Canis familiaris.", "Canis familiaris", YES, NEITHER),
    # claims about something else
    ("It is a type of vehicle.", "animal", NEITHER, NEITHER),
    ("It is not a type of vehicle.", "animal", NEITHER, NO),
    ("The bird is singing.", "bird", NEITHER, NEITHER),
    ("Birdsong is heard.", "bird", NEITHER, NEITHER),
    ("Labels: Bird", "bird", NEITHER, NEITHER),
    ("A dog barks and it does so loudly.", "bird", NEITHER, YES),
    ("There is no noise; yes", "bird", NEITHER, NO),
    ("The dog says no.", "bird", NEITHER, NO),
    ("", "bird", NEITHER, NEITHER),
    ("???", "bird", NEITHER, NEITHER),
    ("鳥です", "bird", NEITHER, NEITHER),
    # it cannot be said
    ("It cannot be determined", "bird", NEITHER, NEITHER),
    ("It can't be determined whether it is a bird.", "bird", NEITHER, NEITHER),
    ("It is unclear whether this is a type of bird.", "bird", NEITHER, NEITHER),
    ("It is hard to tell if it is a bird.", "bird", NEITHER, NEITHER),
    ("It is difficult to say.", "bird", NEITHER, NEITHER),
    ("I am not sure, it is a bird perhaps.", "bird", NEITHER, NEITHER),
    ("There is not enough information to say no.", "bird", NEITHER, NO),
    ("It may be a type of bird.", "bird", NEITHER, NEITHER),
    ("It could be a bird.", "bird", NEITHER, NEITHER),
    ("Perhaps it is a bird.", "bird", NEITHER, NEITHER),
    ("I do not know.", "bird", NEITHER, NEITHER),
    ("It depends.", "bird", NEITHER, NEITHER),
    ("No idea.", "bird", NEITHER, NO),
    ("It is a bird, but it is unclear which.", "bird", YES, NEITHER),
]


def test_there_are_at_least_80_answers() -> None:
    assert len({(text, term) for text, term, _, _ in ANSWERS}) >= 80


@pytest.mark.parametrize(("text", "term", "careful", "paper"), ANSWERS)
def test_answer(text: str, term: str, careful: str, paper: str) -> None:
    assert (decide(text, term, "careful"), decide(text, term, "paper")) == (careful, paper)


def plain_paper(text: str) -> str:
    """The published phrases, written down a second time without the data file."""
    if re.search(r"\b(no|does\W+not|is\W+not)\b", text, re.IGNORECASE | re.ASCII):
        return NO
    return YES if re.search(r"\b(yes|does)\b", text, re.IGNORECASE | re.ASCII) else NEITHER


PIECES = ["yes", "No", "does", "not", "is", "it", "bird", "a", "type of", "nothing", "noes", "-", "é", '"']


@given(st.lists(st.sampled_from(PIECES), max_size=8))
def test_paper_reading_is_the_published_phrases(pieces: list[str]) -> None:
    text = " ".join(pieces)
    assert decide(text, "bird", "paper") == plain_paper(text)


@given(st.lists(st.sampled_from(PIECES), max_size=8))
def test_case_does_not_matter(pieces: list[str]) -> None:
    text = " ".join(pieces)
    for reading in READINGS:
        assert decide(text, "Bird", reading) == decide(text.upper().replace("É", "é"), "bird", reading)
