"""How sure a difference between two models, or two ways of asking, is: over recordings and over seeds.

Splits of the words are what they are, not drawn: the figure is the mean of theirs. Within a split every seed
was asked the same questions, so seeds and recordings cross: what statistics of diagnosis call many readers
and many cases. As there (Dorfman, Berbaum and Metz, 1992), each seed's figure is jackknifed over the original
recordings, and the pseudo-values [seeds, recordings] are taken apart into what seeds and what recordings add.
The share that both count is not subtracted, so an interval is rather too wide. How much seeds differ is taken
to be the same in all splits: with three seeds in each of three, its variance has six degrees of freedom.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ltu.shard.score.breakdown import in_tier
from ltu.shard.score.intervals import LEVEL, t_cdf, t_quantile
from ltu.shard.score.metrics import FIGURES, Confusion, Decisions, Floats, confusion, recall
from ltu.shard.score.scored import Run, Scored
from ltu.shard.spec.prompts import Cell
from ltu.shard.spec.relations import IDENTITY

POWER = 0.8
Figure = Callable[[Confusion], float]
CONFUSION_FIGURES: dict[str, Figure] = {**FIGURES, "named": recall}


@dataclass(frozen=True)
class Estimate:
    """A difference with its interval; NaN where a figure has no value. `p`: of no difference, two-sided.
    `seen`: the smallest difference that would be found with 80 % probability."""

    value: float
    low: float
    high: float
    p: float
    seen: float
    freedom: float
    seed_share: float  # how much of the variance is between seeds

    @property
    def known(self) -> bool:
        return math.isfinite(self.low) and math.isfinite(self.high)


@dataclass(frozen=True)
class Answers:
    """One model's answers to one task, asked in one way or several: probabilities, or shares of repeats."""

    decisions: Decisions
    recordings: npt.NDArray[np.str_]  # each question's clip's

    def figure(self, figure: Figure) -> float:
        return figure(confusion(self.decisions))

    def pseudo_values(self, figure: Figure, recordings: Sequence[str]) -> Floats:
        """Jackknife pseudo-values, one a recording."""
        count, whole = len(recordings), self.figure(figure)
        without = [figure(confusion(self.decisions.where(self.recordings != name))) for name in recordings]
        return count * whole - (count - 1) * np.array(without)


def answers(run: Run, task: str, cells: Sequence[Cell]) -> Answers:
    """Exact probabilities of headline questions; of identity, whether the greedy answer names the label."""
    chosen = run.select(
        lambda s: (
            s.asked.task == task
            and (s.asked.position, s.asked.wording) in cells
            and (task == IDENTITY or in_tier(s))
        )
    )
    recordings = np.array([run.clips[s.asked.clip]["recording"] for s in chosen], np.str_)
    if task == IDENTITY:
        return Answers(_named(chosen), recordings)
    found = run.exact(chosen)
    assert found is not None, "the study asks for exact probabilities"
    return Answers(found, recordings)


def _named(chosen: Sequence[Scored]) -> Decisions:
    """Identity as a question whose answer is the label; yes is naming it."""
    yes = np.array([s.strict for s in chosen])
    none, nobody = np.zeros(len(chosen)), np.zeros(len(chosen), np.int64)
    return Decisions(np.ones(len(chosen), bool), yes, 1 - yes, none, nobody, nobody, nobody)


Seeds = Sequence[Answers]  # one model's answers, one for each seed of a split


def level(splits: Sequence[Seeds], figure: Figure) -> Estimate:
    """A figure of one model."""
    values = [float(np.mean([one.figure(figure) for one in seeds])) for seeds in splits]
    return estimate(float(np.mean(values)), [_pseudo(seeds, figure, names_of(seeds)) for seeds in splits])


def difference(first: Sequence[Seeds], second: Sequence[Seeds], figure: Figure) -> Estimate:
    """First minus second, which have the same splits. A side has the same seeds as the other, in the same
    order, or one model in each split, which all seeds of the other start from."""
    values, pseudo = [], []
    for a, b in zip(first, second, strict=True):
        recordings = names_of([*a, *b])
        both = [_pseudo(side, figure, recordings) for side in (a, b)]
        pseudo.append(both[0] - both[1])  # a single row is every seed's
        values.append(float(np.mean([o.figure(figure) for o in a]) - np.mean([o.figure(figure) for o in b])))
    return estimate(float(np.mean(values)), pseudo)


def names_of(seeds: Seeds) -> list[str]:
    return sorted({name for one in seeds for name in one.recordings})


def _pseudo(seeds: Seeds, figure: Figure, recordings: Sequence[str]) -> Floats:
    return np.stack([one.pseudo_values(figure, recordings) for one in seeds])


def estimate(value: float, splits: Sequence[Floats]) -> Estimate:
    """Pseudo-values [seeds, recordings] of each split, with as many seeds in each → Student's t interval,
    Satterthwaite's degrees of freedom. One seed a split: the recordings' variance alone."""
    if not all(np.isfinite(pseudo).all() for pseudo in splits):
        return Estimate(value, *[math.nan] * 6)
    count, seeds = len(splits), len(splits[0])
    parts = [  # variance of the mean over splits, degrees of freedom
        (float(pseudo.mean(0).var(ddof=1)) / pseudo.shape[1] / count**2, pseudo.shape[1] - 1)
        for pseudo in splits
    ]
    between = 0.0
    if seeds > 1:
        between = float(np.mean([pseudo.mean(1).var(ddof=1) for pseudo in splits])) / (seeds * count)
        parts.append((between, count * (seeds - 1)))
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return Estimate(value, value, value, float(value == 0), 0.0, math.inf, 0.0)
    freedom = variance**2 / sum(part**2 / own for part, own in parts)
    whole, error = int(freedom + 1e-6), math.sqrt(variance)
    quantile = t_quantile((1 + LEVEL) / 2, whole)
    return Estimate(
        value,
        low=value - quantile * error,
        high=value + quantile * error,
        p=2 * (1 - t_cdf(abs(value) / error, whole)),
        seen=(quantile + t_quantile(POWER, whole)) * error,
        freedom=freedom,
        seed_share=between / variance,
    )
