"""What makes a LLaMA an LTU: audio encoder, projector, LoRA and the settings that belong to them.

Three sources: a release of the original LTU (`ltu_ori_paper.bin`), the folder that `ltu-train` writes, and a
whole LTU as transformers saves it.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ltu import defaults
from ltu.convert.checkpoint import read_directory, read_weights, weight_files
from ltu.convert.gguf_file import Value
from ltu.convert.lora import ADAPTER_CONFIG, ADAPTER_WEIGHTS, LoraSettings, read_settings
from ltu.convert.names import ENCODER, UNUSED_AUDIO, bare, take
from ltu.convert.table import table
from ltu.convert.tensor import Tensor, reshaped
from ltu.convert.vocabulary import read_json
from ltu.errors import ModelFileError
from ltu.files import sha256
from ltu.prompt import AUDIO
from ltu.sampling import Sampling

LORA = re.compile(r"(model\.layers\.\d+\.\w+\.\w+)\.lora_([AB])\.weight")


@dataclass(frozen=True)
class LtuPart:
    """Tensors under GGUF names; LoRA pairs (A, B) under the name of the matrix that they are added to."""

    tensors: dict[str, Tensor]
    lora: dict[str, tuple[Tensor, Tensor]]
    scales: dict[str, float]  # of each pair
    keys: dict[str, Value]
    where: str


def read_release(path: Path) -> LtuPart:
    """The original's file of trained weights. Raises ModelFileError that names what lacks or is left over."""
    path = _release_file(path)
    source = {bare(name): tensor for name, tensor in read_weights(path).items()}
    width = source[ENCODER + "modality_a"].columns if ENCODER + "modality_a" in source else 768
    encoder = {
        "width": width,
        "heads": width // defaults.HEAD_WIDTH,
        "frames": defaults.FRAMES,
        "mels": defaults.MELS,
        "patch": defaults.PATCH,
    }
    encoder |= {group: _count(source, f"{ENCODER}{group}.") for group in ("blocks_a", "blocks_u")}
    description = {
        "encoder": encoder,
        "name": "LTU",
        "datasets": [{"name": "OpenAQA-5M", "url": "https://github.com/YuanGongND/ltu"}],
        "source": "https://github.com/YuanGongND/ltu",
    }
    return _part(source, description, path, read_settings(path))


def _release_file(path: Path) -> Path:
    """The file itself, or the weights in the folder of a PEFT adapter."""
    if not path.is_dir():
        return path
    found = [path / name for name in ADAPTER_WEIGHTS if (path / name).is_file()]
    if not found:
        raise ModelFileError(f"{path}: is a folder; give the file of weights in it")
    return found[0]


def read_checkpoint(folder: Path) -> LtuPart:
    """What `ltu-train` wrote: `ltu.safetensors` and `ltu.json`, or a whole LTU. Raises ModelFileError."""
    if is_whole(folder):
        return _read_whole(folder)
    if not (folder / "ltu.json").is_file() and (folder / ADAPTER_CONFIG).is_file():
        raise ModelFileError(
            f"{folder}: is a PEFT adapter: LoRA alone, without audio encoder and projector; give the folder "
            "that ltu-train wrote, which holds ltu.safetensors"
        )
    description = read_json(folder / "ltu.json")
    if not description:
        raise ModelFileError(f"{folder}/ltu.json: is missing; give the folder that ltu-train wrote")
    if description.get("format") != 1:
        raise ModelFileError(f"{folder}/ltu.json: format {description.get('format')} is not supported, 1 is")
    source = {bare(name): tensor for name, tensor in read_weights(folder / "ltu.safetensors").items()}
    try:
        settings = description["lora"]
        lora = LoraSettings(settings["alpha"], settings["r"], where=f"{folder}/ltu.json")
        return _part(source, description, folder / "ltu.safetensors", lora)
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"{folder}/ltu.json: lacks {error}, or has it in another form") from None


def is_whole(folder: Path) -> bool:
    """Whether it is an LTU as transformers saves it, language model and all. Raises ModelFileError."""
    return folder.is_dir() and read_json(folder / "config.json").get("model_type") == "ltu"


