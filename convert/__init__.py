"""Checkpoints → one GGUF file (docs/gguf.md)."""

from ltu.convert.convert import convert, export_llama, requantise
from ltu.convert.describe import describe, run_self_test
from ltu.convert.model import Written

__all__ = ["Written", "convert", "describe", "export_llama", "requantise", "run_self_test"]
