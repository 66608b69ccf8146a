"""One Hugging Face tokenizer JSON, with [AUDIO], from whatever a language model comes with.

A vocabulary is carried as GGUF's `tokenizer.ggml.*` keys, which llama.cpp reads; the JSON is what training
and runtime cut text with. Sources: SentencePiece's `tokenizer.model`, Hugging Face's `tokenizer.json`, GGUF.
"""

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ltu.errors import ModelFileError
from ltu.prompt import AUDIO

Keys = dict[str, Any]  # tokenizer.ggml.*
Json = dict[str, Any]  # Hugging Face tokenizer

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(
    1, 7
)  # token types, of SentencePiece and of GGUF
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # SentencePiece's
PREFIX = "tokenizer.ggml."
# Llama 3's, as llama.cpp's pre-tokenizer "llama-bpe" has it
LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)


def from_directory(folder: Path, rows: int) -> tuple[Json, Keys]:
    """Tokenizer and keys of a Hugging Face model directory, without [AUDIO]. Raises ModelFileError.

    rows: of the embedding table. A `tokenizer.model` comes first: LTU's code cuts text with SentencePiece.
    """
    config = _read_json(folder / "tokenizer_config.json") | _read_json(folder / "config.json")
    if (folder / "tokenizer.model").is_file():
        keys = _from_sentencepiece(folder / "tokenizer.model", _read_json(folder / "added_tokens.json"))
        keys = filled(keys, rows)
        tokenizer = from_keys(keys, str(folder))
    else:
        tokenizer = _read_json(folder / "tokenizer.json")
        if not tokenizer:
            raise ModelFileError(
                f"{folder}: holds no tokenizer.model or tokenizer.json; put the model's there"
            )
        try:
            keys = filled(_from_json(tokenizer, folder), rows)
        except (AttributeError, KeyError, TypeError):
            raise ModelFileError(f"{folder}/tokenizer.json: is no BPE tokenizer of Hugging Face's") from None
        if keys[PREFIX + "model"] == "llama":
            tokenizer |= _sentencepiece_steps(True)
        vocabulary = tokenizer["model"]["vocab"]
        vocabulary |= {token: i for i, token in enumerate(keys[PREFIX + "tokens"]) if i >= len(vocabulary)}
    keys |= _special_ids(config, keys[PREFIX + "tokens"])
    add_bos = config.get("add_bos_token")
    keys[PREFIX + "add_bos_token"] = keys[PREFIX + "model"] == "llama" if add_bos is None else bool(add_bos)
    return tokenizer, keys


def from_keys(keys: Mapping[str, Any], where: str) -> Json:
    """Tokenizer JSON from a GGUF's `tokenizer.ggml.*` keys, without [AUDIO]. Raises ModelFileError."""
    try:
        kind = keys[PREFIX + "model"]
        tokens, types = keys[PREFIX + "tokens"], keys[PREFIX + "token_type"]
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

    split = {"type": "Split", "pattern": {"Regex": LLAMA3_SPLIT}, "behavior": "Isolated", "invert": False}
    steps = {
        "gpt-2": [byte_level(True)],
        "smollm": [{"type": "Digits", "individual_digits": True}, byte_level(True)],
        "llama-bpe": [split, byte_level(False)],
    }
    if pre not in steps:
        raise ModelFileError(f"{where}: the pre-tokenizer {pre!r} is not supported, {', '.join(steps)} are")
    return {
        "normalizer": None,
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


def _from_sentencepiece(path: Path, added: Mapping[str, int]) -> Keys:
    """Keys of a SentencePiece BPE model and the tokens added to it."""
    tokens, scores, types = [], [], []
    try:
        for field, value in _messages(path.read_bytes()):
            if field == 1:  # ModelProto.pieces: piece, score, type
                piece = dict(_messages(value))
                tokens.append(piece[1].decode("utf-8"))
                scores.append(struct.unpack("<f", piece.get(2, bytes(4)))[0])
                types.append(piece.get(3, NORMAL))
            if field == 2 and dict(_messages(value)).get(3, 1) != 2:  # TrainerSpec.model_type, 2 is BPE
                raise ModelFileError(f"{path}: is a SentencePiece model of another kind than BPE")
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, struct.error):
        raise ModelFileError(f"{path}: is no SentencePiece model, or a broken one") from None
    if not tokens:
        raise ModelFileError(f"{path}: is no SentencePiece model, or a broken one")
    for token, id in sorted(added.items(), key=lambda item: item[1]):
        if id == len(tokens):
            tokens, scores, types = [*tokens, token], [*scores, 0.0], [*types, USER_DEFINED]
    return _keys("llama", tokens, types, scores=scores, add_space_prefix=True)


