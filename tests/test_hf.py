"""LTU in transformers computes what the engine computes, alone and in company, before and after saving."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from transformers import AutoModelForMultimodalLM, AutoProcessor, pipeline

import ltu
from ltu.convert import convert
from ltu.hf import LtuForConditionalGeneration, LtuProcessor, from_gguf
from tiny import tiny_gguf

Opened = tuple[LtuForConditionalGeneration, LtuProcessor]
PROMPTS = ["Is [AUDIO] a bird?", "Is the type of [AUDIO] that of [AUDIO]?", "yes"]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hf")
    return tiny_gguf(
        folder / "tiny.gguf", kv_heads=1, sampling={"temperature": 0.0, "repetition_penalty": 1.25}
    )


@pytest.fixture(scope="module")
def opened(path: Path) -> Opened:
    return from_gguf(path)


@pytest.fixture(scope="module")
def clips() -> list[ltu.Clip]:
    random = np.random.default_rng(0)
    return [ltu.load_audio(random.normal(0, scale, 8000).astype(np.float32)) for scale in (0.05, 0.3)]


def audio_for(clips: list[ltu.Clip]) -> list[list[ltu.Clip]]:
    return [clips[:1], clips, []]


def answers(
    model: LtuForConditionalGeneration, processor: LtuProcessor, *asked: object, **how: object
) -> list[str]:
    inputs = processor(*asked)
    made = model.generate(**inputs, **how)
    assert torch.equal(made[: len(inputs.input_ids), : inputs.input_ids.shape[1]][0], inputs.input_ids[0])
    answered: list[str] = processor.batch_decode(
        made[:, inputs.input_ids.shape[1] :], skip_special_tokens=True
    )
    return answered


@pytest.mark.parametrize("format", ["interleaved", "prepended"])
def test_logits_are_the_engines(path: Path, opened: Opened, clips: list[ltu.Clip], format: str) -> None:
    model, processor = opened
    engine = ltu.load(path, device="cpu", threads=1)
    prompt = PROMPTS[1] if format == "interleaved" else "Is the type of one that of the other?"
    inputs = processor(prompt, clips, format)
    with torch.no_grad():
        logits = model(**inputs).logits[0].numpy()
    sequence = engine.prompter.sequence(prompt, clips, format)
    items = [clips[sequence.ids[:i].count(-1)] if id == -1 else id for i, id in enumerate(sequence.ids)]
    np.testing.assert_allclose(engine.logits(items), logits, atol=2e-4)


def test_greedy_answers_are_the_engines_alone_and_in_a_batch(path: Path, opened: Opened, clips: list) -> None:
    model, processor = opened
    engine = ltu.load(path, device="cpu", threads=1)
    heard = audio_for(clips)
    own = [engine.generate(prompt, audio)[0].text for prompt, audio in zip(PROMPTS, heard, strict=True)]
    assert len(set(own)) == len(own)
    assert answers(model, processor, PROMPTS, heard) == own
    for prompt, audio, expected in zip(PROMPTS, heard, own, strict=True):
        assert answers(model, processor, prompt, audio) == [expected]
    # several answers to a prompt with several clips: each hears them in their order
    how = {"do_sample": True, "temperature": 1e-4, "num_return_sequences": 2}
    assert answers(model, processor, PROMPTS[:2], heard[:2], **how) == [own[0], own[0], own[1], own[1]]


def test_a_saved_folder_comes_back_and_goes_to_the_engine(
    opened: Opened, clips: list[ltu.Clip], tmp_path: Path
) -> None:
    model, processor = opened
    for part in opened:
        part.save_pretrained(tmp_path / "saved")
    again = AutoModelForMultimodalLM.from_pretrained(tmp_path / "saved")
    reader = AutoProcessor.from_pretrained(tmp_path / "saved")
    inputs, before = reader(PROMPTS, audio_for(clips)), processor(PROMPTS, audio_for(clips))
    assert all(torch.equal(inputs[name], before[name]) for name in before)
    with torch.no_grad():
        logits = model(**before).logits
        assert torch.equal(again(**inputs).logits, logits)
    assert again.generation_config.repetition_penalty == 1.25
    written = convert(tmp_path / "saved", outtype="f32", output=tmp_path / "again.gguf")
    engine = ltu.load(written.path, device="cpu", threads=1)
    assert engine.generate(PROMPTS[0], clips[0])[0].text == answers(again, reader, PROMPTS[0], clips[0])[0]
    assert engine.sampling == ltu.Sampling(temperature=0.0, repetition_penalty=1.25)
    ids = engine.prompter.sequence(PROMPTS[2]).ids
    np.testing.assert_allclose(engine.logits(list(ids))[-1], logits[2, -1].numpy(), atol=2e-4)


def test_features_that_are_missing_are_named(opened: Opened, clips: list) -> None:
    model, processor = opened
    inputs = processor(PROMPTS[0], clips[0])
    with pytest.raises(ValueError, match="32 audio positions and 0 clips need 0"):
        model(inputs.input_ids)
    with pytest.raises(ltu.PromptError, match="2 prompts and 1 entries of audio"):
        processor(PROMPTS[:2], clips[0])


def said(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def asked(*parts: object) -> list[dict[str, object]]:
    return [{"role": "user", "content": list(parts)}]


def test_a_conversation_of_one_question_is_that_question(
    opened: Opened, clips: list[ltu.Clip], tmp_path: Path
) -> None:
    model, processor = opened
    noise = np.random.default_rng(1).normal(0, 0.1, 8000).astype(np.float32)
    soundfile.write(tmp_path / "noise.wav", noise, 16_000, subtype="FLOAT")
    heard = [{"type": "audio", "audio": clips[0]}, {"type": "audio", "path": str(tmp_path / "noise.wav")}]
    one = asked(said("Is the type of "), heard[0], said(" that of "), heard[1], said("?"))
    assert processor.apply_chat_template(one) == PROMPTS[1]
    inputs = processor.apply_chat_template(
        [one, [{"role": "system", "content": ""}, {"role": "user", "content": PROMPTS[2]}]],
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        add_generation_prompt=True,
    )
    expected = processor(PROMPTS[1:], [[clips[0], noise], None])
    assert all(torch.equal(inputs[name], expected[name]) for name in expected)
    how = {"do_sample": False}
    [answer] = pipeline("any-to-any", model=model, processor=processor)(
        one, return_tensors=True, generate_kwargs=how
    )
    [expected_ids] = model.generate(**processor(PROMPTS[1], [clips[0], noise]), **how)
    assert answer["generated_token_ids"].tolist() == expected_ids.tolist()


@pytest.mark.parametrize(
    ("conversation", "message"),
    [
        ([{"role": "system", "content": "Be kind."}, *asked(said("Is it?"))], "system message"),
        ([*asked(said("Is it?")), {"role": "assistant", "content": "Yes."}], "message of 'assistant'"),
        ([*asked(said("Is it?")), *asked(said("And now?"))], "2 user messages"),
        ([], "0 user messages"),
        (asked(said("Is [AUDIO] a bird?")), "part 0"),
        (asked(said("Is [AU"), said("DIO] a bird?")), "put together"),
        (asked(said("Is "), {"type": "image", "url": "a.png"}), "part 1"),
        (asked({"type": "audio"}), "part 0"),
    ],
)
def test_what_is_no_single_question_is_refused(opened: Opened, conversation: list, message: str) -> None:
    with pytest.raises(ltu.PromptError, match=re.escape(message)):
        opened[1].apply_chat_template(conversation, tokenize=True)
