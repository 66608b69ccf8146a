"""The language model that LTU is built on: a Hugging Face directory or a llama GGUF file."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from gguf import GGUFReader
from transformers import LlamaForCausalLM

from ltu.errors import ModelFileError
from ltu.prompt import AUDIO


@dataclass(frozen=True)
class Base:
    model: LlamaForCausalLM
    tokenizer_json: str  # Hugging Face JSON in which [AUDIO] is one token outside the embedding table
    bos_id: int
    eos_id: int
    sha256: str  # of the GGUF file, or of the directory's weight files in the order of their names


def load_base(path: Path) -> Base:
    """Weights in float32. Raises ModelFileError."""
    if path.is_file():
        model = LlamaForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
        weights, tokenizer = [path], tokenizer_from_gguf(path)
    elif path.is_dir():
        model = LlamaForCausalLM.from_pretrained(path, dtype=torch.float32)
        weights = sorted([*path.glob("*.safetensors"), *path.glob("*.bin")])
        if not (path / "tokenizer.json").is_file():
            raise ModelFileError(f"{path}: holds no tokenizer.json; save the base model's tokenizer there")
        tokenizer = json.loads((path / "tokenizer.json").read_text(encoding="utf-8"))
    else:
        raise ModelFileError(f"{path}: no such base model; give a directory or a GGUF file")
    assert isinstance(model.config.bos_token_id, int)
    assert isinstance(model.config.eos_token_id, int)
    return Base(
        model,
        json.dumps(with_audio_token(tokenizer, model.config.vocab_size), ensure_ascii=False),
        model.config.bos_token_id,
        model.config.eos_token_id,
        _sha256(weights),
    )


def with_audio_token(tokenizer: dict[str, Any], id: int) -> dict[str, Any]:
    """The tokenizer with [AUDIO] as an added special token, unless it has one."""
    if not any(token["content"] == AUDIO for token in tokenizer["added_tokens"]):
        tokenizer["added_tokens"].append(_added(AUDIO, id))
    return tokenizer


def tokenizer_from_gguf(path: Path) -> dict[str, Any]:
    """Hugging Face JSON of a byte-level BPE tokenizer (`gpt2` with the `smollm` pre-tokenizer)."""
    fields = GGUFReader(path).fields
    kind = [fields[f"tokenizer.ggml.{key}"].contents() for key in ("model", "pre")]
    if kind != ["gpt2", "smollm"]:
        raise ModelFileError(
            f"{path}: has the tokenizer {'/'.join(map(str, kind))}; only gpt2/smollm is read from GGUF here"
        )
    tokens, types, merges = (
        fields[f"tokenizer.ggml.{key}"].contents() for key in ("tokens", "token_type", "merges")
    )
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            _added(token, id) for id, (token, type) in enumerate(zip(tokens, types, strict=True)) if type == 3
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
        },
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {token: id for id, token in enumerate(tokens)},
            "merges": merges,
        },
    }


def _added(content: str, id: int) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": id, "content": content, **flags}


def _sha256(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
