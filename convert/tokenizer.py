"""One Hugging Face tokenizer JSON, with [AUDIO], from a model directory or from what a GGUF file carries.

The vocabulary as `tokenizer.ggml.*` keys is what llama.cpp reads; the JSON is what training and runtime cut
text with.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ltu.convert.vocabulary import (
    CONTROL,
    PREFIX,
    SPACE,
    SPLITS,
    UNKNOWN,
    USER_DEFINED,
    Json,
    Keys,
    added_tokens,
    end_ids,
    filled,
    from_json,
    from_sentencepiece,
    read_json,
    special_ids,
)
from ltu.errors import ModelFileError, listed
from ltu.prompt import AUDIO


def from_directory(folder: Path, rows: int) -> tuple[Json, Keys]:
    """Tokenizer and keys of a Hugging Face model directory, without [AUDIO]. Raises ModelFileError.

    rows: of the embedding table. A `tokenizer.model` comes first: LTU's code cuts text with SentencePiece;
    tokens that a `tokenizer.json` beside it adds are taken from there.
    """
    model_config, generation = (read_json(folder / f"{n}config.json") for n in ("", "generation_"))
    config = read_json(folder / "tokenizer_config.json") | model_config
    if (folder / "tokenizer.model").is_file():
        keys = from_sentencepiece(folder / "tokenizer.model", added_tokens(folder))
        keys = filled(keys, rows)
        tokenizer = from_keys(keys, str(folder))
    else:
        tokenizer = read_json(folder / "tokenizer.json")
        if not tokenizer:
            raise ModelFileError(
                f"{folder}: holds no tokenizer.model or tokenizer.json; put the model's there"
            )
        try:
            own = tokenizer.get("added_tokens", [])
            known = {token["id"] for token in own}
            more = {id: token for id, token in added_tokens(folder).items() if id not in known}
            added = [*own, *(_added(t.content, id, t.special) for id, t in more.items())]
            # a tokenizer of ours has [AUDIO] already
            tokenizer["added_tokens"] = [t for t in added if t["content"] != AUDIO or t["id"] < rows]
            keys = filled(from_json(tokenizer, folder), rows)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ModelFileError(f"{folder}/tokenizer.json: is no BPE tokenizer of Hugging Face's") from None
        if keys[PREFIX + "model"] == "llama":
            tokenizer |= _sentencepiece_steps(True)
        vocabulary = tokenizer["model"]["vocab"]
        vocabulary |= {token: i for i, token in enumerate(keys[PREFIX + "tokens"]) if i >= len(vocabulary)}
    keys |= special_ids(config, keys[PREFIX + "tokens"], keys[PREFIX + "token_type"])
    ends = end_ids(keys.get(f"{PREFIX}eos_token_id"), (config, generation), keys)
    if len(ends) > 1:
        keys["ltu.eos_token_ids"] = ends
    add_bos = config.get("add_bos_token")
    keys[PREFIX + "add_bos_token"] = keys[PREFIX + "model"] == "llama" if add_bos is None else bool(add_bos)
    return tokenizer, keys


def from_keys(keys: Mapping[str, Any], where: str) -> Json:
    """Tokenizer JSON from a GGUF's `tokenizer.ggml.*` keys, without [AUDIO]. Raises ModelFileError."""
    try:
        kind = keys[PREFIX + "model"]
        tokens, types = keys[PREFIX + "tokens"], keys[PREFIX + "token_type"]
        if twice := [token for token, count in Counter(tokens).items() if count > 1]:
            raise ModelFileError(f"{where}: has tokens twice: {listed(map(repr, twice))}")
        if kind == "llama":
            steps = _sentencepiece_steps(keys.get(PREFIX + "add_space_prefix", True))
            merges = _merges(tokens, keys[PREFIX + "scores"])
        elif kind == "gpt2":
            steps = _byte_level_steps(keys.get(PREFIX + "pre", "gpt-2"), where)
            merges = keys[PREFIX + "merges"]
        else:
            raise ModelFileError(f"{where}: the tokenizer {kind!r} is not supported, llama and gpt2 are")
    except KeyError as error:
        raise ModelFileError(f"{where}: key {error.args[0]} is missing") from None
    unknown = next((tokens[i] for i, type in enumerate(types) if type == UNKNOWN), None)
    special = (UNKNOWN, CONTROL, USER_DEFINED)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            _added(token, i, special=types[i] != USER_DEFINED)
            for i, token in enumerate(tokens)
            if types[i] in special
        ],
        **steps,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": unknown if kind == "llama" else None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": kind == "llama",
            "byte_fallback": kind == "llama",
            "ignore_merges": keys.get(PREFIX + "pre") == "llama-bpe",
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": merges,
        },
    }


def with_audio(tokenizer: Json, rows: int) -> str:
    """The JSON text with [AUDIO] as an added special token of an id beyond the embedding table's rows.

    Beside it spaces are stripped for SentencePiece vocabularies, as LTU's own tokenizer does.
    """
    strip = bool(tokenizer["model"].get("byte_fallback"))
    added = [token for token in tokenizer["added_tokens"] if token["content"] != AUDIO]
    id = max([rows, *(token["id"] + 1 for token in added)])
    added.append(_added(AUDIO, id, special=True, strip=strip))
    return json.dumps(tokenizer | {"added_tokens": added}, ensure_ascii=False)


def _added(content: str, id: int, special: bool, strip: bool = False) -> Json:
    flags = {"single_word": False, "lstrip": strip, "rstrip": strip, "normalized": False, "special": special}
    return {"id": id, "content": content, **flags}


def _sentencepiece_steps(space_prefix: bool) -> Json:
    """What SentencePiece does around its BPE; each stretch of text gets the prefix (transformers: legacy)."""
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    back = {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}
    decoders: list[Json] = [back, {"type": "ByteFallback"}, {"type": "Fuse"}]
    if space_prefix:
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    prepend = [{"type": "Prepend", "prepend": SPACE}] if space_prefix else []
    return {
        "normalizer": {"type": "Sequence", "normalizers": [*prepend, replace]},
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": decoders},
    }


def _byte_level_steps(pre: str, where: str) -> Json:
    def byte_level(use_regex: bool) -> Json:
        return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}

    def split(regex: str) -> Json:
        return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}

    steps = {
        "gpt-2": [byte_level(True)],
        "smollm": [{"type": "Digits", "individual_digits": True}, byte_level(True)],
        **{name: [split(regex), byte_level(False)] for name, regex in SPLITS.items()},
    }
    if pre not in steps:
        raise ModelFileError(f"{where}: the pre-tokenizer {pre!r} is not supported, {', '.join(steps)} are")
    return {
        "normalizer": {"type": "NFC"} if pre == "qwen2" else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps[pre]},
        "post_processor": None,
        "decoder": byte_level(True),
    }


def _merges(tokens: Sequence[str], scores: Sequence[float]) -> list[str]:
    """Pairs in the order SentencePiece joins them: best score of the joined piece first."""
    ids = {token: i for i, token in enumerate(tokens)}
    pairs = []
    for token, score in zip(tokens, scores, strict=True):
        halves = [(token[:i], token[i:]) for i in range(1, len(token))]
        found = [(ids[a], ids[b]) for a, b in halves if a in ids and b in ids]
        pairs += [(-score, a, b) for a, b in sorted(found)]
    pairs.sort(key=lambda pair: pair[0])
    return [f"{tokens[a]} {tokens[b]}" for _, a, b in pairs]
