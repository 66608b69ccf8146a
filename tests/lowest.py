"""Prints a constraint for each lower bound of pyproject.toml, so that an installer takes it or says why not:
`make test-lowest`. (By itself uv's lowest-direct takes newer ones where bounds of bounds disagree.)"""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
EXTRAS = ("train", "shard", "reformulate", "formats", "serve", "dev")  # what .[dev] takes
BOUND = re.compile(r"(?P<name>[\w-]+)>=(?P<version>[\d.]+)(?:\s*;.*)?")


def constraints(project: Mapping[str, Any]) -> Iterator[str]:
    """ "numpy==1.26.*" for "numpy>=1.26": the bound's own releases."""
    extras = project["optional-dependencies"]
    for requirement in (*project["dependencies"], *(r for extra in EXTRAS for r in extras[extra])):
        if bound := BOUND.fullmatch(requirement):
            yield f"{bound['name']}=={bound['version']}.*"


if __name__ == "__main__":
    print("\n".join(constraints(tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"])))
