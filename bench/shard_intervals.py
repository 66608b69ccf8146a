"""Coverage of the report's intervals on simulated benchmarks with known variance components.

    python bench/shard_intervals.py [--benchmarks 1000]

A benchmark: words with four clips and two terms each, balanced negatives, four repeats. The probability of
"yes" is Φ(mean + clip's word + term's word + clip + question ± knowledge of the term); the true J is known in
closed form. Terms are a word's own (10, 30 and 78 words), or the hypernyms of a shipped table, of which
several words may have one. Prints how often the 95 % interval holds the true J, and how often two equal
models differ at 5 %; the last column has both by words alone.
"""

import argparse
import math
import random as stdlib_random
from functools import cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from ltu.shard.score.intervals import J, Jackknife, interval, jackknife, swap_test
from ltu.shard.score.metrics import Decisions, Ints, confusion, youden
from ltu.shard.spec.negatives import Positive, balanced
from ltu.shard.spec.words import shipped_words

CLIPS, TERMS, REPEATS = 4, 2, 4
PHI = np.vectorize(NormalDist().cdf)


class Layout(NamedTuple):
    """A column a field: every clip and every term has as many wrong as right."""

    expected: Ints
    clip: Ints
    clip_word: Ints
    term_word: Ints
    term: Ints


def questions(words: int, random: np.random.Generator) -> Layout:
    """Each word has terms of its own."""
    shifts = random.choice(np.arange(1, words), size=(CLIPS, TERMS))
    rows = []
    for word in range(words):
        for clip in range(CLIPS):
            for n in range(TERMS):
                place, term = word * CLIPS + clip, word * TERMS + n
                rows.append((1, place, word, word, term))
                other = (word + shifts[clip, n]) % words
                rows.append((0, place, word, other, other * TERMS + n))
    return Layout(*(np.array(column) for column in zip(*rows, strict=True)))


@cache
def hypernyms(table: str) -> tuple[tuple[str, ...], ...]:
    return tuple(word.terms["hypernyms"] for word in shipped_words(table))


