"""Intervals hold the truth as often as they say; tests reject as often as they may."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ltu.shard.score.intervals import (
    J,
    Jackknife,
    holm,
    interval,
    jackknife,
    swap_test,
    t_quantile,
    words_needed,
)

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
from shard_intervals import SHARED_SPREADS, SPREADS, answers, j, questions, shared_questions, simulate

SPREAD = SPREADS["all sources"]


@pytest.mark.parametrize("freedom", [1, 2, 3, 9, 29, 77])
def test_quantile_of_students_t(freedom: int) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)


@pytest.mark.parametrize(("words", "benchmarks"), [(10, 1000), (30, 300), (78, 150)])
def test_95_per_cent_intervals_cover_93_to_98_per_cent(words: int, benchmarks: int) -> None:
    reported, by_words = simulate(words, SPREAD, benchmarks, seed=1)
    assert 0.93 <= reported.held <= 0.98
    assert reported.apart <= 0.08
    assert reported == by_words  # no two words share a term


@pytest.mark.parametrize(("table", "benchmarks"), [("esc10", 400), ("words", 100)])
def test_they_cover_as_often_where_words_share_terms_that_a_model_knows_or_not(
    table: str, benchmarks: int
) -> None:
    """By words alone they were too narrow, most of all with the 145 hypernyms of 78 words, 79 terms."""
    reported, by_words = simulate(table, SHARED_SPREADS["knowledge of terms"], benchmarks, seed=1)
    assert 0.93 <= reported.held <= 0.98
    assert reported.apart <= 0.08
    assert by_words.held < reported.held
    assert by_words.apart > reported.apart


def test_near_the_ceiling_they_cover_as_often_and_stay_below_it() -> None:
    """An interval that reached beyond 1 held a J of .98 in 88 of 100 benchmarks."""
    reported, _ = simulate(10, {**SPREADS["near the ceiling"], "hit": 3.4, "alarm": -3.4}, 300, seed=1)
    assert 0.93 <= reported.held <= 0.99
    top = interval(Jackknife(1.0, np.ones(3)), J)
    assert -1 < top.low < 1 == top.high


def test_the_jackknife_leaves_out_every_question_that_touches_a_word() -> None:
    random = np.random.default_rng(0)
    d = answers(questions(8, random), SPREAD, random)
    found = jackknife(d, j).words
    for word in range(8):
        keep = [i for i in range(len(d)) if word not in (d.clip_word[i], d.term_word[i])]
        assert found[word] == pytest.approx(8 * j(d) - 7 * j(d.where(keep)))


def test_terms_that_words_share_add_their_variance_and_never_take_any() -> None:
    """Against sums over pairs of questions: J is linear but for the number of questions."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(6):
        d = answers(shared_questions("words", random), SHARED_SPREADS["all sources and terms"], random)
        side = np.where(d.expected, d.expected.sum(), (~d.expected).sum())
        share = d.yes / d.repeats
        means = np.array([share[~d.expected].mean(), share[d.expected].mean()])
        parts = np.where(d.expected, 1, -1) * (share - means[d.expected.astype(int)]) / side
        same_term, same_word = (a[:, None] == a for a in (d.term, d.term_word))
        shared = (np.outer(parts, parts) * (same_term & ~same_word)).sum()
        of = jackknife(d, j)
        words = Jackknife(of.value, of.words).error
        assert of.error == pytest.approx(np.sqrt(words**2 + max(shared, 0)), rel=0.02)
        found.append(of.error / words)
        assert of.excess == pytest.approx(found[-1])
    assert min(found) >= 1
    assert max(found) > 1.1


def test_what_differs_by_a_term_alone_is_not_told_from_chance() -> None:
    """Ten words, one hypernym: a run that lost it differs on each of them, and yet by a single thing."""
    random = np.random.default_rng(0)
    d = answers(questions(10, random), SPREAD, random)
    shared = replace(d, term=d.term % 2)  # two terms, each word's first and second
    lost = replace(shared, yes=np.where(d.term % 2, d.repeats, d.yes), no=np.where(d.term % 2, 0, d.no))
    by_words = jackknife(d, j) - jackknife(replace(d, yes=lost.yes, no=lost.no), j)
    both = jackknife(shared, j) - jackknife(lost, j)
    assert both.value == by_words.value
    assert swap_test(both) > swap_test(by_words)
    assert words_needed(both) > words_needed(by_words)


def test_the_interval_is_the_t_interval_of_the_pseudo_values() -> None:
    pseudo = np.array([0.1, 0.4, 0.3, 0.7])
    estimate = interval(Jackknife(0.375, pseudo))
    low, high = stats.t.interval(0.95, 3, loc=0.375, scale=stats.sem(pseudo))
    assert (estimate.low, estimate.high) == pytest.approx((low, high))
    assert estimate.rough


def test_one_word_has_no_interval() -> None:
    assert math.isnan(interval(Jackknife(0.5, np.array([0.5]))).low)


def test_few_words_are_swapped_in_all_ways() -> None:
    pseudo = np.array([1.0, 2.0, 3.0])
    result = stats.permutation_test((pseudo,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert swap_test(Jackknife(2.0, pseudo)) == pytest.approx(result.pvalue)


def test_equal_runs_are_not_told_apart() -> None:
    assert swap_test(Jackknife(0.0, np.zeros(30))) == 1


def test_holm_steps_down() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.01, math.nan, 0.04])[::2] == pytest.approx([0.02, 0.04])


def test_words_needed_is_the_usual_sample_size() -> None:
    pseudo = np.random.default_rng(0).normal(0.1, 0.5, 40)
    spread = pseudo.std(ddof=1)
    expected = ((stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * spread / 0.1) ** 2
    assert words_needed(Jackknife(0.1, pseudo)) == math.ceil(expected)
    assert words_needed(Jackknife(0.0, pseudo)) is None
