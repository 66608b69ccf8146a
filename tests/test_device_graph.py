"""The graphs that other devices run, computed on CPU by ggml's own kernels, agree with ours."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ltu
from ltu.audio import Clip
from tiny import tiny_gguf

PROMPTS = ["what is [AUDIO]?", "[AUDIO] or [AUDIO]?"]


@pytest.mark.parametrize("options", [{}, {"kv_heads": 1, "tied": True, "rope_scaling": "yarn"}])
def test_masked_attention_and_plain_products_give_the_same_logits(
    options: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny_gguf(tmp_path / "tiny.gguf", **options)
    rng = np.random.default_rng(0)
    clips = [Clip(rng.standard_normal(16_000).astype(np.float32), f"noise {i}") for i in range(2)]
    ours = ltu.load(path, device="cpu", threads=2)
    monkeypatch.setenv("LTU_KERNELS", "ggml")
    device = ltu.load(path, device="cpu", threads=2)
    assert ours.description()["kernels"] != device.description()["kernels"] == "ggml"
    for clip in clips:
        np.testing.assert_allclose(device.encode(clip), ours.encode(clip), atol=2e-5)
    for prompt in PROMPTS:
        sequence = ours.prompter.sequence(prompt, clips[: prompt.count("[AUDIO]")])
        places = iter(sequence.clips)
        items = [next(places) if id < 0 else id for id in sequence.ids]
        np.testing.assert_allclose(device.logits(items), ours.logits(items), atol=2e-4)
        greedy = ltu.Sampling(temperature=0)
        asked = [model.generate_ids(items, sampling=greedy, max_new_tokens=12) for model in (ours, device)]
        assert asked[0] == asked[1]


def test_a_processor_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path / "tiny.gguf")
    program = (
        f"import ltu\ntry: ltu.load({str(path)!r}, device='cpu')\nexcept ltu.Error as error: print(error)"
    )
    environment = os.environ | {"LTU_PROCESSOR": "abacus"}  # read once in a process
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert "abacus" in run.stdout
