"""Coverage of the report's intervals on simulated benchmarks with known variance components.

    python bench/shard_intervals.py [--benchmarks 1000]

A benchmark: words with four clips and two terms each, balanced negatives, four repeats. The probability of
"yes" is Φ(mean + clip's word + term's word + clip + question); the true J is known in closed form. Prints,
for 10, 30 and 78 words, how often the 95 % interval holds it, and how often two equal models differ at 5 %.
"""

import argparse
import math
from statistics import NormalDist

import numpy as np

from ltu.shard.score.intervals import J, interval, pseudo_values, swap_test
from ltu.shard.score.metrics import Decisions, confusion, youden

CLIPS, TERMS, REPEATS = 4, 2, 4
PHI = np.vectorize(NormalDist().cdf)


def questions(words: int, random: np.random.Generator) -> tuple[np.ndarray, ...]:
    """(expected, clip, clip's word, term's word): every clip and every term has as many wrong as right."""
    shifts = random.choice(np.arange(1, words), size=(CLIPS, TERMS))
    rows = []
    for word in range(words):
        for clip in range(CLIPS):
            for term in range(TERMS):
                rows.append((True, word * CLIPS + clip, word, word))
                rows.append((False, word * CLIPS + clip, word, (word + shifts[clip, term]) % words))
    return tuple(np.array(column) for column in zip(*rows, strict=True))


def answers(
    layout: tuple[np.ndarray, ...], spread: dict[str, float], random: np.random.Generator
) -> Decisions:
    """Answers of one model. Effects of a word on hits and on false alarms are apart."""
    expected, clip, clip_word, term_word = layout
    words = int(clip_word.max()) + 1
    latent = np.where(expected, spread["hit"], spread["alarm"])
    for name, index in (("clip_word", clip_word), ("term_word", term_word)):
        effects = random.normal(0, spread[name], (2, words))
        latent = latent + effects[expected.astype(int), index]
    latent = latent + random.normal(0, spread["clip"], words * CLIPS)[clip]
    latent = latent + random.normal(0, spread["question"], len(expected))
    yes = random.binomial(REPEATS, PHI(latent))
    none = np.zeros_like(yes)
    return Decisions(expected, yes, REPEATS - yes, none, clip_word, term_word)


def true_j(spread: dict[str, float]) -> float:
    total = math.sqrt(1 + sum(spread[name] ** 2 for name in ("clip_word", "term_word", "clip", "question")))
    return float(PHI(spread["hit"] / total) - PHI(spread["alarm"] / total))


def j(d: Decisions) -> float:
    return youden(confusion(d))


def simulate(words: int, spread: dict[str, float], benchmarks: int, seed: int = 0) -> tuple[float, float]:
    """(share of intervals that hold the true J, share of equal pairs of models told apart at 5 %)."""
    random = np.random.default_rng(seed)
    truth, held, apart = true_j(spread), 0, 0
    for _ in range(benchmarks):
        layout = questions(words, random)
        one, other = answers(layout, spread, random), answers(layout, spread, random)
        pseudo = pseudo_values(one, j)
        estimate = interval(j(one), pseudo, J)
        held += estimate.low <= truth <= estimate.high
        apart += swap_test(pseudo - pseudo_values(other, j), draws=1000) <= 0.05
    return held / benchmarks, apart / benchmarks


SOURCES = ("hit", "alarm", "clip_word", "term_word", "clip", "question")
SPREADS = {
    "all sources": dict(zip(SOURCES, (0.8, -0.8, 0.5, 0.5, 0.3, 0.5), strict=True)),
    "words only": dict(zip(SOURCES, (0.5, -1.0, 0.8, 0.8, 0.0, 0.0), strict=True)),
    "near the ceiling": dict(zip(SOURCES, (2.6, -2.6, 0.5, 0.5, 0.3, 0.5), strict=True)),
    "little between words": dict(zip(SOURCES, (0.3, -0.3, 0.1, 0.1, 0.2, 0.4), strict=True)),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--benchmarks", type=int, default=1000)
    options = parser.parse_args()
    print(
        "| variance | words | coverage of 95 % | equal models told apart at 5 % |\n| --- | --- | --- | --- |"
    )
    for name, spread in SPREADS.items():
        for words in (10, 30, 78):
            held, apart = simulate(words, spread, options.benchmarks)
            print(f"| {name} | {words} | {100 * held:.1f} % | {100 * apart:.1f} % |", flush=True)


if __name__ == "__main__":
    main()
