"""How good reformulated prompts are: how many are valid, how varied, how long, how they begin."""

import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp, log

from ltu.training.reformulate.openaqa import Item, Kind

SAMPLE = 1000  # prompts of each task for distinct-n and self-BLEU: both depend on how many there are
SHOWN = 20  # samples in the page
BIN = 5  # words
NGRAMS = (1, 2, 3)
BEGINNINGS = 20  # bars in the histogram of first words
TOKEN = re.compile(r"\[AUDIO\]|\w+(?:['’-]\w+)*")
Tokens = list[str]


@dataclass(frozen=True)
class Sample:
    original: str
    prompt: str
    answer: str


@dataclass(frozen=True)
class Figures:
    """Figures of one task's prompts; lengths count words, [AUDIO] is one."""

    distinct: Mapping[int, float]  # n → distinct-n
    self_bleu: float | None
    sampled: int  # prompts that both are figures of
    mean_words: float
    words: Mapping[str, int]  # histogram of lengths
    first_words: Mapping[str, int]  # the most frequent beginnings


@dataclass
class _Task:
    rng: random.Random
    count: int = 0
    words: int = 0
    lengths: Counter[int] = field(default_factory=Counter)
    beginnings: Counter[str] = field(default_factory=Counter)
    reservoir: list[Sample] = field(default_factory=list)


class Quality:
    """Takes prompts one by one; memory holds a random sample of each task."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._tasks: dict[Kind, _Task] = {}

    def add(self, kind: Kind, item: Item, prompt: str) -> None:
        task = self._tasks.setdefault(kind, _Task(random.Random(f"{self._seed}:{kind}")))
        tokens = tokenize(prompt)
        task.count += 1
        task.words += len(tokens)
        task.lengths[len(tokens) // BIN * BIN] += 1
        task.beginnings[" ".join(tokens[:2])] += 1
        sample = Sample(item.instruction, prompt, str(item.row["output"]))
        if len(task.reservoir) < SAMPLE:
            task.reservoir.append(sample)
        elif (place := int(task.rng.random() * task.count)) < SAMPLE:
            task.reservoir[place] = sample

    def samples(self, kind: Kind) -> list[Sample]:
        reservoir = self._tasks[kind].reservoir if kind in self._tasks else []
        return random.Random(f"{self._seed}:{kind}").sample(reservoir, min(SHOWN, len(reservoir)))

    def figures(self, kind: Kind) -> Figures | None:
        """Figures of one task; None without prompts."""
        task = self._tasks.get(kind)
        if not task:
            return None
        sampled = [tokenize(sample.prompt) for sample in task.reservoir]
        return Figures(
            distinct={n: distinct(sampled, n) for n in NGRAMS},
            self_bleu=self_bleu(sampled),
            sampled=len(sampled),
            mean_words=task.words / task.count,
            words={f"{low}–{low + BIN - 1}": task.lengths[low] for low in sorted(task.lengths)},
            first_words=dict(task.beginnings.most_common(BEGINNINGS)),
        )


def tokenize(text: str) -> Tokens:
    return [token if token == "[AUDIO]" else token.lower() for token in TOKEN.findall(text)]


def ngrams(tokens: Tokens, n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(tokens[start:] for start in range(n)), strict=False))


def distinct(sentences: list[Tokens], n: int) -> float:
    """Different n-grams among all (Li et al. 2016); 1: none occurs twice."""
    counts: Counter[tuple[str, ...]] = Counter()
    for tokens in sentences:
        counts.update(ngrams(tokens, n))
    return len(counts) / counts.total() if counts else 0.0


def self_bleu(sentences: list[Tokens], order: int = 4) -> float | None:
    """The mean BLEU-4 of each sentence against all others (Zhu et al. 2018); 1: all are alike.

    Smoothed by Chen and Cherry's method 1. None for fewer than two sentences.
    """
    if len(sentences) < 2:
        return None
    counts = [[ngrams(tokens, n) for n in range(1, order + 1)] for tokens in sentences]
    largest = [_two_largest([each[n] for each in counts]) for n in range(order)]
    lengths = Counter(map(len, sentences))
    total = 0.0
    for place, tokens in enumerate(sentences):
        clipped = [
            sum(min(count, _of_others(largest[n][gram], place)) for gram, count in counts[place][n].items())
            for n in range(order)
        ]
        total += _bleu(clipped, len(tokens), _closest(lengths, len(tokens)))
    return total / len(sentences)


Largest = tuple[int, int, int]  # the largest count of an n-gram, its sentence, the largest in another one


def _two_largest(counts: list[Counter[tuple[str, ...]]]) -> dict[tuple[str, ...], Largest]:
    """So that "the largest in all other sentences" needs no second walk over them."""
    found: dict[tuple[str, ...], Largest] = {}
    for place, counter in enumerate(counts):
        for gram, count in counter.items():
            first, owner, second = found.get(gram, (0, -1, 0))
            if count > first:
                found[gram] = (count, place, first)
            else:
                found[gram] = (first, owner, max(second, count))
    return found


def _of_others(largest: Largest, place: int) -> int:
    first, owner, second = largest
    return second if owner == place else first


def _closest(lengths: Counter[int], length: int) -> int:
    """The length of the other sentence that is nearest; the shorter of two."""
    others = (other for other in lengths if other != length or lengths[other] > 1)
    return min(others, key=lambda other: (abs(other - length), other))


def _bleu(clipped: list[int], length: int, reference: int) -> float:
    if not clipped[0]:
        return 0.0
    logs = [log((count or 0.1) / max(1, length - n)) for n, count in enumerate(clipped)]
    brevity = 1.0 if length > reference else exp(1 - reference / length)
    return brevity * exp(sum(logs) / len(logs))
