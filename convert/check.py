"""Values that the converter's machine computed with a file, and that any machine can compare with its own.

A synthetic clip is encoded and a fixed prompt about it is read; 64 values of the embeddings and the five
largest logits are stored in the file with the tolerance that its types allow.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ltu import _engine, checks
from ltu.audio import Clip
from ltu.convert.gguf_file import Value
from ltu.convert.tensor import Tensor
from ltu.errors import Error, ModelFileError
from ltu.front_end import FrontEnd
from ltu.prompt import Prompter

Float32 = NDArray[np.float32]

PROMPT = "Is [AUDIO] a type of bird?"
VALUES, STRIDE = 64, 7919  # the k-th value is number 7919·k, modulo their count, of the flattened embeddings
LOGITS = 5
KV_MEMORY = 256 << 20
"""Bytes of KV cache that the check asks for."""

# Largest difference between two right ways of computing, as a fraction of the values' standard deviation: f32
# and f16 are tests/golden/README.md's tolerances; below 16 bits kernels may round activations to 8 bits too.
TOLERANCE = {"f32": 1e-3, "f16": 5e-2, "bf16": 0.1}
QUANTISED_TOLERANCE = 0.25


@dataclass(frozen=True)
class SelfTest:
    """Largest deviations from what the converter computed, what is allowed, and what computed here."""

    embedding_deviation: float
    embedding_tolerance: float
    logit_deviation: float
    logit_tolerance: float
    engine: dict[str, Any]

    @property
    def passed(self) -> bool:
        return (
            self.embedding_deviation <= self.embedding_tolerance
            and self.logit_deviation <= self.logit_tolerance
        )


def synthetic_clip() -> Clip:
    """10 s of a rising tone that stops and starts, in noise; integer arithmetic, so the same everywhere."""
    n = np.arange(160_000, dtype=np.int64)
    phase = (1802 * n + n * n // 64) % 65536  # in 1/65536 turns: 440 Hz rising to 1.7 kHz
    tone = np.abs(phase - 32768) - 16384
    gate = (n // 8000) % 2
    noise = (n * 1_103_515_245 + (n * n % 65521) * 12_345) // 512 % 4096 - 2048
    return Clip((gate * tone // 2 + noise).astype(np.float32) / np.float32(32768), "synthetic clip")


def placeholder(keys: Mapping[str, Value], where: str) -> dict[str, Value]:
    """The check's keys with zeros for what the engine will compute: as many bytes as the real ones.

    Raises ModelFileError when tokenizer or template don't work.
    """
    try:
        bos = keys["tokenizer.ggml.bos_token_id"] if keys["ltu.prompt.bos"] else None
        rows = keys["llama.vocab_size"]
        prompter = Prompter(keys["tokenizer.huggingface.json"], keys["ltu.prompt.template"], bos, rows)
        ids = prompter.sequence(PROMPT, [synthetic_clip()]).ids
    except KeyError as error:
        key, advice = error.args[0], ""
        if key.endswith("bos_token_id"):
            advice = "; prompts begin with that token, so name it in config.json or tokenizer_config.json"
        raise ModelFileError(f"{where}: key {key} is missing{advice}") from None
    except Exception as error:  # tokenizers raises bare exceptions
        raise ModelFileError(f"{where}: tokenizer or prompt template: {error}") from error
    values: dict[str, Value] = {
        "prompt_ids": list(ids),
        "embeddings": [0.0] * VALUES,
        "logit_ids": [0] * LOGITS,
        "logits": [0.0] * LOGITS,
        "embedding_tolerance": 0.0,
        "logit_tolerance": 0.0,
    }
    return {f"ltu.check.{key}": value for key, value in values.items()}


def obstacle(path: Path) -> str | None:
    """Why the check can't be computed here: the engine needs about as much memory as the file has bytes."""
    needed, free = path.stat().st_size * 1.2 + KV_MEMORY, _free_memory()
    if free is None or needed <= free:
        return None
    return (
        f"values for inspect --self-test are left out: they need {needed / 1e9:.1f} GB of memory, "
        f"{free / 1e9:.1f} GB are free"
    )


def compute(path: Path, keys: Mapping[str, Value], tensors: Mapping[str, Tensor]) -> dict[str, Value]:
    """The check's keys, computed on this machine's processor.

    Raises ModelFileError where nothing can be computed with the weights.
    """
    embeddings, logits, _ = _computed(path, keys, "cpu")
    for values, prefix in ((embeddings, ("a.", "mm.")), (logits, "")):
        if not (np.isfinite(values).all() and np.ptp(values)):
            raise ModelFileError(_too_large(tensors, prefix))
    audio = {tensor.type for name, tensor in tensors.items() if name.startswith(("a.", "mm."))}
    largest = np.argsort(-logits, kind="stable")[:LOGITS]
    return {
        "ltu.check.embeddings": _places(embeddings).tolist(),
        "ltu.check.logit_ids": largest.tolist(),
        "ltu.check.logits": logits[largest].tolist(),
        "ltu.check.embedding_tolerance": _tolerance(audio) * float(embeddings.std()),
        "ltu.check.logit_tolerance": _tolerance({t.type for t in tensors.values()}) * float(logits.std()),
    }


def _too_large(tensors: Mapping[str, Tensor], prefix: str | tuple[str, ...]) -> str:
    peaks = {
        name: float(np.abs(tensor.float32()).max())
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
    name = max(peaks, key=lambda name: peaks[name])
    return (
        f"tensor {name}: holds values up to {peaks[name]:.2g}, with which nothing can be computed; "
        "get the weights again"
    )


def self_test(path: Path, keys: Mapping[str, Any], device: str = "auto") -> SelfTest:
    """Computes the check anew. Raises Error when the file holds no values to compare with."""
    if not keys.get("ltu.check.logit_tolerance"):
        if keys.get("general.architecture") != "ltu":
            raise Error(f"{path}: is a language model alone, which has no values for a self-test")
        raise Error(f"{path}: holds no values for a self-test; convert it again where the memory suffices")
    embeddings, logits, engine = _computed(path, keys, device)
    stored_embeddings = np.array(keys["ltu.check.embeddings"], np.float32)
    stored_logits = np.array(keys["ltu.check.logits"], np.float32)
    return SelfTest(
        float(np.abs(_places(embeddings) - stored_embeddings).max()),
        keys["ltu.check.embedding_tolerance"],
        float(np.abs(logits[keys["ltu.check.logit_ids"]] - stored_logits).max()),
        keys["ltu.check.logit_tolerance"],
        engine,
    )


def _computed(path: Path, keys: Mapping[str, Any], device: str) -> tuple[Float32, Float32, dict[str, Any]]:
    """Embeddings (32, width), logits (vocabulary,) of the last position, and the engine's description."""
    with checks.path_bytes(path) as name:
        engine = _engine.Engine(name, device, 0, KV_MEMORY)
    clip = synthetic_clip()
    [embeddings] = engine.encode(clip.features(FrontEnd.of_file(keys, str(path)))[np.newaxis])
    clips = [(bytes.fromhex(clip.hash), embeddings)]
    [logits] = engine.logits(keys["ltu.check.prompt_ids"], clips, last_only=True)
    return embeddings, logits, engine.description()


def _places(embeddings: Float32) -> Float32:
    return embeddings.reshape(-1)[np.arange(VALUES) * STRIDE % embeddings.size]


def _tolerance(types: set[str]) -> float:
    return max(TOLERANCE.get(type, QUANTISED_TOLERANCE) for type in types)


def _free_memory() -> float | None:
    """Bytes that a process could take, where the system says."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
