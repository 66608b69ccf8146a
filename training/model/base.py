"""The language model that LTU is built on: a Hugging Face directory or a GGUF file of llama.cpp's."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from ltu.convert.checkpoint import weight_files
from ltu.convert.llama import HUGGING_FACE, read_base
from ltu.convert.llama_cpp import ARCHITECTURE, each_qk
from ltu.convert.model import Model, check_shapes
from ltu.convert.rope import SCALING
from ltu.convert.table import table
from ltu.convert.tensor import unpaired
from ltu.errors import ModelFileError
from ltu.files import sha256

LanguageModel = LlamaForCausalLM | Qwen2ForCausalLM
MODELS: dict[str, type[LlamaForCausalLM] | type[Qwen2ForCausalLM]] = {
    "llama": LlamaForCausalLM,
    "qwen2": Qwen2ForCausalLM,
}
CONFIGS: dict[str, type[LlamaConfig] | type[Qwen2Config]] = {"llama": LlamaConfig, "qwen2": Qwen2Config}


@dataclass(frozen=True)
class OpenedBase:
    """A base as the converter reads it, without its weights."""

    path: Path
    read: Model
    tokenizer_json: str  # Hugging Face JSON in which [AUDIO] is one token outside the embedding table
    bos_id: int | None  # None: texts begin without one
    eos_id: int


@dataclass(frozen=True)
class Base(OpenedBase):
    model: LanguageModel
    sha256: str  # of the GGUF file, or of the directory's weight files in the order of their names


def open_base(path: Path, bos: bool = True) -> OpenedBase:
    """All that can be known without reading the weights. Raises ModelFileError.

    bos: whether texts begin with BOS, which the base must then have.
    """
    read = read_base(path)
    ids = {name: read.keys.get(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos")}
    if bos and ids["bos"] is None:
        raise ModelFileError(f"{path}: names no BOS token; set base.bos to false if texts begin without one")
    if ids["eos"] is None:
        raise ModelFileError(f"{path}: names no EOS token; set eos_token_id in its configuration")
    bos_id = ids["bos"] if bos else None
    return OpenedBase(path, read, str(read.keys[HUGGING_FACE]), bos_id, ids["eos"])


def load_base(path: Path, matrices: torch.dtype | None = None) -> Base:
    return load_opened(open_base(path), matrices)


def load_opened(base: OpenedBase, matrices: torch.dtype | None = None) -> Base:
    """Weights in float32, of a file by the converter's own reading. Raises ModelFileError.

    `matrices`: type of the linear layers' weights. When it is autocast's, nothing that is computed changes:
    autocast would make the same cast at each step.
    """
    if base.path.is_dir():
        made = MODELS[base.read.keys[ARCHITECTURE]]
        model = made.from_pretrained(base.path, dtype="auto" if matrices else torch.float32)
    else:
        model = _from_gguf(base.read)
    if matrices:
        cast(model, matrices)
    opened = {field.name: getattr(base, field.name) for field in fields(OpenedBase)}
    return Base(**opened, model=model, sha256=sha256(*weight_files(base.path)))


def _from_gguf(read: Model) -> LanguageModel:
    """What the converter read, under transformers' names and in its order of rows."""
    made, config, state = MODELS[read.keys[ARCHITECTURE]], config_of(read), state_of(read)
    model = made.from_pretrained(None, config=config, state_dict=state, dtype=torch.float32)
    if "rope_freqs.weight" in read.tensors:
        divisors = torch.tensor(read.tensors["rope_freqs.weight"].float32()).view(-1)
        model.model.rotary_emb.inv_freq /= divisors
    return model


def state_of(read: Model) -> dict[str, torch.Tensor]:
    """Its tensors in float32, under a checkpoint's names and in its order of rows. Raises ModelFileError."""
    rows = table(read.keys)
    check_shapes(read, rows)
    ordered = each_qk(unpaired, read.keys, read.tensors)
    return {
        row.source: torch.tensor(ordered[row.name].float32()).view(row.shape)
        for row in rows.values()
        if row.source and row.name in ordered
    }


def config_of(read: Model) -> LlamaConfig | Qwen2Config:
    """The language model's sizes as transformers has them. Raises ModelFileError."""
    keys = read.keys
    width, heads = keys["llama.embedding_length"], keys["llama.attention.head_count"]
    head_size = keys.get("llama.attention.key_length", width // heads)
    if keys.get("llama.rope.dimension_count", head_size) != head_size:
        raise ModelFileError(f"{read.where}: turns a part of each head, which is not supported in training")
    scaling = None
    if keys.get(f"{SCALING}type", "none") != "none":
        scaling = {"rope_type": keys[f"{SCALING}type"], "factor": keys[f"{SCALING}factor"]}
        if original := keys.get(f"{SCALING}original_context_length"):
            scaling["original_max_position_embeddings"] = original
    settings: dict[str, Any] = {  # under names that transformers 4 and 5 know
        "vocab_size": keys["llama.vocab_size"],
        "hidden_size": width,
        "intermediate_size": keys["llama.feed_forward_length"],
        "num_hidden_layers": keys["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": keys.get("llama.attention.head_count_kv", heads),
        "head_dim": head_size,
        "max_position_embeddings": keys["llama.context_length"],
        "rms_norm_eps": keys["llama.attention.layer_norm_rms_epsilon"],
        "rope_theta": keys.get("llama.rope.freq_base", 10000.0),
        "rope_scaling": scaling,
        "tie_word_embeddings": "output.weight" not in read.tensors,
        "bos_token_id": keys.get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": keys.get("tokenizer.ggml.eos_token_id"),
    }
    return CONFIGS[str(keys[ARCHITECTURE])](**settings)


def cast(model: LanguageModel, matrices: torch.dtype) -> None:
    """Weights of linear layers to that type, all others to float32."""
    embedding = model.get_input_embeddings().weight  # may be the output matrix, too
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            matrix = isinstance(module, torch.nn.Linear) and parameter is not embedding
            parameter.data = parameter.data.to(matrices if matrix else torch.float32)
