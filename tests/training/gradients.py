"""CONFIG FILE: trains, and process 0 leaves the loss and the gradients of each step in FILE."""

import sys
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from ltu.training.config import read_config
from ltu.training.run.train import train


class Record(TrainerCallback):
    def __init__(self, path: Path) -> None:
        self._path = path
        self._gradients: list[dict[str, torch.Tensor]] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
        named = ((name.removeprefix("module."), p.grad) for name, p in model.named_parameters())
        self._gradients.append({name: grad.clone() for name, grad in named if grad is not None})

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
        if args.process_index == 0:
            torch.save((losses, self._gradients), self._path)


if __name__ == "__main__":
    train(read_config(Path(sys.argv[1])), [Record(Path(sys.argv[2]))])
