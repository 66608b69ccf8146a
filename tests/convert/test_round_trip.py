"""PyTorch model → ltu-convert → engine: the same logits, for every option of a LLaMA that we promise."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

from ltu import _engine
from ltu.convert import convert, export_llama, gguf_file
from ltu.convert.names import bare
from ltu.errors import ModelFileError
from ltu.training.model.base import load_base
from ltu.training.model.encoder import EncoderConfig
from ltu.training.model.ltu import LTU, LoraSizes, trained_tensors

ENCODER = EncoderConfig(width=32, mlp=64, heads=2, blocks_a=2, blocks_u=1)
ROPE = {
    "plain": {"rope_theta": 5000.0},
    "linear": {"rope_theta": 10000.0, "rope_type": "linear", "factor": 2.0},
    "yarn": {
        "rope_theta": 10000.0,
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 64,
    },
    "llama3": {
        "rope_theta": 10000.0,
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
}


def write_tokenizer(path: Path) -> None:
    """A byte-level tokenizer of fewer tokens than the embedding table has rows."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = ["<|end|>", "<|begin|>", *alphabet]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(tokens[:2])
    tokenizer.save(str(path))


def make(
    folder: Path,
    rope: str = "plain",
    kv_heads: int = 2,
    tied: bool = False,
    encoder: EncoderConfig = ENCODER,
) -> LTU:
    """A random LTU; `folder` gets its base in shards (`hf`) and what was trained (`trained`)."""
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=kv_heads,
        max_position_embeddings=256,
        rope_parameters=ROPE[rope],
        tie_word_embeddings=tied,
        bos_token_id=1,
        eos_token_id=0,
    )
    base = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, parameter in base.named_parameters():
            parameter.mul_(1 if "norm" in name else 6)
    base.save_pretrained(folder / "hf", max_shard_size="60KB")
    write_tokenizer(folder / "hf" / "tokenizer.json")
    model = LTU(base, encoder, LoraSizes(r=4, alpha=12)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name or ("audio" in name and parameter.dim() == 1):
                parameter.normal_(0, 0.1)
    (folder / "trained").mkdir()
    tensors = {name: tensor.contiguous() for name, tensor in trained_tensors(model).items()}
    save_file(tensors, folder / "trained" / "ltu.safetensors")
    description = {
        "format": 1,
        "name": "random",
        "license": "CC0-1.0",
        "encoder": vars(encoder),
        "lora": {"r": 4, "alpha": 12, "targets": ["q_proj", "v_proj"]},
        "base_model": {"name": "small", "source": "here", "sha256": "0" * 64, "license": "CC0-1.0"},
        "prompt_template": "{prompt}\n",
        "bos": False,
        "sampling": {"temperature": 0.5, "top_k": 7, "top_p": 0.9, "repetition_penalty": 1.0},
        "max_new_tokens": 12,
        "datasets": [{"name": "noise", "license": "CC0-1.0", "url": "https://example.org"}],
        "train_clips": ["ab" * 32],
        "train_terms": ["bird"],
    }
    (folder / "trained" / "ltu.json").write_text(json.dumps(description))
    return model


@pytest.mark.parametrize(
    ("rope", "kv_heads", "tied"),
    [("plain", 2, False), ("linear", 4, True), ("yarn", 1, False), ("llama3", 2, True)],
)
def test_engine_computes_what_pytorch_computes(tmp_path: Path, rope: str, kv_heads: int, tied: bool) -> None:
    model = make(tmp_path, rope, kv_heads, tied)
    written = convert(
        tmp_path / "hf", checkpoint=tmp_path / "trained", outtype="f32", output=tmp_path / "m.gguf"
    )
    engine = _engine.Engine(str(written.path), "cpu")
    features = np.random.default_rng(0).normal(size=(2, 1024, 128)).astype(np.float32)
    embeddings = engine.encode(features)
    clips = [(bytes([i]) * 32, embedding) for i, embedding in enumerate(embeddings)]
    with torch.no_grad():
        encoded = model.audio_encoder(torch.from_numpy(features))
        np.testing.assert_allclose(embeddings, model.project(encoded).numpy(), atol=5e-5)
        for ids in ([1, 70, -1, 71, 72, -1, 73], [-1, 1, 80, 81, 82]):  # interleaved and prepended
            count = ids.count(-1)
            spread = [id for each in ids for id in ([each] if each >= 0 else [each] * 32)]
            batch = torch.tensor([spread])
            expected = model(batch, torch.ones_like(batch), encoded=encoded[:count]).logits[0].numpy()
            np.testing.assert_allclose(engine.logits(ids, clips[:count]), expected, atol=1e-3)


@pytest.mark.parametrize(
    "encoder",
    [
        EncoderConfig(width=48, mlp=80, heads=3, blocks_a=1, blocks_u=3),
        EncoderConfig(width=32, mlp=64, heads=4, blocks_a=3, blocks_u=2, frames=512, mels=64),
    ],
)
def test_another_encoder_hears_in_the_engine_as_in_pytorch(encoder: EncoderConfig, tmp_path: Path) -> None:
    model = make(tmp_path, encoder=encoder)
    written = convert(
        tmp_path / "hf", checkpoint=tmp_path / "trained", outtype="f32", output=tmp_path / "m.gguf"
    )
    shape = 2, encoder.frames, encoder.mels
    features = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    with torch.no_grad():
        expected = model.project(model.audio_encoder(torch.from_numpy(features))).numpy()
    assert expected.shape == (2, encoder.embeddings, 64)
    embeddings = _engine.Engine(str(written.path), "cpu").encode(features)
    np.testing.assert_allclose(embeddings, expected, atol=5e-5)


@pytest.mark.parametrize("rope", ["plain", "linear"])
def test_exported_llama_is_what_transformers_reads(tmp_path: Path, rope: str) -> None:
    make(tmp_path, rope)
    written = convert(
        tmp_path / "hf", checkpoint=tmp_path / "trained", outtype="f32", output=tmp_path / "m.gguf"
    )
    export_llama(written.path, tmp_path / "l.gguf")
    ids = [1, 70, 71, 72, 200, 7]
    logits = _engine.Engine(str(written.path), "cpu").logits(ids, [])
    config = LlamaConfig.from_pretrained(tmp_path / "hf")  # its rope scaling is not read from GGUF
    model = LlamaForCausalLM.from_pretrained(tmp_path, gguf_file="l.gguf", config=config, dtype=torch.float32)
    with torch.no_grad():
        np.testing.assert_allclose(logits, model(torch.tensor([ids])).logits[0].numpy(), atol=1e-3)


@pytest.mark.parametrize("rope", ROPE)
def test_training_reads_a_gguf_base_with_its_rope_scaling(tmp_path: Path, rope: str) -> None:
    model = make(tmp_path, rope)
    written = convert(
        tmp_path / "hf", checkpoint=tmp_path / "trained", outtype="f32", output=tmp_path / "m.gguf"
    )
    export_llama(written.path, tmp_path / "l.gguf")
    ids = torch.arange(2, 202)[None]
    with torch.no_grad():
        logits = load_base(tmp_path / "l.gguf").model(ids).logits
        np.testing.assert_allclose(logits.numpy(), model.llama(ids).logits.numpy(), atol=1e-3)


def test_settings_and_provenance_reach_the_file(tmp_path: Path) -> None:
    make(tmp_path)
    written = convert(tmp_path / "hf", checkpoint=tmp_path / "trained", outtype="q8_0", output=tmp_path)
    assert written.path.name == "hf-153K-random-Q8_0.gguf"
    keys = gguf_file.read(written.path).keys
    assert keys["ltu.prompt.bos"] is False
    assert keys["ltu.prompt.template"] == "{prompt}\n"
    assert keys["general.sampling.top_k"] == 7
    assert keys["ltu.sampling.max_new_tokens"] == 12
    assert keys["ltu.train.clips"] == ["ab" * 32]
    assert keys["ltu.train.terms"] == ["bird"]
    assert keys["general.base_model.0.name"] == "small"
    assert keys["general.dataset.0.repo_url"] == "https://example.org"
    assert keys["general.license"] == "CC0-1.0"
    assert len(keys["tokenizer.ggml.tokens"]) == 300
    assert "[AUDIO]" not in keys["tokenizer.ggml.tokens"]
    added = json.loads(keys["tokenizer.huggingface.json"])["added_tokens"]
    assert [token["id"] for token in added if token["content"] == "[AUDIO]"] == [300]


def test_another_base_is_refused(tmp_path: Path) -> None:
    make(tmp_path)
    for name, change in (("deep", {"num_hidden_layers": 3}), ("wide", {"hidden_size": 128})):
        config = LlamaConfig.from_pretrained(tmp_path / "hf", **change)
        LlamaForCausalLM(config).save_pretrained(tmp_path / name)
        write_tokenizer(tmp_path / name / "tokenizer.json")
        with pytest.raises(
            ModelFileError, match=r"no LoRA of model\.layers\.2\.self_attn\.q_proj|is it the right base"
        ):
            convert(tmp_path / name, checkpoint=tmp_path / "trained", output=tmp_path / "m.gguf")
    assert not list(tmp_path.glob("*m.gguf*"))


def test_peft_names_become_bare() -> None:
    assert bare("base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight") == (
        "model.layers.0.self_attn.q_proj.lora_A.weight"
    )
    assert bare("base_model.model.audio_proj.1.bias") == "model.audio_proj.1.bias"
