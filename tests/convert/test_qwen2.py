"""Qwen2, whose q, k and v are biased: from a directory and from a GGUF file, to llama.cpp's form and back."""

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import Qwen2Config, Qwen2ForCausalLM

import ltu
from ltu import _engine
from ltu.convert import convert, export_llama, gguf_file, requantise
from ltu.convert.llama import read_base
from ltu.convert.table import table
from ltu.convert.vocabulary import SPLITS
from ltu.errors import ModelFileError
from ltu.training.model.base import load_base
from ltu.training.model.encoder import EncoderConfig
from ltu.training.model.ltu import LTU, LoraSizes
from tiny import tiny_model

IDS = [70, 71, 72, 200, 7, 70]
SCALE = 3.0  # of LoRA: alpha / r


def write_tokenizer(path: Path) -> list[str]:
    """Qwen2's steps around the bytes and one pair of them."""
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "er", "<|endoftext|>", "<|im_end|>"]
    made = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens[:-2])}, [("e", "r")]))
    made.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(SPLITS["qwen2"]), "isolated")
    made.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(tokens[-2:])
    made.save(str(path))
    return tokens


def write_gguf(path: Path, model: Qwen2ForCausalLM, tokens: list[str]) -> None:
    """The base as llama.cpp's converter writes it: with gguf's own writer and its map of names."""
    config = model.config
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(1e6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    padded = tokens + [f"[PAD{i}]" for i in range(len(tokens), config.vocab_size)]
    writer.add_token_list(padded)
    writer.add_token_types([1] * 257 + [3, 3] + [5] * (config.vocab_size - 259))
    writer.add_token_merges(["e r"])
    writer.add_bos_token_id(257)
    writer.add_eos_token_id(258)
    writer.add_add_bos_token(False)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, config.num_hidden_layers)
    for name, values in model.state_dict().items():
        if name != "lm_head.weight":  # tied
            writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), values.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_trained(folder: Path, model: Qwen2ForCausalLM) -> None:
    """A random encoder with LoRA on q and v, which is added to the model too."""
    audio = tiny_model(width=model.config.hidden_size)
    tensors = {
        row.source: torch.from_numpy(audio.tensors[row.name].float32().reshape(row.shape).copy())
        for row in table(audio.keys).values()
        if row.name.startswith(("a.", "mm."))
    }
    patch = "model.audio_encoder.patch_embed_a.proj.weight"
    tensors[patch] = tensors[patch].reshape(-1, 1, 16, 16)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("q_proj.weight", "v_proj.weight")):
                a, b = torch.randn(4, weight.shape[1]) / 8, torch.randn(weight.shape[0], 4) / 4
                weight += SCALE * b @ a
                tensors[name.replace("weight", "lora_A.weight")] = a
                tensors[name.replace("weight", "lora_B.weight")] = b
    folder.mkdir()
    save_file(tensors, folder / "ltu.safetensors")
    encoder = {"width": 32, "heads": 2, "blocks_a": 1, "blocks_u": 1}
    encoder |= {"frames": 1024, "mels": 128, "patch": 16}
    description = {"format": 1, "encoder": encoder, "lora": {"r": 4, "alpha": 4 * SCALE}, "bos": False}
    (folder / "ltu.json").write_text(json.dumps(description))


