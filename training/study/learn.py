"""One training by ltu-train's own path, and its model file."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ltu.convert import convert
from ltu.training.config import Config
from ltu.training.items.collate import Collator
from ltu.training.items.data import Items
from ltu.training.model.base import open_base
from ltu.training.model.ltu import LTU
from ltu.training.run.finish import finish
from ltu.training.run.train import Trained, collator, train
from ltu.training.study.folder import DEVELOPMENT, Folder, base_questions, tuning_questions
from ltu.training.study.models import AGAIN, Training
from ltu.training.study.records import Log
from ltu.training.study.sizes import Sizes

OUTTYPE = "q8_0"  # the demo's
NEVER = 1 << 30  # steps
TOGETHER = 8  # development items whose loss is measured together


class EvaluateAtEnd(TrainerCallback):
    """The loss on development clips is measured after the last step, whose number only the trainer knows."""

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        control.should_evaluate = state.global_step == state.max_steps


def learn(config: Config, folder: Folder, training: Training, start: Training | None, sizes: Sizes) -> None:
    """A killed training goes on from its last checkpoint. `start`: the base model that it goes on from."""
    recipe = training.recipe
    of_base = recipe.part == "base"
    questions = base_questions(training.split) if of_base else tuning_questions(training.split, training.seed)
    config = replace(
        config,
        name=f"{recipe.title}, split {training.split}, seed {training.seed}",
        data=replace(
            config.data,
            items=folder.items(questions, recipe.format, recipe.part),
            development=folder.items(DEVELOPMENT, recipe.format, "large"),
            reported=(folder.benchmark(training.split),),
            cache=folder.cache,
        ),
        train=replace(
            config.train,
            output=folder.training(training),
            checkpoint=folder.training(start) if start else folder.start(training.split),
            epochs=float(recipe.epochs(sizes)),
            learning_rate=training.rate,
            eval_steps=NEVER,
            seed=training.draw + (training.model == AGAIN),
        ),
    )
    trained = train(config, [EvaluateAtEnd()])
    finish(config, trained)
    Log(
        training.model,
        training.split,
        training.seed,
        training.rate,
        trained.steps,
        text_loss=next(entry["eval_loss"] for entry in trained.log if "eval_loss" in entry),
        answers_loss=answers_loss(config, trained),
        losses=tuple(trained.log),
    ).write(folder.log(training))


def answers_loss(config: Config, trained: Trained) -> float:
    """Mean cross-entropy of the answers' tokens of the development items."""
    assert trained.data.development
    answers = replace(config, data=replace(config.data, loss_on="answer"))
    opened = open_base(config.base.path, config.base.bos)
    collate = collator(answers, opened, trained.model, trained.data, main=False)
    return mean_loss(trained.model, collate, trained.data.development)


@torch.no_grad()
def mean_loss(model: LTU, collate: Collator, items: Items) -> float:
    model.eval()
    device, total, targets = next(model.parameters()).device, 0.0, 0
    order = np.argsort(items.lengths, kind="stable")
    for start in range(0, len(order), TOGETHER):
        batch = collate([items.groups[int(index)] for index in order[start : start + TOGETHER]])
        inputs = {name: tensor.to(device) for name, tensor in batch.items()}
        total += float(model(**inputs, num_items_in_batch=1).loss)
        targets += int(inputs["weights"].sum())
    return total / targets


def write_gguf(config: Config, folder: Folder, training: Training) -> None:
    gguf = folder.gguf(training)
    convert(config.base.path, checkpoint=folder.training(training), outtype=OUTTYPE, output=gguf)
