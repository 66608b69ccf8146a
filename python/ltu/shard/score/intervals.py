"""How sure a figure is: words are what was sampled, so words are left out one at a time.

A question touches two words, the clip's and the term's. Leaving out a word drops every question that touches
it on either side. (A bootstrap over questions takes related questions for independent ones; one that draws
clips and terms crosswise counts the noise twice.)

Several words may have one term ("vehicle"), and who doesn't know it errs on all of them. So the variance of
terms is added as in clustering by two things (Cameron, Gelbach and Miller 2011): with terms left out one at a
time, minus that with one word's term left out, which the words have counted.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from ltu.shard.score.metrics import Bools, Decisions, Floats

ROUGH_BELOW = 20  # words
LEVEL = 0.95
Bounds = tuple[float, float]
SHARE: Bounds = (0.0, 1.0)
J: Bounds = (-1.0, 1.0)  # Youden's
J_DIFFERENCE: Bounds = (-2.0, 2.0)


@dataclass(frozen=True)
class Estimate:
    """A figure with its confidence interval; `words` clusters; NaN where there are too few of them."""

    value: float
    low: float
    high: float
    error: float
    words: int

    @property
    def rough(self) -> bool:
        return self.words < ROUGH_BELOW


@dataclass(frozen=True)
class Jackknife:
    """A figure and its jackknife pseudo-values, n·θ − (n − 1)·θ without one of the n; NaN where it has none.

    One a word; where words share terms, also one a term and one a word's term.
    """

    value: float
    words: Floats
    terms: Floats = field(default_factory=lambda: np.zeros(0))
    terms_of_words: Floats = field(default_factory=lambda: np.zeros(0))

    def __sub__(self, other: "Jackknife") -> "Jackknife":
        """Of a difference on the same questions."""
        mine, theirs = vars(self).values(), vars(other).values()
        return Jackknife(*(a - b for a, b in zip(mine, theirs, strict=True)))

    @property
    def known(self) -> bool:
        """Whether there is enough to say how sure it is."""
        parts = [self.words, self.terms, self.terms_of_words][: 3 if len(self.terms) else 1]
        return all(len(part) > 1 and np.isfinite(part).all() for part in parts)

    @property
    def error(self) -> float:
        """Standard error: that of words, or of words and terms if that is larger; NaN if not known."""
        if not self.known:
            return math.nan
        shared = _variance(self.terms) - _variance(self.terms_of_words) if len(self.terms) else 0.0
        return math.sqrt(_variance(self.words) + max(shared, 0.0))

    @property
    def excess(self) -> float:
        """How many times the error is that of words alone."""
        of_words = math.sqrt(_variance(self.words))
        return self.error / of_words if of_words else 1.0


def _variance(pseudo: Floats) -> float:
    """Of their mean."""
    return float(pseudo.var(ddof=1)) / len(pseudo)


def words_of(d: Decisions) -> list[int]:
    return sorted({*d.clip_word.tolist(), *d.term_word.tolist()})


def jackknives(d: Decisions, figures: Callable[[Bools], Mapping[str, float]]) -> dict[str, Jackknife]:
    """Of several figures, which `figures` computes of the questions that a mask keeps."""
    whole = figures(np.ones(len(d), bool))
    rows = sorted({*zip(d.term.tolist(), d.term_word.tolist(), strict=True)})
    terms = sorted({term for term, _ in rows})
    masks = [[(d.clip_word != word) & (d.term_word != word) for word in words_of(d)]]
    if len(terms) < len(rows):  # else words have counted all of it
        masks.append([d.term != term for term in terms])
        masks.append([(d.term != term) | (d.term_word != word) for term, word in rows])
    without = [[figures(mask) for mask in each] for each in masks]
    return {
        name: Jackknife(
            value,
            *(len(w) * value - (len(w) - 1) * np.array([found[name] for found in w]) for w in without),
        )
        for name, value in whole.items()
    }


def jackknife(d: Decisions, figure: Callable[[Decisions], float]) -> Jackknife:
    return jackknives(d, lambda kept: {"": figure(d.where(kept))})[""]


def interval(of: Jackknife, bounds: Bounds | None = None) -> Estimate:
    """Student's t with words − 1 degrees of freedom; with `bounds`, of what cannot lie beyond them."""
    value, error, count = of.value, of.error, len(of.words)
    if math.isnan(error):
        return Estimate(value, math.nan, math.nan, math.nan, count)
    t = t_quantile((1 + LEVEL) / 2, count - 1)
    low, high = (
        (value - t * error, value + t * error) if bounds is None else _score(value, error, count, t, bounds)
    )
    return Estimate(value, low, high, error, count)


