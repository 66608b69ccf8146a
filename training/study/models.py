"""The study's models: which items each is trained on, how long, and from what."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ltu.prompt import Format
from ltu.training.study.sizes import Sizes

Part = Literal["base", "large", "small"]


@dataclass(frozen=True)
class Recipe:
    title: str
    format: Format  # its items'
    part: Part  # which of a seed's questions it learns
    long: bool = False  # as many steps as FT-Large

    def epochs(self, sizes: Sizes) -> int:
        return sizes.large_rounds // sizes.small_rounds if self.long else 1


TUNED: Mapping[str, Recipe] = {
    "small": Recipe("FT-Small", "interleaved", "small"),
    "small-prepended": Recipe("FT-Small-prepended", "prepended", "small"),
    "small-long": Recipe("FT-Small-long", "interleaved", "small", long=True),
    "large": Recipe("FT-Large", "interleaved", "large"),
}
RECIPES: Mapping[str, Recipe] = {"base": Recipe("base", "prepended", "base"), **TUNED}


def parts(sizes: Sizes) -> dict[Part, int]:
    """The parts of a seed's questions, in rounds; each is the beginning of the one before."""
    return {"base": sizes.base_rounds, "large": sizes.large_rounds, "small": sizes.small_rounds}


@dataclass(frozen=True)
class Training:
    """One training: a recipe's key, a seed that goes all the way through, LoRA's learning rate."""

    model: str
    seed: int
    rate: float

    @property
    def recipe(self) -> Recipe:
        return RECIPES[self.model]

    @property
    def name(self) -> str:
        return f"seed-{self.seed}/{self.model}-{self.rate:g}"
