"""How sure a difference between two models, or two ways of asking, is: over recordings and over seeds.

Every training seed was asked the same questions, so seeds and recordings cross: what statistics of diagnosis
call many readers and many cases. As there (Dorfman, Berbaum and Metz, 1992), each seed's figure is
jackknifed over the original recordings, and the pseudo-values [seeds, recordings] are taken apart into what
seeds and what recordings add. The share that both count is not subtracted, so an interval is rather too wide.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ltu.shard import HEADLINE
from ltu.shard.score.breakdown import in_tier
from ltu.shard.score.intervals import LEVEL, t_quantile
from ltu.shard.score.metrics import FIGURES, Confusion, Decisions, Floats, confusion, recall
from ltu.shard.score.scored import Run, Scored
from ltu.shard.spec.prompts import Cell

POWER = 0.8
Figure = Callable[[Confusion], float]
CONFUSION_FIGURES: dict[str, Figure] = {**FIGURES, "named": recall}


@dataclass(frozen=True)
class Estimate:
    """A difference with its interval; NaN where a figure has no value. `seen`: the smallest difference that
    would be found with 80 % probability."""

    value: float
    low: float
    high: float
    seen: float
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


def answers(run: Run, task: str, cells: Sequence[Cell], control: str = "", exact: bool = True) -> Answers:
    """Headline questions alone (identity has no others); `exact`: probabilities in place of the repeats."""
    chosen = run.select(
        lambda s: (
            s.asked.task == task
            and s.asked.control == control
            and (s.asked.position, s.asked.wording) in cells
            and (task == "identity" or in_tier(s))
        )
    )
    recordings = np.array([run.clips[s.asked.clip]["recording"] for s in chosen])
    return Answers(_named(chosen, exact) if task == "identity" else _decided(run, chosen, exact), recordings)


def _decided(run: Run, chosen: Sequence[Scored], exact: bool) -> Decisions:
    found = run.exact(chosen) if exact else run.decisions(chosen, HEADLINE)
    assert found is not None, "the study asks for exact probabilities"
    return found


def _named(chosen: Sequence[Scored], exact: bool) -> Decisions:
    """Identity as a question whose answer is the label; yes is naming it."""
    assert all(s.exact for s in chosen)
    yes = np.array([s.exact.yes if exact and s.exact else s.strict for s in chosen])
    none, nobody = np.zeros(len(chosen)), np.zeros(len(chosen), np.int64)
    return Decisions(np.ones(len(chosen), bool), yes, 1 - yes, none, nobody, nobody)


def level(seeds: Sequence[Answers], figure: Figure) -> Estimate:
    """A figure of one model, of which there is one for each seed."""
    recordings = sorted({name for one in seeds for name in one.recordings})
    pseudo = np.stack([one.pseudo_values(figure, recordings) for one in seeds])
    return estimate(float(np.mean([one.figure(figure) for one in seeds])), pseudo)


def difference(first: Sequence[Answers], second: Sequence[Answers], figure: Figure) -> Estimate:
    """First minus second; both have one for each seed, seeds in the same order."""
    recordings = sorted({name for one in (*first, *second) for name in one.recordings})
    pairs = list(zip(first, second, strict=True))
    pseudo = np.stack(
        [a.pseudo_values(figure, recordings) - b.pseudo_values(figure, recordings) for a, b in pairs]
    )
    return estimate(float(np.mean([a.figure(figure) - b.figure(figure) for a, b in pairs])), pseudo)


def estimate(value: float, pseudo: Floats) -> Estimate:
    """Pseudo-values [seeds, recordings] → Student's t interval, Satterthwaite's degrees of freedom.

    One seed: the recordings' variance alone.
    """
    seeds, recordings = pseudo.shape
    if not np.isfinite(pseudo).all():
        return Estimate(value, *[math.nan] * 4)
    of_recordings = seeds * float(pseudo.mean(0).var(ddof=1))  # mean squares
    of_seeds = recordings * float(pseudo.mean(1).var(ddof=1)) if seeds > 1 else 0.0
    both = of_recordings + of_seeds
    if both == 0:
        return Estimate(value, value, value, 0.0, 0.0)
    freedom = both**2 / (of_seeds**2 / max(seeds - 1, 1) + of_recordings**2 / (recordings - 1))
    whole = int(freedom + 1e-6)
    error = math.sqrt(both / pseudo.size)
    quantile = t_quantile((1 + LEVEL) / 2, whole)
    seen = (quantile + t_quantile(POWER, whole)) * error
    return Estimate(value, value - quantile * error, value + quantile * error, seen, of_seeds / both)
