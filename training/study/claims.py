"""The paper's claims (data/claims.toml) → verdicts."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from ltu.shard.score.scored import Run
from ltu.shard.spec.prompts import Cell
from ltu.training.study.contrasts import CONFUSION_FIGURES, Estimate, answers, difference

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Verdict = Literal["shown", "not shown", "undecided"]
SMALL = 0.05  # a difference below it would be no effect worth a claim


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
    """`figure` of `first` minus that of `second`; `sign` is the claimed one."""

    id: str
    says: str
    paper: str
    task: str
    figure: str
    sign: int
    first: Side
    second: Side


@cache
def claims() -> tuple[Claim, ...]:
    text = (files(__package__) / "data" / "claims.toml").read_text(encoding="utf-8")
    return tuple(
        Claim(**{**row, **{side: Side.from_table(row[side]) for side in ("first", "second")}})
        for row in tomllib.loads(text)["claim"]
    )


def verdict(estimate: Estimate, sign: int) -> Verdict:
    """Shown: the whole interval has the claimed sign. Not shown: it lies below a difference of SMALL."""
    if not estimate.known:
        return "undecided"
    low, high = sorted((sign * estimate.low, sign * estimate.high))
    return "shown" if low > 0 else "not shown" if high < SMALL else "undecided"


def judge(claim: Claim, runs: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """`runs`: of each model, one a seed, seeds in the same order. A row of the verdicts."""
    figure = CONFUSION_FIGURES[claim.figure]
    found = {}
    for kind, exact in (("exact", True), ("repeats", False)):
        sides = [
            [answers(run, claim.task, side.asked, exact=exact) for run in runs[side.model]]
            for side in (claim.first, claim.second)
        ]
        estimate = difference(sides[0], sides[1], figure)
        levels = [[one.figure(figure) for one in seeds] for seeds in sides]  # seed by seed
        found[kind] = {**asdict(estimate), "levels": levels, "verdict": verdict(estimate, claim.sign)}
    return {**asdict(claim), **found, "verdict": found["exact"]["verdict"]}
