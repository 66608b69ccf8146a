"""What LTU Engine must do wherever it was installed: convert a tiny model and answer, without libgomp.

    python tests/installed.py

Prints its answer, the exact P(yes) and a hash of the logits: one line, the same on every processor and with
every LTU_PROCESSOR (tests/wheel.py compares them).
"""

import hashlib
import sys
import tempfile
from pathlib import Path

import numpy as np

import ltu
from ltu import _engine

sys.path.insert(0, str(Path(__file__).parent))
from tiny import tiny_gguf


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        model = ltu.load(tiny_gguf(Path(folder) / "tiny.gguf", outtype="q8_0"), device="cpu", threads=1)
        noise = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
        [answer] = model.generate("Is [AUDIO] a bird?", noise, temperature=0)
        exact = model.answer_distribution("Is [AUDIO] a bird?", noise, node_budget=20)
        logits = model.logits([5, 6, 7, 8])
        kernels = model.description()["kernels"]
    print(f"{_engine.__file__}: {kernels} kernels", file=sys.stderr)
    print(f"{answer.text!r}, P(yes) {exact.yes!r}, logits {hashlib.sha256(logits.tobytes()).hexdigest()}")
    maps = Path("/proc/self/maps")
    if maps.exists() and "libgomp" in maps.read_text():
        sys.exit("libgomp is loaded")


if __name__ == "__main__":
    main()
