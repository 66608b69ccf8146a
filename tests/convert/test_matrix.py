"""The conversion matrix: each setting of a LLaMA computes as in transformers, or is refused by name."""

import json
import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from test_round_trip import ROPE, write_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from ltu import _engine, load
from ltu.convert import convert, export_llama, requantise
from ltu.convert.describe import describe, run_self_test
from ltu.convert.llama import read_base
from ltu.convert.ltu_part import read_checkpoint, read_release
from ltu.errors import Error, ModelFileError
from ltu.training.model.base import load_base
from ltu.training.model.encoder import EncoderConfig
from ltu.training.model.ltu import LTU, LoraSizes, trained_tensors
from tiny import tiny_gguf

ENCODER = EncoderConfig(width=64, mlp=64, heads=1, blocks_a=1, blocks_u=1)  # the original's heads have 64
IDS = list(range(2, 82))
SIZES = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": 0,
}
YARN = ROPE["yarn"]


def base(folder: Path, **settings: Any) -> LlamaForCausalLM:
    """A random LLaMA with steep logits, written to the folder."""
    torch.manual_seed(3)
    model = LlamaForCausalLM(LlamaConfig(**{**SIZES, **settings})).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.mul_(1 if "norm" in name else 6)
    model.save_pretrained(folder)
    write_tokenizer(folder / "tokenizer.json")
    return model


def release(folder: Path, model: LlamaForCausalLM, **lora: Any) -> tuple[Path, Any]:
    """A PEFT adapter and LTU's encoder in one file, as the original's release has them; the adapted model."""
    torch.manual_seed(4)
    ears = LTU(model, ENCODER, LoraSizes(r=2))
    audio = {name: t.contiguous() for name, t in trained_tensors(ears).items() if "lora" not in name}
    plain = ears.llama.unload()
    del plain.model.audio_encoder, plain.model.audio_proj  # a release's LoRA is of the language model
    settings = {"r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"}
    adapted = get_peft_model(plain, LoraConfig(**{**settings, **lora})).eval()
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
    adapted.save_pretrained(str(folder), save_embedding_layers=False)
    path = folder / "adapter_model.safetensors"
    save_file({**load_file(path), **audio}, path)
    return path, adapted


def logits_of(model: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    with torch.no_grad():
        return model(torch.tensor([IDS])).logits[0].numpy()  # type: ignore[no-any-return]


def change_config(folder: Path, **settings: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


RIGHT: dict[str, Mapping[str, Any]] = {
    "multi-head": {"num_key_value_heads": 4},
    "multi-query, tied": {"num_key_value_heads": 1, "tie_word_embeddings": True},
    "heads of 32": {"head_dim": 32},
    "linear": {"rope_parameters": ROPE["linear"]},
    "YaRN with its usual settings": {"rope_parameters": {**YARN, "beta_fast": 32, "beta_slow": 1}},
    "Llama 3.1": {"rope_parameters": ROPE["llama3"]},
}


@pytest.mark.parametrize("settings", RIGHT.values(), ids=RIGHT)
def test_these_settings_compute_as_in_transformers(tmp_path: Path, settings: Mapping[str, Any]) -> None:
    model = base(tmp_path / "hf", **settings)
    expected = logits_of(model)
    path, _ = release(tmp_path / "ltu", model)
    (tmp_path / "ltu" / "adapter_config.json").unlink()
    save_file({n: t * (0 if "lora_B" in n else 1) for n, t in load_file(path).items()}, path)
    written = convert(tmp_path / "hf", path, outtype="f32", output=tmp_path / "m.gguf")
    np.testing.assert_allclose(_engine.Engine(str(written.path), "cpu").logits(IDS, []), expected, atol=1e-3)


LORA: dict[str, Mapping[str, Any]] = {
    "rsLoRA": {"use_rslora": True},
    "alpha_pattern": {"alpha_pattern": {"v_proj": 4, "layers.0.self_attn.q_proj": 64}},
    "rank_pattern": {"rank_pattern": {r".*\.1\.self_attn\.q_proj": 3}},
    "all matrices": {"target_modules": "all-linear", "r": 4, "lora_alpha": 6},
}


@pytest.mark.parametrize("settings", LORA.values(), ids=LORA)
def test_lora_counts_as_much_as_in_peft(tmp_path: Path, settings: Mapping[str, Any]) -> None:
    path, adapted = release(tmp_path / "ltu", base(tmp_path / "hf"), **settings)
    expected = logits_of(adapted)
    for given in (path, path.parent):  # the file, or the adapter's folder
        written = convert(tmp_path / "hf", given, outtype="f32", output=tmp_path / "m.gguf")
        logits = _engine.Engine(str(written.path), "cpu").logits(IDS, [])
        np.testing.assert_allclose(logits, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"use_dora": True}, "use_dora is not supported"),
        ({"lora_alpha": "16"}, "lora_alpha is '16', expected a positive number"),
        ({"lora_alpha": 10**400}, r"lora_alpha is 1000\S+…, expected a positive number"),
        ({"alpha_pattern": {"q_proj": math.inf}}, "q_proj is inf, expected a positive number"),
        ({"rank_pattern": {"q_proj": 0}}, "q_proj is 0, expected a positive number"),
        ({"r": 4}, r"r of model\.layers\.0\.\S+ is 4, its LoRA has rank 8"),
        ({"alpha_pattern": []}, None),
        ({"alpha_pattern": {"(": 3}}, r"alpha_pattern holds '\(', which is no expression"),
        ({"peft_type": "IA3"}, "peft_type 'IA3' is not supported"),
        ({"init_lora_weights": "eva"}, None),
        (
            {"init_lora_weights": "pissa_niter_4"},
            "is 'pissa_niter_4', which changes the base model's weights",
        ),
        ({"trainable_token_indices": [1]}, "trainable_token_indices is not supported"),
        ({"alora_invocation_tokens": [1, 2]}, "alora_invocation_tokens is not supported"),
        (None, r"adapter_config\.json: is no JSON object"),
    ],
)
def test_settings_of_an_adapter_are_read_or_refused(
    tmp_path: Path, change: dict[str, Any] | None, message: str | None
) -> None:
    path, _ = release(tmp_path / "ltu", base(tmp_path / "hf"))
    config = path.with_name("adapter_config.json")
    config.write_text(json.dumps([] if change is None else {**json.loads(config.read_text()), **change}))
    if message is None:
        assert read_release(path).scales["model.layers.0.self_attn.q_proj"] == 2
        return
    with pytest.raises(ModelFileError, match=message):
        read_release(path)