def _score(value: float, error: float, count: int, t: float, bounds: Bounds) -> Bounds:
    """Wilson's score interval of a share: near an end it stays inside and is never of width 0.

    The number of trials is the one that the error belongs to (Korn and Graubard 1998), else that of words.
    """
    low, high = bounds
    share = min(max((value - low) / (high - low), 0.0), 1.0)
    spread, scaled = share * (1 - share), error / (high - low)
    trials = spread / scaled**2 if spread > 1e-12 and scaled > 1e-12 else float(count)
    centre = (share + t**2 / (2 * trials)) / (1 + t**2 / trials)
    half = t / (1 + t**2 / trials) * math.sqrt(spread / trials + t**2 / (4 * trials**2))
    ends = (max(0.0, centre - half), min(1.0, centre + half))
    return low + (high - low) * min(ends[0], share), low + (high - low) * max(ends[1], share)


def t_cdf(t: float, freedom: int) -> float:
    """Student's t; the finite series for whole degrees of freedom (Abramowitz and Stegun 26.7.3, 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    cos2 = math.cos(angle) ** 2
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for step in range(freedom // 2):
        total += term
        term *= cos2 * (2 * step + 1 + odd) / (2 * step + 2 + odd)
    between = math.sin(angle) * total
    if odd:
        between = 2 / math.pi * (angle + between)
    return (1 + between) / 2


def t_quantile(probability: float, freedom: int) -> float:
    """Inverse of t_cdf for probabilities of at least one half, by bisection."""
    low, high = 0.0, 1.0
    while t_cdf(high, freedom) < probability:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if t_cdf(middle, freedom) < probability else (low, middle)
    return high


def swap_test(difference: Jackknife, draws: int = 10_000, seed: int = 0) -> float:
    """p of "both runs are alike", from the pseudo-values of their difference.

    Swapping the two runs on all questions of a word changes the sign of its pseudo-value; all swaps are tried
    where there are few, else `draws` of them. Where the error is larger than that of words, what was found
    counts for as much less.
    """
    if not difference.known:
        return math.nan
    pseudo, count = difference.words, len(difference.words)
    exact = 2**count <= draws
    if exact:
        signs = 1 - 2 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
    else:
        signs = np.random.default_rng(seed).choice([-1, 1], size=(draws, count))
    found = np.abs(signs @ pseudo) >= abs(pseudo.sum()) / difference.excess * (1 - 1e-12)
    return float(found.mean()) if exact else float((found.sum() + 1) / (draws + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction, in the given order; NaN stays and does not count."""
    order = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    corrected = [math.nan] * len(p_values)
    least = 0.0
    for rank, (p, index) in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * p))
        corrected[index] = least
    return corrected


def words_needed(difference: Jackknife, power: float = 0.8) -> int | None:
    """How many words it would take to tell a difference of this size from 0 at 5 %; None if it is none."""
    if not difference.known or difference.value == 0:
        return None
    z = NormalDist().inv_cdf
    spread = difference.error * math.sqrt(len(difference.words))
    needed = ((z((1 + LEVEL) / 2) + z(power)) * spread / difference.value) ** 2
    return max(2, math.ceil(needed))
