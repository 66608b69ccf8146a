"""How much a LoRA counts: PEFT's settings, or what `ltu-train` wrote of them."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ltu import defaults
from ltu.checks import short
from ltu.convert.vocabulary import read_json
from ltu.errors import ModelFileError

LARGEST = 1e30  # of an adapter's numbers; whole ones may be too large for a float
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
UNSUPPORTED = (
    "use_dora",
    "lora_bias",
    "fan_in_fan_out",
    "layer_replication",
    "modules_to_save",
    "trainable_token_indices",
    "target_parameters",
    "alora_invocation_tokens",
    "use_qalora",
    "use_bdlora",
    "arrow_config",
    "kasa_config",
)
OTHER_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")  # their LoRA fits what they leave of the base


@dataclass(frozen=True)
class LoraSettings:
    """α and r of each module, and how they make a scale."""

    alpha: float
    r: int
    rank_stabilized: bool = False  # rsLoRA: α / √r
    alphas: Mapping[str, float] = field(default_factory=dict)  # PEFT's alpha_pattern
    ranks: Mapping[str, int] = field(default_factory=dict)  # PEFT's rank_pattern
    where: str = ""

    def scale(self, module: str, rank: int) -> float:
        """What B A is multiplied with. Raises ModelFileError when the settings give another rank."""
        r = _of(self.ranks, module, self.r)
        if rank != r:
            raise ModelFileError(f"{self.where}: r of {module} is {r}, its LoRA has rank {rank}")
        alpha: float = _of(self.alphas, module, self.alpha)
        return alpha / math.sqrt(r) if self.rank_stabilized else alpha / r


def _of(pattern: Mapping[str, float], module: str, usual: float) -> float:
    """The value of the first expression that a module's name ends with, as PEFT looks it up."""
    found = (key for key in pattern if re.match(rf"(.*\.)?({key})$", module))
    key = next(found, None)
    return usual if key is None else pattern[key]


def read_settings(weights: Path) -> LoraSettings:
    """Of a release: from the configuration beside its weights, or the original LTU's own.

    Raises ModelFileError for what is no configuration of PEFT's, or asks for more than LoRA.
    """
    path = weights.parent / ADAPTER_CONFIG
    if not path.is_file():
        return LoraSettings(
            defaults.LORA_ALPHA,
            defaults.LORA_RANK,
            where=f"{weights}: without {ADAPTER_CONFIG} beside it, LTU's own settings are taken",
        )
    config = read_json(path)
    if config.get("peft_type", "LORA") != "LORA":
        raise ModelFileError(f"{path}: peft_type {config['peft_type']!r} is not supported, 'LORA' is")
    if unsupported := [name for name in UNSUPPORTED if config.get(name)]:
        raise ModelFileError(f"{path}: {unsupported[0]} is not supported")
    if (start := str(config.get("init_lora_weights"))).startswith(OTHER_BASE):
        raise ModelFileError(
            f"{path}: init_lora_weights is {start!r}, which changes the base model's weights; save the "
            "adapter with path_initial_model_for_weight_conversion, or merge it with PEFT"
        )
    return LoraSettings(
        _number(config, "lora_alpha", path),
        int(_number(config, "r", path)),
        bool(config.get("use_rslora")),
        _pattern(config, "alpha_pattern", path),
        {name: int(value) for name, value in _pattern(config, "rank_pattern", path).items()},
        str(path),
    )


def _number(config: Mapping[str, Any], name: str, path: Path) -> float:
    value = config.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < LARGEST:
        raise ModelFileError(f"{path}: {name} is {short(value)}, expected a positive number")
    return float(value)


def _pattern(config: Mapping[str, Any], name: str, path: Path) -> dict[str, float]:
    pattern = config.get(name) or {}
    if not isinstance(pattern, dict):
        raise ModelFileError(f"{path}: {name} is {pattern!r}, expected an object")
    for key in pattern:
        try:
            re.compile(key)
        except re.error as error:
            raise ModelFileError(f"{path}: {name} holds {key!r}, which is no expression: {error}") from None
    return {key: _number(pattern, key, path) for key in pattern}
