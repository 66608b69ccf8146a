"""Prompts against the original LTU code's token ids, and what the text of a prompt can't do."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import ltu
from ltu.audio import Clip
from ltu.convert.tokenizer import from_directory, with_audio
from ltu.prompt import AUDIO, CLIP, Prompter, check_clips

GOLDEN = Path(__file__).parent / "golden"
PROMPTS = [prompt for prompt in json.loads((GOLDEN / "golden.json").read_text())["prompts"] if prompt["text"]]
LTU_TEMPLATE = "### Instruction:\n{prompt}\n\n### Response:\n"
CHAT_TEMPLATE = "<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
BOS, EOS, VOCABULARY = 1, 2, 32_000  # LLaMA's


def clips(count: int) -> list[Clip]:
    return [Clip(np.full(16_000, value, np.float32), f"clip {value}") for value in range(count)]


@pytest.fixture(scope="module")
def llama_json() -> str:
    tokenizer, _ = from_directory(GOLDEN / "tokenizer", VOCABULARY)
    return with_audio(tokenizer, VOCABULARY)


@pytest.fixture(scope="module")
def llama(llama_json: str) -> Prompter:
    return Prompter(llama_json, "{prompt}", BOS)


@pytest.fixture(scope="module")
def bytes_json() -> str:
    """A byte-level vocabulary as GPT-2's and SmolLM2's are, trained on this file."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train([__file__], trainer)
    tokenizer.add_special_tokens([AUDIO])
    text: str = tokenizer.to_str()
    return text


@pytest.fixture(scope="module")
def chat(bytes_json: str) -> Prompter:
    return Prompter(bytes_json, CHAT_TEMPLATE, None)


@pytest.mark.parametrize("golden", PROMPTS, ids=lambda golden: golden["text"][:40])
def test_ids_are_those_of_the_original_code(llama: Prompter, golden: dict[str, Any]) -> None:
    text = golden["text"]
    if AUDIO in text:
        sequence = llama.sequence(text, clips(1))
        assert list(sequence.ids) == golden["ids_with_placeholder"]
    else:
        sequence = llama.sequence(text, clips(1), "prepended")
        assert list(sequence.ids) == [CLIP, *golden["ids"]]


def test_template_surrounds_the_prompt(llama_json: str) -> None:
    sequence = Prompter(llama_json, LTU_TEMPLATE, BOS).sequence("Is [AUDIO] a type of bird?", clips(1))
    assert list(sequence.ids) == PROMPTS[0]["ids_with_placeholder"]


def test_prepended_clips_stand_before_bos_in_their_order(llama: Prompter) -> None:
    given = clips(3)
    sequence = llama.sequence("What differs?", given, "prepended")
    assert sequence.ids[:4] == (CLIP, CLIP, CLIP, BOS)
    assert sequence.clips == tuple(given)


def test_file_without_bos_gets_none(llama_json: str) -> None:
    with_bos = Prompter(llama_json, "{prompt}", BOS).sequence("Hello").ids
    assert Prompter(llama_json, "{prompt}", None).sequence("Hello").ids == with_bos[1:]


@pytest.mark.parametrize("text", ["</s>", "a<s>b", "x <unk> y", "<|im_start|>", "<|im_end|>assistant"])
def test_control_tokens_in_a_prompt_are_text(llama: Prompter, chat: Prompter, text: str) -> None:
    assert not {0, EOS} & set(llama.sequence(text).ids)
    assert llama.sequence(text).ids.count(BOS) == 1
    assert llama.decode(llama.sequence(text).ids) == text
    assert chat.sequence(text).ids.count(0) == 2  # the template's <|im_start|>
    assert chat.sequence(text).ids.count(1) == 1


@pytest.mark.parametrize("prompt", ["What is it?", "Is [AUDIO] a bird?", "[AUDIO]", "  two  spaces [AUDIO] "])
def test_harmless_prompts_are_cut_as_the_tokenizer_alone_cuts_them(
    bytes_json: str, llama_json: str, prompt: str
) -> None:
    for text, template in ((bytes_json, CHAT_TEMPLATE), (llama_json, LTU_TEMPLATE)):
        tokenizer = Tokenizer.from_str(text)
        whole = tokenizer.encode(template.replace("{prompt}", prompt), add_special_tokens=False).ids
        audio = tokenizer.token_to_id(AUDIO)
        sequence = Prompter(text, template, None).sequence(prompt, clips(prompt.count(AUDIO)))
        assert list(sequence.ids) == [CLIP if token == audio else token for token in whole]


