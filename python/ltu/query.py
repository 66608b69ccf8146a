"""What is asked of the model, and what comes back."""

from dataclasses import dataclass
from typing import Any, Literal

from ltu.errors import Error
from ltu.prompt import PromptSequence
from ltu.sampling import Sampling


@dataclass(frozen=True)
class Query:
    """One prompt about its clips; `repeats` independent answers are drawn.

    An answer depends on seed, sequence, repeat and settings alone, never on the queries beside it.
    Raises Error for settings that can't be.
    """

    sequence: PromptSequence
    repeats: int = 1
    seed: int = 0
    sampling: Sampling | None = None
    """None: the model file's."""
    max_new_tokens: int | None = None
    """None: the model file's."""
    mode: Literal["sample", "exact", "score"] = "sample"
    stop_when_decided: str | None = None
    """Name of a reading: an answer may stop once nothing that follows can change what it decides."""
    tag: Any = None
    """The caller's, returned with each answer."""

    def __post_init__(self) -> None:
        if self.mode != "sample" or self.stop_when_decided is not None:
            raise Error(
                f"mode={self.mode!r}, stop_when_decided={self.stop_when_decided!r}: this version samples "
                "whole answers; leave both as they are"
            )
        for name, value, least in (
            ("repeats", self.repeats, 1),
            ("max_new_tokens", self.max_new_tokens, 1),
            ("seed", self.seed, 0),
        ):
            if value is not None and not least <= value < 1 << 64:
                raise Error(f"{name} is {value}; give {least} or more")


@dataclass(frozen=True)
class Answer:
    text: str
    token_ids: tuple[int, ...]
    """What was drawn, EOS left out."""
    logprob: float
    """Sum over the drawn tokens, EOS included, under the distribution that each was drawn from (nats)."""
    stop: Literal["eos", "length", "cancelled"]
    repeat: int = 0
    tag: Any = None
