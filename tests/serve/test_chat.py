"""Chat as the official client asks it: the answers of `Model.generate`, whole and streamed."""

from collections import defaultdict
from typing import Any

import numpy as np
import openai
import pytest
from sounds import clip, heard, said, user

import ltu

QUESTION = user(said("Is "), heard(1), said(" a bird?"))


def ask(client: openai.OpenAI, messages: Any = QUESTION, **settings: Any) -> Any:
    return client.chat.completions.create(**({"model": "tiny", "messages": messages, "seed": 7} | settings))


def streamed(client: openai.OpenAI, **settings: Any) -> tuple[dict[int, str], list[Any]]:
    """Text of each choice, and all chunks."""
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}, **settings))
    texts: defaultdict[int, str] = defaultdict(str)
    for choice in (choice for chunk in chunks for choice in chunk.choices):
        texts[choice.index] += choice.delta.content or ""
    return dict(texts), chunks


def test_answers_are_those_of_the_model_alone(client: openai.OpenAI, model: ltu.Model) -> None:
    expected = model.generate("Is [AUDIO] a bird?", clip(1), 4, 7)
    found = ask(client, n=4)
    assert [choice.message.content for choice in found.choices] == [answer.text for answer in expected]
    assert [choice.index for choice in found.choices] == [0, 1, 2, 3]
    reasons = {"eos": "stop", "length": "length"}
    assert [choice.finish_reason for choice in found.choices] == [reasons[a.stop] for a in expected]
    sequence = model.prompter.sequence("Is [AUDIO] a bird?", [clip(1)])
    assert found.usage.prompt_tokens == len(sequence.ids) + 31
    assert found.usage.completion_tokens == sum(len(answer.token_ids) for answer in expected)
    assert ask(client, n=4).usage.prompt_tokens_details.cached_tokens == found.usage.prompt_tokens
    assert (
        ask(client, n=1, extra_body={"ltu": {"first_repeat": 2}}).choices[0].message.content
        == expected[2].text
    )


def test_parts_are_joined_in_order_without_anything_between(client: openai.OpenAI, model: ltu.Model) -> None:
    mixed = ask(client, user(heard(1), said("a bird, "), heard(2), heard(1), said("it is")))
    [expected] = model.generate("[AUDIO]a bird, [AUDIO][AUDIO]it is", [clip(1), clip(2), clip(1)], seed=7)
    assert mixed.choices[0].message.content == expected.text
    prepended = ask(
        client, user(said("Is it"), heard(1), said(" a bird?")), extra_body={"ltu": {"format": "prepended"}}
    )
    [expected] = model.generate("Is it a bird?", clip(1), seed=7, format="prepended")
    assert prepended.choices[0].message.content == expected.text
    plain = ask(client, [{"role": "system", "content": ""}, {"role": "user", "content": "Is it?"}])
    assert plain.choices[0].message.content == model.generate("Is it?", seed=7)[0].text


def test_a_stream_holds_the_same_choices(client: openai.OpenAI) -> None:
    whole = ask(client, n=3)
    texts, chunks = streamed(client, n=3)
    assert texts == {choice.index: choice.message.content for choice in whole.choices}
    roles = [choice.index for chunk in chunks for choice in chunk.choices if choice.delta.role]
    assert roles == [0, 1, 2]
    ends = {c.index: c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason}
    assert ends == {choice.index: choice.finish_reason for choice in whole.choices}
    assert {(chunk.id, chunk.model, chunk.object) for chunk in chunks} == {
        (chunks[0].id, "tiny", "chat.completion.chunk")
    }
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert {chunk.system_fingerprint for chunk in chunks} == {whole.system_fingerprint}
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_a_seed_that_was_drawn_is_returned(client: openai.OpenAI) -> None:
    first = ask(client, seed=None, n=3)
    again = ask(client, seed=first.seed, n=3)
    assert [c.message.content for c in again.choices] == [c.message.content for c in first.choices]
    assert ask(client, seed=None).seed != first.seed
    assert ask(client, seed=-5).choices == ask(client, seed=2**64 - 5 - 2**64).choices


