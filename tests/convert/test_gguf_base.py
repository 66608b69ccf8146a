"""A file of llama.cpp's as base: its keys are computed alike by conversion and training, or refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ltu import _engine, load
from ltu.convert import export_llama, gguf_file
from ltu.convert.llama import read_base
from ltu.convert.model import Model, write_model
from ltu.convert.tensor import Tensor
from ltu.errors import ModelFileError
from ltu.training.model.base import load_base, open_base
from tiny import tiny_model

IDS = [1, *range(100, 160)]


def written(path: Path, model: Model, **keys: Any) -> Path:
    """The language model of a tiny LTU as llama.cpp would write it, with other keys."""
    write_model(model, "f32", path.with_suffix(".ltu"))
    export_llama(path.with_suffix(".ltu"), path)
    file = gguf_file.read(path)
    changed = {name: value for name, value in {**file.keys, **keys}.items() if value is not None}
    copies = {name: Tensor.of(t.float32().reshape(t.shape)) for name, t in file.tensors.items()}
    gguf_file.write(path, changed, copies)
    return path


SAME: dict[str, tuple[dict[str, Any], Mapping[str, Any]]] = {
    "plain": ({}, {}),
    "linear": ({"rope_scaling": "linear"}, {}),
    "YaRN": ({"rope_scaling": "yarn"}, {"llama.rope.scaling.yarn_beta_fast": 32.0}),
    "Llama 3.1": ({"rope_factors": True}, {}),
    "tied": ({"tied": True, "kv_heads": 1}, {}),
    "linear as in 2023": ({"rope_scaling": "linear"}, {"old": 4.0}),
    "a factor alone": ({"rope_scaling": "linear"}, {"llama.rope.scaling.type": None}),
}


@pytest.mark.parametrize(("options", "keys"), SAME.values(), ids=SAME)
def test_training_and_conversion_read_one_base(
    tmp_path: Path, options: dict[str, Any], keys: dict[str, Any]
) -> None:
    model = tiny_model(**options)
    if "old" in keys:
        scaling = [f"llama.rope.scaling.{name}" for name in ("type", "factor", "original_context_length")]
        keys = {**dict.fromkeys(scaling), "llama.rope.scale_linear": keys["old"]}
    path = written(tmp_path / "l.gguf", model, **keys)
    expected = _engine.Engine(str(path.with_suffix(".ltu")), "cpu").logits(IDS, [])
    with torch.no_grad():
        trained = load_base(path).model(torch.tensor([IDS])).logits[0].numpy()
    np.testing.assert_allclose(trained, expected, atol=1e-3)
    base = read_base(path)
    joined = Model(
        {**model.keys, **base.keys, "general.architecture": "ltu"}, {**model.tensors, **base.tensors}, ""
    )
    again = write_model(joined, "f32", tmp_path / "again.gguf").path
    np.testing.assert_allclose(_engine.Engine(str(again), "cpu").logits(IDS, []), expected, atol=1e-3)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"llama.rope.scaling.yarn_beta_slow": 2.0}, r"scaling\.yarn_beta_slow = 2\.0 is not supported"),
        ({"llama.rope.scaling.yarn_attn_factor": 0.5}, r"scaling\.yarn_attn_factor = 0\.5 is not supported"),
        ({"llama.rope.scaling.alpha": 3.0}, r"scaling\.alpha = 3\.0 is not supported"),
        ({"split.count": 3}, "is one of 3 parts of a split model; join them with llama-gguf-split --merge"),
    ],
)
def test_what_is_not_computed_is_refused_by_conversion_and_training(
    tmp_path: Path, keys: dict[str, Any], message: str
) -> None:
    path = written(tmp_path / "l.gguf", tiny_model(rope_scaling="yarn"), **keys)
    for read in (read_base, load_base):
        with pytest.raises(ModelFileError, match=message):
            read(path)


def test_a_base_without_bos_is_trained_on_and_run_where_texts_begin_without_one(tmp_path: Path) -> None:
    model = tiny_model(bos=False)
    path = written(tmp_path / "l.gguf", model, **{"tokenizer.ggml.bos_token_id": None})
    with pytest.raises(ModelFileError, match=r"names no BOS token; set base\.bos to false"):
        open_base(path)
    assert open_base(path, bos=False).bos_id is None
    keys = {name: value for name, value in model.keys.items() if name != "tokenizer.ggml.bos_token_id"}
    file = write_model(Model(keys, model.tensors, "tiny"), "f32", tmp_path / "m.gguf").path
    with load(file, device="cpu") as loaded:
        assert loaded.generate("yes", max_new_tokens=2)


def test_several_end_tokens_pass_through_llama_cpps_file_and_each_ends_an_answer(tmp_path: Path) -> None:
    plain = tiny_model()
    with load(write_model(plain, "f32", tmp_path / "plain.gguf").path, device="cpu") as model:
        [answer] = model.generate("type", temperature=0, max_new_tokens=16)
    assert len(answer.token_ids) > 3
    third = answer.token_ids[2]
    earlier = answer.token_ids[:2]
    assert third not in earlier
    ended = Model({**plain.keys, "ltu.eos_token_ids": [2, third]}, plain.tensors, "tiny")
    with load(write_model(ended, "f32", tmp_path / "m.gguf").path, device="cpu") as model:
        [answer] = model.generate("type", temperature=0, max_new_tokens=16)
        likely = model.likely_answers("type", top_k=1, max_new_tokens=16)  # the exact walk ends there, too
    assert (answer.token_ids, answer.stop) == (earlier, "eos")
    assert likely.answers == ((answer.text, 1.0),)
    export_llama(tmp_path / "m.gguf", tmp_path / "l.gguf")
    assert gguf_file.read(tmp_path / "l.gguf").keys["tokenizer.ggml.eot_token_id"] == third
    assert read_base(tmp_path / "l.gguf").keys["ltu.eos_token_ids"] == [2, third]
