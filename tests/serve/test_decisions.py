"""Decisions: exact probabilities, whatever else is asked in the same request."""

import math
import random
from typing import Any

import openai
import pytest
from raw import post
from sounds import clip, data, heard, said, user

import ltu

PLACED = "Is [AUDIO] a bird?"
BIRD = {"type": "predicate", "name": "bird", "instructions": PLACED, "ltu": {"term": "bird"}}


def asked(client: openai.OpenAI, questions: list[Any], input: Any = None, **extra: Any) -> Any:
    given = user(heard(1)) if input is None else input
    return client.decisions.create(model="tiny", input=given, questions=questions, extra_body=extra)


def labelled(kind: str, *labels: str) -> dict[str, Any]:
    if kind == "choice":
        return {"type": kind, "instructions": PLACED, "choices": [{"value": label} for label in labels]}
    return {"type": kind, "instructions": PLACED, "levels": [{"label": label} for label in labels]}


def test_a_predicate_is_the_exact_walk_at_temperature_1(client: openai.OpenAI, model: ltu.Model) -> None:
    [answer] = asked(client, [BIRD], ltu={"epsilon": 0.2, "node_budget": 64}).answers
    for told, settings in ((answer.ltu, {"temperature": 1.0}), (answer.ltu["as_sampled"], {})):
        expected = model.answer_distribution(
            PLACED,
            clip(1),
            "bird",
            epsilon=0.2,
            node_budget=64,
            **settings,  # type: ignore[arg-type]
        )
        assert [told[name] for name in ("yes", "no", "neither", "undecided")] == [
            expected.yes,
            expected.no,
            expected.neither,
            expected.undecided,
        ]
    assert answer.name == "bird"
    said, open_ = answer.ltu["yes"] + answer.ltu["no"], answer.ltu["neither"] + answer.ltu["undecided"]
    assert answer.type == ("refusal" if open_ > 0.5 else "predicate")
    if answer.type == "predicate":
        assert answer.probability == answer.ltu["yes"] / said


def test_a_choice_is_the_probability_of_whole_labels(client: openai.OpenAI, model: ltu.Model) -> None:
    [free] = model.generate(PLACED, clip(1), temperature=0, max_new_tokens=30)
    labels = [free.text, "yes", "no"]
    [answer] = asked(client, [labelled("choice", *labels)]).answers
    whole = [math.exp(value) for value in model.score(PLACED, labels, clip(1), ltu.Sampling(), end=True)]
    assert list(answer.ltu["whole"].values()) == pytest.approx(whole, rel=1e-6)
    assert answer.ltu["mass"] == pytest.approx(sum(whole))
    if answer.ltu["mass"] < 0.01:
        assert answer.type == "refusal"
        assert "probability" in answer.ltu["reason"]
    else:
        assert answer.confidence == max(whole)


def test_labels_that_the_model_does_not_say_are_refused(client: openai.OpenAI) -> None:
    """Renormalised, one of them would look certain."""
    long = [f"{word} it is yes no bird yes no" for word in ("bird", "no", "it")]
    for kind in ("choice", "score"):
        [answer] = asked(client, [labelled(kind, *long)]).answers
        assert answer.type == "refusal"
        assert answer.ltu["mass"] < 0.01


def test_a_choice_by_name_is_the_exact_walk_of_its_options(client: openai.OpenAI, model: ltu.Model) -> None:
    question = labelled("choice", "bird", "no", "yes") | {"ltu": {"labels": "named"}}
    [answer] = asked(client, [question], ltu={"epsilon": 0.2, "node_budget": 64}).answers
    exact = ltu.Exact(ltu.Options(("bird", "no", "yes")), 0.2, 64)
    for told, settings in ((answer.ltu, {"temperature": 1.0}), (answer.ltu["as_sampled"], {})):
        [found] = model.answers([model.query(PLACED, clip(1), mode=exact, **settings)])
        assert found.decisions
        *named, (_, none) = found.decisions.probabilities
        assert told["named"] == dict(named)
        assert (told["none"], told["undecided"]) == (none, found.decisions.undecided)
    open_ = answer.ltu["none"] + answer.ltu["undecided"]
    assert answer.type == ("refusal" if open_ > 0.5 else "choice")
    if answer.type == "choice":
        assert answer.confidence == max(answer.ltu["named"].values())
    alike = labelled("choice", "Rain", "rain") | {"ltu": {"labels": "named"}}
    with pytest.raises(openai.BadRequestError, match="none twice"):
        asked(client, [alike])


