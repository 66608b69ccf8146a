"""The files that we write, read back by ggml's own gguf package."""

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest

from ltu import _engine
from ltu.convert import check, gguf_file, outtype, requantise
from ltu.convert.model import Model, write_model
from ltu.convert.outtype import OUTTYPES
from ltu.convert.table import table
from ltu.convert.tensor import TYPES, Tensor, converted
from ltu.errors import Error, ModelFileError
from tiny import tiny_gguf, tiny_model

KEYS = {
    "general.architecture": "test",
    "text": "ü[AUDIO]",
    "yes": True,
    "number": 7,
    "negative": -7,
    "big": 2**40,
    "real": 0.1,
    "texts": ["a", ""],
    "numbers": [1, -1, 3],
    "reals": [1.5, 2.0],
    "nothing": [],
}


def test_keys_and_tensors_are_read_back(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(5, 64)).astype(np.float32)
    tensors = {"matrix": Tensor.of(values), "vector": Tensor.of(values[0, :7])}
    tensors["half"] = converted(tensors["matrix"], "f16")
    tensors["quantised"] = converted(tensors["matrix"], "q8_0")
    gguf_file.write(tmp_path / "m.gguf", KEYS, tensors)
    reader = gguf.GGUFReader(tmp_path / "m.gguf")
    for key, value in KEYS.items():
        read = reader.get_field(key).contents() if value != [] else []
        assert np.allclose(read, value) if isinstance(value, float) else read == value, key
    assert reader.get_field("number").types == [gguf.GGUFValueType.UINT32]
    assert reader.get_field("numbers").types[-1] == gguf.GGUFValueType.INT32
    by_name = {tensor.name: tensor for tensor in reader.tensors}
    assert by_name["matrix"].shape.tolist() == [64, 5]
    assert np.array_equal(by_name["matrix"].data, values)
    assert np.array_equal(by_name["vector"].data, values[0, :7])
    assert np.array_equal(by_name["half"].data, values.astype(np.float16))
    assert np.array_equal(
        by_name["quantised"].data, gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0)
    )
    again = gguf_file.read(tmp_path / "m.gguf")
    assert again.keys["texts"] == KEYS["texts"]
    assert np.array_equal(again.tensors["half"].float32(1, 3), values[1:3].astype(np.float16))


def test_types_have_ggmls_numbers_and_sizes() -> None:
    for name, (number, values, size) in TYPES.items():
        type = gguf.GGMLQuantizationType[name.upper()]
        assert (number, values, size) == (type.value, *gguf.GGML_QUANT_SIZES[type]), name
    names = {"q6_k": "Q6_K", "q5_k": "Q5_K_S", "q4_k": "Q4_K_S", "mixed": "Q4_K_M"}
    for name, number in OUTTYPES.items():
        usual = names.get(name, name.upper())
        mostly = "ALL_F32" if name == "f32" else f"MOSTLY_{usual}"
        assert number == gguf.LlamaFileType[mostly], name


def choose(model: Model, type: str) -> tuple[dict[str, str], list[outtype.Fallback]]:
    return outtype.choose(model.tensors, table(model.keys), type)


def test_rows_that_do_not_fit_fall_back(tmp_path: Path) -> None:
    model = tiny_model(width=256, feed_forward=688, blocks=1, heads=4)
    types, fallbacks = choose(model, "q4_k")
    assert types["blk.0.attn_q.weight"] == "q4_k"
    assert types["blk.0.ffn_down.weight"] == "f16"  # 688 = 21.5 × 32
    assert types["a.blk.0.ffn_up.weight"] == "f16"
    assert types["blk.0.attn_norm.weight"] == types["a.position_embd.weight"] == types["mm.a.bias"] == "f32"
    assert outtype.summary(fallbacks) == [
        "blk.*.ffn_down.weight: f16 instead of q4_k, its rows hold 688 values"
    ]
    types, _ = choose(tiny_model(feed_forward=96), "q6_k")
    assert types["blk.1.ffn_down.weight"] == "q8_0"
    path = tiny_gguf(tmp_path / "m.gguf", width=256, feed_forward=688, outtype="q4_k")
    assert gguf_file.read(path).keys["ltu.convert.fallbacks"] == outtype.summary(fallbacks)


@pytest.mark.parametrize("tied", [False, True])
def test_mixed_is_better_where_it_matters(tied: bool) -> None:
    types, fallbacks = choose(tiny_model(width=256, feed_forward=512, blocks=8, tied=tied), "mixed")
    assert not fallbacks
    assert types["token_embd.weight" if tied else "output.weight"] == "q6_k"
    downs = [types[f"blk.{i}.ffn_down.weight"] for i in range(8)]
    assert downs == ["q6_k", "q4_k", "q4_k", "q6_k", "q4_k", "q4_k", "q6_k", "q6_k"]
    assert types["blk.0.attn_q.weight"] == "q4_k"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf(tmp_path_factory.mktemp("tiny") / "m.gguf", width=256, feed_forward=512, heads=8)


