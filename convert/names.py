"""A checkpoint's tensors under their names in the file."""

import re
from collections.abc import Iterable, Mapping

from ltu.convert.table import Row
from ltu.convert.tensor import Tensor
from ltu.errors import ModelFileError, listed

ENCODER = "model.audio_encoder."
UNUSED_LLAMA = re.compile(
    r"model\.(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq|model\.audio_(encoder|proj)\..*"
)
UNUSED_AUDIO = re.compile(
    r"model\.audio_encoder\.(blocks_a\.\d+\.norm[12]_[av]|blocks_u\.\d+\.norm[12](_v)?)\.(weight|bias)"
)
"""What the LTU release holds and never computes with: norms of other modalities, buffers, and of a base that
was saved with ears (LTU's own vicuna_ltu) those."""


def bare(name: str) -> str:
    """A name without what PEFT adds to it: the prefix and the adapter's name, "default"."""
    name = _unwrapped(name).removeprefix("base_model.model.").replace(".default.", ".")
    return f"model.{name}" if name.startswith(("audio_encoder.", "audio_proj.", "layers.")) else name


def _unwrapped(name: str) -> str:
    """Without what DataParallel and torch.compile put before it."""
    return name.removeprefix("module.").removeprefix("_orig_mod.")


def whole(source: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a LLaMA without its output layer, as `AutoModel` saves it, under the whole model's names."""
    source = {_unwrapped(name): tensor for name, tensor in source.items()}
    if "embed_tokens.weight" not in source:
        return source
    return {name if name.startswith("lm_head.") else f"model.{name}": t for name, t in source.items()}


def take(
    source: Mapping[str, Tensor], rows: Iterable[Row], unused: re.Pattern[str], where: object
) -> dict[str, Tensor]:
    """The rows' tensors under the file's names. Raises ModelFileError that names what lacks or is left
    over; a row that is not required may lack."""
    names = {row.name: row.source for row in rows if row.source in source or (row.required and row.source)}
    wanted = set(names.values())
    missing = [name for name in names.values() if name not in source]
    left_over = [name for name in source if name not in wanted and not unused.fullmatch(name)]
    problems = [_listed("misses", missing), _listed("holds, beside what is known,", left_over)]
    if any(problems):
        raise ModelFileError(f"{where}: {'; it '.join(filter(None, problems))}: is it the right model?")
    return {to: source[name] for to, name in names.items()}


def _listed(verb: str, names: Iterable[str]) -> str:
    names = list(names)
    return f"{verb} {len(names)} tensor{'s' * (len(names) > 1)}: {listed(names)}" if names else ""