def test_a_rank_that_is_not_ltus_needs_its_configuration(tmp_path: Path) -> None:
    path, _ = release(tmp_path / "ltu", base(tmp_path / "hf"), r=4)
    path.with_name("adapter_config.json").unlink()
    with pytest.raises(ModelFileError, match=r"without adapter_config\.json .* is 8, its LoRA has rank 4"):
        read_release(path)


def test_an_adapter_without_ears_is_called_what_it_is(tmp_path: Path) -> None:
    path, _ = release(tmp_path / "ltu", base(tmp_path / "hf"))
    with pytest.raises(ModelFileError, match=r"is a PEFT adapter: LoRA alone.*ltu\.safetensors"):
        read_checkpoint(tmp_path / "ltu")
    with pytest.raises(ModelFileError, match="is a PEFT adapter, not a language model"):
        read_base(tmp_path / "ltu")
    save_file({name: tensor for name, tensor in load_file(path).items() if "lora" in name}, path)
    with pytest.raises(ModelFileError, match="holds LoRA alone, without audio encoder and projector"):
        read_release(tmp_path / "ltu")
    with pytest.raises(ModelFileError, match="is a folder; give the file of weights in it"):
        read_release(tmp_path / "hf")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rope_parameters": {**YARN, "beta_fast": 8}}, "sets beta_fast = 8 for YaRN"),
        ({"rope_parameters": {**YARN, "beta_slow": 2}}, "sets beta_slow = 2 for YaRN"),
        ({"rope_parameters": {**YARN, "truncate": False}}, "sets truncate = False for YaRN"),
        ({"rope_parameters": {**YARN, "attention_factor": 1.0}}, r"sets attention_factor = 1\.0 for YaRN"),
        ({"rope_parameters": {**YARN, "mscale": 0.7, "mscale_all_dim": 1}}, r"sets mscale = 0\.7 for YaRN"),
        ({"rope_parameters": {"rope_type": "dynamic", "factor": 2}}, "rope scaling 'dynamic'"),
        ({"rope_parameters": {"rope_type": "llama3", "factor": 8}}, "lacks 'low_freq_factor'"),
        ({"hidden_act": "gelu"}, "the activation 'gelu'"),
        ({"attention_bias": True}, "sets attention_bias; a LLaMA with biases is not supported"),
        ({"mlp_bias": True}, "sets mlp_bias"),
        ({"model_type": "mistral"}, "describes 'mistral', expected 'llama'"),
    ],
)
def test_what_is_not_computed_is_refused_by_name(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    base(tmp_path)
    change_config(tmp_path, **change)
    for read in (read_base, load_base):  # conversion and training
        with pytest.raises(ModelFileError, match=message):
            read(tmp_path)


def test_weights_are_read_under_every_name_that_transformers_gives_them(tmp_path: Path) -> None:
    model = base(tmp_path, tie_word_embeddings=True)
    expected = read_base(tmp_path).tensors
    path = tmp_path / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}  # older releases map it
    without = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    buffers = {"model.rotary_emb.inv_freq": torch.ones(8), "model.audio_encoder.modality_a": torch.ones(4)}
    for written in (without, {**tensors, **buffers}):
        save_file(written, path)
        read = read_base(tmp_path).tensors
        assert read.keys() == expected.keys()
        embedding = read["token_embd.weight"].float32()
        assert np.array_equal(embedding, model.get_input_embeddings().weight.detach().numpy())
    path.rename(tmp_path / "model-00001-of-00002.safetensors")
    with pytest.raises(ModelFileError, match=r"model-00001-of-00002\.safetensors and not .*index\.json"):
        read_base(tmp_path)


