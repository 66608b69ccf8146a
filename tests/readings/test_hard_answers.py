"""Hard answers are read as a person reads them, by the oracle and by the engine's automaton."""

import unicodedata
from pathlib import Path

import pytest

from ltu.readings import decide
from ltu.readings.automaton import automaton
from ltu.readings.rules import DECISIONS


def hard_answers() -> list[tuple[str, str, str]]:
    """(decision, term, answer) of each line of the list."""
    lines = (Path(__file__).parent / "hard_answers.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split(" | ", 2) for line in lines if line and not line.startswith("#")]
    return [(decision, term, answer.replace("\\n", "\n")) for decision, term, answer in rows]


ANSWERS = hard_answers()


def test_there_are_200_of_them_and_none_twice() -> None:
    assert len({(term, answer) for _, term, answer in ANSWERS}) == len(ANSWERS) > 600


@pytest.mark.parametrize("decision", DECISIONS)
def test_they_are_read_as_a_person_reads_them(decision: str) -> None:
    mine = [(term, answer) for read, term, answer in ANSWERS if read == decision]
    assert [(answer, decide(answer, term)) for term, answer in mine] == [
        (answer, decision) for _, answer in mine
    ]


FULL_WIDTH = {0x20: 0x3000} | {code: code + 0xFEE0 for code in range(0x21, 0x7F)}


def test_the_width_of_letters_decides_nothing() -> None:
    for decision, term, answer in ANSWERS:
        wide = answer.translate(FULL_WIDTH)
        assert unicodedata.normalize("NFKC", wide) == unicodedata.normalize("NFKC", answer)
        machine = automaton("careful", term)
        found = DECISIONS[machine.at_end(machine.run(0, wide.encode()))]
        assert (decide(wide, term), found) == (decision, decision), wide


def test_a_letter_that_is_cut_off_says_as_little_as_its_replacement() -> None:
    machine = automaton("careful", "dog")
    for answer in ("Ｙｅｓ", "Ｎｏ，　ｎｏ", "no\ufeffｗ", "It is a 𝐝𝐨𝐠", "No\U0001d7ff", "ｎ\uffff"):
        whole = answer.encode()
        for end in range(len(whole) + 1):
            seen = whole[:end].decode(errors="replace")
            assert DECISIONS[machine.at_end(machine.run(0, whole[:end]))] == decide(seen, "dog"), seen


def test_the_automaton_reads_them_alike_and_never_takes_back_what_it_has_decided() -> None:
    for _, term, answer in ANSWERS:
        machine = automaton("careful", term)
        state, settled = 0, -1
        for byte in answer.encode():
            state = machine.run(state, bytes([byte]))
            assert settled in (-1, machine.decided(state)), answer
            settled = machine.decided(state)
        outcome = machine.at_end(state)
        assert settled in (-1, outcome), answer
        assert DECISIONS[outcome] == decide(answer, term), answer


@pytest.mark.parametrize("case", [str.upper, str.lower])
def test_case_and_the_form_of_apostrophes_decide_nothing(case) -> None:  # type: ignore[no-untyped-def]
    for decision, term, answer in ANSWERS:
        assert decide(case(answer), term) == decision, answer
        assert decide(answer.replace("'", "’"), term) == decision, answer
