"""`ltu-train` from configuration file to checkpoint folder, with a random tiny model."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from training_run import write_run
from typer.testing import CliRunner

from ltu.audio import load_audio
from ltu.cli.train import app
from ltu.errors import Error, ModelFileError
from ltu.training.config import read_config
from ltu.training.model.base import load_base
from ltu.training.model.ltu import LTU, trained_tensors
from ltu.training.run.checkpoint import load_checkpoint


def fresh(path: Path) -> LTU:
    config = read_config(path)
    return LTU(load_base(config.base.path).model, config.encoder, config.lora)


def test_a_run_leaves_a_checkpoint_that_loads_back(recordings: Path, base_folder: Path) -> None:
    folder = recordings.parent
    path = write_run(folder, base_folder, ["lora", "projector", "encoder"])
    result = CliRunner().invoke(app, [str(path)])
    assert result.exit_code == 0, result.output
    tensors = load_file(folder / "out" / "ltu.safetensors")
    expected = {
        "model.audio_encoder.modality_a": (1, 1, 16),
        "model.audio_encoder.pos_embed_a": (1, 512, 16),
        "model.audio_encoder.patch_embed_a.proj.weight": (16, 1, 16, 16),
        "model.audio_encoder.blocks_a.0.attn.qkv.weight": (48, 16),
        "model.audio_encoder.blocks_u.0.norm2_a.bias": (16,),
        "model.audio_proj.1.weight": (32, 16),
        "model.layers.1.self_attn.v_proj.lora_B.weight": (16, 2),
    }
    assert {name: tuple(tensors[name].shape) for name in expected} == expected
    model = fresh(path)
    description = load_checkpoint(folder / "out", model)
    for name, tensor in trained_tensors(model).items():
        torch.testing.assert_close(tensor, tensors[name].float())
    assert description.train_terms == ("bird",)
    assert list(description.train_clips) == sorted(load_audio(recordings / f"{i}.wav").hash for i in range(4))
    assert description.encoder.width == 16


def test_only_the_named_parts_change(recordings: Path, base_folder: Path) -> None:
    folder = recordings.parent
    for output, parts, options in (
        ("first", ["lora", "projector", "encoder"], {}),
        ("second", ["lora", "projector"], {"start": "first", "views": 3, "items": 1}),
    ):
        run = write_run(folder, base_folder, parts, output, **options)
        assert CliRunner().invoke(app, [str(run)]).exit_code == 0
    described = json.loads((folder / "second" / "ltu.json").read_text())
    assert len(described["train_clips"]) == 4
    before, after = (load_file(folder / name / "ltu.safetensors") for name in ("first", "second"))
    for name in before:
        assert torch.equal(before[name], after[name]) == ("audio_encoder" in name), name


def test_a_checkpoint_with_a_wrong_tensor_says_which(recordings: Path, base_folder: Path) -> None:
    folder = recordings.parent
    path = write_run(folder, base_folder, ["lora"])
    assert CliRunner().invoke(app, [str(path)]).exit_code == 0
    file = folder / "out" / "ltu.safetensors"
    tensors = load_file(file)
    tensors["model.audio_proj.1.bias"] = torch.zeros(7)
    tensors["model.audio_proj.2.bias"] = tensors.pop("model.audio_encoder.modality_a")
    save_file(tensors, file)
    with pytest.raises(ModelFileError) as caught:
        load_checkpoint(folder / "out", fresh(path))
    for part in ("audio_proj.1.bias has shape [7]", "modality_a is missing", "audio_proj.2.bias is not of"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("alpha = 4", "alfa = 4", "unknown key alfa"),
        ('["lora"]', '["lora", "ears"]', "'ears' is none of lora, projector, encoder"),
        ("epochs = 2", 'precision = "float8"', "'float8' is none of"),
        ("batch = 2", 'batch = "two"', "batch"),
        ('name = "tiny"', "", "name"),
        ("[lora]", "[lora", "is not TOML"),
    ],
)
def test_a_wrong_configuration_is_one_clear_line(
    tmp_path: Path, base_folder: Path, old: str, new: str, message: str
) -> None:
    path = write_run(tmp_path, base_folder, ["lora"])
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(Error, match=message):
        read_config(path)
    result = CliRunner().invoke(app, [str(path)])
    assert result.exit_code == 1
    assert result.output.count("\n") == 1


def test_a_broken_item_names_its_line(recordings: Path, base_folder: Path) -> None:
    path = write_run(recordings.parent, base_folder, ["lora"])
    (recordings.parent / "items.jsonl").write_text(
        '{"audio_id": "0.wav", "instruction": "x", "output": "y"}\n{}\n'
    )
    result = CliRunner().invoke(app, [str(path)])
    assert result.exit_code == 1
    assert "items.jsonl:2" in result.output


def test_parameters_keep_the_order_that_optimisers_of_older_checkpoints_have(tiny_ltu: LTU) -> None:
    names = [name for name, _ in tiny_ltu.named_parameters()]
    parts = [name.split(".")[0] for name in names]
    assert list(dict.fromkeys(parts)) == ["audio_encoder", "audio_proj", "llama"]
    assert parts == sorted(parts)
    assert not [name for name in names if name.startswith("llama") and "audio" in name]
    assert "llama.base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight" in names
