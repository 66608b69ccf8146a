"""Tokenizers against SentencePiece, transformers and the golden prompts."""

import json
import shutil
from pathlib import Path

import pytest
import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from ltu.convert import tokenizer
from ltu.convert.vocabulary import SPLITS, Json
from ltu.defaults import TEMPLATE
from ltu.errors import ModelFileError
from ltu.prompt import Prompter

GOLDEN = Path(__file__).parent.parent / "golden"
TEXTS = [
    "Is this a type of bird?",
    "  leading and   inner spaces ",
    "Wörter, 日本語 und 🎧🐦",
    "line\n\nbreaks\tand tabs\r\n",
    "x = 3.14159; y=-2e10 (1234567890)",
    "### Instruction:\nClose-ended question: it's don't WE'LL\n\n### Response:\n",
    "",
    "a",
    "\u0007\ufeffrare\u200b",
    "u\u0308ber 12345",
]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    shutil.copy(GOLDEN / "tokenizer" / "tokenizer.model", folder)
    return folder


def loaded(description: Json, rows: int) -> Tokenizer:
    return Tokenizer.from_str(tokenizer.with_audio(description, rows))


def cut(made: Tokenizer, text: str) -> list[int]:
    ids: list[int] = made.encode(text, add_special_tokens=False).ids
    return ids


def test_llama_vocabulary_cuts_as_sentencepiece(llama: Path) -> None:
    description, keys = tokenizer.from_directory(llama, 32000)
    made = loaded(description, 32000)
    oracle = sentencepiece.SentencePieceProcessor(str(llama / "tokenizer.model"))
    pieces = [oracle.id_to_piece(i) for i in range(259, 32000, 7)]
    texts = TEXTS + [" ".join(pieces[i : i + 40]) for i in range(0, len(pieces), 40)]
    for text in texts:
        assert cut(made, text) == oracle.encode(text), text
        assert made.decode(oracle.encode(text)) == oracle.decode(oracle.encode(text)), text
    assert keys["tokenizer.ggml.scores"] == [oracle.get_score(i) for i in range(32000)]
    assert keys["tokenizer.ggml.bos_token_id"] == 1
    assert keys["tokenizer.ggml.eos_token_id"] == 2
    assert keys["tokenizer.ggml.add_bos_token"] is True


def test_golden_prompts_have_their_ids(llama: Path) -> None:
    made = loaded(tokenizer.from_directory(llama, 32000)[0], 32000)
    for prompt in json.loads((GOLDEN / "golden.json").read_text())["prompts"]:
        if prompt["text"] is not None:
            ids = [-1 if id == 32000 else id for id in cut(made, prompt["text"])]
            expected = [id for id in prompt["ids_with_placeholder"] if id != 1]
            assert [id for id in ids if id != -1] == [id for id in expected if id != -1]
            if "[AUDIO]" in prompt["text"]:
                assert ids == expected


@pytest.fixture(scope="module", params=["smollm", "gpt-2", "llama-bpe", "qwen2"])
def byte_level(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A byte-level tokenizer that transformers wrote, trained on this repository's prose."""
    pre, folder = request.param, tmp_path_factory.mktemp("bpe")
    steps = {
        "smollm": [pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(False)],
        "gpt-2": [pre_tokenizers.ByteLevel(False)],
        **{
            name: [
                pre_tokenizers.Split(Regex(split), "isolated"),
                pre_tokenizers.ByteLevel(False, use_regex=False),
            ]
            for name, split in SPLITS.items()
        },
    }[pre]
    made = Tokenizer(models.BPE(ignore_merges=pre == "llama-bpe"))
    if pre == "qwen2":
        made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.Sequence(steps)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|begin|>", "<|end|>"],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    made.train_from_iterator([(GOLDEN / "README.md").read_text()], trainer)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<|begin|>", eos_token="<|end|>")
    wrapped.save_pretrained(folder)
    return pre, folder


def test_byte_level_vocabulary_cuts_as_transformers(byte_level: tuple[str, Path]) -> None:
    pre, folder = byte_level
    oracle = AutoTokenizer.from_pretrained(folder)
    description, keys = tokenizer.from_directory(folder, 640)
    assert keys["tokenizer.ggml.pre"] == pre
    assert keys["tokenizer.ggml.bos_token_id"] == oracle.bos_token_id
    assert keys["tokenizer.ggml.eos_token_id"] == oracle.eos_token_id
    for made in (loaded(description, 640), loaded(tokenizer.from_keys(keys, "keys"), 640)):
        for text in TEXTS:
            assert cut(made, text) == oracle(text, add_special_tokens=False)["input_ids"], text
        assert made.token_to_id("[AUDIO]") == 640
        ids = cut(made, "Is [AUDIO] a")
        assert ids == [*cut(made, "Is "), 640, *cut(made, " a")]  # spaces stay


