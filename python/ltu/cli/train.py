"""ltu-train CONFIG.toml: one training run from one configuration file."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ltu.cli.console import application, command
from ltu.errors import needs

app = application()


@app.command()
@command
def train(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="TOML file; training/configs/ has examples.")
    ],
    gguf: Annotated[
        Path | None, typer.Option("--gguf", metavar="FILE", help="Also convert the result to a GGUF file.")
    ] = None,
    allow_missing: Annotated[
        bool,
        typer.Option("--allow-missing", help="Go on although more than 1 % of the items' clips are missing."),
    ] = False,
) -> None:
    """Fine-tunes an LTU model. Killed and started again, it goes on from its last checkpoint."""
    from ltu.convert import convert

    with needs("train"):  # here, because torch takes seconds to import: not for --help
        from ltu.training.config import read_config
        from ltu.training.run.finish import finish
        from ltu.training.run.train import Trained
        from ltu.training.run.train import train as run

    described = read_config(config)
    if allow_missing:
        described = replace(described, data=replace(described.data, allow_missing=True))

    def after(trained: Trained) -> None:
        finish(described, trained)
        print(f"{trained.output}: ltu.safetensors, ltu.json, MODEL_CARD.md and adapter/")
        if gguf:
            written = convert(described.base.path, checkpoint=trained.output, output=gguf)
            print(f"{written.path}  {written.bytes / 1e6:.1f} MB")
        else:
            print(f"ltu-convert --checkpoint {trained.output} makes it a GGUF file")

    run(described, then=after)


def main() -> None:
    app(prog_name="ltu-train")


if __name__ == "__main__":
    main()
