"""Intervals over seeds and recordings, against computations of another kind; verdicts by their rule."""

import math
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ltu.shard.score.intervals import holm
from ltu.shard.score.metrics import Decisions, confusion, youden
from ltu.show.markdown import to_markdown
from ltu.training.study.claims import SMALL, claims, verdict
from ltu.training.study.contrasts import Answers, Estimate, difference, estimate, level
from ltu.training.study.models import COMPARED
from ltu.training.study.tables import claimed

DOCS = Path(__file__).parents[2] / "docs" / "study.md"


def found(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, low, high, 0.01, 0.0, 9.0, 0.0)


@pytest.mark.parametrize(
    ("low", "high", "sign", "p", "expected"),
    [
        (0.01, 0.4, 1, 0.04, "shown"),
        (0.01, 0.02, 1, 0.04, "shown"),
        (0.01, 0.4, 1, 0.06, "undecided"),  # p after the correction
        (0.01, 0.02, 1, 0.06, "not shown"),
        (-0.4, -0.01, 1, 0.04, "not shown"),
        (-0.04, 0.04, 1, 0.9, "not shown"),
        (-0.04, 0.06, 1, 0.9, "undecided"),
        (-0.4, -0.01, -1, 0.04, "shown"),
        (0.01, 0.4, -1, 0.04, "not shown"),
        (-0.06, 0.3, -1, 0.4, "undecided"),
        (math.nan, math.nan, 1, math.nan, "undecided"),
    ],
)
def test_verdicts_by_hand(low: float, high: float, sign: int, p: float, expected: str) -> None:
    assert SMALL == 0.05
    assert verdict(found(low, high), sign, p) == expected


def test_one_seed_has_the_t_interval_of_its_recordings() -> None:
    pseudo = np.random.default_rng(0).normal(0.1, 1, (1, 30))
    low, high = stats.t.interval(0.95, 29, loc=0.2, scale=stats.sem(pseudo[0]))
    made = estimate(0.2, [pseudo])
    assert (made.low, made.high) == pytest.approx((low, high))
    shifted = pseudo[0] - pseudo[0].mean() + 0.2
    assert made.p == pytest.approx(stats.ttest_1samp(shifted, 0).pvalue)


def test_seeds_alone_have_the_t_interval_of_their_means() -> None:
    pseudo = np.repeat([[0.1], [0.3], [0.7]], 20, axis=1)
    low, high = stats.t.interval(0.95, 2, loc=0.4, scale=stats.sem(pseudo[:, 0]))
    made = estimate(0.4, [pseudo])
    assert (made.low, made.high, made.seed_share) == pytest.approx((low, high, 1.0))


def test_seeds_of_three_splits_have_the_interval_of_an_analysis_of_variance() -> None:
    """The mean of group means, with the residual variance of a one-way layout."""
    means = np.random.default_rng(7).normal(0, 0.2, (3, 3)) + np.array([[0.0], [0.5], [-0.3]])
    splits = [np.repeat(of_split[:, None], 20, axis=1) for of_split in means]
    residual = sum(float(np.sum((row - row.mean()) ** 2)) for row in means) / 6
    low, high = stats.t.interval(0.95, 6, loc=means.mean(), scale=math.sqrt(residual / 9))
    made = estimate(float(means.mean()), splits)
    assert (made.low, made.high, made.freedom) == pytest.approx((low, high, 6))
    between = stats.f_oneway(*means).statistic  # an independent value of the same residual
    assert residual == pytest.approx(3 * means.mean(1).var(ddof=1) / between)


def test_recordings_of_three_splits_have_welchs_degrees_of_freedom() -> None:
    """Two splits of one seed are Welch's two samples, whose means are averaged, not subtracted."""
    rng = np.random.default_rng(8)
    a, b = rng.normal(0, 1, 25), rng.normal(0, 3, 40)
    welch = stats.ttest_ind(a, b, equal_var=False)
    made = estimate(0.0, [a[None], b[None]])
    assert made.freedom == pytest.approx(welch.df)
    half = 2 * stats.t.ppf(0.975, int(welch.df)) * (made.high / stats.t.ppf(0.975, int(welch.df)))
    assert half == pytest.approx(stats.t.ppf(0.975, int(welch.df)) * math.hypot(stats.sem(a), stats.sem(b)))


