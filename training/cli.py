"""ltu-train CONFIG.toml: one training run from one configuration file."""

from pathlib import Path
from typing import Annotated

import typer

from ltu.errors import Error

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="TOML file; training/configs/ has examples")],
    debug: Annotated[bool, typer.Option("--debug", help="show the traceback of an error")] = False,
) -> None:
    """Fine-tunes an LTU model and writes ltu.safetensors and ltu.json."""
    from .config import read_config
    from .train import train as run  # torch takes seconds to import: not for --help or a wrong path

    try:
        output = run(read_config(config))
    except Error as error:
        if debug:
            raise
        typer.echo(f"ltu-train: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(
        f"{output}: ltu.safetensors and ltu.json; ltu-convert --checkpoint {output} makes it a GGUF file"
    )


def main() -> None:
    app()


if __name__ == "__main__":
    main()
