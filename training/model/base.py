"""The language model that LTU is built on: a Hugging Face directory or a GGUF file of llama.cpp's."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoConfig, LlamaForCausalLM, Qwen2ForCausalLM

from ltu.convert.llama import HUGGING_FACE, read_base
from ltu.convert.llama_cpp import ARCHITECTURE
from ltu.convert.model import Model
from ltu.errors import ModelFileError
from ltu.files import sha256

LanguageModel = LlamaForCausalLM | Qwen2ForCausalLM
MODELS: dict[str, type[LlamaForCausalLM] | type[Qwen2ForCausalLM]] = {
    "llama": LlamaForCausalLM,
    "qwen2": Qwen2ForCausalLM,
}
SCALING = "llama.rope.scaling."  # keys of a GGUF file
ROPE = {  # the rest of such a key → transformers' name
    "factor": "factor",
    "original_context_length": "original_max_position_embeddings",
}


@dataclass(frozen=True)
class Base:
    model: LanguageModel
    tokenizer_json: str  # Hugging Face JSON in which [AUDIO] is one token outside the embedding table
    bos_id: int
    eos_id: int
    sha256: str  # the GGUF file's, or that of the directory's weight files in the order of their names


def load_base(path: Path, matrices: torch.dtype | None = None) -> Base:
    """Weights in float32; the tokenizer is the one that the converter will write. Raises ModelFileError.

    `matrices`: type of the linear layers' weights. When it is autocast's, nothing that is computed changes:
    autocast would make the same cast at each step.
    """
    read = read_base(path)
    keys = read.keys
    if path.is_dir():
        made = MODELS[keys[ARCHITECTURE]]
        model = made.from_pretrained(path, dtype="auto" if matrices else torch.float32)
        weights = sorted([*path.glob("*.safetensors"), *path.glob("*.bin")])
    else:
        model = _from_gguf(path, read)
        weights = [path]
    if matrices:
        cast(model, matrices)
    return Base(
        model,
        str(keys[HUGGING_FACE]),
        int(keys["tokenizer.ggml.bos_token_id"]),
        int(keys["tokenizer.ggml.eos_token_id"]),
        sha256(*weights),
    )


def _from_gguf(path: Path, base: Model) -> LanguageModel:
    """transformers' reading of a GGUF file, with the rotary settings that it leaves out."""
    config = AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
    if settings := {name: value for name, value in base.keys.items() if name.startswith(SCALING)}:
        if unknown := sorted(settings.keys() - {SCALING + name for name in (*ROPE, "type", "finetuned")}):
            raise ModelFileError(f"{path}: {unknown[0]} is not supported in training; give a directory")
        kind = settings.get(SCALING + "type", "linear")
        if kind not in ("none", "linear", "yarn"):
            raise ModelFileError(f"{path}: rope scaling {kind!r} is not supported")
        known = {to: settings[SCALING + name] for name, to in ROPE.items() if SCALING + name in settings}
        theta = base.keys.get("llama.rope.freq_base", 10000.0)
        if kind != "none":
            config.rope_parameters = {"rope_type": kind, "rope_theta": theta, **known}
    model = MODELS[base.keys[ARCHITECTURE]].from_pretrained(
        path.parent, gguf_file=path.name, config=config, dtype=torch.float32
    )
    if "rope_freqs.weight" in base.tensors:
        divisors = torch.from_numpy(base.tensors["rope_freqs.weight"].float32()).view(-1)
        model.model.rotary_emb.inv_freq /= divisors
    return model


def cast(model: LanguageModel, matrices: torch.dtype) -> None:
    """Weights of linear layers to that type, all others to float32."""
    embedding = model.get_input_embeddings().weight  # may be the output matrix, too
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            matrix = isinstance(module, torch.nn.Linear) and parameter is not embedding
            parameter.data = parameter.data.to(matrices if matrix else torch.float32)