def _read_whole(folder: Path) -> LtuPart:
    """The ears of a whole LTU; what it was made of stands in its configuration."""
    config, processor, generation = (
        read_json(folder / f"{name}config.json") for name in ("", "processor_", "generation_")
    )
    audio = (f"{ENCODER}", "model.audio_proj.")
    source = {name: tensor for name, tensor in read_directory(folder).items() if name.startswith(audio)}
    try:
        description = config["provenance"] | {
            "encoder": config["audio_config"],
            "prompt_template": processor["prompt_template"],
            "bos": processor["bos"],
            "sampling": _sampling(generation),
            "max_new_tokens": generation.get("max_new_tokens", defaults.MAX_NEW_TOKENS),
        }
        return _part(source, description, folder, LoraSettings(1, 1))
    except (AttributeError, KeyError, TypeError) as error:
        raise ModelFileError(
            f"{folder}: config.json, processor_config.json or generation_config.json lacks {error}, or has "
            "another form; save model and processor there"
        ) from None


def _sampling(generation: Mapping[str, Any]) -> dict[str, Any]:
    """LTU's settings under transformers' names, which leaves out what is neutral."""
    neutral = asdict(Sampling()) | {"temperature": 1.0 if generation.get("do_sample") else 0.0}
    return {name: generation.get(name, value) for name, value in neutral.items()}


def audio_keys(encoder: Mapping[str, int], feed_forward: int, llama_width: int) -> dict[str, Value]:
    """Sizes and constants of encoder and projector (docs/gguf.md)."""
    frames, mels, patch = encoder["frames"], encoder["mels"], encoder["patch"]
    return {
        "clip.has_audio_encoder": True,
        "clip.audio.projector_type": "ltu",
        "clip.audio.embedding_length": encoder["width"],
        "clip.audio.feed_forward_length": feed_forward,
        "clip.audio.block_count": encoder["blocks_a"] + encoder["blocks_u"],
        "clip.audio.attention.head_count": encoder["heads"],
        "clip.audio.attention.layer_norm_epsilon": defaults.LAYER_NORM_EPSILON,
        "clip.audio.num_mel_bins": mels,
        "clip.audio.projection_dim": llama_width,
        "ltu.audio.sample_rate": defaults.SAMPLE_RATE,
        "ltu.audio.frame_count": frames,
        "ltu.audio.feature_mean": defaults.FEATURE_MEAN,
        "ltu.audio.feature_std": defaults.FEATURE_STD,
        "ltu.audio.patch_size": patch,
        "ltu.audio.joint_block_count": encoder["blocks_u"],
        "ltu.audio.time_pool": defaults.TIME_POOL,
        "ltu.audio.embedding_count": frames // patch // defaults.TIME_POOL,
        "ltu.projector.divisor": defaults.PROJECTOR_DIVISOR,
        "ltu.projector.layer_norm_epsilon": defaults.LAYER_NORM_EPSILON,
    }


def prompt_keys(description: Mapping[str, Any]) -> dict[str, Value]:
    """Template and sampling; LTU's own where the description has none."""
    sampling = asdict(defaults.SAMPLING) | description.get("sampling", {})
    return {
        "ltu.prompt.template": description.get("prompt_template", defaults.TEMPLATE),
        "ltu.prompt.bos": bool(description.get("bos", True)),
        "ltu.prompt.audio_token": AUDIO,
        "ltu.sampling.max_new_tokens": description.get("max_new_tokens", defaults.MAX_NEW_TOKENS),
        "general.sampling.temp": float(sampling["temperature"]),
        "general.sampling.top_k": sampling["top_k"],
        "general.sampling.top_p": float(sampling["top_p"]),
        "general.sampling.penalty_repeat": float(sampling["repetition_penalty"]),
        "ltu.train.clips": description.get("train_clips", []),
        "ltu.train.terms": description.get("train_terms", []),
    }