@pytest.mark.parametrize("type", OUTTYPES)
def test_requantised_files_hold_nearly_the_same(original: Path, tmp_path: Path, type: str) -> None:
    written = requantise(original, type, tmp_path / "n.gguf")
    file, before = gguf_file.read(written.path), gguf_file.read(original)
    assert file.keys["general.file_type"] == OUTTYPES[type]
    bound = {"f32": 0.0, "f16": 1e-3, "bf16": 1e-2, "q8_0": 2e-2, "q6_k": 4e-2, "q5_k": 8e-2}.get(type, 0.15)
    for name, tensor in file.tensors.items():
        expected = before.tensors[name].float32()
        assert np.abs(tensor.float32() - expected).max() <= bound * np.abs(expected).max(), name
    assert check.self_test(written.path, file.keys).passed


@pytest.mark.parametrize(("type", "bound"), [("f32", 0.0), ("f16", 0.01), ("bf16", 0.05), ("q8_0", 0.1)])
def test_the_audio_part_has_a_type_of_its_own(
    original: Path, tmp_path: Path, type: str, bound: float
) -> None:
    path = requantise(original, "f32", tmp_path / "n.gguf", audio_outtype=type).path
    types = {name: tensor.type for name, tensor in gguf_file.read(path).tensors.items()}
    assert types["a.blk.0.ffn_up.weight"] == types["mm.a.weight"] == type
    assert types["blk.0.ffn_up.weight"] == types["a.blk.0.ffn_up.bias"] == "f32"
    features = check.synthetic_clip().features()[None]
    embeddings, expected = (_engine.Engine(str(p), "cpu").encode(features) for p in (path, original))
    assert np.abs(embeddings - expected).max() <= bound * expected.std()
    with pytest.raises(Error, match="q4_k for audio"):
        requantise(original, "f32", tmp_path / "o.gguf", audio_outtype="q4_k")


def test_a_changed_weight_fails_the_self_test(tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path / "m.gguf")
    file = gguf_file.read(path)
    tensors = dict(file.tensors)
    tensors["a.modality_embd"] = Tensor.of(file.tensors["a.modality_embd"].float32()[0] * 3)
    gguf_file.write(tmp_path / "n.gguf", file.keys, tensors)
    assert check.self_test(path, file.keys).passed
    assert not check.self_test(tmp_path / "n.gguf", file.keys).passed


def test_broken_files_are_named(tmp_path: Path) -> None:
    whole = tiny_gguf(tmp_path / "whole.gguf").read_bytes()
    path = tmp_path / "m.gguf"
    cases = {
        b"": "0 bytes",
        b"\x89PNG" + whole[4:]: "is no GGUF file",
        whole[:4] + struct.pack("<I", 9) + whole[8:]: "version 9 is not supported",
        whole[:50]: "ends inside its header",
        whole[:-4000]: "ends inside tensor",
        whole[:16] + struct.pack("<Q", 2**60) + whole[24:]: r"m\.gguf",
    }
    for data, message in cases.items():
        path.write_bytes(data)
        with pytest.raises(ModelFileError, match=message):
            gguf_file.read(path)


@pytest.mark.parametrize(
    "key", ["ltu.prompt.bos", "ltu.prompt.template", "tokenizer.huggingface.json", "llama.block_count"]
)
def test_a_missing_key_is_named_and_no_file_left(tmp_path: Path, key: str) -> None:
    model = tiny_model()
    del model.keys[key]
    gguf_file.write(tmp_path / "m.gguf", model.keys, model.tensors)
    with pytest.raises(ModelFileError, match=rf"m\.gguf: key {key} is missing"):
        requantise(tmp_path / "m.gguf", "q8_0", tmp_path / "n.gguf")
    assert [file.name for file in tmp_path.iterdir()] == ["m.gguf"]


def test_tensors_are_compared_with_the_engines_table(tmp_path: Path) -> None:
    model = tiny_model()
    del model.tensors["mm.a.bias"]
    model.tensors["blk.0.ffn_up.weight"] = model.tensors["blk.0.ffn_down.weight"]
    model.tensors["extra"] = model.tensors["a.modality_embd"]
    with pytest.raises(ModelFileError) as error:
        write_model(model, "f32", tmp_path / "m.gguf")
    for text in ("mm.a.bias is missing", "blk.0.ffn_up.weight has shape [64, 96]", "extra is not part"):
        assert text in str(error.value)
