"""CONTRIBUTING's recipes: the files that they name exist, and nothing else knows what they add.

They are carried out on tiny models: an audio encoder in convert/test_round_trip.py, a language model in
convert/test_qwen2.py, a relation in shard/test_relations.py.
"""

import re
from pathlib import Path

import pytest

from ltu import _engine
from ltu.convert.outtype import OUTTYPES

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = {
    section.splitlines()[0].strip(): section
    for section in TEXT[TEXT.index("## Recipes") : TEXT.index("## Environment variables")].split("### ")[1:]
}


def files(recipe: str) -> set[str]:
    """Paths in a recipe. `x.{h,cpp}` is two; a short name stands beside or above the one before it."""
    found, last = set(), ROOT
    for text in re.findall(r"`([\w./]+\.(?:py|h|cpp|jsonl|txt|cmake|toml|md|\{[\w,]+\}))`", RECIPES[recipe]):
        stem, _, endings = text.partition(".{")
        for name in [f"{stem}.{ending}" for ending in endings.rstrip("}").split(",")] if endings else [text]:
            places = (folder / name for folder in (ROOT, *last.parents))
            last = next((place for place in places if place.exists()), ROOT / name)
            found.add(str(last.relative_to(ROOT)))
    return found


def mentions(pattern: str, *folders: str) -> set[str]:
    """Files of the sources that hold it."""
    sources = (path for folder in folders for path in (ROOT / folder).rglob("*"))
    return {
        str(path.relative_to(ROOT))
        for path in sources
        if path.suffix in {".py", ".h", ".cpp", ".cu", ".json", ".jsonl", ".toml"}
        and re.search(pattern, path.read_text(encoding="utf-8"))
    }


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_names_files_that_exist(recipe: str) -> None:
    named = {name for name in files(recipe) if "NAME" not in name}
    assert named
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_a_language_model_is_known_to_its_recipes_files_alone() -> None:
    code = mentions("qwen2", "cpp", "convert", "training", "python")
    assert "cpp/file/config.h" in code
    assert code - files("A language model") == set()


def test_a_quantisation_type_is_known_to_its_recipes_files_alone() -> None:
    """Those of the type that the converter never chooses by itself."""
    code = mentions(
        r"(?i)\bq5_k\b", "cpp/kernels", "cpp/file", "cpp/engine", "cpp/compute", "convert", "python"
    )
    recipe = {name.replace("NAME", "q5_k") for name in files("A quantisation type")}
    assert "cpp/kernels/types/q5_k.h" in code
    assert code - recipe == set()
    assert set(_engine.weight_types()) == set(OUTTYPES) - {"mixed"}
