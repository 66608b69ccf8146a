"""python -m ltu.training.study: the paper's study in miniature, from ESC-10's recordings to verdicts."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from filelock import FileLock

from ltu.cli.console import application, command
from ltu.demo_model import demo_base
from ltu.shard.spec.labels_csv import read_labels
from ltu.training.config import Config, read_config
from ltu.training.study.folder import Folder
from ltu.training.study.report import write_report
from ltu.training.study.sizes import read_sizes
from ltu.training.study.steps import Study, take
from ltu.training.study.work import Work

CONFIGS = Path(__file__).parent.parent / "configs" / "study"
app = application()


@app.command()
@command
def main(
    esc10: Annotated[Path, typer.Option(metavar="FOLDER", help="Has labels.csv and the recordings.")],
    output: Annotated[
        Path, typer.Option(metavar="FOLDER", help="All that is made; started again, it goes on there.")
    ] = Path("build/study"),
    report: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="For the verdicts; absent: report in the output.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The same path, small; claims nothing.")] = False,
    base: Annotated[
        Path | None, typer.Option(metavar="FILE", help="SmolLM2-135M-Instruct as GGUF; absent: PyPI's.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Processor cores to use.")] = 2,
) -> None:
    """Trains base, FT-Small, FT-Large and the controls on folds 1-2, asks them about fold 4, and judges the
    paper's claims."""
    read_labels(esc10)  # raises before anything is made when there is nothing to make it of
    torch.set_num_threads(threads)
    language_model = base or demo_base()

    def config(name: str) -> Config:
        found = read_config(CONFIGS / f"{name}.toml")
        return replace(
            found,
            base=replace(found.base, path=language_model),
            data=replace(found.data, audio=esc10),
        )

    sizes = read_sizes(CONFIGS / f"{'quick' if quick else 'study'}.toml")
    folder = Folder(output)
    study = Study(folder, sizes, Work(folder, config("base"), config("tuned"), sizes, esc10, threads))
    take(study.stages())
    with FileLock(output / "report.lock"):  # every process that shares the work comes here
        written = write_report(folder, study.models(), sizes, report or output / "report")
    print("\n".join(map(str, written)))


if __name__ == "__main__":
    app()
