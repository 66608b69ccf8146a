"""How large a study is: a TOML file of training/configs/study."""

import sys
from dataclasses import dataclass
from pathlib import Path

from ltu.errors import Error

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Sizes:
    claims: bool  # whether verdicts may be drawn
    splits: int  # how many of the splits of the words, from the first
    seeds: int  # in each split
    base_items: int
    large_items: int
    small_items: int  # the first of the large ones
    development_items: int
    base_rate: float  # LoRA's learning rate
    tuned_rates: tuple[float, ...]  # of which one is chosen for all that is trained from the base models
    clips_per_word: int  # most in the benchmark
    label_clips_per_word: int  # most of those on which a rate's labels are counted

    def __post_init__(self) -> None:
        """Raises ValueError naming the key."""
        if not 1 <= self.splits <= 3:
            raise ValueError("splits: must be from 1 to 3")
        if self.seeds < 2:
            raise ValueError("seeds: at least two in a split, or their variance can't be told")
        if self.small_items % 24 or self.large_items % self.small_items:
            raise ValueError("large_items: must be a multiple of small_items, and that of 24")
        if self.base_items % 8:
            raise ValueError("base_items: must be a multiple of 8")
        if not self.tuned_rates:
            raise ValueError("tuned_rates: at least one")

    @property
    def times(self) -> int:
        """How many times as many items the large models learn."""
        return self.large_items // self.small_items


def read_sizes(path: Path) -> Sizes:
    """Raises Error naming what is wrong."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return Sizes(**{**table, "tuned_rates": tuple(table.get("tuned_rates", ()))})
    except OSError as error:
        raise Error(f"{path}: cannot be read: {error.strerror}; check the path") from None
    except (tomllib.TOMLDecodeError, TypeError, ValueError) as error:
        raise Error(f"{path}: {error}") from None
