"""What is asked, what is accepted, what leaks; the paper's own examples on each side."""

import json
import random
from collections import Counter

import pytest

from ltu.shard.spec.prompts import PAPER_CELLS, term_prompt
from ltu.shard.spec.relations import relations
from ltu.shard.spec.words import shipped_words
from ltu.training.reformulate.checks import check, check_answer
from ltu.training.reformulate.completion import read_completion, request
from ltu.training.reformulate.leaks import leaked
from ltu.training.reformulate.openaqa import KINDS, Kind
from ltu.training.reformulate.prompts import draw
from ltu.training.reformulate.question import Question
from ltu.training.reformulate.resources import table
from ltu.training.reformulate.rules import reformulate

PAPER: list[tuple[Kind, str, str]] = [  # Tables 7–9, and the good examples of Tables 4–6
    (
        "label",
        "Analyze audio events in clip given.",
        "Reflect on the contents of [AUDIO] and enumerate the relevant categories it represents.",
    ),
    (
        "acoustic",
        "Identify the noise in the audio clip? Analyze acoustic features first.",
        "Consider [AUDIO] and enumerate all discernible sound categories, specifying for each both an "
        "appropriate label and a detailed account of its auditory characteristics.",
    ),
    (
        "open",
        "What is the volume of the electric shaver sound compared to the music and singing?",
        "How does the volume of the electric shaver sound in [AUDIO] compare to the music and singing?",
    ),
    ("label", "x", "After you hear [AUDIO], what are the appropriate classification labels?"),
    ("label", "x", "Listen to this: [AUDIO]. Now, list the corresponding tags."),
    ("label", "x", "Consider [AUDIO]. What are its corresponding labels?"),
    (
        "acoustic",
        "x",
        "Listen to this: [AUDIO]. For each component you identify, list its label and describe its acoustic "
        "features.",
    ),
    (
        "acoustic",
        "x",
        "Regarding [AUDIO], what labels are suitable, and what are their key sound properties?",
    ),
    (
        "acoustic",
        "x",
        "Analyze what you hear in [AUDIO]. Return a list of labels paired with their distinguishing acoustic "
        "qualities.",
    ),
    (
        "open",
        "What other sound events, if any, can be heard in the audio clip?",
        "What other sound events, if any, can be heard in [AUDIO]?",
    ),
    (
        "open",
        "Describe the environment where this sound was likely recorded.",
        "Based on what you hear in [AUDIO], describe the environment where it was likely recorded.",
    ),
]


@pytest.mark.parametrize(("kind", "original", "revised"), PAPER)
def test_the_papers_prompts_are_accepted(kind: Kind, original: str, revised: str) -> None:
    assert check(kind, original, revised) == ""
    verdict = check_answer(kind, original, json.dumps({"revised_prompt": f" {revised}\n"}))
    assert (verdict.prompt, verdict.problem) == (revised, "")


@pytest.mark.parametrize(
    ("kind", "revised", "reason"),
    [
        ("open", "", "empty"),
        ("open", "[AUDIO]?", "empty"),
        ("open", "What barks?", "exactly once, not 0 times"),
        ("open", "Is [AUDIO] like [AUDIO]?", "exactly once, not 2 times"),
        ("open", "What barks in [audio]?", "not 0 times"),
        ("open", "What barks in [AUDIO], or [Audio]?", "exactly once"),
        ("open", "What barks in this Clip, [AUDIO]?", '"clip"'),
        ("open", "Which of the recordings is [AUDIO]?", '"recordings"'),
        ("open", "What barks in the audio file [AUDIO]?", '"audio file"'),
        ("open", "[AUDIO] what happens, here?!", "copy"),
        ("acoustic", "What are the acoustic features of [AUDIO]?", "a label"),
        ("acoustic", "Which labels fit [AUDIO]?", "acoustic features"),
    ],
)
def test_each_fault_is_told(kind: Kind, revised: str, reason: str) -> None:
    assert reason in check(kind, "What happens here?", revised)


@pytest.mark.parametrize(
    "revised",
    ["Does [AUDIO] hold the clip-clop of hooves?", "Where was [AUDIO] recorded?", "Who eclipses [AUDIO]?"],
)
def test_words_that_only_look_like_media_words_are_accepted(revised: str) -> None:
    assert check("open", "x", revised) == ""


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "What barks in [AUDIO]?",
        '{"revised_prompt": "What barks in [AUDIO]?"',
        '{"prompt": "What barks in [AUDIO]?"}',
        '{"revised_prompt": ["What barks in [AUDIO]?"]}',
        '["What barks in [AUDIO]?"]',
        "null",
    ],
)
def test_an_answer_that_is_not_the_wanted_json_is_refused(answer: str) -> None:
    assert "JSON" in check_answer("open", "What happens?", answer).problem


WRAPPED = '{"revised_prompt": "What barks in [AUDIO]?"}'


@pytest.mark.parametrize(
    "answer",
    [
        f"```json\n{WRAPPED}\n```",
        f"Here is the revised prompt:\n\n{WRAPPED}\nI hope this helps.",
        f"<think>They want {{a prompt}}.</think>\n{WRAPPED}",
        '{"note": "", "revised_prompt": "What barks in [AUDIO]?"}',
        f"\ufeff{WRAPPED}",
    ],
)
def test_the_object_is_found_in_what_a_server_without_schemas_wraps_it_in(answer: str) -> None:
    assert check_answer("open", "What happens?", answer).prompt == "What barks in [AUDIO]?"


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("What barks in [AUDIO]\x00?", "control characters"),
        ("What barks in [AUDIO]\ud83d?", "halves of characters"),
        ("What barks in [AUDIO]? " + "Say it. " * 300, "more than 2000"),
    ],
)
def test_prompts_that_could_not_be_written_or_read_are_refused(prompt: str, reason: str) -> None:
    verdict = check_answer("open", "What happens?", json.dumps({"revised_prompt": prompt}))
    assert (verdict.prompt, reason in verdict.problem) == ("", True)


