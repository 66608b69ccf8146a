"""python -m ltu.training.study: the paper's study in miniature, from labelled recordings to verdicts."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from filelock import FileLock

from ltu.cli.console import application, command, wrong_usage
from ltu.demo_model import demo_base
from ltu.errors import Error
from ltu.shard.spec.labels_csv import NAME
from ltu.training.config import Config, read_config
from ltu.training.study.folder import Folder
from ltu.training.study.report import write_report
from ltu.training.study.sizes import read_sizes
from ltu.training.study.start import read_encoder
from ltu.training.study.steps import Study, take
from ltu.training.study.work import Work

CONFIGS = Path(__file__).parent.parent / "configs"
app = application()


@app.command()
@command
def main(
    sounds: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Of collections, each with labels.csv and recordings.")
    ],
    encoder: Annotated[
        Path,
        typer.Option(metavar="FILE", help="encoder.pt, fitted on folds 1-2 by python -m ltu.training.demo."),
    ],
    output: Annotated[
        Path, typer.Option(metavar="FOLDER", help="All that is made; started again, it goes on there.")
    ] = Path("build/study"),
    report: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="For the verdicts; absent: report in the output.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The same path, small; claims nothing.")] = False,
    short: Annotated[
        bool, typer.Option("--short", help="1200 items for the large models, where three hours are too few.")
    ] = False,
    base: Annotated[
        Path | None, typer.Option(metavar="FILE", help="SmolLM2-135M-Instruct as GGUF; absent: PyPI's.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Processor cores to use.")] = 2,
) -> None:
    """Trains base models, FT-Small, FT-Large and the controls on folds 1-2, asks them about fold 4, and
    judges the paper's claims."""
    if quick and short:
        raise wrong_usage("--short", "goes with the whole study, not with --quick")
    if not list(sounds.glob(f"*/{NAME}")):
        raise Error(
            f"{sounds}: no folder in it holds {NAME}; give the one that esc50 and fsd-instruments lie in"
        )
    read_encoder(encoder)  # both raise before anything is made
    torch.set_num_threads(threads)
    language_model = base or demo_base()
    sizes_of_encoder = read_config(CONFIGS / "demo.toml").encoder

    def config(name: str) -> Config:
        found = read_config(CONFIGS / "study" / f"{name}.toml")
        return replace(
            found,
            base=replace(found.base, path=language_model),
            data=replace(found.data, audio=sounds),
            encoder=sizes_of_encoder,
        )

    sizes = read_sizes(CONFIGS / "study" / f"{'quick' if quick else 'short' if short else 'study'}.toml")
    folder = Folder(output)
    work = Work(folder, config("base"), config("tuned"), sizes, sounds, encoder, threads)
    study = Study(folder, sizes, work)
    take(study.stages())
    with FileLock(output / "report.lock"):  # every process that shares the work comes here
        written = write_report(folder, study.models(), sizes, report or output / "report")
    print("\n".join(map(str, written)))


if __name__ == "__main__":
    app()
