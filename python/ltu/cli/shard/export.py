"""ltu-shard export: answers in another harness's layout."""

from pathlib import Path
from typing import Annotated

import typer

from ltu.cli.console import Json, command, show
from ltu.shard.run.store import Store


@command
def export(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="From ltu-shard run.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Gets one file per task and way of asking.")],
    run: Annotated[int | None, typer.Option(help="Which run of the file; absent: the latest.")] = None,
    json: Json = False,
) -> None:
    """Writes the answers as JSON Lines in lm-evaluation-harness's layout of sample logs."""
    from ltu.shard.report.export import write_samples
    from ltu.shard.score.scored import load_run

    show(write_samples(load_run(Store(results), run), out), json)