def shared_questions(table: str, random: np.random.Generator) -> Layout:
    """The hypernyms of a shipped table; wrong ones are drawn from all that the word itself has not."""
    owned = hypernyms(table)
    index = {term: n for n, term in enumerate(sorted({term for terms in owned for term in terms}))}
    owners = {term: [w for w, terms in enumerate(owned) if term in terms] for term in index}
    positives = [
        Positive(word * CLIPS + clip, term, str(word))
        for word, terms in enumerate(owned)
        for clip in range(CLIPS)
        for term in terms
    ]
    rng = stdlib_random.Random(int(random.integers(2**32)))
    right, wrong = balanced(positives, lambda clip, term: term not in owned[clip // CLIPS], rng)
    rows = [(1, p.clip, p.clip // CLIPS, int(p.term_word), index[p.term]) for p in right]
    for clip, term in wrong:
        rows.append((0, clip, clip // CLIPS, rng.choice(owners[term]), index[term]))
    return Layout(*(np.array(column) for column in zip(*rows, strict=True)))


def answers(layout: Layout, spread: dict[str, float], random: np.random.Generator) -> Decisions:
    """Answers of one model. Effects of a word on hits and on false alarms are apart."""
    expected = layout.expected.astype(bool)
    words, clips = (int(column.max()) + 1 for column in (layout.term_word, layout.clip))
    latent = np.where(expected, spread["hit"], spread["alarm"])
    for name, index in (("clip_word", layout.clip_word), ("term_word", layout.term_word)):
        effects = random.normal(0, spread[name], (2, words))
        latent = latent + effects[layout.expected, index]
    known = random.normal(0, spread["term"], int(layout.term.max()) + 1)[layout.term]
    latent = latent + np.where(expected, known, -known)
    latent = latent + random.normal(0, spread["clip"], clips)[layout.clip]
    latent = latent + random.normal(0, spread["question"], len(expected))
    yes = random.binomial(REPEATS, PHI(latent))
    none = np.zeros_like(yes)
    return Decisions(expected, yes, REPEATS - yes, none, layout.clip_word, layout.term_word, layout.term)


def true_j(spread: dict[str, float]) -> float:
    total = math.sqrt(1 + sum(spread[name] ** 2 for name in SOURCES[2:]))
    return float(PHI(spread["hit"] / total) - PHI(spread["alarm"] / total))


def j(d: Decisions) -> float:
    return youden(confusion(d))


def of_words(found: Jackknife) -> Jackknife:
    """As if no two words shared a term."""
    return Jackknife(found.value, found.words)


class Shares(NamedTuple):
    """Of intervals that hold the true J, and of pairs of equal models that are told apart at 5 %."""

    held: float
    apart: float


def simulate(
    words: int | str, spread: dict[str, float], benchmarks: int, seed: int = 0
) -> tuple[Shares, Shares]:
    """As reported, and by words alone. `words`: how many with terms of their own, or a shipped table."""
    random = np.random.default_rng(seed)
    truth, counts = true_j(spread), np.zeros((2, 2))
    for _ in range(benchmarks):
        layout = shared_questions(words, random) if isinstance(words, str) else questions(words, random)
        one, other = (jackknife(answers(layout, spread, random), j) for _ in range(2))
        for row, (level, difference) in enumerate(
            ((one, one - other), (of_words(one), of_words(one - other)))
        ):
            estimate = interval(level, J)
            counts[row] += (
                estimate.low <= truth <= estimate.high,
                swap_test(difference, draws=1000) <= 0.05,
            )
    reported, by_words = (Shares(*row) for row in (counts / benchmarks).tolist())
    return reported, by_words


SOURCES = ("hit", "alarm", "clip_word", "term_word", "term", "clip", "question")


def _spread(*sizes: float) -> dict[str, float]:
    return dict(zip(SOURCES, sizes, strict=True))


SPREADS = {
    "all sources": _spread(0.8, -0.8, 0.5, 0.5, 0.0, 0.3, 0.5),
    "words only": _spread(0.5, -1.0, 0.8, 0.8, 0.0, 0.0, 0.0),
    "near the ceiling": _spread(2.6, -2.6, 0.5, 0.5, 0.0, 0.3, 0.5),
    "little between words": _spread(0.3, -0.3, 0.1, 0.1, 0.0, 0.2, 0.4),
}
SHARED_SPREADS = {
    "knowledge of terms": _spread(0.8, -0.8, 0.2, 0.2, 0.8, 0.2, 0.3),
    "all sources and terms": _spread(0.8, -0.8, 0.5, 0.5, 0.5, 0.3, 0.5),
    "near the ceiling, terms": _spread(2.4, -2.4, 0.4, 0.4, 1.0, 0.3, 0.5),
    "all sources but terms": _spread(0.8, -0.8, 0.5, 0.5, 0.0, 0.3, 0.5),
}
TABLES = ("esc10", "esc50", "words")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--benchmarks", type=int, default=1000)
    options = parser.parse_args()
    print(
        "| variance | words | coverage of 95 % | equal models told apart at 5 % | the same by words alone |"
    )
    print("| --- | --- | --- | --- | --- |")
    cases = [(name, spread, words) for name, spread in SPREADS.items() for words in (10, 30, 78)]
    cases += [(name, spread, table) for name, spread in SHARED_SPREADS.items() for table in TABLES]
    for name, spread, words in cases:
        reported, by_words = simulate(words, spread, options.benchmarks)
        before = f"{100 * by_words.held:.1f} / {100 * by_words.apart:.1f} %"
        row = f"{100 * reported.held:.1f} % | {100 * reported.apart:.1f} % | {before}"
        print(f"| {name} | {words} | {row} |", flush=True)


if __name__ == "__main__":
    main()