def _part(
    source: Mapping[str, Tensor], description: Mapping[str, Any], path: Path, settings: LoraSettings
) -> LtuPart:
    lora: dict[str, dict[str, Tensor]] = {}
    rest = {}
    for name, tensor in source.items():
        if match := LORA.fullmatch(name):
            lora.setdefault(match[1], {})[match[2]] = tensor
        else:
            rest[name] = tensor
    for module, pair in lora.items():
        if len(pair) < 2:
            raise ModelFileError(f"{path}: {module} has lora_{min(pair)} and not its other half")
    if lora and not rest:
        raise ModelFileError(
            f"{path}: holds LoRA alone, without audio encoder and projector; give a release of the original "
            "LTU, or with --checkpoint the folder that ltu-train wrote"
        )
    encoder = description["encoder"]
    keys = audio_keys(
        encoder,
        _rows(rest, f"{ENCODER}blocks_a.0.mlp.fc1.weight", 4 * encoder["width"]),
        _rows(rest, "model.audio_proj.1.weight", encoder["width"]),
    )
    try:
        rows = table(keys)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    tensors = take(rest, rows.values(), UNUSED_AUDIO, path)
    for name in ("a.modality_embd", "a.position_embd.weight", "a.patch_embd.weight"):
        tensors[name] = reshaped(tensors[name], _flat(name, tensors[name].shape))
    keys |= prompt_keys(description) | provenance(description)
    keys["ltu.adapter.sha256"] = sha256(*weight_files(path))
    return LtuPart(
        tensors,
        {module: (pair["A"], pair["B"]) for module, pair in lora.items()},
        {module: settings.scale(module, pair["A"].row_count) for module, pair in lora.items()},
        keys,
        str(path),
    )


def provenance(description: Mapping[str, Any]) -> dict[str, Value]:
    """Usual general.* keys about the fine-tuning: its name, licence, base model and data."""
    base = description.get("base_model", {})
    keys = {
        "general.finetune": description.get("name"),
        "general.license": description.get("license"),
        "general.source.url": description.get("source"),
        "general.base_model.0.name": base.get("name"),
        "general.base_model.0.repo_url": base.get("source"),
        "general.base_model.0.license": base.get("license"),
        "ltu.base_model.sha256": base.get("sha256"),
    }
    datasets = description.get("datasets", [])
    keys["general.dataset.count"] = len(datasets) or None
    for i, dataset in enumerate(datasets):
        keys[f"general.dataset.{i}.name"] = dataset.get("name")
        keys[f"general.dataset.{i}.license"] = dataset.get("license")
        keys[f"general.dataset.{i}.repo_url"] = dataset.get("url")
    return {key: value for key, value in keys.items() if value}


def description_of(keys: Mapping[str, Any]) -> dict[str, Any]:
    """The reverse of `provenance`, and what was trained on."""
    base = {"name": "name", "source": "repo_url", "license": "license"}
    dataset = {"name": "name", "license": "license", "url": "repo_url"}

    def entry(prefix: str, names: Mapping[str, str]) -> dict[str, Any]:
        return {name: keys[prefix + key] for name, key in names.items() if prefix + key in keys}

    found = {"name": "general.finetune", "license": "general.license", "source": "general.source.url"}
    found |= {"train_clips": "ltu.train.clips", "train_terms": "ltu.train.terms"}
    return entry("", found) | {
        "base_model": entry("general.base_model.0.", base),
        "datasets": [
            entry(f"general.dataset.{i}.", dataset) for i in range(keys.get("general.dataset.count", 0))
        ],
    }


def _flat(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """(1, 1, width) → (width); (1, patches, width) → (patches, width); (width, 1, 16, 16) → (width, 256)."""
    if name == "a.modality_embd":
        return shape[-1:]
    if name == "a.position_embd.weight":
        return shape[-2:]
    return (shape[0], shape[-1] * shape[-2])


def _rows(source: Mapping[str, Tensor], name: str, usual: int) -> int:
    """Rows of a matrix; the usual number where it is missing, which `take` will say."""
    return source[name].row_count if name in source else usual


def _count(source: Mapping[str, Tensor], prefix: str) -> int:
    numbers = {int(name.removeprefix(prefix).split(".")[0]) for name in source if name.startswith(prefix)}
    return max(numbers, default=0) + 1
