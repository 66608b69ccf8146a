"""Which tensor of a checkpoint becomes which tensor of the file (docs/gguf.md)."""

import re
from collections.abc import Iterable, Mapping

from ltu.convert.tensor import Tensor
from ltu.errors import ModelFileError

LLAMA = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
LLAMA_BLOCK = {
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}
ENCODER = "model.audio_encoder."
AUDIO = {
    "a.patch_embd.weight": ENCODER + "patch_embed_a.proj.weight",
    "a.patch_embd.bias": ENCODER + "patch_embed_a.proj.bias",
    "a.position_embd.weight": ENCODER + "pos_embed_a",
    "a.modality_embd": ENCODER + "modality_a",
    "a.post_ln.weight": ENCODER + "norm_a.weight",
    "a.post_ln.bias": ENCODER + "norm_a.bias",
    "mm.a.weight": "model.audio_proj.1.weight",
    "mm.a.bias": "model.audio_proj.1.bias",
}
AUDIO_BLOCK = {
    "ln1": "norm1",
    "attn_qkv": "attn.qkv",
    "attn_out": "attn.proj",
    "ln2": "norm2",
    "ffn_up": "mlp.fc1",
    "ffn_down": "mlp.fc2",
}
UNUSED_LLAMA = re.compile(r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq")
UNUSED_AUDIO = re.compile(
    r"model\.audio_encoder\.(blocks_a\.\d+\.norm[12]_[av]|blocks_u\.\d+\.norm[12](_v)?)\.(weight|bias)"
)
"""What the LTU release holds and never computes with: norms of other modalities, buffers."""


def llama_names(blocks: int, tied: bool) -> dict[str, str]:
    """GGUF name → Hugging Face name; tied: the output matrix is the embedding table."""
    names = {to: source for to, source in LLAMA.items() if not (tied and to == "output.weight")}
    for i in range(blocks):
        names |= {f"blk.{i}.{to}": f"model.layers.{i}.{source}" for to, source in LLAMA_BLOCK.items()}
    return names


def audio_names(blocks_a: int, blocks_u: int) -> dict[str, str]:
    """GGUF name → LTU's name; joint blocks follow the audio blocks and are used with their audio norms."""
    names = dict(AUDIO)
    sources = [(f"blocks_a.{i}.", "") for i in range(blocks_a)]
    sources += [(f"blocks_u.{i}.", "_a") for i in range(blocks_u)]
    for i, (block, norms) in enumerate(sources):
        for to, source in AUDIO_BLOCK.items():
            suffix = norms if source.startswith("norm") else ""
            for part in ("weight", "bias"):
                names[f"a.blk.{i}.{to}.{part}"] = f"{ENCODER}{block}{source}{suffix}.{part}"
    return names


def bare(name: str) -> str:
    """A name without what PEFT adds to it: the prefix and the adapter's name, "default"."""
    name = name.removeprefix("base_model.model.").replace(".default.", ".")
    return f"model.{name}" if name.startswith(("audio_encoder.", "audio_proj.", "layers.")) else name


def take(
    source: Mapping[str, Tensor], names: Mapping[str, str], unused: re.Pattern[str], where: object
) -> dict[str, Tensor]:
    """The tensors under their GGUF names. Raises ModelFileError that names all that lack or are left over."""
    wanted = set(names.values())
    missing = [name for name in names.values() if name not in source]
    left_over = [name for name in source if name not in wanted and not unused.fullmatch(name)]
    problems = [_listed("misses", missing), _listed("holds, beside what is known,", left_over)]
    if any(problems):
        raise ModelFileError(f"{where}: {'; it '.join(filter(None, problems))}: is it the right model?")
    return {to: source[name] for to, name in names.items()}


def _listed(verb: str, names: Iterable[str]) -> str:
    names = list(names)
    return f"{verb} {len(names)} tensor{'s' * (len(names) > 1)}: {', '.join(names)}" if names else ""
