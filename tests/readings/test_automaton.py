"""The engine's automaton of a reading says what Python's `re` says, and decides early only what stays so."""

import random

import pytest

from ltu.readings import READINGS, decide
from ltu.readings.automaton import automaton
from ltu.readings.rules import DECISIONS

TERM = "Domestic dog"
WORDS = [
    *[
        "yes",
        "no",
        "nope",
        "not",
        "only",
        "really",
        "is",
        "isn't",
        "isn’t",
        "was",
        "it",
        "this",
        "that",
        "does",
    ],
    *[
        "doesn't",
        "do",
        "don’t",
        "a",
        "an",
        "the",
        "type",
        "kind",
        "of",
        "similar",
        "to",
        "like",
        "unlike",
        "can",
    ],
    *["sounds", "cannot", "be", "determined", "hard", "tell", "whether", "maybe", "answer", "there", "never"],
    *[
        "rather",
        "than",
        "instead",
        "matches",
        "clearly",
        "very",
        "probably",
        "bird",
        "dog",
        "domestic",
        "dogs",
    ],
    *["YES", "No", "Is", "café", "naïve"],
]
WORDS += [
    "it's",
    "that’s",
    "but",
    "than",
    "while",
    "although",
    "may",
    "could",
    "unlikely",
    "doubt",
    "nothing",
]
WORDS += [
    "no.",
    "so",
    "well",
    "answer",
    "heard",
    "ask",
    "they",
    "sure",
    "correct",
    "false",
    "without",
    "non-",
]
WORDS += ["like", "from", "hard", "possible", "I", "think", "would", "say", "only", "outside"]
WORDS += [TERM, "domestic dogs", "domestic, dog", "can not", "type of animal"]
GAPS = [" "] * 12 + ["  ", ", ", ". ", "; ", "\n", ' "', ") ", "? ", "? ", ": ", "’ ", "\x01", ", it is "]


def random_answer(rng: random.Random) -> str:
    opening = rng.choice(["", "", "", " ", '"', "...", "\n"])
    return opening + "".join(rng.choice(WORDS) + rng.choice(GAPS) for _ in range(rng.randint(0, 12))).rstrip(
        rng.choice(["", " ", " \n"]) or None
    )


@pytest.mark.parametrize("reading", READINGS)
def test_the_automaton_reads_as_re_does_and_never_changes_what_it_has_decided(reading: str) -> None:
    rng = random.Random(20261124)
    machine = automaton(reading, TERM)
    early = 0
    for _ in range(8000):
        answer = random_answer(rng)
        state, settled = 0, -1
        for byte in answer.encode():
            state = machine.run(state, bytes([byte]))
            if settled >= 0:
                assert machine.decided(state) == settled, answer
            settled = machine.decided(state)
        outcome = machine.at_end(state)
        assert DECISIONS[outcome] == decide(answer, TERM, reading), answer
        assert settled in (-1, outcome), answer
        early += settled >= 0
    assert early > 1000


@pytest.mark.parametrize("text", ["Yes, it is.", "No.", "It is a bird.", "", "It is not a sound."])
def test_without_a_term_nothing_is_a_claim_about_it(text: str) -> None:
    for reading in READINGS:
        found = automaton(reading, "")
        assert DECISIONS[found.at_end(found.run(0, text.encode()))] == decide(text, "", reading)
