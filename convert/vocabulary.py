"""A vocabulary as GGUF's `tokenizer.ggml.*` keys, from SentencePiece's model or Hugging Face's JSON."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltu import text_files
from ltu.checks import short
from ltu.errors import ModelFileError, listed

Keys = dict[str, Any]  # tokenizer.ggml.*
Json = dict[str, Any]  # Hugging Face tokenizer

# token types, of SentencePiece and of GGUF
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # SentencePiece's
PREFIX = "tokenizer.ggml."
END_TOKENS = tuple(f"{PREFIX}{name}_token_id" for name in ("eos", "eot", "eom"))  # that end an answer
# Where a text is cut before its bytes are joined, by llama.cpp's name: Llama 3 and Qwen2, which differ in how
# many digits stay together.
SPLITS = {
    name: (
        rf"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    for name, digits in (("llama-bpe", r"\p{N}{1,3}"), ("qwen2", r"\p{N}"))
}


@dataclass(frozen=True)
class AddedToken:
    """A token that was added to a vocabulary, or that replaces one of its tokens."""

    content: str
    special: bool


def added_tokens(folder: Path) -> dict[int, AddedToken]:
    """By id, those that a directory's files tell of; what transformers would read last wins."""
    path = folder / "added_tokens.json"
    found = {id: AddedToken(text, False) for text, id in read_json(path).items()}
    try:
        path = folder / "tokenizer.json"
        for token in read_json(path).get("added_tokens", []):
            found[token["id"]] = AddedToken(token["content"], bool(token["special"]))
        path = folder / "tokenizer_config.json"
        for id, token in read_json(path).get("added_tokens_decoder", {}).items():
            found[int(id)] = AddedToken(token["content"], bool(token.get("special")))
        return dict(sorted(found.items()))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"{path}: its added tokens are of another form ({error})") from None


def from_sentencepiece(path: Path, added: Mapping[int, AddedToken]) -> Keys:
    """Keys of a SentencePiece BPE model and the tokens added to it. Raises ModelFileError."""
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
    for id, token in added.items():
        kind = CONTROL if token.special else USER_DEFINED
        if 0 <= id < len(tokens):
            if tokens[id] != token.content:
                tokens[id], types[id] = token.content, kind
        elif id == len(tokens):
            tokens, scores, types = [*tokens, token.content], [*scores, 0.0], [*types, kind]
        else:
            raise ModelFileError(
                f"{path}: the added token {token.content!r} has the id {id}, and none has {len(tokens)}"
            )
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


def from_json(tokenizer: Json, folder: Path) -> Keys:
    model = tokenizer["model"]
    ids = dict(model["vocab"]) | {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    tokens = [token for token, _ in sorted(ids.items(), key=lambda item: item[1])]
    if len(set(ids.values())) < len(tokens):
        raise ModelFileError(f"{folder}/tokenizer.json: several tokens have one id")
    if gaps := sorted(set(range(len(tokens))) - set(ids.values())):
        raise ModelFileError(f"{folder}/tokenizer.json: no token has the id {listed(map(str, gaps))}")
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
    if kinds == ("Split", "ByteLevel"):
        names = {regex: name for name, regex in SPLITS.items()}
        if name := names.get(steps[0]["pattern"].get("Regex")):
            return name
    if kinds not in known:
        raise ModelFileError(f"{folder}/tokenizer.json: its pre-tokenizer is not supported")
    return known[kinds]


def _keys(kind: str, tokens: list[str], types: list[int], **extra: Any) -> Keys:
    pre = {} if "pre" in extra else {"pre": "default"}
    described = {"model": kind, **pre, "tokens": tokens, "token_type": types, **extra}
    return {PREFIX + key: value for key, value in described.items()}


def special_ids(config: Json, tokens: Sequence[str], types: Sequence[int]) -> Keys:
    """Ids of the tokens that begin and end a text, of the unknown one and of padding.

    A token's name comes before an id in the configuration: those of early LLaMA conversions are wrong. A
    usual name counts where it is no ordinary token; byte-level vocabularies hold "<s>" as a piece of text.
    Of several ids the first counts; `end_ids` has all.
    """
    keys = {}
    for name, key, usual in (
        ("bos", "bos", "<s>"),
        ("eos", "eos", "</s>"),
        ("unk", "unknown", "<unk>"),
        ("pad", "padding", "<pad>"),
    ):
        token = config.get(f"{name}_token")
        token = token.get("content") if isinstance(token, dict) else token
        if not token and usual in tokens and types[tokens.index(usual)] != NORMAL:
            token = usual
        id = config.get(f"{name}_token_id")
        if isinstance(token, str) and token in tokens:
            id = tokens.index(token)
        elif isinstance(id, list):
            id = next(iter(id), None)
        if id is not None and type(id) is not int:
            raise ModelFileError(f"config.json: {name}_token_id is {short(id)}, expected the id of a token")
        if id is not None and 0 <= id < len(tokens):
            keys[f"{PREFIX}{key}_token_id"] = id
    return keys


def end_ids(eos: int | None, configs: Sequence[Json], keys: Keys) -> list[int]:
    """All that end an answer: `eos` first, then those of the configurations, each once.

    What begins a text is none of them, unless it is `eos`: early LLaMA conversions have such ids.
    """
    found = [eos] if eos is not None else []
    for config in configs:
        ids = config.get("eos_token_id")
        found += [id for id in (ids if isinstance(ids, list) else [ids]) if type(id) is int]
    count, bos = len(keys[PREFIX + "tokens"]), keys.get(f"{PREFIX}bos_token_id")
    return list(dict.fromkeys(id for id in found if 0 <= id < count and (id != bos or id == eos)))


def read_json(path: Path) -> Json:
    """A JSON object, {} when there is no such file. Raises ModelFileError."""
    return text_files.read_json(path, ModelFileError) if path.exists() else {}


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
