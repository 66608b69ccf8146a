"""The engine's automaton of a reading says what Python's `re` says, and decides early only what stays so."""

import random

import pytest

import ltu
from ltu import _engine
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
WORDS += ["ｎｏ", "Ｙｅｓ", "ｉｔ", "𝗻𝗼𝘁", "ｉｓ", "Ｄｏｍｅｓｔｉｃ ｄｏｇ", "ｎ\ufeff", "。"]
WORDS += [TERM, "domestic dogs", "domestic, dog", "can not", "type of animal"]
GAPS = [" "] * 12 + [
    "  ",
    ", ",
    ". ",
    "; ",
    "\n",
    ' "',
    ") ",
    "? ",
    "? ",
    ": ",
    "’ ",
    "\u3000",
    "．",
    "\x01",
    ", it is ",
]


def random_answer(rng: random.Random) -> str:
    opening = rng.choice(["", "", "", " ", '"', "...", "\n"])
    return opening + "".join(rng.choice(WORDS) + rng.choice(GAPS) for _ in range(rng.randint(0, 12))).rstrip(
        rng.choice(["", " ", " \n"]) or None
    )


def read_byte_by_byte(machine: _engine.Reading, answer: str) -> tuple[int, bool]:
    """(decision, whether it was decided before the end); what has been decided stays so."""
    state, settled = 0, -1
    for byte in answer.encode():
        state = machine.run(state, bytes([byte]))
        assert settled in (-1, machine.decided(state)), answer
        settled = machine.decided(state)
    assert settled in (-1, machine.at_end(state)), answer
    return machine.at_end(state), settled >= 0


@pytest.mark.parametrize("reading", READINGS)
def test_the_automaton_reads_as_re_does_and_never_changes_what_it_has_decided(reading: str) -> None:
    rng = random.Random(20261124)
    machine = automaton(reading, TERM)
    early = 0
    for _ in range(8000):
        answer = random_answer(rng)
        outcome, settled = read_byte_by_byte(machine, answer)
        assert DECISIONS[outcome] == decide(answer, TERM, reading), answer
        early += settled
    assert early > 1000


ODD_WORDS = ["鸟", "café", "été", "(b)", "C++", "Ｂ"]  # begin or end with no ASCII letter


@pytest.mark.parametrize("term", ODD_WORDS)
def test_terms_of_any_script_are_read_alike(term: str) -> None:
    rng = random.Random(28)
    machine = automaton("careful", term)
    claims = [
        "It is a {}.",
        "It is not a {}!",
        "{}",
        "no {}",
        "It sounds like {}, I think",
        "not{} {}s, a {}x",
    ]
    answers = [rng.choice(claims).replace("{}", rng.choice([term, *ODD_WORDS])) for _ in range(300)]
    found = [decide(answer, term) for answer in answers]
    assert [DECISIONS[read_byte_by_byte(machine, answer)[0]] for answer in answers] == found
    assert set(found) == {"yes", "no", "neither"}


def test_options_of_any_script_are_read_alike() -> None:
    rng = random.Random(28)
    options = ltu.Options(("鸟", "鸟鸟", "café", "été", "(b)", "C++", "C", "Ｂ"))
    machine = options.automaton()
    pieces = [*options.options, " ", "a", "是", ".", "+", "é"]
    answers = ["".join(rng.choices(pieces, k=rng.randint(1, 8))) for _ in range(2000)]
    found = [options.decide(answer) for answer in answers]
    assert [options.decisions[read_byte_by_byte(machine, answer)[0]] for answer in answers] == found
    assert set(found) == set(options.decisions)
    assert (options.decide("这是鸟。"), options.decide("Ｂ")) == ("鸟", "Ｂ")


@pytest.mark.parametrize("text", ["Yes, it is.", "No.", "It is a bird.", "", "It is not a sound."])
def test_without_a_term_nothing_is_a_claim_about_it(text: str) -> None:
    for reading in READINGS:
        found = automaton(reading, "")
        assert DECISIONS[found.at_end(found.run(0, text.encode()))] == decide(text, "", reading)
