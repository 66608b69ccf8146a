"""Intervals over seeds and recordings, against computations of another kind; verdicts by their rule."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ltu.shard.score.metrics import Decisions, confusion, youden
from ltu.shard.spec.prompts import ALL_CELLS, Cell, identity_prompt
from ltu.shard.spec.relations import IDENTITY, PAPER_RELATIONS
from ltu.show.markdown import to_markdown
from ltu.training.study.claims import SMALL, claims, verdict
from ltu.training.study.contrasts import Answers, Estimate, difference, estimate, level
from ltu.training.study.models import RECIPES
from ltu.training.study.tables import claimed

DOCS = Path(__file__).parents[2] / "docs" / "study.md"


def found(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, low, high, 0.0, 0.0)


@pytest.mark.parametrize(
    ("low", "high", "sign", "expected"),
    [
        (0.01, 0.4, 1, "shown"),
        (0.01, 0.02, 1, "shown"),
        (-0.4, -0.01, 1, "not shown"),
        (-0.04, 0.04, 1, "not shown"),
        (-0.04, 0.06, 1, "undecided"),
        (-0.4, -0.01, -1, "shown"),
        (0.01, 0.4, -1, "not shown"),
        (-0.06, 0.3, -1, "undecided"),
        (math.nan, math.nan, 1, "undecided"),
    ],
)
def test_verdicts_by_hand(low: float, high: float, sign: int, expected: str) -> None:
    assert SMALL == 0.05
    assert verdict(found(low, high), sign) == expected


def test_one_seed_has_the_t_interval_of_its_recordings() -> None:
    pseudo = np.random.default_rng(0).normal(0.1, 1, (1, 30))
    low, high = stats.t.interval(0.95, 29, loc=0.2, scale=stats.sem(pseudo[0]))
    assert (estimate(0.2, pseudo).low, estimate(0.2, pseudo).high) == pytest.approx((low, high))


def test_seeds_alone_have_the_t_interval_of_their_means() -> None:
    pseudo = np.repeat([[0.1], [0.3], [0.7]], 20, axis=1)
    low, high = stats.t.interval(0.95, 2, loc=0.4, scale=stats.sem(pseudo[:, 0]))
    made = estimate(0.4, pseudo)
    assert (made.low, made.high, made.seed_share) == pytest.approx((low, high, 1.0))


def test_smallest_difference_is_found_with_80_per_cent_probability() -> None:
    rng = np.random.default_rng(1)
    samples = [rng.normal(0, 1, (1, 60)) for _ in range(600)]
    seen = float(np.mean([estimate(0.0, sample).seen for sample in samples]))
    hits = [estimate(float(sample.mean()) + seen, sample + seen).low > 0 for sample in samples]
    assert np.mean(hits) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(
    "spread", [(0, 1, 1), (0.1, 1, 1), (0.3, 0.2, 1), (0.3, 1, 1), (0, 0.3, 1), (1, 0.1, 0.1)]
)
def test_95_per_cent_intervals_hold_the_truth_that_often(spread: tuple[float, float, float]) -> None:
    rng, held, times = np.random.default_rng(2), 0, 500
    of_seed, of_recording, rest = spread
    for _ in range(times):
        x = rng.normal(0, of_seed, (3, 1)) + rng.normal(0, of_recording, 59) + rng.normal(0, rest, (3, 59))
        made = estimate(float(x.mean()), x)
        held += made.low <= 0 <= made.high
    assert 0.92 <= held / times <= 0.995


def simulated(rng: np.random.Generator, recordings: int = 40, each: int = 8) -> Answers:
    """Yes/no answers about recordings that are heard well or badly."""
    count = recordings * each
    expected = np.arange(count) % 2 == 0
    names = np.repeat([f"r{n}" for n in range(recordings)], each)
    skill = np.repeat(rng.uniform(0, 1, recordings), each)
    right = rng.uniform(size=count) < (1 + skill) / 2
    yes = (right == expected).astype(np.int64)
    zero = np.zeros(count, np.int64)
    return Answers(Decisions(expected, yes, 1 - yes, zero, zero, zero), names)


def bootstrap(pairs: list[tuple[Answers, Answers]], draws: int = 1000) -> float:
    """Standard error of the mean difference in J: whole recordings drawn, the same for all seeds."""
    rng, names = np.random.default_rng(3), sorted(set(pairs[0][0].recordings))
    rows = {name: np.flatnonzero(pairs[0][0].recordings == name) for name in names}
    drawn = []
    for _ in range(draws):
        take = np.concatenate([rows[name] for name in rng.choice(names, len(names))])
        drawn.append(
            np.mean(
                [
                    youden(confusion(a.decisions.where(take))) - youden(confusion(b.decisions.where(take)))
                    for a, b in pairs
                ]
            )
        )
    return float(np.std(drawn, ddof=1))


def test_errors_over_recordings_are_those_of_a_bootstrap() -> None:
    rng = np.random.default_rng(4)
    pairs = [(simulated(rng), simulated(rng))]
    made = difference([pairs[0][0]], [pairs[0][1]], youden)
    error = (made.high - made.low) / 2 / float(stats.t.ppf(0.975, 39))
    assert error == pytest.approx(bootstrap(pairs), rel=0.1)
    assert made.value == pytest.approx(
        youden(confusion(pairs[0][0].decisions)) - youden(confusion(pairs[0][1].decisions))
    )


def test_mean_squares_are_those_of_a_two_way_analysis_of_variance() -> None:
    """Sums of squares by comparing least-squares fits."""
    pseudo = np.random.default_rng(5).normal(0, 1, (3, 7)) + np.arange(7)
    seed, recording = (axis.ravel() for axis in np.indices(pseudo.shape))
    one_hot = [np.ones((21, 1)), np.eye(3)[seed], np.eye(7)[recording]]

    def unexplained(*parts: Any) -> float:
        design = np.hstack(parts)
        return float(np.sum((pseudo.ravel() - design @ np.linalg.lstsq(design, pseudo.ravel())[0]) ** 2))

    all_parts = unexplained(*one_hot)
    of_seeds = (unexplained(one_hot[0], one_hot[2]) - all_parts) / 2
    of_recordings = (unexplained(one_hot[0], one_hot[1]) - all_parts) / 6
    freedom = (of_seeds + of_recordings) ** 2 / (of_seeds**2 / 2 + of_recordings**2 / 6)
    margin = stats.t.ppf(0.975, int(freedom)) * math.sqrt((of_seeds + of_recordings) / 21)
    made = estimate(0.0, pseudo)
    assert (made.high, made.seed_share) == pytest.approx((margin, of_seeds / (of_seeds + of_recordings)))


def test_a_models_difference_from_itself_is_nothing() -> None:
    seeds = [simulated(np.random.default_rng(n)) for n in range(3)]
    made = difference(seeds, seeds, youden)
    assert (made.value, made.low, made.high, made.seen) == (0, 0, 0, 0)


def test_a_figure_that_has_no_value_is_undecided() -> None:
    silent = simulated(np.random.default_rng(0))
    d = silent.decisions
    silent = Answers(replace(d, yes=0 * d.yes, no=d.yes + d.no), silent.recordings)
    precision = level([silent], lambda c: c.tp / (c.tp + c.fp) if c.tp + c.fp else math.nan)
    assert not precision.known
    assert verdict(precision, 1) == "undecided"


def test_claims_are_about_models_and_ways_that_the_study_has() -> None:
    assert len({claim.id for claim in claims()}) == len(claims())
    for claim in claims():
        for side in (claim.first, claim.second):
            assert side.model in RECIPES
            for cell in side.asked:
                assert Cell(*cell) in ALL_CELLS
                assert claim.task in PAPER_RELATIONS or (claim.task == IDENTITY and identity_prompt(cell))


def test_the_page_lists_the_claims_as_they_are_judged() -> None:
    table = to_markdown("", (), [claimed()]).split("\n\n", 2)[-1].strip()
    assert table in DOCS.read_text(encoding="utf-8")