def test_a_missing_output_matrix_is_named_and_the_newer_whole_file_is_taken(tmp_path: Path) -> None:
    base(tmp_path / "old").save_pretrained(tmp_path, max_shard_size="60KB")
    model = base(tmp_path)
    read = read_base(tmp_path).tensors["output.weight"].float32()
    assert np.array_equal(read, model.lm_head.weight.detach().numpy())
    path = tmp_path / "model.safetensors"
    save_file({name: t for name, t in load_file(path).items() if name != "lm_head.weight"}, path)
    with pytest.raises(ModelFileError, match=r"no lm_head\.weight.*tie_word_embeddings"):
        read_base(tmp_path)


@pytest.mark.parametrize(
    ("value", "type", "message"),
    [
        (np.nan, "q8_0", "holds values that are NaN or infinite"),
        (np.inf, "f32", "holds values that are NaN or infinite"),
        (1e6, "f16", "holds values that f16 can't hold"),
        (1e38, "q4_0", "holds values that q4_0 can't hold"),
        (1e38, "bf16", r"holds values up to 1e\+38, with which nothing can be computed"),
        (1e38, "f32", r"holds values up to 1e\+38, with which nothing can be computed"),
    ],
)
def test_what_is_no_number_in_the_file_is_named_and_nothing_is_written(
    tmp_path: Path, value: float, type: str, message: str
) -> None:
    model = base(tmp_path / "hf")
    path, _ = release(tmp_path / "ltu", model)
    weights = tmp_path / "hf" / "model.safetensors"
    tensors = load_file(weights)
    tensors["model.layers.1.mlp.up_proj.weight"][3, 5] = value
    save_file(tensors, weights)
    with pytest.raises(ModelFileError, match=rf"tensor blk\.1\.ffn_up\.weight: {message}"):
        convert(tmp_path / "hf", path, outtype=type, output=tmp_path / "m.gguf")
    assert not list(tmp_path.glob("*m.gguf*"))


def test_another_base_directory_of_the_same_shape_is_noted(tmp_path: Path) -> None:
    path, _ = release(tmp_path / "ltu", base(tmp_path / "hf"))
    tensors = {name: t for name, t in load_file(path).items() if "lora" not in name}
    trained = tmp_path / "trained"
    trained.mkdir()
    save_file(
        {n.replace("base_model.model.", ""): t for n, t in tensors.items()}, trained / "ltu.safetensors"
    )
    described = {"format": 1, "encoder": vars(ENCODER), "lora": {"r": 8, "alpha": 16}}
    own = load_base(tmp_path / "hf").sha256
    for hash, noted in ((own, False), ("0" * 64, True)):
        (trained / "ltu.json").write_text(json.dumps({**described, "base_model": {"sha256": hash}}))
        written = convert(tmp_path / "hf", checkpoint=trained, outtype="f32", output=tmp_path / "m.gguf")
        assert any("other weights than the base" in note for note in written.notes) == noted


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"<!DOCTYPE html><html>404</html>", "is a web page, not the file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (b"GGUF\3\0\0\0", "is a GGUF file"),
    ],
)
def test_files_of_weights_that_are_something_else_are_named(
    tmp_path: Path, content: bytes, message: str
) -> None:
    base(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelFileError, match=rf"model\.safetensors: {message}"):
        read_base(tmp_path)
    other = tmp_path / "ltu.bin"
    other.write_bytes(content)
    with pytest.raises(ModelFileError, match=rf"ltu\.bin: {message}"):
        read_release(other)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_what_wrappers_put_before_names_is_taken_off(tmp_path: Path, prefix: str) -> None:
    base(tmp_path)
    expected = read_base(tmp_path).tensors
    path = tmp_path / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    save_file({prefix + name: tensor for name, tensor in tensors.items()}, path)
    assert read_base(tmp_path).tensors.keys() == expected.keys()


