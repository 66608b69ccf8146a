"""A run that was killed goes on and ends where the uninterrupted run ends, bit for bit."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from training_run import ITEMS, start, write_run
from transformers import TrainerCallback
from typer.testing import CliRunner

from ltu.cli.train import app
from ltu.errors import Error, ModelFileError
from ltu.training.config import read_config
from ltu.training.run.train import train
from ltu.training.run.trainer import RUN, TRAINED, last_checkpoint

MANY = [{**item, "output": item["output"] * (1 + n % 3)} for n in range(6) for item in ITEMS]  # 12 steps
KILLED = """
import os, signal, sys
from pathlib import Path
from transformers import TrainerCallback
from ltu.training.config import read_config
from ltu.training.run.train import train

class Kill(TrainerCallback):
    def on_step_end(self, args, state, control, **_):
        if state.global_step == 13:
            os.kill(os.getpid(), signal.SIGKILL)

train(read_config(Path(sys.argv[1])), [Kill()])
"""


class AtStep(TrainerCallback):
    def __init__(self, step: int, act: Callable[[], None]) -> None:
        self._step, self._act = step, act

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self._step:
            self._act()


def interrupt() -> None:
    raise KeyboardInterrupt


def run_to_end(path: Path) -> list[str]:
    """The command's own way; returns its output's lines."""
    result = CliRunner().invoke(app, [str(path)])
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def assert_same_weights(one: Path, other: Path) -> None:
    expected, actual = (load_file(folder / "ltu.safetensors") for folder in (one, other))
    assert expected.keys() == actual.keys()
    for name, tensor in expected.items():
        assert torch.equal(actual[name], tensor), name


def many(folder: Path, base: Path, output: str, save_steps: int) -> Path:
    options = f"save_steps = {save_steps}"
    return write_run(
        folder, base, ["lora", "projector"], output, items=MANY, dropout=0.2, views=3, options=options
    )


@pytest.mark.parametrize("save_steps", [5, 12])
def test_a_killed_run_ends_in_the_weights_of_the_uninterrupted_one(
    recordings: Path, base_folder: Path, save_steps: int
) -> None:
    folder = recordings.parent
    run_to_end(many(folder, base_folder, "whole", save_steps=1000))
    path = many(folder, base_folder, "stopped", save_steps)
    if save_steps == 5:
        process = start(["-c", KILLED, str(path)])
        assert process.wait(timeout=900) == -signal.SIGKILL
    else:  # a checkpoint at an epoch's end; the same without the seconds of another process
        with pytest.raises(KeyboardInterrupt):
            train(read_config(path), [AtStep(13, interrupt)])
    last = last_checkpoint(folder / "stopped")
    assert last is not None
    assert last.name == f"checkpoint-{13 // save_steps * save_steps}"
    assert not (folder / "stopped" / "ltu.safetensors").exists()
    run_to_end(path)
    assert_same_weights(folder / "whole", folder / "stopped")
    assert not list((folder / "stopped").glob("checkpoint-*"))


def test_checkpoints_hold_what_is_trained_and_loading_misses_nothing(
    recordings: Path, base_folder: Path
) -> None:
    folder = recordings.parent
    path = many(folder, base_folder, "out", save_steps=3)
    with pytest.raises(KeyboardInterrupt):
        train(read_config(path), [AtStep(6, interrupt)])  # while checkpoint 6 is not there yet
    [half, *_] = sorted((folder / "out").glob("checkpoint-*"))
    assert last_checkpoint(folder / "out") == half == folder / "out" / "checkpoint-3"
    tensors = load_file(half / TRAINED)
    assert tensors
    assert all("lora_" in name or "audio_proj" in name for name in tensors)
    assert all(tensor.dtype == torch.float32 for tensor in tensors.values())

    renamed = dict(tensors)
    renamed["other"] = renamed.pop("audio_proj.1.bias")
    save_file(renamed, half / TRAINED)
    with pytest.raises(ModelFileError, match=r"audio_proj\.1\.bias is missing"):
        train(read_config(path))
    (half / RUN).unlink()  # half written: not gone on from
    assert last_checkpoint(folder / "out") is None
    run_to_end(path)


def test_a_checkpoint_of_another_run_is_refused_and_the_difference_named(
    recordings: Path, base_folder: Path
) -> None:
    folder = recordings.parent
    path = many(folder, base_folder, "out", save_steps=3)
    with pytest.raises(KeyboardInterrupt):
        train(read_config(path), [AtStep(5, interrupt)])
    path.write_text(path.read_text().replace("learning_rate = 0.01", "learning_rate = 0.02"))
    with pytest.raises(
        Error, match=r"checkpoint-3: was made with train\.learning_rate = 0\.01, this run has 0"
    ):
        train(read_config(path))
