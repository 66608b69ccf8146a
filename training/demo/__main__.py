"""python -m ltu.training.demo: reproduces the demo model, from recordings to weights and model card."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from ltu.demo_model import demo_base
from ltu.training.config import Config, read_config
from ltu.training.demo import endless, lessons, quick, stages
from ltu.training.demo.distil import Recipe
from ltu.training.demo.log import logged
from ltu.training.demo.made import make_unknown
from ltu.training.demo.questions import table
from ltu.training.demo.report import evaluate
from ltu.training.demo.sounds import Sound, read_folds
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
    until: Annotated[
        str,
        typer.Option(help="end early: encoder (encoder.pt, for the study), language (fold 4 is not asked)"),
    ] = "",
    threads: Annotated[int, typer.Option(help="processor cores to use")] = 2,
    fresh: Annotated[
        bool | None,
        typer.Option(
            "--fresh/--bank", help="make sounds while they are learnt from (with a card), or a bank of them"
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(help="that the encoder learns, with --fresh")] = 170.0,
    language_seconds: Annotated[
        float, typer.Option(help="that projector and LoRA learn, with --fresh")
    ] = 85.0,
    batch: Annotated[int, typer.Option(help="sounds of a step, with --fresh")] = 256,
) -> None:
    """Trains the encoder, then projector and LoRA, on folds 1-3; reports fold 4 once. A stage that left its
    files in the work folder is not repeated; on a processor, one that was killed goes on."""
    torch.set_num_threads(threads)
    work.mkdir(parents=True, exist_ok=True)
    config = _config(sounds, work, base or (demo_base() if until != "encoder" else Path("none")))
    classes, numbers = sound_classes(table("sounds")), [int(fold) for fold in folds.split(",")]
    recordings = read_folds(sounds, numbers, classes)
    on_the_spot = training_device().type == "cuda" if fresh is None else fresh
    rounds = [work / f"round-{number + 1}" / "out" for number in range(len(stages.ROUNDS))]
    if on_the_spot:
        unheard = read_folds(sounds, numbers, free=False)
        encoder = endless.Settings(seconds=seconds, batch=batch)
        _encoder_at_once(recordings, unheard, config, work, encoder)
        if until == "encoder":
            return
        language = lessons.Settings(seconds=language_seconds)
        _language_at_once(recordings, unheard, config, work, rounds[-1], language, threads)
    else:
        _encoder(recordings, config, work, start)
        if until == "encoder":
            return
        _language(recordings, config, work, rounds)
    if until == "language":
        return
    config = replace(config, train=replace(config.train, output=rounds[-1]))
    with logged("evaluation", work):
        evaluate(recordings, read_folds(sounds, TEST), config, work)
    output.mkdir(parents=True, exist_ok=True)
    for name in ("ltu.safetensors", "ltu.json", "MODEL_CARD.md"):
        shutil.copy(config.train.output / name, output / name)


def _encoder_at_once(
    recordings: list[Sound], unheard: list[Sound], config: Config, work: Path, settings: endless.Settings
) -> None:
    if not (work / "encoder.pt").is_file():
        with logged("encoder", work):
            quick.learn_sounds(recordings, unheard, config, work, settings, training_device())


def _language_at_once(
    recordings: list[Sound],
    unheard: list[Sound],
    config: Config,
    work: Path,
    output: Path,
    settings: lessons.Settings,
    threads: int,
) -> None:
    device = training_device()
    settings = replace(settings, workers=max(1, min(settings.workers, threads - 2)))
    heard = [*recordings, *make_unknown(work / "made", MADE, stages.SEED)]
    if not (output / "ltu.safetensors").is_file():
        words = quick.words_of(heard, work)
        with logged("language", work):
            quick.learn_language(heard, words, config, work, output, settings, device)
    if unheard and not (work / "unheard.md").is_file():
        with logged("evaluation on unheard recordings of folds 1-3", work):
            quick.report(output, unheard, config, work / "unheard.md", device)


def _encoder(recordings: list[Sound], config: Config, work: Path, start: Path | None) -> None:
    if not (work / "encoder.pt").is_file():
        with logged("teacher", work):
            stages.hear_teacher(recordings, work)
        with logged("encoder", work):
            stages.learn_sounds(recordings, config, work, Recipe(), start)


def _language(recordings: list[Sound], config: Config, work: Path, rounds: list[Path]) -> None:
    heard = [*recordings, *make_unknown(work / "made", MADE, stages.SEED)]
    if (rounds[-1] / "ltu.safetensors").is_file():
        return
    assert config.train.checkpoint is not None
    if not (config.train.checkpoint / "ltu.safetensors").is_file():
        with logged("projector", work):
            stages.warm_start(heard, config, work)
    for number, output in enumerate(rounds):
        config = replace(
            config,
            data=replace(config.data, items=output.parent / "items.jsonl"),
            train=replace(config.train, output=output),
        )
        if not (output / "ltu.safetensors").is_file():
            with logged(f"language, round {number + 1}", work):
                stages.learn_language(heard, config, number)
        config = replace(config, train=replace(config.train, checkpoint=output))


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