def test_json_of_a_llama_gives_the_same_ids_and_keys(llama: Path, tmp_path: Path) -> None:
    description, keys = tokenizer.from_directory(llama, 32000)
    (tmp_path / "tokenizer.json").write_text(json.dumps(description))
    again, other = tokenizer.from_directory(tmp_path, 32000)
    made, *others = (loaded(each, 32000) for each in (description, again, tokenizer.from_keys(other, "keys")))
    for text in [*TEXTS, "Is [AUDIO] a type of bird?"]:
        assert [cut(each, text) for each in others] == [cut(made, text)] * 2
    assert other["tokenizer.ggml.tokens"] == keys["tokenizer.ggml.tokens"]
    assert other["tokenizer.ggml.token_type"] == keys["tokenizer.ggml.token_type"]


def test_unknown_tokenizers_are_named(llama: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"holds no tokenizer\.model or tokenizer\.json"):
        tokenizer.from_directory(tmp_path, 10)
    (tmp_path / "tokenizer.model").write_bytes((llama / "tokenizer.model").read_bytes()[:1000])
    with pytest.raises(ModelFileError, match="no SentencePiece model, or a broken one"):
        tokenizer.from_directory(tmp_path, 10)
    keys = {"model": "gpt2", "pre": "tekken", "tokens": [], "token_type": [], "merges": []}
    with pytest.raises(ModelFileError, match="pre-tokenizer 'tekken' is not supported"):
        tokenizer.from_keys({f"tokenizer.ggml.{key}": value for key, value in keys.items()}, "m.gguf")
    with pytest.raises(ModelFileError, match=r"m\.gguf: key tokenizer\.ggml\.model is missing"):
        tokenizer.from_keys({}, "m.gguf")


def wrapped(llama: Path, folder: Path) -> None:
    """A ChatML fine-tune as a fast tokenizer saves it: added tokens in tokenizer.json alone."""
    shutil.copy(llama / "tokenizer.model", folder)
    description, _ = tokenizer.from_directory(llama, 32000)
    made = Tokenizer.from_str(json.dumps(description))
    made.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"eos_token": "<|im_end|>"}')


@pytest.mark.parametrize("told", ["tokenizer.json", "tokenizer_config.json"])
def test_tokens_added_beside_a_tokenizer_model_are_kept(llama: Path, tmp_path: Path, told: str) -> None:
    wrapped(llama, tmp_path)
    if told == "tokenizer_config.json":
        (tmp_path / "tokenizer.json").unlink()
        decoder = {"32000": "<|im_start|>", "32001": "<|im_end|>"}
        config: Json = {"eos_token": "<|im_end|>"}
        config["added_tokens_decoder"] = {id: {"content": t, "special": True} for id, t in decoder.items()}
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    description, keys = tokenizer.from_directory(tmp_path, 32002)
    assert keys["tokenizer.ggml.tokens"][32000:] == ["<|im_start|>", "<|im_end|>"]
    assert keys["tokenizer.ggml.eos_token_id"] == 32001
    prompter = Prompter(
        tokenizer.with_audio(description, 32002), "<|im_start|>user\n{prompt}<|im_end|>", None
    )
    ids = prompter.sequence("Hi").ids
    assert (ids[0], ids[-1]) == (32000, 32001)


def test_an_added_token_behind_a_gap_is_named(llama: Path, tmp_path: Path) -> None:
    shutil.copy(llama / "tokenizer.model", tmp_path)
    (tmp_path / "added_tokens.json").write_text('{"<pad>": 32003}')
    with pytest.raises(ModelFileError, match="added token '<pad>' has the id 32003, and none has 32000"):
        tokenizer.from_directory(tmp_path, 32004)


@pytest.mark.parametrize(
    ("files", "first", "ends"),
    [
        ({"config": {"eos_token_id": [2, 300]}}, 2, [2, 300]),
        (
            {"config": {"eos_token_id": 2}, "generation_config": {"eos_token_id": [300, 301]}},
            2,
            [2, 300, 301],
        ),
        ({"tokenizer_config": {"eos_token": "<0x61>"}, "config": {"eos_token_id": 2}}, 100, [100, 2]),
        ({"config": {"eos_token_id": 1}}, 2, None),  # early conversions: that is BOS
        ({"config": {"eos_token_id": 2}}, 2, None),
        ({"config": {"eos_token_id": [2, 99999]}}, 2, None),
    ],
)
def test_every_end_token_is_kept(
    llama: Path, tmp_path: Path, files: dict[str, Json], first: int, ends: list[int] | None
) -> None:
    shutil.copy(llama / "tokenizer.model", tmp_path)
    for name, content in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    keys = tokenizer.from_directory(tmp_path, 32000)[1]
    assert keys["tokenizer.ggml.eos_token_id"] == first
    assert keys.get("ltu.eos_token_ids") == ends


@pytest.mark.parametrize("text", ["Yes, it is.", "no", " spaced", "\nline", "</s> [AUDIO]", ""])
def test_an_answer_is_cut_as_together_with_its_prompt(llama: Path, text: str) -> None:
    oracle = sentencepiece.SentencePieceProcessor(str(llama / "tokenizer.model"))
    prompter = Prompter(tokenizer.with_audio(tokenizer.from_directory(llama, 32000)[0], 32000), TEMPLATE, 1)
    prompt = prompter.sequence("Is it?").ids
    assert [*prompt[1:], *prompter.continuation(text)] == oracle.encode(
        TEMPLATE.format(prompt="Is it?") + text
    )