def _messages(data: bytes) -> Iterator[tuple[int, Any]]:
    """Fields of a protocol buffer: (number, int or bytes)."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
            continue
        size = {1: 8, 2: None, 5: 4}[tag & 7]
        size = varint() if size is None else size
        if at + size > len(data):
            raise ValueError("the message is cut off")
        yield tag >> 3, data[at : at + size]
        at += size


def _from_json(tokenizer: Json, folder: Path) -> Keys:
    model = tokenizer["model"]
    ids = dict(model["vocab"]) | {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    tokens = [token for token, _ in sorted(ids.items(), key=lambda item: item[1])]
    if sorted(ids.values()) != list(range(len(tokens))):
        raise ModelFileError(f"{folder}/tokenizer.json: the ids of its tokens have gaps")
    types = dict.fromkeys(tokens, NORMAL)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    extra: Keys = {}
    if model.get("byte_fallback"):
        types |= {f"<0x{byte:02X}>": BYTE for byte in range(256)}
        rank = {merge.replace(" ", ""): -float(i) for i, merge in reversed(list(enumerate(merges)))}
        extra = {"scores": [rank.get(token, 0.0) for token in tokens], "add_space_prefix": True}
    else:
        extra = {"merges": merges, "pre": _pre_tokenizer(tokenizer, folder)}
    for token in tokenizer["added_tokens"]:
        types[token["content"]] = CONTROL if token["special"] else USER_DEFINED
    if model.get("unk_token"):
        types[model["unk_token"]] = UNKNOWN
    kind = "llama" if model.get("byte_fallback") else "gpt2"
    return _keys(kind, tokens, [types[token] for token in tokens], **extra)


def _pre_tokenizer(tokenizer: Json, folder: Path) -> str:
    """llama.cpp's name for the steps of a byte-level tokenizer."""
    steps = tokenizer.get("pre_tokenizer") or {}
    steps = steps.get("pretokenizers", [steps])
    known = {("ByteLevel",): "gpt-2", ("Digits", "ByteLevel"): "smollm"}
    kinds = tuple(step.get("type") for step in steps)
    if kinds == ("Split", "ByteLevel") and steps[0]["pattern"].get("Regex") == LLAMA3_SPLIT:
        return "llama-bpe"
    if kinds not in known:
        raise ModelFileError(f"{folder}/tokenizer.json: its pre-tokenizer is not supported")
    return known[kinds]


def _keys(kind: str, tokens: list[str], types: list[int], **extra: Any) -> Keys:
    pre = {} if "pre" in extra else {"pre": "default"}
    described = {"model": kind, **pre, "tokens": tokens, "token_type": types, **extra}
    return {PREFIX + key: value for key, value in described.items()}


def filled(keys: Keys, rows: int) -> Keys:
    """As many tokens as the embedding table has rows, as llama.cpp wants it."""
    filled = dict(keys)
    count = len(keys[PREFIX + "tokens"])
    unused = [f"[PAD{i}]" for i in range(count, rows)]
    padding: Keys = {"tokens": unused, "token_type": [UNUSED] * len(unused), "scores": [-1e4] * len(unused)}
    for key, values in padding.items():
        if PREFIX + key in keys:
            filled[PREFIX + key] = [*keys[PREFIX + key], *values][:rows]
    return filled


def _special_ids(config: Json, tokens: Sequence[str]) -> Keys:
    """Ids of the tokens that begin and end a text, of the unknown one and of padding.

    A token's name comes before an id in the configuration: those of early LLaMA conversions are wrong.
    """
    keys = {}
    for name, key, usual in (
        ("bos", "bos", "<s>"),
        ("eos", "eos", "</s>"),
        ("unk", "unknown", "<unk>"),
        ("pad", "padding", "<pad>"),
    ):
        token = config.get(f"{name}_token")
        token = (token["content"] if isinstance(token, dict) else token) or usual
        id = config.get(f"{name}_token_id")
        id = tokens.index(token) if token in tokens else id[0] if isinstance(id, list) else id
        if id is not None and 0 <= id < len(tokens):
            keys[f"{PREFIX}{key}_token_id"] = id
    return keys


def _read_json(path: Path) -> Json:
    """A JSON object, {} when there is no such file."""
    try:
        value: Json = json.loads(path.read_text(encoding="utf-8"))
        return value
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ModelFileError(f"{path}: is no JSON: {error}") from None
