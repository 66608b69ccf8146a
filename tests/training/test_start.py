"""Runs that start from an original LTU checkpoint or from CAV-MAE's encoder."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from training_run import ITEMS, write_run
from typer.testing import CliRunner

import ltu
from ltu.cli.train import app
from ltu.convert import convert
from ltu.errors import ModelFileError
from ltu.prompt import CLIP
from ltu.training.config import read_config
from ltu.training.items.examples import expand
from ltu.training.model.base import load_base
from ltu.training.model.encoder import EncoderConfig
from ltu.training.model.ltu import LTU, LoraSizes, trained_tensors
from ltu.training.run.train import train

ENCODER = EncoderConfig(width=64, mlp=64, heads=1, blocks_a=1, blocks_u=1)  # the original's heads have 64


def write_release(path: Path, base: Path) -> dict[str, Tensor]:
    """Random weights as `ltu_ori_paper.bin` names them; returns them by bare names."""
    torch.manual_seed(1)
    model = LTU(load_base(base).model, ENCODER, LoraSizes())
    tensors = {name: torch.randn_like(tensor) * 0.1 for name, tensor in trained_tensors(model).items()}
    unused = [f"blocks_a.0.norm{n}_{m}.{p}" for n in "12" for m in "av" for p in ("weight", "bias")]
    unused += [f"blocks_u.0.norm{n}{m}.{p}" for n in "12" for m in ("", "_v") for p in ("weight", "bias")]
    old = {f"model.audio_encoder.{name}": torch.ones(64) for name in unused} | tensors
    named = {re.sub(r"(lora_[AB])\.", r"\1.default.", name): tensor for name, tensor in old.items()}
    torch.save({f"base_model.model.{name}": tensor for name, tensor in named.items()}, path)
    return tensors


def write_large_run(folder: Path, base: Path, options: str, output: str = "out") -> Path:
    path = write_run(
        folder, base, ["lora", "projector", "encoder"], output, items=ITEMS, options=options, start="ltu.bin"
    )
    text = path.read_text().replace("width = 16\nmlp = 32\nheads = 2", "width = 64\nmlp = 64\nheads = 1")
    path.write_text(text.replace("r = 2\nalpha = 4", "r = 8\nalpha = 16"))
    return path


def test_an_original_checkpoint_loads_trains_converts_and_runs(recordings: Path, base_folder: Path) -> None:
    folder = recordings.parent
    released = write_release(folder / "ltu.bin", base_folder)
    path = write_large_run(folder, base_folder, "")
    gguf = folder / "m.gguf"
    result = CliRunner().invoke(app, [str(path), "--gguf", str(gguf)])
    assert result.exit_code == 0, result.output
    trained = load_file(folder / "out" / "ltu.safetensors")
    assert trained.keys() == released.keys()
    for name, tensor in released.items():
        # Adam's steps are at most the learning rate long; there are four
        assert 0 < (trained[name].float() - tensor).abs().max() < 0.05, name
    [answer] = ltu.load(gguf, device="cpu", threads=1).generate(
        "Is [AUDIO] a bird?", ltu.load_audio(recordings / "0.wav"), max_new_tokens=4
    )
    assert answer.text is not None


def test_the_converted_model_computes_what_the_trained_one_computes(
    recordings: Path, base_folder: Path
) -> None:
    folder = recordings.parent
    write_release(folder / "ltu.bin", base_folder)
    trained = train(read_config(write_large_run(folder, base_folder, "")))
    convert(base_folder, checkpoint=folder / "out", outtype="f32", output=folder / "m.gguf")
    engine = ltu.load(folder / "m.gguf", device="cpu", threads=1)
    clip = ltu.load_audio(recordings / "1.wav")
    sequence = engine.prompter.sequence("Is [AUDIO] a bird?", [clip])
    ids = torch.tensor([expand(sequence.ids)])
    with torch.no_grad():
        features = torch.from_numpy(clip.features().copy())[None]
        expected = trained.model.eval()(ids, torch.ones_like(ids), features=features).logits[0, -1].numpy()
    actual = engine.logits([clip if id == CLIP else id for id in sequence.ids])[-1]
    assert np.abs(actual - expected).max() < 0.02 * expected.std()  # the checkpoint holds float16


def test_cav_mae_brings_the_encoder_alone(recordings: Path, base_folder: Path) -> None:
    folder = recordings.parent
    model = LTU(load_base(base_folder).model, EncoderConfig(16, 32, 2, 1, 1), LoraSizes(r=2, alpha=4))
    weights = {f"module.{n}": torch.randn_like(p) for n, p in model.audio_encoder.named_parameters()}
    others = {"module.blocks_v.0.norm1.weight": torch.ones(16), "module.mask_token": torch.ones(1, 1, 16)}
    torch.save(weights | others, folder / "cav-mae.pth")
    path = write_run(folder, base_folder, ["lora"], options='encoder_weights = "cav-mae.pth"')
    encoder = dict(train(read_config(path)).model.audio_encoder.named_parameters())
    for name, parameter in encoder.items():
        assert torch.equal(parameter.detach(), weights[f"module.{name}"]), name

    del weights["module.norm_a.bias"]
    torch.save(weights | others, folder / "cav-mae.pth")
    with pytest.raises(ModelFileError, match=r"cav-mae\.pth: norm_a\.bias is missing"):
        train(read_config(path))
