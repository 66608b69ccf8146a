"""Rotary positions: what a Hugging Face configuration or a file of llama.cpp's says of them, as our keys."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ltu.convert.tensor import Tensor
from ltu.errors import ModelFileError

SCALING = "llama.rope.scaling."
OLD_LINEAR = "llama.rope.scale_linear"  # how files of 2023 say it
USUAL = {  # what the engine computes with: YaRN's settings under llama.cpp's names
    "yarn_ext_factor": 1.0,
    "yarn_attn_factor": 1.0,
    "attn_factor": 1.0,
    "yarn_beta_fast": 32.0,
    "yarn_beta_slow": 1.0,
}
KNOWN = ("type", "factor", "original_context_length", "finetuned")


def rope_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Rotary settings of a Hugging Face configuration in one place, as transformers 5 writes them."""
    old = {"rope_theta": config["rope_theta"]} if "rope_theta" in config else {}
    scaling = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return old | scaling | {"rope_type": scaling.get("rope_type", scaling.get("type", "default"))}


def scaling_keys(rope: Mapping[str, Any], where: object) -> dict[str, Any]:
    """Keys of a scaling. Raises ModelFileError for a kind or a setting that the engine doesn't compute."""
    if rope["rope_type"] in ("default", "llama3"):  # the latter is in rope_freqs.weight
        return {}
    if rope["rope_type"] not in ("linear", "yarn"):
        raise ModelFileError(f"{where}: rope scaling {rope['rope_type']!r} is not supported")
    if rope["rope_type"] == "yarn":
        _refuse_unusual_yarn(rope, where)
    keys = {f"{SCALING}type": rope["rope_type"], f"{SCALING}factor": float(rope["factor"])}
    if original := rope.get("original_max_position_embeddings"):
        keys[f"{SCALING}original_context_length"] = original
    return keys


def _refuse_unusual_yarn(rope: Mapping[str, Any], where: object) -> None:
    """Source of what is usual: transformers' modeling_rope_utils.py, _compute_yarn_parameters."""
    usual = {
        "beta_fast": (None, 32),
        "beta_slow": (None, 1),
        "truncate": (None, True),
        "attention_factor": (None, 0.1 * math.log(rope["factor"]) + 1),
    }
    settings = [name for name, values in usual.items() if not _among(rope.get(name), values)]
    if rope.get("mscale") and rope.get("mscale_all_dim"):
        settings.append("mscale")
    if settings:
        raise ModelFileError(
            f"{where}: config.json sets {settings[0]} = {rope[settings[0]]!r} for YaRN; another value than "
            "its usual one is not supported"
        )


def _among(value: Any, usual: tuple[Any, float]) -> bool:
    return value is None or (isinstance(value, bool | int | float) and math.isclose(value, usual[1]))


def completed_scaling(keys: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The keys of a file of llama.cpp's with its scaling under the names of today, as llama.cpp reads it.

    Raises ModelFileError for a setting that the engine doesn't compute.
    """
    result = dict(keys)
    old = result.pop(OLD_LINEAR, None)
    if old is not None and f"{SCALING}factor" not in result:
        result[f"{SCALING}factor"] = float(old)
    if result.get(f"{SCALING}factor"):
        result.setdefault(f"{SCALING}type", "linear")
    for key in [key for key in result if key.startswith(SCALING)]:
        name = key.removeprefix(SCALING)
        if name in USUAL and math.isclose(result[key], USUAL[name]):
            del result[key]
        elif name not in KNOWN:
            raise ModelFileError(f"{where}: key {key} = {result[key]!r} is not supported")
    return result


def rope_factors(rope: Mapping[str, Any], size: int, base: float) -> Tensor | None:
    """Llama 3.1's stretching of slow rotations, as the divisors that ggml_rope takes.

    Source: transformers' modeling_rope_utils.py, _compute_llama3_parameters.
    """
    if rope["rope_type"] != "llama3":
        return None
    wavelength = 2 * math.pi * base ** (np.arange(0, size, 2) / size)
    low, high, factor = rope["low_freq_factor"], rope["high_freq_factor"], rope["factor"]
    turns = rope["original_max_position_embeddings"] / wavelength
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return Tensor.of((1 / ((1 - smooth) / factor + smooth)).astype(np.float32))
