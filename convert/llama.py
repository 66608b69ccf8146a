"""The base: a LLaMA, or what is computed like one, from a Hugging Face directory or a GGUF file."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ltu.convert import gguf_file, tokenizer
from ltu.convert.checkpoint import read_directory
from ltu.convert.gguf_file import Value
from ltu.convert.llama_cpp import ARCHITECTURE, PAIRED, each_qk, from_llama_cpp
from ltu.convert.lora import ADAPTER_CONFIG
from ltu.convert.model import Model
from ltu.convert.names import UNUSED_LLAMA, take, whole
from ltu.convert.rope import completed_scaling, rope_factors, rope_of, scaling_keys
from ltu.convert.table import table
from ltu.convert.tensor import Tensor, paired
from ltu.convert.vocabulary import END_TOKENS, filled, read_json
from ltu.errors import ModelFileError

HUGGING_FACE = "tokenizer.huggingface.json"


def read_base(path: Path) -> Model:
    """A LLaMA from a directory or a GGUF file. Raises ModelFileError."""
    if path.is_dir():
        return read_hugging_face(path)
    if not path.is_file():
        raise ModelFileError(f"{path}: there is no such file or directory")
    return read_gguf(path)


def read_hugging_face(folder: Path) -> Model:
    """`config.json`, weights (safetensors or .bin, whole or in shards) and tokenizer of a LLaMA."""
    config = _read_config(folder)
    try:
        source = whole(read_directory(folder))
        if "model.embed_tokens.weight" in source:
            rows = source["model.embed_tokens.weight"].row_count
        else:
            rows = config["vocab_size"]
        keys = llama_keys(config, rows, folder)
        factors = rope_factors(
            rope_of(config), keys["llama.rope.dimension_count"], keys["llama.rope.freq_base"]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"{folder}/config.json: lacks {error}, or has it in another form") from None
    try:
        wanted = table(keys)
    except ModelFileError as error:
        raise ModelFileError(f"{folder}/config.json: {error}") from None
    if config.get("tie_word_embeddings", False):
        source.pop("lm_head.weight", None)
    elif "lm_head.weight" not in source and "model.embed_tokens.weight" in source:
        raise ModelFileError(
            f"{folder}: holds no lm_head.weight; if the embedding table is the output matrix, too, set "
            "tie_word_embeddings to true in config.json"
        )
    tensors = each_qk(paired, keys, take(source, wanted.values(), UNUSED_LLAMA, folder))
    if factors:
        tensors["rope_freqs.weight"] = factors
    json_, vocabulary = tokenizer.from_directory(folder, rows)
    keys |= vocabulary | {HUGGING_FACE: tokenizer.with_audio(json_, rows)}
    called = os.fsencode(folder.resolve().name).decode("utf-8", "replace")  # a key of the file is UTF-8
    name = str(config.get("_name_or_path") or called).rstrip("/").split("/")[-1]
    described = {"general.architecture": keys[ARCHITECTURE], "general.name": name, "general.basename": name}
    return Model(described | keys, tensors, str(folder))


def read_gguf(path: Path) -> Model:
    """A GGUF file as llama.cpp's converter writes it, of one of the architectures that are known."""
    file = gguf_file.read(path)
    architecture = file.keys.get("general.architecture")
    if architecture not in PAIRED:
        hint = "; an LTU file is converted with --gguf" if architecture == "ltu" else ""
        raise ModelFileError(
            f"{path}: its architecture is {architecture!r}, expected {_any_of(PAIRED)}{hint}"
        )
    if file.keys.get(f"{architecture}.expert_count"):
        raise ModelFileError(f"{path}: is a mixture of experts, which is not supported")
    if "token_embd.weight" not in file.tensors:
        raise ModelFileError(f"{path}: tensor token_embd.weight is missing")
    try:
        keys, tensors = from_llama_cpp(file.keys, file.tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"{path}: key {error} is missing, or is of another form") from None
    return Model(_completed(keys, tensors, str(path)), tensors, str(path))


def _read_config(folder: Path) -> dict[str, Any]:
    config = read_json(folder / "config.json")
    if not config and (folder / ADAPTER_CONFIG).is_file():
        raise ModelFileError(
            f"{folder}: is a PEFT adapter, not a language model; give the model that it was trained on"
        )
    if not config:
        raise ModelFileError(f"{folder}/config.json: is missing; is {folder} a Hugging Face model?")
    return config["text_config"] if config.get("model_type") == "ltu" else config


def llama_keys(config: dict[str, Any], rows: int, where: object) -> dict[str, Value]:
    """Hyper-parameters from a Hugging Face configuration."""
    architecture, activation = config.get("model_type"), config.get("hidden_act", "silu")
    if architecture not in PAIRED:
        raise ModelFileError(f"{where}: config.json describes {architecture!r}, expected {_any_of(PAIRED)}")
    if activation != "silu":
        raise ModelFileError(
            f"{where}: config.json asks for the activation {activation!r}, supported is 'silu'"
        )
    biased = [name for name in ("attention_bias", "mlp_bias") if config.get(name)]
    if biased:
        raise ModelFileError(f"{where}: config.json sets {biased[0]}; a LLaMA with biases is not supported")
    if config.get("use_sliding_window"):
        raise ModelFileError(f"{where}: config.json asks for a sliding window, which is not supported")
    width, head_count = config["hidden_size"], config["num_attention_heads"]
    head_size = config.get("head_dim") or width // head_count
    keys: dict[str, Value] = {
        ARCHITECTURE: architecture,
        "llama.context_length": config["max_position_embeddings"],
        "llama.embedding_length": width,
        "llama.block_count": config["num_hidden_layers"],
        "llama.feed_forward_length": config["intermediate_size"],
        "llama.vocab_size": rows,
        "llama.attention.head_count": head_count,
        "llama.attention.head_count_kv": config.get("num_key_value_heads") or head_count,
        "llama.attention.layer_norm_rms_epsilon": float(config["rms_norm_eps"]),
        "llama.rope.dimension_count": head_size,
        "llama.rope.freq_base": float(rope_of(config).get("rope_theta", 10000.0)),
    }
    if head_size * head_count != width:
        keys |= {"llama.attention.key_length": head_size, "llama.attention.value_length": head_size}
    return keys | scaling_keys(rope_of(config), where)


def _completed(keys: dict[str, Value], tensors: dict[str, Tensor], where: str) -> dict[str, Value]:
    """Keys of a base with what older converters left out, and the tokenizer as Hugging Face JSON."""
    rows = tensors["token_embd.weight"].row_count
    wanted = ("general.", "llama.", "tokenizer.", ARCHITECTURE)
    keys = {
        key: value for key, value in keys.items() if key.startswith(wanted) and key != "general.alignment"
    }
    keys = completed_scaling({"llama.vocab_size": rows, **filled(keys, rows)}, where)
    ends = dict.fromkeys(keys[name] for name in END_TOKENS if name in keys)
    if len(ends) > 1:
        keys["ltu.eos_token_ids"] = list(ends)
    keys[HUGGING_FACE] = tokenizer.with_audio(tokenizer.from_keys(keys, where), rows)
    return keys


def _any_of(names: Iterable[str]) -> str:
    return " or ".join(repr(name) for name in names)
