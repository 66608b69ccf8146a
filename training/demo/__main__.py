"""python -m ltu.training.demo: reproduces the demo model, from recordings to weights and model card."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from ltu.demo_model import demo_base
from ltu.training.config import read_config
from ltu.training.demo import stages
from ltu.training.demo.esc10 import read_folds

TRAIN, TEST = (1, 2, 3), (4,)


def main(
    esc10: Annotated[Path, typer.Option(help="folder with labels.csv and the recordings")],
    output: Annotated[Path, typer.Option(help="folder for ltu.safetensors, ltu.json and MODEL_CARD.md")],
    base: Annotated[Path | None, typer.Option(help="SmolLM2-135M-Instruct as GGUF; absent: PyPI's")] = None,
    work: Annotated[Path, typer.Option(help="folder for what is made on the way")] = Path("build/demo-model"),
    threads: Annotated[int, typer.Option(help="processor cores to use")] = 2,
) -> None:
    """Trains the encoder, then projector and LoRA, on folds 1-3; reports fold 4 once. A stage that left its
    files in the work folder is not repeated."""
    torch.set_num_threads(threads)
    config = read_config(Path(__file__).parent.parent / "configs" / "demo.toml")
    config = replace(
        config,
        base=replace(config.base, path=base or demo_base()),
        data=replace(config.data, items=work / "items.jsonl", audio=esc10),
        train=replace(config.train, output=output, checkpoint=work / "start"),
    )
    recordings = read_folds(esc10, TRAIN)
    stages.learn_sounds(recordings, work)
    stages.warm_start(recordings, config, work)
    stages.learn_language(recordings, config)
    stages.evaluate(read_folds(esc10, TEST), config)


if __name__ == "__main__":
    typer.run(main)
