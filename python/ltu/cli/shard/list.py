"""ltu-shard list: the runs of a result file, or the words of a specification."""

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from ltu.cli.console import Json, command, print_json
from ltu.shard.run.store import Store, is_result_file
from ltu.shard.spec.specification import Spec, read_spec
from ltu.show.table import Table
from ltu.show.terminal import to_terminal


@command
def list_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A specification or results.")],
    json: Json = False,
) -> None:
    """Lists the runs of a result file, or the words of a specification."""
    if is_result_file(file):
        keep = ("id", "model", "spec", "repeats", "seed", "asked", "answered", "created")
        rows: list[dict[str, object]] = [{name: row[name] for name in keep} for row in Store(file).runs()]
    else:
        spec = read_spec(file)
        rows = [_word_row(spec, word.label) for word in spec.words]
    if json:
        print_json(rows)
        return
    columns = tuple(rows[0]) if rows else ()
    shown = [tuple(_text(name, value) for name, value in row.items()) for row in rows]
    print(
        to_terminal(str(file), (), [Table("Runs" if "created" in columns else "Words", columns, shown)]),
        end="",
    )


def _text(name: str, value: object) -> str:
    """A time as people read it, else what it is."""
    if name == "created" and isinstance(value, float):
        with suppress(OverflowError, OSError, ValueError):  # of a damaged file
            return datetime.fromtimestamp(value).strftime("%Y-%m-%d %H:%M")
    return str(value)


def _word_row(spec: Spec, label: str) -> dict[str, object]:
    word = spec.word(label)
    clips = sum(clip.label == label for clip in spec.clips)
    terms = {column: ", ".join(terms) for column, terms in word.terms.items()}
    return {"label": label, "group": word.group, "synset": word.synset, "clips": clips, **terms}
