"""ltu-shard validate: whether a file is whole."""

from pathlib import Path
from typing import Annotated

import typer

from ltu.cli.console import Json, command, show
from ltu.shard.run.consistency import contradictions, refuse
from ltu.shard.run.store import Store, is_result_file
from ltu.shard.spec.specification import read_spec


@command
def validate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A specification or results.")],
    json: Json = False,
) -> None:
    """Checks that a file is whole and does not contradict itself."""
    if is_result_file(file):
        store = Store(file)
        problems = store.problems()
        for row in store.runs():
            problems += contradictions(store, dict(row))
        refuse(store, problems)
        show({"file": str(file), "runs": len(store.runs())}, json)
    else:
        spec = read_spec(file)
        counts = {name: len(getattr(spec, name)) for name in ("words", "clips", "questions")}
        show({"file": str(file), **counts, "sha256": spec.hash}, json)