@pytest.fixture(scope="module")
def expected(folder: Path) -> np.ndarray:
    logits: np.ndarray = np.load(folder / "logits.npy")
    return logits


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Qwen2 as `hf` and `base.gguf`, what was trained on it, and logits of both together."""
    folder = tmp_path_factory.mktemp("qwen2")
    torch.manual_seed(5)
    config = Qwen2Config(
        vocab_size=300,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=True,
        bos_token_id=257,
        eos_token_id=258,
    )
    model = Qwen2ForCausalLM(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.5)
            elif "norm" not in name:
                parameter.mul_(6)
    model.save_pretrained(folder / "hf")
    tokens = write_tokenizer(folder / "hf" / "tokenizer.json")
    write_gguf(folder / "base.gguf", model, tokens)
    write_trained(folder / "trained", model)
    with torch.no_grad():
        np.save(folder / "logits.npy", model(torch.tensor([IDS])).logits[0].numpy())
    return folder


@pytest.fixture(scope="module", params=["hf", "base.gguf"])
def written(folder: Path, request: pytest.FixtureRequest) -> Path:
    output = folder / f"{request.param}.ltu.gguf"
    return convert(folder / request.param, checkpoint=folder / "trained", outtype="f32", output=output).path


def test_engine_computes_what_transformers_computes(written: Path, expected: np.ndarray) -> None:
    np.testing.assert_allclose(_engine.Engine(str(written), "cpu").logits(IDS, []), expected, atol=1e-3)


def test_directory_and_gguf_are_the_same_base(folder: Path) -> None:
    one, other = read_base(folder / "hf"), read_base(folder / "base.gguf")
    assert one.tensors.keys() == other.tensors.keys()
    for name, tensor in one.tensors.items():
        assert np.array_equal(tensor.float32(), other.tensors[name].float32()), name
    sizes = {key for key in one.keys if key.startswith("llama.")} - {"llama.rope.dimension_count"}
    for key in sizes:
        assert one.keys[key] == pytest.approx(other.keys[key]), key
    cut = [Tokenizer.from_str(base.keys["tokenizer.huggingface.json"]) for base in (one, other)]
    text = "Is u\u0308ber [AUDIO] 12345 birds?"
    assert cut[0].encode(text).ids == cut[1].encode(text).ids


def test_the_language_model_alone_is_a_qwen2_for_others(
    written: Path, expected: np.ndarray, tmp_path: Path
) -> None:
    export_llama(written, tmp_path / "l.gguf")
    fields = gguf.GGUFReader(tmp_path / "l.gguf").fields
    assert fields["general.architecture"].contents() == "qwen2"
    assert fields["qwen2.block_count"].contents() == 2
    assert not [name for name in fields if name.startswith(("llama.", "ltu."))]
    model = Qwen2ForCausalLM.from_pretrained(tmp_path, gguf_file="l.gguf", dtype=torch.float32)
    with torch.no_grad():
        np.testing.assert_allclose(model(torch.tensor([IDS])).logits[0].numpy(), expected, atol=1e-3)


def test_other_types_answer_too(written: Path, tmp_path: Path) -> None:
    path = requantise(written, "q8_0", tmp_path / "q.gguf").path
    types = {name: tensor.type for name, tensor in gguf_file.read(path).tensors.items()}
    assert types["blk.0.attn_q.weight"] == "q8_0"
    assert types["blk.0.attn_q.bias"] == "f32"
    with ltu.load(path, device="cpu", threads=1) as model:
        assert len(model.generate_ids(IDS, max_new_tokens=3)) == 1


@pytest.mark.parametrize("base", ["hf", "base.gguf"])
def test_training_begins_with_the_same_base(folder: Path, base: str) -> None:
    expected = Qwen2ForCausalLM.from_pretrained(folder / "hf", dtype=torch.float32).eval()
    model = LTU(load_base(folder / base).model, EncoderConfig(32, 64, 2, 1, 1), LoraSizes(r=2)).eval()
    ids = torch.tensor([IDS])
    with torch.no_grad():
        logits = model(ids, torch.ones_like(ids), encoded=torch.zeros(0, 32, 32)).logits
        torch.testing.assert_close(logits, expected(ids).logits, atol=1e-4, rtol=0)


def test_what_is_not_computed_is_refused(folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "hf" / "config.json").read_text())
    for change, message in (
        ({"model_type": "gpt_neox"}, "describes 'gpt_neox', expected 'llama' or 'qwen2'"),
        ({"hidden_act": "gelu"}, "asks for the activation 'gelu'"),
        ({"use_sliding_window": True}, "sliding window"),
    ):
        for file in (folder / "hf").iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        (tmp_path / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(ModelFileError, match=message):
            read_base(tmp_path)
    whole = gguf_file.read(folder / "base.gguf")
    gguf_file.write(tmp_path / "g.gguf", whole.keys | {"general.architecture": "gemma"}, whole.tensors)
    with pytest.raises(ModelFileError, match="architecture is 'gemma', expected 'llama' or 'qwen2'"):
        read_base(tmp_path / "g.gguf")
