"""Asks the same question about every recording of a folder: python examples/folder.py FOLDER [model.gguf]"""

import sys
from collections.abc import Iterator
from pathlib import Path

import ltu

folder, *gguf = sys.argv[1:]
model = ltu.load(*gguf)


def queries() -> Iterator[ltu.Query]:
    """Read by the engine as it gets room, so the folder may be large."""
    for path in sorted(Path(folder).iterdir()):
        try:
            clip = ltu.load_audio(path)
        except ltu.AudioError as error:
            print(f"skipped: {error}", file=sys.stderr)
            continue
        yield model.query("Can you list the labels based on [AUDIO] ?", clip, tag=path.name)


for answer in model.answers(queries()):  # in the order in which they finish
    print(f"{answer.tag}\t{answer.text}")
