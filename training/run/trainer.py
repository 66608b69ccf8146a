"""The transformers Trainer with what LTU needs: batches of our own and checkpoints to go on from exactly.

A checkpoint folder holds the trained tensors alone (the frozen base is where it was), optimiser, scheduler
and random state.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ltu.errors import Error, ModelFileError
from ltu.files import write_json
from ltu.training.items.batches import Batches, Drawings
from ltu.training.items.collate import Collator
from ltu.training.items.data import Items
from ltu.training.items.packing import Group
from ltu.training.model.ltu import LTU, PARTS

TRAINED = "trained.safetensors"  # float32: a run goes on from the very weights that it had
Arguments = dict[str, torch.Tensor]  # of `LTU.forward`
RUN = "run.json"  # what decides the weights; written last, so its presence says that the checkpoint is whole


class LtuTrainer(Trainer):
    """`run` describes what decides the weights; another run's checkpoint is refused."""

    def __init__(
        self,
        model: LTU,
        arguments: TrainingArguments,
        collator: Collator,
        train: Items,
        development: Items | None,
        run: Mapping[str, object],
        projector_learning_rate: float | None = None,
        positions: int | None = None,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        self._ltu, self._output = model, Path(arguments.output_dir or ".")
        self._run = {**run, "processes": arguments.world_size}
        self._projector_learning_rate = projector_learning_rate
        self._development, self._collator = development, collator
        self._batches = Batches(
            train.lengths,
            arguments.per_device_train_batch_size,
            arguments.seed,
            arguments.world_size,
            arguments.process_index,
            positions,
        )
        super().__init__(
            model,
            arguments,
            collator,
            Drawings(train.groups),
            Drawings(development.groups) if development else None,
            callbacks=[_Bookkeeping(self), *callbacks],
        )
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            raise Error("accelerate's FSDP and DeepSpeed are refused: use torchrun and train.shard_base")

    def train_to_end(self) -> None:
        """Goes on from the last whole checkpoint in the output folder, or starts. Raises Error."""
        last = last_checkpoint(self._output)
        if last is not None:
            _check_same(self._run, json.loads((last / RUN).read_text(encoding="utf-8")), last)
        if self.args.process_index:  # each process drops out others; the Trainer gave all of them one seed
            torch.manual_seed(self.args.seed + self.args.process_index)
        self.train(resume_from_checkpoint=str(last) if last else None)

    def start_epoch(self, epoch: int) -> None:
        self._batches.epoch = epoch

    def finish_checkpoint(self, step: int) -> None:
        """Marks the checkpoint as whole, once every process has written its part."""
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            write_json(self._output / f"checkpoint-{step}" / RUN, self._run)

    def get_train_dataloader(self) -> DataLoader[Group]:
        return DataLoader(self.train_dataset, batch_sampler=self._batches, collate_fn=self._collator)  # type: ignore[arg-type]

    def get_batch_samples(
        self, epoch_iterator: Iterator[Arguments], num_batches: int, device: torch.device
    ) -> tuple[list[Arguments], torch.Tensor]:
        """The next batches and the number of their targets, in all processes."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        targets = sum((batch["weights"].sum() for batch in batches), torch.zeros((), dtype=torch.int64))
        return batches, self.accelerator.gather(targets.to(device)).sum()

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Raises Error, naming the step, when its loss is no number."""
        loss = super().training_step(*args, **kwargs)
        if not torch.isfinite(loss):
            raise Error(
                f"step {self.state.global_step + 1}: the loss is {loss.item()}, nothing is written; lower "
                "train.learning_rate, or look for what is special about its items"
            )
        return loss

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW; weights of linear layers and convolutions decay, norms, biases and embeddings don't."""
        if self.optimizer is None:
            groups: dict[tuple[float, float], list[nn.Parameter]] = {}
            for name, parameter in self._trained().items():
                rate = self.args.learning_rate
                if PARTS["projector"] in name and self._projector_learning_rate is not None:
                    rate = self._projector_learning_rate
                decay = self.args.weight_decay if parameter.ndim in (2, 4) else 0.0
                groups.setdefault((rate, decay), []).append(parameter)
            self.optimizer = torch.optim.AdamW(
                [{"params": found, "lr": lr, "weight_decay": decay} for (lr, decay), found in groups.items()],
                betas=(self.args.adam_beta1, self.args.adam_beta2),
                eps=self.args.adam_epsilon,
            )
        return self.optimizer

    @torch.no_grad()
    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Mean cross-entropy of the development items' targets, whatever the batches and processes."""
        assert self._development is not None
        self._ltu.eval()
        total = torch.zeros(2, dtype=torch.float64)
        groups, process = self._development.groups, self.args.process_index
        order = np.argsort(self._development.lengths, kind="stable")
        size, processes = self.args.train_batch_size, self.args.world_size
        for start in range(0, len(order), size * processes):
            chosen = order[start + process : start + size * processes : processes]
            # a process without items goes along: the others may need its part of the base
            batch = [groups[int(index)] for index in (chosen if len(chosen) else order[:1])]
            inputs = self._prepare_inputs(self._collator(batch))
            with self.accelerator.autocast():
                loss = self._ltu(**inputs, num_items_in_batch=1).loss
            if len(chosen):
                total += torch.tensor([loss.item(), inputs["weights"].sum().item()])
        loss_sum, targets = self.accelerator.reduce(total.to(self.args.device)).tolist()
        metrics = {"eval_loss": loss_sum / targets}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        if self.args.should_save:
            folder = Path(output_dir) if output_dir else self._output
            folder.mkdir(parents=True, exist_ok=True)
            tensors = {name: p.detach().cpu().contiguous() for name, p in self._trained().items()}
            save_file(tensors, folder / TRAINED)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Every trained tensor must come back, and nothing else. Raises ModelFileError."""
        path = Path(resume_from_checkpoint) / TRAINED
        tensors, own = load_file(path), self._trained()
        for name in sorted(own.keys() ^ tensors.keys()):
            raise ModelFileError(f"{path}: {name} is {'missing' if name in own else 'not trained here'}")
        with torch.no_grad():
            for name, parameter in own.items():
                if parameter.shape != tensors[name].shape:
                    raise ModelFileError(
                        f"{path}: {name} has shape {list(tensors[name].shape)}, the model's is "
                        f"{list(parameter.shape)}"
                    )
                parameter.copy_(tensors[name])

    def _trained(self) -> dict[str, nn.Parameter]:
        return {name: p for name, p in self._ltu.named_parameters() if p.requires_grad}


class _Bookkeeping(TrainerCallback):
    def __init__(self, trainer: LtuTrainer) -> None:
        self._trainer = trainer

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._trainer.start_epoch(int(state.epoch or 0))

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._trainer.finish_checkpoint(state.global_step)


def checkpoints(output: Path) -> list[Path]:
    """This Trainer's checkpoint folders by step, whole or not."""
    ours = (path for path in output.glob("checkpoint-*") if (path / TRAINED).is_file())
    found = {int(match[1]): path for path in ours if (match := re.search(r"-(\d+)$", path.name))}
    return [found[step] for step in sorted(found)]


def last_checkpoint(output: Path) -> Path | None:
    whole = [path for path in checkpoints(output) if (path / RUN).is_file()]
    return whole[-1] if whole else None


def _check_same(now: Mapping[str, Any], then: Mapping[str, Any], folder: Path) -> None:
    """Raises Error naming the first thing that differs."""
    flat_now, flat_then = (dict(_flat(json.loads(json.dumps(run)))) for run in (now, then))
    for key in [*flat_now, *flat_then]:
        if flat_now.get(key) != flat_then.get(key):
            raise Error(
                f"{folder}: was made with {key} = {flat_then.get(key)!r}, this run has "
                f"{flat_now.get(key)!r}; remove the folder to start anew, or name another output"
            )


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """{"train": {"batch": 2}} → ("train.batch", 2)."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else key)
    else:
        yield name, value
