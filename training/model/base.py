"""The language model that LTU is built on: a Hugging Face directory or a llama GGUF file."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlamaForCausalLM

from ltu.convert.llama import HUGGING_FACE, read_base
from ltu.files import sha256


@dataclass(frozen=True)
class Base:
    model: LlamaForCausalLM
    tokenizer_json: str  # Hugging Face JSON in which [AUDIO] is one token outside the embedding table
    bos_id: int
    eos_id: int
    sha256: str  # the GGUF file's, or that of the directory's weight files in the order of their names


def load_base(path: Path, matrices: torch.dtype | None = None) -> Base:
    """Weights in float32; the tokenizer is the one that the converter will write. Raises ModelFileError.

    `matrices`: type of the linear layers' weights. When it is autocast's, nothing that is computed changes:
    autocast would make the same cast at each step.
    """
    keys = read_base(path).keys
    if path.is_dir():
        model = LlamaForCausalLM.from_pretrained(path, dtype="auto" if matrices else torch.float32)
        weights = sorted([*path.glob("*.safetensors"), *path.glob("*.bin")])
    else:
        model = LlamaForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
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


def cast(model: LlamaForCausalLM, matrices: torch.dtype) -> None:
    """Weights of linear layers to that type, all others to float32."""
    embedding = model.get_input_embeddings().weight  # may be the output matrix, too
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            matrix = isinstance(module, torch.nn.Linear) and parameter is not embedding
            parameter.data = parameter.data.to(matrices if matrix else torch.float32)
