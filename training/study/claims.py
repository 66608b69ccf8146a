"""The paper's claims (data/claims.toml) → verdicts."""

import math
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from ltu.shard.score.intervals import LEVEL, holm
from ltu.shard.score.scored import Run
from ltu.shard.spec.prompts import Cell
from ltu.training.study.contrasts import CONFUSION_FIGURES, Estimate, Figure, answers, difference

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Verdict = Literal["shown", "not shown", "undecided", "not testable", "none"]
Role = Literal["primary", "secondary", "table"]
SMALL = 0.05  # a difference below it would be no effect worth a claim
Runs = Mapping[str, Sequence[Sequence[Run]]]  # model → for each split, its runs, one a seed


@dataclass(frozen=True)
class Side:
    """A model, asked in ways that are pooled."""

    model: str
    asked: tuple[Cell, ...]

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> "Side":
        return cls(table["model"], tuple(Cell(*way.split(", ")) for way in table["asked"]))


@dataclass(frozen=True)
class Claim:
    """`figure` of `first` minus that of `second`; `sign` is the claimed one. Primary claims are corrected for
    their number; those of the table get no verdict."""

    id: str
    says: str
    paper: str
    role: Role
    task: str
    figure: str
    sign: int
    first: Side
    second: Side


@dataclass(frozen=True)
class Judged:
    """A claim with what was found; `levels`: of each side, of each split, of each seed."""

    claim: Claim
    estimate: Estimate
    levels: tuple[tuple[tuple[float, ...], ...], ...]
    p_holm: float  # NaN but for primary claims
    verdict: Verdict


@cache
def claims() -> tuple[Claim, ...]:
    text = (files(__package__) / "data" / "claims.toml").read_text(encoding="utf-8")
    return tuple(
        Claim(**{**row, **{side: Side.from_table(row[side]) for side in ("first", "second")}})
        for row in tomllib.loads(text)["claim"]
    )


def judge(runs: Runs, testable: Collection[str], drawn: bool = True) -> list[Judged]:
    """All claims. `testable`: tasks whose gate was met; the others' claims take no part in Holm's procedure,
    since the gate looks at other words. `drawn`: whether verdicts may be drawn at all."""
    found = [_measured(claim, runs) for claim in claims()]
    counted = [
        estimate.p if claim.role == "primary" and claim.task in testable else math.nan
        for claim, (estimate, _) in zip(claims(), found, strict=True)
    ]
    return [
        Judged(
            claim,
            estimate,
            levels,
            p,
            _verdict(claim, estimate, p, testable) if drawn else "none",
        )
        for claim, (estimate, levels), p in zip(claims(), found, holm(counted), strict=True)
    ]


def _measured(claim: Claim, runs: Runs) -> tuple[Estimate, tuple[tuple[tuple[float, ...], ...], ...]]:
    figure: Figure = CONFUSION_FIGURES[claim.figure]
    sides = [
        [[answers(run, claim.task, side.asked) for run in seeds] for seeds in runs[side.model]]
        for side in (claim.first, claim.second)
    ]
    levels = tuple(tuple(tuple(one.figure(figure) for one in seeds) for seeds in side) for side in sides)
    return difference(sides[0], sides[1], figure), levels


def _verdict(claim: Claim, estimate: Estimate, p_holm: float, testable: Collection[str]) -> Verdict:
    if claim.role == "table":
        return "none"
    if claim.task not in testable:
        return "not testable"
    p = p_holm if claim.role == "primary" else estimate.p
    return verdict(estimate, claim.sign, p)


def verdict(estimate: Estimate, sign: int, p: float) -> Verdict:
    """Shown: the claimed sign, with p (corrected or not) below 5 %. Not shown: the interval lies below a
    difference of SMALL in the claimed direction."""
    if not estimate.known:
        return "undecided"
    if sign * estimate.value > 0 and p < 1 - LEVEL:
        return "shown"
    return "not shown" if max(sign * estimate.low, sign * estimate.high) < SMALL else "undecided"
