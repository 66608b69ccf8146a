"""How large a study is: a TOML file of training/configs/study."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltu.errors import Error

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Sizes:
    """Rounds are those of `generate`."""

    claims: bool  # whether verdicts may be drawn
    seeds: int
    base_rounds: int  # how many rounds of questions a base model learns
    large_rounds: int  # the first of them: FT-Large's
    small_rounds: int  # the first of these: FT-Small's
    development_rounds: int
    base_rates: tuple[float, ...]  # LoRA's learning rates: the one with the least development loss is taken
    tuned_rates: tuple[float, ...]  # the same for all that is trained from the base model
    clips_per_word: int  # in the benchmark

    def __post_init__(self) -> None:
        """Raises ValueError naming the key."""
        if self.large_rounds % self.small_rounds or self.large_rounds < 8 * self.small_rounds:
            raise ValueError("large_rounds: must be a multiple of small_rounds, at least 8 times")
        if self.base_rounds < self.large_rounds:
            raise ValueError("base_rounds: holds large_rounds, so must not be below it")
        if self.seeds < 2:
            raise ValueError("seeds: at least two, or their variance can't be told")
        if not self.base_rates or not self.tuned_rates:
            raise ValueError("base_rates, tuned_rates: at least one each")


def read_sizes(path: Path) -> Sizes:
    """Raises Error naming what is wrong."""
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        values: Any = {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}
        return Sizes(**values)
    except OSError as error:
        raise Error(f"{path}: cannot be read: {error.strerror}; check the path") from None
    except (tomllib.TOMLDecodeError, TypeError, ValueError) as error:
        raise Error(f"{path}: {error}") from None
