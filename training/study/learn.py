"""One training by ltu-train's own path, and its model file."""

import json
from dataclasses import replace
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ltu.convert import convert
from ltu.files import write_json
from ltu.training.config import Config
from ltu.training.run.finish import finish
from ltu.training.run.train import train
from ltu.training.study.folder import Folder
from ltu.training.study.materials import DEVELOPMENT, questions_of
from ltu.training.study.models import Training
from ltu.training.study.sizes import Sizes

OUTTYPE = "q8_0"  # the demo's
NEVER = 1 << 30  # steps


class EvaluateAtEnd(TrainerCallback):
    """The loss on development clips is measured after the last step, whose number only the trainer knows."""

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        control.should_evaluate = state.global_step == state.max_steps


def learn(config: Config, folder: Folder, training: Training, base: Training | None, sizes: Sizes) -> None:
    """A killed training goes on from its last checkpoint. `base`: what a tuned model starts from."""
    recipe = training.recipe
    config = replace(
        config,
        name=f"{recipe.title}, seed {training.seed}",
        data=replace(
            config.data,
            items=folder.items(questions_of(training.seed), recipe.format, recipe.part),
            development=folder.items(DEVELOPMENT, recipe.format),
            reported=(folder.benchmark,),
            cache=folder.cache,
        ),
        train=replace(
            config.train,
            output=folder.training(training),
            checkpoint=folder.training(base) if base else folder.start(training.seed),
            epochs=float(recipe.epochs(sizes)),
            learning_rate=training.rate,
            eval_steps=NEVER,
            seed=training.seed,
        ),
    )
    trained = train(config, [EvaluateAtEnd()])
    finish(config, trained)
    loss = next(entry["eval_loss"] for entry in trained.log if "eval_loss" in entry)
    record = {"model": training.model, "seed": training.seed, "rate": training.rate, "steps": trained.steps}
    write_json(folder.log(training), {**record, "development_loss": loss, "log": trained.log})


def development_loss(folder: Folder, training: Training) -> float:
    return float(json.loads(folder.log(training).read_text(encoding="utf-8"))["development_loss"])


def write_gguf(config: Config, folder: Folder, training: Training) -> None:
    gguf = folder.gguf(training)
    convert(config.base.path, checkpoint=folder.training(training), outtype=OUTTYPE, output=gguf)
