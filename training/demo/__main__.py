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
from ltu.training.demo.card import FIGURES
from ltu.training.demo.distil import Recipe
from ltu.training.demo.log import logged
from ltu.training.demo.made import make_unknown
from ltu.training.demo.questions import table
from ltu.training.demo.report import evaluate
from ltu.training.demo.sounds import Recording, Sound, read_folds
from ltu.training.demo.terms import sound_classes
from ltu.training.demo.yamnet import load_yamnet
from ltu.training.model.device import has_bfloat16, training_device

TEST = (4,)
MADE = 12  # files of silence, noise and speech each
UNHEARD = "unheard.md"
UNTIL = ("", "prepared", "encoder", "language")


def main(
    sounds: Annotated[Path, typer.Option(help="folder of collections, each with labels.csv and recordings")],
    output: Annotated[Path, typer.Option(help="folder for ltu.safetensors, ltu.json and MODEL_CARD.md")],
    base: Annotated[Path | None, typer.Option(help="SmolLM2-135M-Instruct as GGUF; absent: PyPI's")] = None,
    work: Annotated[Path, typer.Option(help="folder for what is made on the way")] = Path("build/demo-model"),
    folds: Annotated[str, typer.Option(help="folds to train on")] = "1,2,3",
    start: Annotated[
        Path | None,
        typer.Option(help="student.safetensors of an earlier run, whose encoder learns on, with --bank"),
    ] = None,
    until: Annotated[
        str,
        typer.Option(
            help="end early: prepared (the work folder holds what a machine without network needs), "
            "encoder (encoder.pt, for the study), language (fold 4 is not asked)"
        ),
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
    files in the work folder is not repeated; with --bank, one that was killed goes on."""
    fresh = training_device().type == "cuda" if fresh is None else fresh
    _check(work, start, until, fresh)
    torch.set_num_threads(threads)
    work.mkdir(parents=True, exist_ok=True)
    numbers = [int(fold) for fold in folds.split(",")]
    recordings = read_folds(sounds, numbers, sound_classes(table("sounds")))
    if until == "prepared":
        _prepare(recordings, work)
        return
    config = _config(sounds, work, base or (Path() if until == "encoder" else demo_base()))
    if fresh:
        unheard = read_folds(sounds, numbers, free=False)
        workers = max(1, min(lessons.Settings.workers, threads - 2))
        of_language = lessons.Settings(seconds=language_seconds, workers=workers)
        by_the_clock = endless.Settings(seconds=seconds, batch=batch), of_language
        _train_fresh(recordings, unheard, config, work, by_the_clock, until)
    else:
        _train(recordings, config, work, start, until)
    if not until:
        _finish(recordings, read_folds(sounds, TEST), config, work, output)


def _check(work: Path, start: Path | None, until: str, fresh: bool) -> None:
    """Raises BadParameter for options that don't go together."""
    if until not in UNTIL:
        raise typer.BadParameter(f"{until!r} is none of {', '.join(UNTIL[1:])}", param_hint="--until")
    if fresh and start:
        raise typer.BadParameter(
            "goes with --bank; with --fresh nothing begins with it", param_hint="--start"
        )
    if (work / "encoder.pt").is_file() and fresh is not (work / FIGURES).is_file():
        raise typer.BadParameter(
            "its encoder was trained the other way; give another folder", param_hint="--work"
        )


def _prepare(recordings: list[Sound], work: Path) -> None:
    """Fetches the teacher and measures the words that a run by the clock would have to; speech is made."""
    load_yamnet(work)
    quick.words_of(_heard(recordings, work), work)


def _heard(recordings: list[Sound], work: Path) -> list[Recording]:
    """What questions are about."""
    return [*recordings, *make_unknown(work / "made", MADE, stages.SEED)]


def _train_fresh(
    recordings: list[Sound],
    unheard: list[Sound],
    config: Config,
    work: Path,
    by_the_clock: tuple[endless.Settings, lessons.Settings],
    until: str,
) -> None:
    """By the clock. `unheard`: recordings that nothing is trained on, on which figures are told."""
    device, (of_encoder, of_language) = training_device(), by_the_clock
    outputs = [_output(work, number + 1) for number in range(len(stages.ROUNDS))]
    if not (work / "encoder.pt").is_file():
        with logged("encoder", work):
            quick.learn_sounds(recordings, unheard, config, work, of_encoder, device)
    if until == "encoder":
        return
    heard = _heard(recordings, work)
    if not (outputs[-1] / "ltu.safetensors").is_file():
        words = quick.words_of(heard, work)
        with logged("language", work):
            quick.learn_language(heard, words, config, work, outputs, of_language, device)
    if unheard and not (work / UNHEARD).is_file():
        with logged("evaluation on the training folds' recordings that licences leave out", work):
            quick.report(outputs[-1], unheard, config, work / UNHEARD, device)


def _train(recordings: list[Sound], config: Config, work: Path, start: Path | None, until: str) -> None:
    """From a bank, as long as it takes."""
    _encoder(recordings, config, work, start)
    if until != "encoder":
        _language(recordings, config, work)


def _output(work: Path, round: int = len(stages.ROUNDS)) -> Path:
    """Where a round, counted from 1, leaves its checkpoint."""
    return work / f"round-{round}" / "out"


def _finish(recordings: list[Sound], held_out: list[Sound], config: Config, work: Path, output: Path) -> None:
    config = replace(config, train=replace(config.train, output=_output(work)))
    with logged("evaluation", work):
        evaluate(recordings, held_out, config, work, training_device())
    output.mkdir(parents=True, exist_ok=True)
    for name in ("ltu.safetensors", "ltu.json", "MODEL_CARD.md"):
        shutil.copy(config.train.output / name, output / name)


def _encoder(recordings: list[Sound], config: Config, work: Path, start: Path | None) -> None:
    if not (work / "encoder.pt").is_file():
        with logged("teacher", work):
            stages.hear_teacher(recordings, work)
        with logged("encoder", work):
            stages.learn_sounds(recordings, config, work, Recipe(), start)


def _language(recordings: list[Sound], config: Config, work: Path) -> None:
    heard = _heard(recordings, work)
    if (_output(work) / "ltu.safetensors").is_file():
        return
    assert config.train.checkpoint is not None
    if not (config.train.checkpoint / "ltu.safetensors").is_file():
        with logged("projector", work):
            stages.warm_start(heard, config, work)
    for number in range(len(stages.ROUNDS)):
        output = _output(work, number + 1)
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