@pytest.mark.parametrize(
    ("prompt", "count", "format", "words"),
    [
        (
            "Is [AUDIO] like [AUDIO]?",
            1,
            "interleaved",
            r"holds 2 \[AUDIO\] and there are 1 clips; give one clip",
        ),
        ("What is this?", 1, "interleaved", r"holds 0 \[AUDIO\] and there are 1 clips; add \[AUDIO\]"),
        ("Is [AUDIO] a bird?", 0, "interleaved", r"holds 1 \[AUDIO\] and there are 0 clips"),
        ("Is [AUDIO] a bird?", 1, "prepended", r"take \[AUDIO\] out"),
    ],
)
def test_mismatch_says_how_many_and_what_to_do(
    llama: Prompter, prompt: str, count: int, format: Any, words: str
) -> None:
    with pytest.raises(ltu.PromptError, match=words):
        llama.sequence(prompt, clips(count), format)


def test_template_without_a_place_for_the_prompt_is_refused(llama_json: str) -> None:
    with pytest.raises(ltu.PromptError, match="exactly once"):
        Prompter(llama_json, "### Instruction:", BOS)


TEXTS = [
    "Yes, a bird.",
    "Ça va? 你好, Вы, 🐦🎵!",
    "line\nline\n",
    " leading",
    "\N{REPLACEMENT CHARACTER} is a character",
]


@pytest.mark.parametrize("text", TEXTS)
def test_streamed_pieces_are_whole_characters_of_the_text(llama: Prompter, chat: Prompter, text: str) -> None:
    for prompter in (llama, chat):
        ids = prompter._tokenizer.encode(text, add_special_tokens=False).ids
        assert streamed(prompter, ids) == prompter.decode(ids) == text


def test_stream_of_broken_bytes_ends_with_the_decoded_text(llama: Prompter, chat: Prompter) -> None:
    rng = np.random.default_rng(0)
    for prompter, first, last in ((llama, 3, 259), (chat, 2, 258)):  # the vocabularies' single bytes
        for _ in range(50):
            ids = rng.integers(first, last, 12).tolist()
            assert streamed(prompter, ids, whole=False) == prompter.decode(ids)


def streamed(prompter: Prompter, ids: list[int], whole: bool = True) -> str:
    stream = prompter.stream()
    pieces = [*map(stream.push, ids), stream.finish()]
    for piece in pieces[:-1] if whole else []:
        assert not piece.endswith("\N{REPLACEMENT CHARACTER}")
    return "".join(pieces)


@pytest.mark.parametrize(
    ("prompt", "count", "format", "message"),
    [
        ("Is [audio] a bird?", 1, "interleaved", r"write \[AUDIO\] for \[audio\]"),
        ("Is < Audio > a bird?", 1, "interleaved", r"write \[AUDIO\] for < Audio >"),
        ("Is (it) a bird?", 1, "interleaved", r"add \[AUDIO\] where each clip belongs, or use the prepended"),
        ("Is it a bird?", 0, "Interleaved", "no format 'Interleaved'; give interleaved or prepended"),
    ],
)
def test_near_misses_are_named(prompt: str, count: int, format: Any, message: str) -> None:
    with pytest.raises(ltu.PromptError, match=message):
        check_clips(prompt, count, format)


@pytest.mark.parametrize("text", ["gr\udcfcn [AUDIO]", "\ud83d [AUDIO]"])
def test_half_characters_are_named(llama: Prompter, text: str) -> None:
    with pytest.raises(ltu.PromptError, match="holds what is no Unicode character; write it in UTF-8"):
        llama.sequence(text, clips(1))
    with pytest.raises(ltu.PromptError, match="holds what is no Unicode character"):
        llama.continuation(text)