def test_smallest_difference_is_found_with_80_per_cent_probability() -> None:
    rng = np.random.default_rng(1)
    samples = [rng.normal(0, 1, (1, 60)) for _ in range(600)]
    seen = float(np.mean([estimate(0.0, [sample]).seen for sample in samples]))
    hits = [estimate(float(sample.mean()) + seen, [sample + seen]).low > 0 for sample in samples]
    assert np.mean(hits) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(
    ("spread", "least", "most"),
    [
        ((0, 1, 1), 0.93, 0.985),
        ((0.1, 1, 1), 0.93, 0.985),
        ((0.3, 0.2, 1), 0.93, 0.985),
        ((0.3, 1, 1), 0.93, 0.985),
        ((1, 0.1, 0.1), 0.93, 0.975),
        ((0, 0, 1), 0.96, 1),  # what both count is all there is: wide, as said
    ],
)
def test_95_per_cent_intervals_hold_the_truth_that_often(
    spread: tuple[float, float, float], least: float, most: float
) -> None:
    """Three splits, three seeds in each, 110 recordings: the study's shape."""
    rng, held, times, recordings = np.random.default_rng(2), 0, 1000, 110
    of_seed, of_recording, rest = spread
    for _ in range(times):
        splits = [
            rng.normal(0, of_seed, (3, 1))
            + rng.normal(0, of_recording, (1, recordings))
            + rng.normal(0, rest, (3, recordings))
            for _ in range(3)
        ]
        made = estimate(float(np.mean(splits)), splits)
        held += made.low <= 0 <= made.high
    assert least <= held / times <= most


def test_where_nothing_is_one_study_in_twenty_finds_something() -> None:
    """Of eight true null hypotheses at least one is rejected in at most 5 % of all studies."""
    rng, wrong, times = np.random.default_rng(3), 0, 400
    for _ in range(times):
        found = []
        for _ in range(8):
            splits = [rng.normal(0, 0.2, (3, 1)) + rng.normal(0, 1, (3, 60)) for _ in range(3)]
            found.append(estimate(float(np.mean(splits)), splits).p)
        wrong += min(holm(found)) < 0.05
    assert wrong / times <= 0.075  # 5 % and 2.3 standard errors


@pytest.mark.parametrize("seed", range(20))
def test_holm_is_the_closed_procedure_of_bonferronis_tests(seed: int) -> None:
    """A hypothesis is rejected when every set that holds it is, each by its smallest p times its size."""
    p_values = np.random.default_rng(seed).beta(0.5, 4, 6)
    for index, corrected in enumerate(holm(p_values.tolist())):
        sets = [c for size in range(1, 7) for c in combinations(range(6), size) if index in c]
        closed = max(min(1.0, len(c) * min(p_values[list(c)])) for c in sets)
        assert corrected == pytest.approx(closed)


def simulated(rng: np.random.Generator, recordings: int = 40, each: int = 8) -> Answers:
    """Yes/no answers about recordings that are heard well or badly."""
    count = recordings * each
    expected = np.arange(count) % 2 == 0
    names = np.repeat([f"r{n}" for n in range(recordings)], each)
    skill = np.repeat(rng.uniform(0, 1, recordings), each)
    right = rng.uniform(size=count) < (1 + skill) / 2
    yes = (right == expected).astype(np.int64)
    zero = np.zeros(count, np.int64)
    return Answers(Decisions(expected, yes, 1 - yes, zero, zero, zero, zero), names)


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
    made = difference([[pairs[0][0]]], [[pairs[0][1]]], youden)
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
    made = estimate(0.0, [pseudo])
    assert (made.high, made.seed_share) == pytest.approx((margin, of_seeds / (of_seeds + of_recordings)))
    assert made.freedom == pytest.approx(freedom)


def test_a_base_model_is_that_of_all_seeds_of_its_split() -> None:
    base, tuned = ([simulated(np.random.default_rng(n)) for n in range(start, start + 3)] for start in (0, 9))
    one = difference([tuned], [base[:1]], youden)
    other = difference([tuned], [base[:1] * 3], youden)
    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))


def test_a_models_difference_from_itself_is_nothing() -> None:
    seeds = [simulated(np.random.default_rng(n)) for n in range(3)]
    made = difference([seeds], [seeds], youden)
    assert (made.value, made.low, made.high, made.seen, made.p) == (0, 0, 0, 0, 1)


def test_a_figure_that_has_no_value_is_undecided() -> None:
    silent = simulated(np.random.default_rng(0))
    d = silent.decisions
    silent = Answers(replace(d, yes=0 * d.yes, no=d.yes + d.no), silent.recordings)
    precision = level([[silent]], lambda c: c.tp / (c.tp + c.fp) if c.tp + c.fp else math.nan)
    assert not precision.known
    assert verdict(precision, 1, precision.p) == "undecided"


def test_claims_are_about_models_and_ways_that_the_study_has() -> None:
    assert len({claim.id for claim in claims()}) == len(claims())
    for claim in claims():
        for side in (claim.first, claim.second):
            assert set(side.asked) <= set(COMPARED[side.model].asked)


def test_eight_claims_are_primary_and_five_secondary() -> None:
    by_role = {role: {c.id for c in claims() if c.role == role} for role in ("primary", "secondary")}
    assert by_role["primary"] == {"Z6", "Z7", "S5", "S6", "I1", "I2", "L5", "D1"}
    assert by_role["secondary"] == {"Z8", "S7", "L7", "I3", "D3"}


def test_the_page_lists_the_claims_as_they_are_judged() -> None:
    table = to_markdown("", (), [claimed()]).split("\n\n", 2)[-1].strip()
    assert table in DOCS.read_text(encoding="utf-8")
