"""Hard answers are read as a person reads them, by the oracle and by the engine's automaton."""

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
