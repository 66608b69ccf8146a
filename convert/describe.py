"""What a file is, for `ltu-convert inspect`."""

from pathlib import Path
from typing import Any

from ltu.convert import check, gguf_file
from ltu.convert.convert import size_label
from ltu.convert.gguf_file import Value
from ltu.convert.model import sizes

LONG = ("tokenizer.", "ltu.check.", "ltu.train.")
"""Keys that are told in short."""


def describe(path: Path) -> dict[str, Any]:
    """Keys, types and counts; long lists as their lengths. Raises ModelFileError."""
    file = gguf_file.read(path)
    keys = {key: value for key, value in file.keys.items() if not key.startswith(LONG)}
    return {
        "file": str(path),
        "bytes": path.stat().st_size,
        "parameters": size_label(sum(t.row_count * t.columns for t in file.tensors.values())),
        "keys": keys,
        "tokenizer": {
            "model": file.keys.get("tokenizer.ggml.model"),
            "tokens": _length(file.keys.get("tokenizer.ggml.tokens")),
        },
        "training": {
            "clips": _length(file.keys.get("ltu.train.clips")),
            "terms": _length(file.keys.get("ltu.train.terms")),
        },
        "types": {
            type: {"tensors": count, "bytes": size} for type, (count, size) in sizes(file.tensors).items()
        },
        "self_test": bool(file.keys.get("ltu.check.logit_tolerance")),
    }


def run_self_test(path: Path, device: str = "auto") -> dict[str, Any]:
    """Computes the file's check values anew. Raises Error when it has none, ModelFileError."""
    test = check.self_test(path, gguf_file.read(path).keys, device)
    return {
        "passed": test.passed,
        "embedding": {"deviation": test.embedding_deviation, "tolerance": test.embedding_tolerance},
        "logit": {"deviation": test.logit_deviation, "tolerance": test.logit_tolerance},
        "device": test.engine["device"],
        "kernels": test.engine["kernels"],
    }


def _length(value: Value) -> int:
    return len(value) if isinstance(value, list) else 0
