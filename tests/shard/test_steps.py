"""The benchmark's steps import from earlier ones alone."""

import ast
from pathlib import Path

import pytest

import ltu.shard

ROOT = Path(ltu.shard.__file__).parent
STEPS = ("spec", "run", "score", "report")


def imported(file: Path) -> set[str]:
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_knows_nothing_of_later_ones(step: str) -> None:
    files = list((ROOT / step).glob("*.py"))
    assert files
    later = {f"ltu.shard.{name}" for name in (*STEPS[STEPS.index(step) + 1 :], "harness")}
    for file in files:
        for module in imported(file):
            assert ".".join(module.split(".")[:3]) not in later, f"{file.name} imports {module}"
            assert not module.startswith("ltu.cli")
