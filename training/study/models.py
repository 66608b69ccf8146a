"""The study's models: which items each is trained on, in which format, how long, and what it is asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ltu.prompt import Format
from ltu.shard.spec.prompts import PAPER_CELLS, Cell
from ltu.training.study.sizes import Sizes

Part = Literal["base", "large", "small"]


@dataclass(frozen=True)
class Recipe:
    title: str
    format: Format  # its items'
    part: Part
    long: bool = False  # as many steps as the large models

    def epochs(self, sizes: Sizes) -> int:
        return sizes.times if self.long else 1

    @property
    def asked(self) -> tuple[Cell, ...]:
        """The paper's two ways of a base model; of the others both wordings where they were trained."""
        if self.part == "base":
            return PAPER_CELLS
        return (Cell(self.format, "long"), Cell(self.format, "short"))


TUNED: Mapping[str, Recipe] = {
    "small": Recipe("FT-Small", "interleaved", "small"),
    "small-prepended": Recipe("FT-Small-prepended", "prepended", "small"),
    "small-long": Recipe("FT-Small-long", "interleaved", "small", long=True),
    "large": Recipe("FT-Large", "interleaved", "large"),
    "large-prepended": Recipe("FT-Large-prepended", "prepended", "large"),
}
BASE, AGAIN = "base", "base-again"  # AGAIN: the base models that missed the gate, one more epoch
COMPARED: Mapping[str, Recipe] = {BASE: Recipe("base", "prepended", "base"), **TUNED}
RECIPES: Mapping[str, Recipe] = {**COMPARED, AGAIN: Recipe("base, one more epoch", "prepended", "base")}


@dataclass(frozen=True)
class Training:
    """One training: a recipe's key, a split of the words, a seed in it, LoRA's learning rate."""

    model: str
    split: int
    seed: int
    rate: float

    @property
    def recipe(self) -> Recipe:
        return RECIPES[self.model]

    @property
    def name(self) -> str:
        return f"split-{self.split}/seed-{self.seed}/{self.model}-{self.rate:g}"

    @property
    def draw(self) -> int:
        """For all that is random in the training; the same for the models of one split and seed."""
        return 100 * self.split + self.seed
