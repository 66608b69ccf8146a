"""What is asked of the model, and what comes back."""

from dataclasses import dataclass
from typing import Any, Literal

from ltu.errors import Error
from ltu.prompt import PromptSequence
from ltu.readings import Reading
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
    """None: the model file's; in mode "score": the model's own distribution, without processors."""
    max_new_tokens: int | None = None
    """None: the model file's."""
    mode: Literal["sample", "exact", "score"] = "sample"
    """"exact": one answer with the probability of each decision. "score": one for each continuation."""
    stop_when_decided: Reading | None = None
    """An answer may stop once nothing that follows can change what it decides under this reading."""
    tag: Any = None
    """The caller's, returned with each answer."""
    reading: Reading | None = None
    """Mode "exact": what decides; None: whole answers are wanted."""
    epsilon: float = 1e-3
    """Mode "exact": at most so much probability stays undecided…"""
    node_budget: int = 4096
    """…unless so many positions were computed."""
    continuations: tuple[tuple[int, ...], ...] = ()
    """Mode "score": token ids."""

    def __post_init__(self) -> None:
        if self.mode != "exact" and self.reading is not None:
            raise Error('a reading belongs to mode "exact"')
        if (self.mode == "score") != bool(self.continuations) or not all(self.continuations):
            raise Error('mode "score" and continuations go together, each of at least one token')
        if not 0 < self.epsilon < 1 or self.node_budget < 1:
            raise Error("epsilon lies between 0 and 1, and node_budget is at least 1")
        for name, value, least in (
            ("repeats", self.repeats, 1),
            ("max_new_tokens", self.max_new_tokens, 1),
            ("seed", self.seed, 0),
        ):
            if value is not None and not least <= value < 1 << 64:
                raise Error(f"{name} is {value}; give {least} or more")


@dataclass(frozen=True)
class Distribution:
    """The exact probability of each decision, of all answers that the sampler could give."""

    yes: float
    no: float
    neither: float
    undecided: float
    """What the walk left open: each probability above is too small by at most this."""
    nodes: int
    """Positions that were computed."""


@dataclass(frozen=True)
class Likely:
    """Whole answers that the sampler could give, the most probable first."""

    answers: tuple[tuple[str, float], ...]
    """(text, exact probability); no text twice."""
    undecided: float
    """The probability of all other answers."""
    nodes: int
    """Positions that were computed."""


@dataclass(frozen=True)
class Answer:
    text: str
    token_ids: tuple[int, ...]
    """What was drawn (or given), EOS left out."""
    logprob: float
    """Sum over the drawn (or given) tokens, EOS included, under the distribution of each (nats)."""
    stop: Literal["eos", "length", "decided", "given", "exact", "cancelled"]
    repeat: int = 0
    tag: Any = None
    distribution: Distribution | None = None
    """Mode "exact" with a reading."""
    likely: Likely | None = None
    """Mode "exact" without one."""
