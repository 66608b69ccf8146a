"""An original LTU release, read against the golden weights that it was written from."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from release_files import GOLDEN, Arrays, save_torch, weights
from safetensors.numpy import save_file

from ltu.convert import gguf_file
from ltu.convert.convert import joined
from ltu.convert.llama import read_base
from ltu.convert.ltu_part import read_release
from ltu.convert.model import Model
from ltu.convert.table import table
from ltu.errors import ModelFileError

LAYERS, HEADS = 4, 8


@pytest.fixture(scope="module")
def model(release: Path) -> Model:
    return joined(read_base(release / "llama"), read_release(release / "ltu.bin"))


def rows_as_in_pytorch(matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Undoes llama.cpp's order of a q or k matrix: (head, pair, side) → (head, side, pair)."""
    paired = matrix.reshape(HEADS, -1, 2, matrix.shape[-1])
    return np.ascontiguousarray(paired.swapaxes(1, 2)).reshape(matrix.shape)


def test_every_tensor_arrives_with_lora_merged(model: Model, golden: dict[str, Any]) -> None:
    expected = weights.merged(golden["seed"])
    rows = [row for row in table(model.keys).values() if row.source]
    assert len(rows) == 3 + 9 * LAYERS + 8 + 12 * 12
    for row in rows:
        to, source = row.name, row.source
        values = model.tensors[to].float32()
        if to.endswith(("attn_q.weight", "attn_k.weight")):
            values = rows_as_in_pytorch(values)
        assert np.array_equal(values.ravel(), expected[source].ravel()), to


def test_merged_corners_are_golden(model: Model) -> None:
    corners = np.load(GOLDEN / "golden.npz")
    q = rows_as_in_pytorch(model.tensors["blk.0.attn_q.weight"].float32())
    v = model.tensors["blk.3.attn_v.weight"].float32()
    assert np.array_equal(q[:32, :32], corners["merged:model.layers.0.self_attn.q_proj"])
    assert np.array_equal(v[:32, :32], corners["merged:model.layers.3.self_attn.v_proj"])


def test_gguf_base_gives_the_same_model(model: Model, release: Path, tmp_path: Path) -> None:
    base = read_base(release / "llama")
    gguf_file.write(tmp_path / "llama.gguf", base.keys, base.tensors)
    again = joined(read_base(tmp_path / "llama.gguf"), read_release(release / "ltu.bin"))
    for name in ("blk.0.attn_q.weight", "blk.1.attn_k.weight", "blk.3.attn_v.weight", "output.weight"):
        assert np.array_equal(again.tensors[name].float32(), model.tensors[name].float32()), name
    assert again.keys["tokenizer.huggingface.json"] == model.keys["tokenizer.huggingface.json"]


def test_safetensors_in_half_precision_are_read(
    arrays: tuple[Arrays, Arrays], tmp_path: Path, model: Model
) -> None:
    halves = {name: value.astype(np.float16) for name, value in arrays[1].items()}
    save_file(halves, tmp_path / "ltu.safetensors")
    part = read_release(tmp_path / "ltu.safetensors")
    expected = model.tensors["a.blk.11.ln1.weight"].float32().astype(np.float16)
    assert np.array_equal(part.tensors["a.blk.11.ln1.weight"].float32(), expected)
    assert part.tensors.keys() == {name for name in model.tensors if name.startswith(("a.", "mm."))}


def test_tensors_that_lack_or_are_left_over_are_named_in_short(
    arrays: tuple[Arrays, Arrays], tmp_path: Path
) -> None:
    small = {name: value for name, value in arrays[1].items() if value.size < 1000}
    small["base_model.model.model.audio_encoder.visual_token"] = np.zeros(1, np.float32)
    with pytest.raises(ModelFileError) as error:
        read_release(save_torch(tmp_path / "ltu.bin", small))
    message = str(error.value)
    assert "ltu.bin" in message
    assert "misses 75 tensors: model.audio_encoder.patch_embed_a.proj.weight, " in message
    assert "and 72 more; " in message
    assert "beside what is known, 1 tensor: model.audio_encoder.visual_token" in message
    assert "norm1_v" not in message  # unused by the original, too


def test_half_of_a_lora_pair_is_refused(arrays: tuple[Arrays, Arrays], tmp_path: Path) -> None:
    lora = {name: value for name, value in arrays[1].items() if "layers.0" in name and "lora_A" in name}
    with pytest.raises(ModelFileError, match="q_proj has lora_A and not its other half"):
        read_release(save_torch(tmp_path / "ltu.bin", lora))


def test_base_tensors_are_named_too(arrays: tuple[Arrays, Arrays], release: Path, tmp_path: Path) -> None:
    for file in ("config.json", "tokenizer.model"):
        (tmp_path / file).write_bytes((release / "llama" / file).read_bytes())
    base = {name: value for name, value in arrays[0].items() if "layers.2.mlp.up" not in name}
    save_torch(
        tmp_path / "pytorch_model.bin",
        base | {"model.layers.0.self_attn.q_proj.bias": base["model.norm.weight"]},
    )
    with pytest.raises(
        ModelFileError, match=r"misses 1 tensor: model\.layers\.2\.mlp\.up_proj.*q_proj\.bias"
    ):
        read_base(tmp_path)
