"""The PyTorch model against the original LTU code: encoder, projector, splice and LLaMA with LoRA."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from ltu.training.model.encoder import EncoderConfig
from ltu.training.model.loss import AUDIO_POSITION
from ltu.training.model.ltu import LTU, LoraSizes, load_trained

GOLDEN = Path(__file__).parent.parent / "golden"
Arrays = dict[str, np.ndarray]


def _weights() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_weights", GOLDEN / "weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def meta() -> dict[str, Any]:
    return json.loads((GOLDEN / "golden.json").read_text())  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    with np.load(GOLDEN / "golden.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def model(meta: dict[str, Any]) -> LTU:
    weights = _weights()
    base, trainable = weights.make(meta["seed"], inv_freq_keys=False)
    llama = LlamaForCausalLM(LlamaConfig(**weights.hf_config())).float()
    llama.load_state_dict({name: torch.from_numpy(value) for name, value in base.items()})
    model = LTU(llama, EncoderConfig(), LoraSizes()).eval()
    unused = ("norm1_v", "norm2_v", "blocks_u.0.norm1.", "blocks_u.0.norm2.")
    kept = {
        name.removeprefix(weights.PEFT_PREFIX).replace(".default.", "."): torch.from_numpy(value)
        for name, value in trainable.items()
        if not any(part in name for part in unused)
        and not ("blocks_a" in name and "_a." in name.split("blocks_a")[1])
    }
    load_trained(model, kept, "golden")
    return model


@torch.no_grad()
def test_encoder_stages_equal_the_original(model: LTU, meta: dict[str, Any], arrays: Arrays) -> None:
    seen: list[Tensor] = []
    model.audio_encoder.tokens(torch.from_numpy(arrays["clip0_fbank"])[None], watch=seen.append)
    stages = {"embed": 0, "block0": 1, "block10": 11, "block11": 12, "norm_a": 13}
    for name, index in stages.items():
        actual = seen[index][0, meta["dbg_rows"]].numpy()
        assert np.abs(actual - arrays[f"clip0_dbg_{name}"]).max() <= 1e-4, name


@torch.no_grad()
@pytest.mark.parametrize("clip", [0, 4, 5])
def test_audio_embeddings_equal_the_original(model: LTU, arrays: Arrays, clip: int) -> None:
    encoded = model.audio_encoder(torch.from_numpy(arrays[f"clip{clip}_fbank"])[None])
    assert np.abs(encoded[0].numpy() - arrays[f"clip{clip}_enc"]).max() <= 5e-5
    assert np.abs(model.project(encoded)[0].numpy() - arrays[f"clip{clip}_emb"]).max() <= 5e-5


@torch.no_grad()
@pytest.mark.parametrize("prompt", range(6))
def test_logits_of_both_formats_equal_the_original(
    model: LTU, meta: dict[str, Any], arrays: Arrays, prompt: int
) -> None:
    described = meta["prompts"][prompt]
    encoded = torch.from_numpy(arrays[f"clip{described['clip']}_enc"])[None]
    text, audio, place = described["ids"], [AUDIO_POSITION] * 32, described["audio_pos"]
    for mode, ids in (("ltu", audio + text), ("int", text[:place] + audio + text[place:])):
        batch = torch.tensor([ids])
        logits = model(batch, torch.ones_like(batch), encoded=encoded).logits[0, -1].numpy()
        assert np.abs(logits - arrays[f"p{prompt}_{mode}_logits"]).max() <= 1e-3, mode


@torch.no_grad()
def test_a_subset_of_patches_is_the_same_tokens_without_attention(arrays: Arrays) -> None:
    from ltu.training.model.encoder import AudioEncoder

    encoder = AudioEncoder(EncoderConfig(width=32, mlp=64, heads=2, blocks_a=0, blocks_u=0)).eval()
    features = torch.from_numpy(arrays["clip0_fbank"])[None]
    keep = torch.tensor([[5, 300, 64]])
    torch.testing.assert_close(encoder.tokens(features, keep), encoder.tokens(features)[:, keep[0]])
