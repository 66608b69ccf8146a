"""A reading is what its data file declares: its decisions, its phrases, in its order."""

from typing import Any

import pytest

import ltu
from ltu.readings.automaton import compile_rules
from ltu.readings.decide import decide_by
from ltu.readings.rules import Either, Gap, Rules, Term, parse

OPTIONS: dict[str, Any] = {
    "decisions": ["dog", "cat", "bird", "none of these"],
    "first": "position",
    "sets": {"bird": ["bird", "blue tit"]},
    "rules": [
        {"decision": "bird", "at": "any", "phrases": ["a? <bird>"]},
        {"decision": "cat", "at": "any", "phrases": ["a? cat"]},
        {"decision": "dog", "at": "any", "phrases": ["a? dog"]},
    ],
}


@pytest.mark.parametrize(
    ("answer", "decision"),
    [
        ("A cat, not a dog.", "cat"),
        ("It is a blue tit.", "bird"),
        ("Dog", "dog"),
        ("A car", "none of these"),
        ("", "none of these"),
    ],
)
def test_a_reading_may_have_any_number_of_decisions_and_the_last_is_for_the_rest(
    answer: str, decision: str
) -> None:
    assert decide_by(Rules.from_json(OPTIONS), answer, "") == decision


def test_the_automaton_knows_a_decision_by_its_place_among_them() -> None:
    table, _ = compile_rules(Rules.from_json(OPTIONS), "")
    assert [decision for decision, _, _ in table] == [2, 1, 0]


def test_a_file_without_decisions_has_yes_no_and_neither() -> None:
    assert ltu.Reading("careful").decisions == ltu.Reading("paper").decisions == ("yes", "no", "neither")
    assert ltu.Reading("careful", "bird").decide("It is not a bird.") == "no"


def test_a_phrase_is_a_row_of_words_choices_gaps_and_the_term() -> None:
    assert parse("is|was <very>? ...3 {term}", {"very": ["very", "quite a"]}) == (
        Either((("is",), ("was",))),
        Either((("very",), ("quite", "a")), optional=True),
        Gap(3),
        Term(),
    )


def test_a_decision_that_is_not_declared_and_an_unknown_reading_are_refused() -> None:
    with pytest.raises(ValueError, match="'maybe' at 'any'"):
        Rules.from_json(
            {"first": "rule", "rules": [{"decision": "maybe", "at": "any", "phrases": ["maybe"]}]}
        )
    with pytest.raises(ltu.Error, match="unknown reading 'strict'; there are careful and paper"):
        ltu.Reading("strict").automaton()
