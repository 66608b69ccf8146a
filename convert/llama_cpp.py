"""Language models as llama.cpp's own files have them, and as ours do.

Ours hold the sizes of any of them as `llama.*`, with the architecture's name in `ltu.language_model`, and the
rows of q and k paired. llama.cpp writes the architecture before each size, and pairs rows for some.
"""

from collections.abc import Callable, Mapping

from ltu import _engine
from ltu.convert.gguf_file import Value
from ltu.convert.tensor import Tensor, paired, unpaired

ARCHITECTURE = "ltu.language_model"
PAIRED = _engine.architectures()
"""Architectures that are known → whether llama.cpp's files hold their rows of q and k paired."""

Keys = dict[str, Value]
Tensors = dict[str, Tensor]


def from_llama_cpp(keys: Mapping[str, Value], tensors: Mapping[str, Tensor]) -> tuple[Keys, Tensors]:
    """A file of llama.cpp's, of one of the architectures in PAIRED, as ours."""
    name = str(keys["general.architecture"])
    renamed = {_renamed(key, f"{name}.", "llama."): value for key, value in keys.items()}
    return renamed | {ARCHITECTURE: name}, dict(tensors) if PAIRED[name] else each_qk(
        paired, renamed, tensors
    )


def as_llama_cpp(keys: Mapping[str, Value], tensors: Mapping[str, Tensor]) -> tuple[Keys, Tensors]:
    """A language model of ours as llama.cpp would have written it."""
    name = str(keys.get(ARCHITECTURE, "llama"))
    renamed = {
        _renamed(key, "llama.", f"{name}."): value for key, value in keys.items() if key != ARCHITECTURE
    }
    renamed["general.architecture"] = name
    return renamed, dict(tensors) if PAIRED[name] else each_qk(unpaired, keys, tensors)


def each_qk(
    change: Callable[[Tensor, int], Tensor], keys: Mapping[str, Value], tensors: Mapping[str, Tensor]
) -> Tensors:
    """The tensors, with the matrices and biases of q and k changed; `change` gets their number of heads."""
    return {
        name: change(tensor, heads(keys, name)) if ".attn_q." in name or ".attn_k." in name else tensor
        for name, tensor in tensors.items()
    }


def heads(keys: Mapping[str, Value], tensor: str) -> int:
    """Heads that the rows of a q or k matrix belong to."""
    count = keys["llama.attention.head_count"]
    if ".attn_k." in tensor:
        count = keys.get("llama.attention.head_count_kv", count)
    return int(count)


def _renamed(key: str, prefix: str, other: str) -> str:
    return other + key.removeprefix(prefix) if key.startswith(prefix) else key
