"""PyTorch's .bin files are read without running what they say."""

import io
import os
import pickle
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ltu.convert.checkpoint import read_weights
from ltu.errors import ModelFileError


def with_description(path: Path, description: bytes) -> Path:
    """A checkpoint whose data.pkl is what the caller says."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", description)
        archive.writestr("archive/data/0", bytes(16))
    return path


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_values_are_pytorchs(tmp_path: Path, dtype: torch.dtype) -> None:
    tensor = torch.randn(6, 5).to(dtype)
    state = OrderedDict(
        whole=tensor,
        part=tensor[2:4],
        transposed=tensor.T,
        step=tensor[::2, 1],
        parameter=torch.nn.Parameter(tensor),
    )
    torch.save(state, tmp_path / "m.bin")
    read = read_weights(tmp_path / "m.bin")
    assert read.keys() == state.keys()
    for name, value in state.items():
        assert read[name].shape == tuple(value.shape)
        assert np.array_equal(read[name].float32().reshape(value.shape), value.detach().float().numpy()), name


def test_a_modules_state_is_read(tmp_path: Path) -> None:
    module = torch.nn.BatchNorm1d(3)  # its state carries _metadata and an integer
    torch.save({"state_dict": module.state_dict(), "epoch": 3}, tmp_path / "m.bin")
    assert np.array_equal(read_weights(tmp_path / "m.bin")["weight"].float32().ravel(), np.ones(3))


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch run",)


class Evaluated:
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("1",)


@pytest.mark.parametrize(
    "value", [Hostile(), {"a": Evaluated()}, {"a": torch.optim.SGD}, {"a": np.float64(1)}]
)
def test_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: object) -> None:
    monkeypatch.chdir(tmp_path)
    path = with_description(tmp_path / "m.bin", pickle.dumps(value, 2))
    with pytest.raises(ModelFileError, match="refused: it asks for"):
        read_weights(path)
    assert not (tmp_path / "run").exists()


def test_attributes_of_what_is_allowed_are_out_of_reach(tmp_path: Path) -> None:
    description = pickle.dumps(OrderedDict(), 2).replace(b"OrderedDict", b"OrderedDict.__init__.__globals__")
    with pytest.raises(ModelFileError, match="refused"):
        read_weights(with_description(tmp_path / "m.bin", description))


@pytest.mark.parametrize(
    "description",
    [b"", b"\x80\x02", b"\x80\x02]q\x00.", b"\x80\x02R.", b"(" * 50, b"\x80\x02K\x01."],
)
def test_broken_descriptions_are_errors(tmp_path: Path, description: bytes) -> None:
    with pytest.raises(ModelFileError, match=r"m\.bin: "):
        read_weights(with_description(tmp_path / "m.bin", description))


def test_a_tensor_beyond_its_storage_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(4)}, tmp_path / "m.bin")
    with zipfile.ZipFile(tmp_path / "m.bin") as archive:
        [name] = [name for name in archive.namelist() if name.endswith("data.pkl")]
        description = archive.read(name)
    grown = description.replace(b"K\x04\x85", b"K\x09\x85")
    assert grown != description
    with pytest.raises(ModelFileError, match="beyond its storage"):
        read_weights(with_description(tmp_path / "n.bin", grown))


def test_other_formats_are_named(tmp_path: Path) -> None:
    old, tar, cut = tmp_path / "old.bin", tmp_path / "tar.bin", tmp_path / "cut.bin"
    torch.save({"a": torch.zeros(2)}, old, _use_new_zipfile_serialization=False)
    with tarfile.open(tar, "w") as archive:
        archive.addfile(tarfile.TarInfo("storages"), io.BytesIO())
    torch.save({"a": torch.zeros(2)}, cut)
    cut.write_bytes(cut.read_bytes()[:300])
    for path, message in ((old, "before PyTorch 1.6"), (tar, "not a zip"), (cut, "cut off")):
        with pytest.raises(ModelFileError, match=message):
            read_weights(path)


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "a": {}}', "a is there twice"),
        (b'{"a": {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}}', r"has the shape \[-1, -1\]"),
        (b'{"a": {"dtype": "F32", "shape": [1000], "data_offsets": [0, 4]}}', "tensor a lies outside"),
        (b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]}}', "is no safetensors file"),
    ],
)
def test_headers_of_safetensors_that_contradict_themselves(
    tmp_path: Path, header: bytes, problem: str
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(ModelFileError, match=problem):
        read_weights(path)


@pytest.mark.parametrize("name", ["state_dict", "model_state_dict", "model"])
def test_tensors_are_found_in_what_training_programs_wrap_around_them(tmp_path: Path, name: str) -> None:
    torch.save({"epoch": 3, name: {"a": torch.ones(2)}}, tmp_path / "m.bin")
    assert read_weights(tmp_path / "m.bin").keys() == {"a"}
