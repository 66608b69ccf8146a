"""Intervals hold the truth as often as they say; tests reject as often as they may."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ltu.shard.score.intervals import J, holm, interval, pseudo_values, swap_test, t_quantile, words_needed

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
from shard_intervals import SPREADS, answers, j, questions, simulate

SPREAD = SPREADS["all sources"]


@pytest.mark.parametrize("freedom", [1, 2, 3, 9, 29, 77])
def test_quantile_of_students_t(freedom: int) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)


@pytest.mark.parametrize(("words", "benchmarks"), [(10, 1000), (30, 300), (78, 150)])
def test_95_per_cent_intervals_cover_93_to_98_per_cent(words: int, benchmarks: int) -> None:
    held, apart = simulate(words, SPREAD, benchmarks, seed=1)
    assert 0.93 <= held <= 0.98
    assert apart <= 0.08


def test_near_the_ceiling_they_cover_as_often_and_stay_below_it() -> None:
    """An interval that reached beyond 1 held a J of .98 in 88 of 100 benchmarks."""
    held, _ = simulate(10, {**SPREADS["near the ceiling"], "hit": 3.4, "alarm": -3.4}, 300, seed=1)
    assert 0.93 <= held <= 0.99
    top = interval(1.0, np.ones(3), J)
    assert -1 < top.low < 1 == top.high


def test_the_jackknife_leaves_out_every_question_that_touches_a_word() -> None:
    random = np.random.default_rng(0)
    d = answers(questions(8, random), SPREAD, random)
    found = pseudo_values(d, j)
    for word in range(8):
        keep = [i for i in range(len(d)) if word not in (d.clip_word[i], d.term_word[i])]
        assert found[word] == pytest.approx(8 * j(d) - 7 * j(d.where(keep)))


def test_the_interval_is_the_t_interval_of_the_pseudo_values() -> None:
    pseudo = np.array([0.1, 0.4, 0.3, 0.7])
    estimate = interval(0.375, pseudo)
    low, high = stats.t.interval(0.95, 3, loc=0.375, scale=stats.sem(pseudo))
    assert (estimate.low, estimate.high) == pytest.approx((low, high))
    assert estimate.rough


def test_one_word_has_no_interval() -> None:
    assert math.isnan(interval(0.5, np.array([0.5])).low)


def test_few_words_are_swapped_in_all_ways() -> None:
    pseudo = np.array([1.0, 2.0, 3.0])
    result = stats.permutation_test((pseudo,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert swap_test(pseudo) == pytest.approx(result.pvalue)


def test_equal_runs_are_not_told_apart() -> None:
    assert swap_test(np.zeros(30)) == 1


def test_holm_steps_down() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.01, math.nan, 0.04])[::2] == pytest.approx([0.02, 0.04])


def test_words_needed_is_the_usual_sample_size() -> None:
    pseudo = np.random.default_rng(0).normal(0.1, 0.5, 40)
    spread = pseudo.std(ddof=1)
    expected = ((stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * spread / 0.1) ** 2
    assert words_needed(0.1, pseudo) == math.ceil(expected)
    assert words_needed(0.0, pseudo) is None
