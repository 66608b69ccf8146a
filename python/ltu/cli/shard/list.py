"""ltu-shard list: the runs of a result file, or the words of a specification."""

from pathlib import Path
from typing import Annotated

import typer

from ltu.cli.console import Json, command, print_json
from ltu.shard.run.store import Store, is_result_file
from ltu.shard.spec.specification import Spec, read_spec


@command
def list_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A specification or results.")],
    json: Json = False,
) -> None:
    """Lists the runs of a result file, or the words of a specification."""
    if is_result_file(file):
        keep = ("id", "model", "spec", "repeats", "seed", "asked", "answered", "created")
        rows = [{name: row[name] for name in keep} for row in Store(file).runs()]
    else:
        spec = read_spec(file)
        rows = [_word_row(spec, word.label) for word in spec.words]
    if json:
        print_json(rows)
        return
    for row in rows:
        print("  ".join(str(value) for value in row.values()))


def _word_row(spec: Spec, label: str) -> dict[str, object]:
    word = spec.word(label)
    clips = sum(clip.label == label for clip in spec.clips)
    terms = {column: ", ".join(terms) for column, terms in word.terms.items()}
    return {"label": label, "group": word.group, "synset": word.synset, "clips": clips, **terms}
