"""What is asked of the model, and what comes back."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ltu.audio import Clip
from ltu.checks import is_real, short, whole
from ltu.errors import Error
from ltu.prompt import PromptSequence
from ltu.readings import Options, Reading
from ltu.sampling import Sampling


@dataclass(frozen=True)
class Sample:
    """Independent answers, drawn token by token."""

    stop_when_decided: Reading | Options | None = None
    """An answer may stop once nothing that follows can change what it decides under this reading."""
    first_repeat: int = 0
    """The repeats are first_repeat, first_repeat + 1, …: answer k alone has the bits of answer k of many."""
    logprobs: int | None = None
    """The log-probability of each token, with so many of the best beside it; None: not wanted."""

    def __post_init__(self) -> None:
        whole("first_repeat", self.first_repeat, 0)
        _check_optional("logprobs", self.logprobs, 0)


@dataclass(frozen=True)
class Exact:
    """The probability of each decision of a reading, or of whole answers: one answer, no sampling noise."""

    reading: Reading | Options | None = None
    """What decides; None: whole answers are wanted."""
    epsilon: float = 1e-3
    """At most so much probability stays undecided…"""
    node_budget: int = 4096
    """…unless so many positions were computed."""

    def __post_init__(self) -> None:
        if not is_real(self.epsilon) or not 0 < self.epsilon < 1:
            raise Error(f"epsilon is {short(self.epsilon)}; give a value between 0 and 1")
        whole("node_budget", self.node_budget, 1)


@dataclass(frozen=True)
class Score:
    """The log-likelihood of each continuation (token ids), one answer for each."""

    continuations: tuple[tuple[int, ...], ...] = ()
    end: bool = False
    """Of the end of the answer behind each, too."""

    def __post_init__(self) -> None:
        if not self.continuations or not (self.end or all(self.continuations)):
            raise Error("a score takes at least one continuation, each of at least one token")


MOST_REPEATS = (1 << 16) - 1  # each takes memory from the start
MODES: dict[str, type[Sample] | type[Exact] | type[Score]] = {
    "sample": Sample,
    "exact": Exact,
    "score": Score,
}


@dataclass(frozen=True, init=False)
class Query:
    """One prompt about its clips; `repeats` independent answers are drawn.

    An answer depends on seed, sequence, repeat and settings alone, never on the queries beside it.
    """

    sequence: PromptSequence
    repeats: int
    """Of a sampled query; other modes have one answer, or one for each continuation."""
    seed: int
    sampling: Sampling | None
    """None: the model file's; for a score: the model's own distribution, without processors."""
    max_new_tokens: int | None
    """None: the model file's."""
    mode: Sample | Exact | Score
    tag: Any
    """The caller's, returned with each answer."""

    def __init__(
        self,
        sequence: PromptSequence | Sequence[int | Clip],
        repeats: int = 1,
        seed: int = 0,
        sampling: Sampling | None = None,
        max_new_tokens: int | None = None,
        mode: Sample | Exact | Score | Literal["sample", "exact", "score"] = "sample",
        tag: Any = None,
        **settings: Any,
    ) -> None:
        """`mode` is a record, or its name with the record's fields as keywords: mode="exact", epsilon=0.01.

        `sequence` may be a list of token ids and clips. Raises Error for settings that can't be.
        """
        whole("repeats", repeats, 1, MOST_REPEATS + 1)
        whole("seed", seed, 0, 1 << 64)
        _check_optional("max_new_tokens", max_new_tokens, 1)
        if sampling is not None and not isinstance(sampling, Sampling):
            raise Error(f"sampling is {short(sampling)}; give a Sampling")
        values = {
            "sequence": sequence if isinstance(sequence, PromptSequence) else PromptSequence.of(sequence),
            "repeats": repeats,
            "seed": seed,
            "sampling": sampling,
            "max_new_tokens": max_new_tokens,
            "mode": _mode(mode, settings),
            "tag": tag,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def answer_count(self) -> int:
        """How many answers it has."""
        if isinstance(self.mode, Score):
            return len(self.mode.continuations)
        return self.repeats if isinstance(self.mode, Sample) else 1


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

    def at_temperature(self, temperature: float) -> "Distribution":
        """With the log-odds of yes against no divided by a temperature; their sum stays."""
        decided, inverse = self.yes + self.no, 1 / temperature
        if not (self.yes and self.no):
            return self
        odds = (self.yes / self.no) ** inverse
        return replace(self, yes=decided * odds / (1 + odds), no=decided / (1 + odds))


@dataclass(frozen=True)
class Decisions:
    """The exact probability of each decision of a reading that has others than yes, no and neither."""

    probabilities: tuple[tuple[str, float], ...]
    """(decision, probability), in the reading's order; the last one: no rule of the reading matched."""
    undecided: float
    """What the walk left open: each probability is too small by at most this."""
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
class TokenLogprobs:
    """Log-probabilities (nats) where one token was drawn."""

    drawn: float
    """Under the distribution that it was drawn from, after all processors."""
    raw: float
    """Under the model's own distribution."""
    best_drawn: tuple[tuple[int, float], ...]
    """(token id, log-probability) of the best, the most probable first; no more than could be drawn."""
    best_raw: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Token:
    """A token as it is drawn; EOS is none."""

    repeat: int
    id: int
    logprob: float
    """Under the distribution that it was drawn from (nats)."""
    text: str
    """What it adds to the answer's text; "" while a character lacks bytes."""
    logprobs: TokenLogprobs | None = None
    """Where the query asked for them."""


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
    """Of an exact query whose reading says yes, no or neither."""
    likely: Likely | None = None
    """Of an exact query without a reading."""
    decisions: Decisions | None = None
    """Of an exact query with any other reading."""
    logprobs: tuple[TokenLogprobs, ...] = ()
    """One for each of `token_ids`, where the query asked for them."""
    found: int = field(default=0, compare=False)
    """Positions of the prompt that were in the token tree already; depends on what was asked before."""

    def __repr__(self) -> str:
        value = self.distribution or self.likely or self.decisions or self.text
        return f"Answer({value!r}, repeat={self.repeat}, stop={self.stop!r}, logprob={self.logprob:.3f})"


def _mode(mode: "Sample | Exact | Score | str", settings: dict[str, Any]) -> Sample | Exact | Score:
    if isinstance(mode, str):
        if mode not in MODES:
            raise Error(f"unknown mode {short(mode)}; there are {', '.join(MODES)}")
        kind = MODES[mode]
        for name in settings:
            if name not in kind.__dataclass_fields__:
                raise Error(f'mode "{mode}" has no {name}; it has {", ".join(kind.__dataclass_fields__)}')
        return kind(**settings)
    if not isinstance(mode, (Sample, Exact, Score)):
        raise Error(f"mode is {short(mode)}; give {', '.join(MODES)} or one of their records")
    if settings:
        raise Error(f"{', '.join(settings)} belong into {mode}")
    return mode


def _check_optional(name: str, value: int | None, least: int) -> None:
    if value is not None:
        whole(name, value, least)
