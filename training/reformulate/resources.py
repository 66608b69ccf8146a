"""The data files beside this package's code."""

import sys
from functools import cache
from importlib.resources import files
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@cache
def text(name: str) -> str:
    return (files(__package__) / "data" / f"{name}.toml").read_text(encoding="utf-8")


@cache
def table(name: str) -> Any:
    return tomllib.loads(text(name))