def test_two_objects_and_endless_brackets_are_no_answer() -> None:
    for answer in (f"{WRAPPED} or {WRAPPED}", "[" * 100_000):
        assert "JSON" in check_answer("open", "What happens?", answer).problem
    reply = read_completion({"choices": [{"message": {"content": "half \ud83d"}}]})
    assert (reply.answer, reply.problem) == ("half ?", "it holds halves of characters")


def test_an_answer_may_come_in_parts() -> None:
    parts = [{"type": "text", "text": WRAPPED[:9]}, {"type": "other"}, {"type": "text", "text": WRAPPED[9:]}]
    assert read_completion({"choices": [{"message": {"content": parts}}]}).answer == WRAPPED


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"choices": []},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": None}}]},
    ],
)
def test_a_response_that_is_no_completion_is_a_problem_and_no_crash(body: object) -> None:
    assert read_completion(body).problem


def test_a_refusal_is_told() -> None:
    message = {"content": None, "refusal": "I can't."}
    assert read_completion({"choices": [{"message": message}]}).problem == "the model refused: I can't."


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_holds_the_question_one_variation_and_the_reasons(kind: Kind) -> None:
    question = Question(7, kind, "What {instruction} barks?").refuse("[AUDIO] [AUDIO]", "it is bad")
    body = request(question, "some-model", seed=1)
    system, user, answer, reason = body["messages"]
    variations = [text for text in table("prompts")["variations"] if text in system["content"]]
    assert len(variations) == 1
    assert "{instruction}" not in system["content"]
    assert 'Old Prompt: "What {instruction} barks?"' in user["content"]
    assert (answer["role"], answer["content"]) == ("assistant", "[AUDIO] [AUDIO]")
    assert "it is bad" in reason["content"]
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["revised_prompt"]
    assert body == request(question, "some-model", seed=1)


def test_draws_cover_the_variations_and_temperatures_evenly() -> None:
    drawn = [draw(0, number) for number in range(8000)]
    variations = Counter(each.variation for each in drawn)
    assert set(variations) == set(table("prompts")["variations"])
    assert len(variations) == 8
    assert min(variations.values()) > 850  # 1000 expected, standard deviation 30
    temperatures = [each.temperature for each in drawn]
    assert 0.7 <= min(temperatures) < 0.71
    assert 1.09 < max(temperatures) <= 1.1
    assert abs(sum(temperatures) / len(temperatures) - 0.9) < 0.01
    assert [draw(1, number) for number in range(9)] != drawn[:9]


def test_every_question_of_shard_would_be_reported() -> None:
    for word in shipped_words():
        for relation in relations():
            for term in word.asked(relation):
                for cell in PAPER_CELLS:
                    assert term in leaked(term_prompt(relation, cell, term))


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Can you hear vehicles in [AUDIO]?", ["vehicle"]),
        ("Listen to [AUDIO]. Is there an animal?", ["animal"]),
        ("Given [AUDIO], could it be an automobile or a bird?", ["automobile", "bird"]),
        ("What vehicle passes in [AUDIO]?", []),
        ("Can you describe the vehicle in [AUDIO]?", []),
        ("Is [AUDIO] loud? Name the vehicle.", []),
        ("Is [AUDIO] vehicular?", []),
    ],
)
def test_yes_no_questions_about_terms_are_found(text: str, terms: list[str]) -> None:
    assert leaked(text) == terms


@pytest.mark.parametrize(
    ("original", "revised"),
    [
        ("What barks in the audio clip?", "What barks in [AUDIO]?"),
        ("What barks in the given recording?", "What barks in [AUDIO]?"),
        ("Analyze audio events in clip given.", "Analyze audio events in [AUDIO]."),
        ("How loud is the audio clip's end?", "How loud is [AUDIO]'s end?"),
        ("In this clip, does the clip end early?", "In [AUDIO], does it end early?"),
        ("Based on its pitch, how big is it?", "Listen to [AUDIO]: based on its pitch, how big is it?"),
    ],
)
def test_rules_put_the_placeholder_where_the_audio_is_named(original: str, revised: str) -> None:
    assert reformulate("open", original, random.Random(0)) == revised


def test_rules_frame_a_question_that_names_no_audio() -> None:
    made = {reformulate("open", "What is the dog's mood?", random.Random(seed)) for seed in range(60)}
    assert len(made) == len(table("rules")["open"]["frames"])
    assert all("what is the dog's mood?" in text for text in made)
    assert "I hear a dog. Why?" in reformulate("open", "I hear a dog. Why?", random.Random(0))


@pytest.mark.parametrize("kind", ["label", "acoustic"])
def test_everything_that_rules_write_passes_the_checks(kind: Kind) -> None:
    made = Counter(reformulate(kind, "Classify it.", random.Random(seed)) for seed in range(3000))
    rules = table("rules")
    assert len(made) == len(rules["openings"]) * len(rules[kind]["requests"]) + len(rules[kind]["whole"])
    assert [text for text in made if check(kind, "Classify it.", text)] == []
