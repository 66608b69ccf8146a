"""Encoder and language model on our CUDA kernels, emulated on a CPU, against ggml's graph of the same file.

`make test-cpp`, which `make test` runs first, builds the program; bench/gpu/agreement.py asks a real card.
"""

import platform
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tiny import tiny_gguf

PROGRAM = Path(__file__).parents[1] / "build" / "tests" / "cpp" / "tests" / "test_cuda_model"
ENCODER = {"encoder_width": 64, "encoder_heads": 1, "encoder_feed_forward": 128, "frames": 64}
SHAPES: dict[str, dict[str, Any]] = {
    "heads of 64, grouped by 3": {"width": 768, "feed_forward": 512, "heads": 12, "kv_heads": 4},
    "heads of 128": {"width": 256, "feed_forward": 512, "heads": 2, "kv_heads": 2, "tied": True},
    "scaled positions": {
        "width": 256,
        "feed_forward": 512,
        "heads": 4,
        "kv_heads": 4,
        "rope_scaling": "yarn",
    },
}


@pytest.mark.skipif(
    platform.system() != "Linux" or not PROGRAM.exists(), reason="make test-cpp builds it on Linux"
)
@pytest.mark.parametrize(
    ("outtype", "allowed"), [("f16", 5e-3), ("bf16", 5e-3), ("q8_0", 5e-2), ("q4_k", 5e-2)]
)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_clips_and_a_tree_of_positions_come_out_as_from_the_graph(
    shape: dict[str, Any], outtype: str, allowed: float, tmp_path: Path
) -> None:
    """ggml rounds what it multiplies with quantised weights to 8 bits, the card to 16; some of its sums are
    float16, on some processors."""
    path = tiny_gguf(tmp_path / "tiny.gguf", context=256, outtype=outtype, **ENCODER, **shape)
    ran = subprocess.run([PROGRAM, path], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    embeddings, logits = (float(error) for error in ran.stdout.split())
    assert embeddings < 3e-3
    assert logits < allowed
