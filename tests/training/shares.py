"""CONFIG FOLDER: trains; each process leaves in FOLDER what it holds of the base and what it drops out."""

import sys
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback

from ltu.training.config import read_config
from ltu.training.run.train import train


class Look(TrainerCallback):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_train_end(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
        frozen = [p for name, p in model.named_parameters() if "down_proj" in name and not p.requires_grad]
        assert frozen
        assert all(isinstance(parameter, DTensor) for parameter in frozen)
        found = {
            "held": sum(parameter.to_local().numel() for parameter in frozen),  # type: ignore[attr-defined]
            "whole": sum(parameter.numel() for parameter in frozen),
            "mask": torch.nn.functional.dropout(torch.ones(1000), 0.5),  # as the next step would draw it
        }
        torch.save(found, self._folder / f"{args.process_index}.pt")


if __name__ == "__main__":
    train(read_config(Path(sys.argv[1])), [Look(Path(sys.argv[2]))])
