"""ltu-shard harness: the questions as tasks of lm-evaluation-harness."""

from pathlib import Path
from typing import Annotated

import typer

from ltu.cli.console import Json, command, show
from ltu.shard.spec.specification import read_spec


@command
def harness(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="From ltu-shard build.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="For lm_eval's --include_path.")],
    clips: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the recordings are now; absent: as built.")
    ] = None,
    json: Json = False,
) -> None:
    """Writes the questions as tasks of lm-evaluation-harness."""
    from ltu.shard.harness.tasks import write_tasks

    benchmark = read_spec(spec)
    names = write_tasks(benchmark, clips or Path(benchmark.header["clips_folder"]), out)
    show({"folder": str(out), "tasks": ",".join(names)}, json)