@pytest.mark.parametrize("kind", ["raw", "drawn"])
def test_logprobs_are_those_of_the_engine(client: openai.OpenAI, model: ltu.Model, kind: str) -> None:
    settings: Any = {"logprobs": True, "top_logprobs": 3, "extra_body": {"ltu": {"logprobs": kind}}}
    [choice] = ask(client, **settings).choices
    query = model.query("Is [AUDIO] a bird?", clip(1), seed=7, mode="sample", logprobs=3)
    [answer] = model.submit(query).result()
    found = choice.logprobs.content
    assert [entry.logprob for entry in found] == [getattr(one, kind) for one in answer.logprobs]
    tokens = model.prompter.token_bytes(model.info["llama.vocab_size"])
    whole = b"".join(tokens[id] for id in answer.token_ids)
    assert b"".join(bytes(entry.bytes) for entry in found) in (whole, whole[1:])  # its first space
    for entry, one in zip(found, answer.logprobs, strict=True):
        best = getattr(one, f"best_{kind}")
        assert [top.logprob for top in entry.top_logprobs] == [value for _, value in best]
    _, chunks = streamed(client, **settings)
    entries = [e for chunk in chunks for c in chunk.choices if c.logprobs for e in c.logprobs.content]
    assert entries == found


def test_an_answer_ends_before_the_first_stop_string(client: openai.OpenAI) -> None:
    [full] = [choice.message.content for choice in ask(client, temperature=1.5).choices]
    for start, end in np.random.default_rng(0).integers(0, len(full), (12, 2)):
        stop = full[min(start, end) : max(start, end) + 1]
        found = ask(client, temperature=1.5, stop=["never said", stop], logprobs=True)
        [choice] = found.choices
        assert choice.message.content == full[: full.index(stop)]
        assert choice.finish_reason == "stop"
        texts, _ = streamed(client, temperature=1.5, stop=stop)
        assert texts == {0: choice.message.content}


def test_a_clip_is_sent_once_and_used_by_its_hash(client: openai.OpenAI) -> None:
    found = ask(client)
    [told] = found.ltu["clips"]
    assert told == {"hash": clip(1).hash, "seconds": 1.0, "notes": []}
    by_hash = {"type": "input_audio", "input_audio": {"hash": told["hash"]}}
    again = ask(client, user(said("Is "), by_hash, said(" a bird?")))
    assert again.choices == found.choices
    unknown = {"type": "input_audio", "input_audio": {"hash": "0" * 64}}
    with pytest.raises(openai.NotFoundError) as error:
        ask(client, user(unknown))
    assert error.value.code == "clip_unknown"


@pytest.mark.parametrize(
    ("settings", "param"),
    [
        ({"messages": user(said("Is [AUDIO] a bird?"), heard(1))}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": "[AUDIO]"}]}, "messages[0].content"),
        ({"messages": user(said("[AU"), said("DIO]"), heard(1))}, "messages[0].content"),
        ({"messages": user({"type": "image_url", "image_url": {"url": "x"}})}, "messages[0].content[0]"),
        ({"messages": user(*[heard(1)] * 9)}, "messages[0].content"),
        ({"messages": [{"role": "system", "content": "Be kind."}, *QUESTION]}, "messages[0]"),
        ({"messages": [*QUESTION, {"role": "assistant", "content": "no"}, *QUESTION]}, "messages[1]"),
        ({"messages": [*QUESTION, *QUESTION]}, "messages"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format.type"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"extra_body": {"min_p": 0.1}}, "min_p"),
        ({"extra_body": {"ltu": {"repeats": 3}}}, "ltu.repeats"),
        ({"n": 129}, "n"),
        ({"max_tokens": 4097}, "max_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"stop": [""]}, "stop[0]"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(client: openai.OpenAI, settings: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        ask(client, **settings)
    assert error.value.param == param
    assert error.value.type == "invalid_request_error"


def test_other_bad_requests_say_what_is_wrong(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="'tiny'"):
        ask(client, model="gpt-6-luna")
    with pytest.raises(openai.BadRequestError, match="context"):
        ask(client, [{"role": "user", "content": "bird " * 3000}], stream=True)
    for broken, word in (
        ("AAAA", "is not audio"),
        ("%%%", "no base64"),
        ("https://a.b/c.wav", "nothing is fetched"),
    ):
        part = {"type": "input_audio", "input_audio": {"data": broken}}
        with pytest.raises(openai.BadRequestError, match=word):
            ask(client, user(part))