def test_matrices_of_whole_numbers_are_named(tmp_path: Path) -> None:
    path, _ = release(tmp_path / "ltu", base(tmp_path / "hf"))
    weights = tmp_path / "hf" / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(weights).items()}
    tensors["model.layers.1.mlp.up_proj.weight"] = torch.ones(96, 64, dtype=torch.int8)
    save_file(tensors, weights)
    with pytest.raises(ModelFileError, match=r"hf with .*blk\.1\.ffn_up\.weight is of the type i8"):
        convert(tmp_path / "hf", path, outtype="f32", output=tmp_path / "m.gguf")


def test_a_tokenizer_without_an_end_or_a_beginning_is_said(tmp_path: Path) -> None:
    path, _ = release(tmp_path / "ltu", base(tmp_path / "hf"))
    change_config(tmp_path / "hf", eos_token_id=None)
    written = convert(tmp_path / "hf", path, outtype="f32", output=tmp_path / "m.gguf")
    assert any("no end token is known" in note for note in written.notes)
    change_config(tmp_path / "hf", bos_token_id=None)
    with pytest.raises(ModelFileError, match=r"bos_token_id is missing; .* name it in config\.json"):
        convert(tmp_path / "hf", path, outtype="f32", output=tmp_path / "m.gguf")


def test_a_token_beyond_the_table_is_named_with_its_file(tmp_path: Path) -> None:
    """The table has 300 rows; the template begins with token 305."""
    path, _ = release(tmp_path / "ltu", base(tmp_path / "hf"))
    tokenizer = tmp_path / "hf" / "tokenizer.json"
    described = json.loads(tokenizer.read_text())
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    described["added_tokens"] += [{"id": i, "content": f"<|x{i}|>", **plain} for i in range(258, 310)]
    tokenizer.write_text(json.dumps(described))
    convert(tmp_path / "hf", path, outtype="f32", output=tmp_path / "m.gguf")  # nothing asks for them
    trained = tmp_path / "trained"
    trained.mkdir()
    tensors = {name: t.clone() for name, t in load_file(path).items() if "lora" not in name}
    save_file(
        {n.replace("base_model.model.", ""): t for n, t in tensors.items()}, trained / "ltu.safetensors"
    )
    settings = {"format": 1, "encoder": vars(ENCODER), "lora": {"r": 8, "alpha": 16}}
    (trained / "ltu.json").write_text(json.dumps({**settings, "prompt_template": "<|x305|>{prompt}"}))
    message = (
        r"hf with .*ltu\.safetensors: .*'<\|x305\|>' as token 305, and the model has rows for 300 tokens"
    )
    with pytest.raises(ModelFileError, match=message):
        convert(tmp_path / "hf", checkpoint=trained, outtype="f32", output=tmp_path / "m.gguf")
    described["added_tokens"][-1]["id"] = 400
    tokenizer.write_text(json.dumps(described))
    with pytest.raises(ModelFileError, match=r"tokenizer\.json: no token has the id 309"):
        read_base(tmp_path / "hf")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_of_other_encodings_are_read_and_written(tmp_path: Path) -> None:
    release(tmp_path / "hf" / "ltu", base(tmp_path / "hf"))
    odd = (tmp_path / "hf").rename(tmp_path / "caf\udce9")
    written = convert(odd, odd / "ltu", outtype="f32", output=odd / "m\udce9.gguf")
    assert requantise(written.path, "q8_0", odd / "q.gguf").bytes
    assert describe(written.path)["keys"]["general.base_model.0.name"] == "caf\ufffd"
    assert run_self_test(written.path, "cpu")["passed"]
    with load(written.path, device="cpu") as model:
        assert model.generate("yes", max_new_tokens=2)
    written.path.write_bytes(written.path.read_bytes()[:100])
    for read in (describe, load):
        with pytest.raises(ModelFileError, match="m\udce9\\.gguf: the file ends inside its header"):
            read(written.path)


def test_a_file_that_loses_nothing_more_says_so_when_it_grows(tmp_path: Path) -> None:
    small = tiny_gguf(tmp_path / "small.gguf", outtype="q4_0")
    note = r"small\.gguf holds q4_0: a larger type brings nothing back"
    assert any(re.search(note, text) for text in requantise(small, "q8_0", tmp_path / "m.gguf").notes)
    assert not any(re.search(note, text) for text in requantise(small, "q4_0", tmp_path / "m.gguf").notes)
    large = tiny_gguf(tmp_path / "large.gguf")
    assert not any("brings nothing" in text for text in requantise(large, "q8_0", tmp_path / "m.gguf").notes)


def test_a_language_model_alone_has_no_self_test(tmp_path: Path) -> None:
    export_llama(tiny_gguf(tmp_path / "m.gguf"), tmp_path / "l.gguf")
    with pytest.raises(Error, match=r"l\.gguf: is a language model alone, which has no values"):
        run_self_test(tmp_path / "l.gguf")