def test_answers_do_not_depend_on_their_company(client: openai.OpenAI) -> None:
    questions = [
        BIRD,
        labelled("choice", "yes", "no", "bird") | {"ltu": {"labels": "named"}},
        labelled("score", "no", "it is", "yes"),
        {"type": "predicate", "name": "text", "instructions": "Is it a bird?"},
        {"type": "predicate", "name": "own", "instructions": [said("Is "), heard(2), said(" a bird?")]},
    ]
    alone = [asked(client, [question]).answers[0] for question in questions]
    shuffle = random.Random(0)
    for _ in range(6):
        chosen = shuffle.sample(range(5), shuffle.randint(2, 5))
        found = asked(client, [questions[place] for place in chosen]).answers
        for place, answer in zip(chosen, found, strict=True):
            assert answer == alone[place]


def test_recordings_stand_where_the_question_has_them(client: openai.OpenAI, model: ltu.Model) -> None:
    def yes(prompt: str, clips: list[ltu.Clip]) -> float:
        return model.answer_distribution(prompt, clips, node_budget=64, temperature=1.0).yes

    settings = {"node_budget": 64}
    question = {"type": "predicate", "instructions": "Is it a bird?"}
    two = {"type": "predicate", "instructions": "Is [AUDIO] like [AUDIO]?"}
    for input, asking, prompt, clips in (
        (user(heard(1)), question, "[AUDIO] Is it a bird?", [clip(1)]),
        (user(said("no "), heard(1), said(" it")), question, "no [AUDIO] it Is it a bird?", [clip(1)]),
        (user(heard(2), heard(1)), two, "Is [AUDIO] like [AUDIO]?", [clip(2), clip(1)]),
        ("It is.", question, "It is. Is it a bird?", []),
    ):
        [answer] = asked(client, [asking], input, ltu=settings).answers
        assert answer.ltu["yes"] == yes(prompt, clips)
    with pytest.raises(openai.BadRequestError, match=r"holds 2 \[AUDIO\] and the input 1"):
        asked(client, [two])


@pytest.mark.parametrize(
    ("questions", "param"),
    [
        ([{"type": "predicate"}], "questions[0].instructions"),
        ([BIRD] * 65, "questions"),
        ([labelled("choice", "yes", "yes")], "questions[0]"),
        ([labelled("choice", "yes")], "questions[0].choices"),
        ([{**labelled("choice", "a", "b"), "choices": [{"value": "a", "description": "x"}] * 2}], None),
    ],
)
def test_questions_that_can_not_be_asked_are_named(client: openai.OpenAI, questions: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        asked(client, questions)
    assert param is None or error.value.param == param


def test_typesafe_s_form_gives_the_same_answers(server: str, client: openai.OpenAI) -> None:
    body = {
        "model": "tiny",
        "state": "",
        "assets": {"<bird>": {"type": "audio", "data_base64": data(1)}},
        "questions": {
            "bird": {"type": "noul", "instructions": "Is <bird> a bird?", "ltu": {"term": "bird"}},
            "which": {
                "type": "choice",
                "instructions": "Is <bird> a bird?",
                "criteria": {"yes": None, "no": None},
            },
            "how": {"type": "score", "instructions": "Is <bird> a bird?", "criteria": ["no", "yes"]},
        },
    }
    found = post(server, "/v1/systemone", body).json
    questions = [BIRD, labelled("choice", "yes", "no"), labelled("score", "no", "yes")]
    expected = asked(client, questions).answers
    answers = list(found["answers"].values())
    assert [answer["ltu"] for answer in answers] == [answer.ltu for answer in expected]
    assert found["usage"]["input_tokens"] > 0
