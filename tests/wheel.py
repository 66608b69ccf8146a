"""What a wheel must do where it was installed: convert a tiny model and answer, without libgomp.

    python tests/wheel.py

LTU_PROCESSOR=avx2 python tests/wheel.py asks the same of the plainest kernels.
"""

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
        kernels = model.description()["kernels"]
    print(f"{_engine.__file__}: {answer.text!r}, P(yes) {exact.yes:.3f}, {kernels} kernels")
    maps = Path("/proc/self/maps")
    if maps.exists() and "libgomp" in maps.read_text():
        sys.exit("libgomp is loaded")


if __name__ == "__main__":
    main()
