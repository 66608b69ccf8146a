"""The language model on our CUDA kernels, emulated on a CPU, against ggml's graph of the same file.

`make test-cpp`, which `make test` runs first, builds the program; bench/gpu/agreement.py asks a real card.
"""

import platform
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tiny import tiny_gguf

PROGRAM = Path(__file__).parents[1] / "build" / "tests" / "cpp" / "tests" / "test_cuda_model"
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
    ("outtype", "allowed"), [("f16", 3e-3), ("bf16", 3e-3), ("q8_0", 5e-2), ("q4_k", 5e-2)]
)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_tree_of_positions_has_the_logits_of_the_graph(
    shape: dict[str, Any], outtype: str, allowed: float, tmp_path: Path
) -> None:
    """ggml rounds what it multiplies with quantised weights to 8 bits, the card to 16."""
    path = tiny_gguf(tmp_path / "tiny.gguf", context=256, outtype=outtype, **shape)
    ran = subprocess.run([PROGRAM, path], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert float(ran.stdout.split()[-1]) < allowed
