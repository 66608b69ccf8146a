"""Tokens and dollars: estimated before the work starts, counted after it."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from math import ceil

from ltu.training.reformulate.openaqa import Kind
from ltu.training.reformulate.prompts import messages
from ltu.training.reformulate.resources import table

CHARACTERS_PER_TOKEN = 4  # the provider's rule of thumb for English; its tokenizer is no part of its client
ANSWER_TOKENS = 50  # the longest prompt of Tables 7–9 (166 characters) and its JSON


@dataclass(frozen=True)
class Prices:
    """US dollars a million tokens."""

    input: float
    output: float


@dataclass(frozen=True)
class Tokens:
    input: int
    output: int

    def dollars(self, prices: Prices) -> float:
        return (self.input * prices.input + self.output * prices.output) / 1e6


@dataclass(frozen=True)
class Estimate:
    """The price of tokens at a share of the provider's prices; `prices` None: they aren't known."""

    tokens: Tokens
    prices: Prices | None
    share: float = 1.0

    @property
    def dollars(self) -> float | None:
        return self.share * self.tokens.dollars(self.prices) if self.prices else None

    def __str__(self) -> str:
        text = f"about {self.tokens.input} input and {self.tokens.output} output tokens"
        if self.prices is None:
            return f"{text}; --price-input and --price-output make dollars of them"
        rates = (self.share * self.prices.input, self.share * self.prices.output)
        return f"{text}, ${self.dollars:.2f} at ${rates[0]:g} and ${rates[1]:g} a million"

    def to_json(self) -> dict[str, float | None]:
        return {
            "input_tokens": self.tokens.input,
            "output_tokens": self.tokens.output,
            "dollars": self.dollars,
        }


def known_prices(model: str) -> Prices | None:
    row = table("prices")["models"].get(model)
    return Prices(**row) if row else None


def batch_share() -> float:
    """The share of the price that a request in a batch file costs."""
    return float(table("prices")["batch"])


def estimate(work: Iterable[tuple[Kind, int, int]]) -> Tokens:
    """Tokens of asking each question once; `work` holds (kind, questions, characters of the questions)."""
    input = output = 0
    for kind, count, characters in work:
        input += ceil((count * _template_length(kind) + characters) / CHARACTERS_PER_TOKEN)
        output += count * ANSWER_TOKENS
    return Tokens(input, output)


@cache
def _template_length(kind: Kind) -> float:
    """Characters, the mean over the variations."""
    variations = table("prompts")["variations"]
    lengths = [sum(len(m["content"]) for m in messages(kind, "", text)) for text in variations]
    return sum(lengths) / len(lengths)
