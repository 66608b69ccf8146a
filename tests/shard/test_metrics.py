"""Figures against scikit-learn and scipy on random decisions."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from ltu.shard.score import metrics
from ltu.shard.score.metrics import Decisions, confusion

SEEDS = range(12)


def random_decisions(seed: int, neither: bool = False) -> Decisions:
    """60 questions, four repeats each."""
    random = np.random.default_rng(seed)
    expected = random.random(60) < random.uniform(0.3, 0.7)
    yes = random.binomial(4, np.where(expected, 0.6, 0.4))
    lost = random.binomial(4 - yes, 0.3 if neither else 0.0)
    words = random.integers(0, 6, (3, 60))
    return Decisions(expected, yes, 4 - yes - lost, lost, *words)


def flat(d: Decisions) -> tuple[np.ndarray, np.ndarray]:
    """One (truth, prediction) an answer: 1 yes, 0 no."""
    truth = np.repeat(d.expected, 4).astype(int)
    said = np.concatenate([[1] * y + [0] * n for y, n in zip(d.yes, d.no, strict=True)])
    return truth, said


@pytest.mark.parametrize("seed", SEEDS)
def test_figures_agree_with_scikit_learn(seed: int) -> None:
    d = random_decisions(seed)
    truth, said = flat(d)
    pooled = confusion(d)
    assert metrics.accuracy(pooled) == pytest.approx(sk.accuracy_score(truth, said))
    assert metrics.precision(pooled) == pytest.approx(sk.precision_score(truth, said))
    assert metrics.recall(pooled) == pytest.approx(sk.recall_score(truth, said))
    assert metrics.f1(pooled) == pytest.approx(sk.f1_score(truth, said))
    assert metrics.specificity(pooled) == pytest.approx(sk.recall_score(truth, said, pos_label=0))
    assert metrics.youden(pooled) == pytest.approx(sk.balanced_accuracy_score(truth, said, adjusted=True))
    assert metrics.yes_rate(pooled) == pytest.approx(said.mean())
    assert metrics.auroc(metrics.yes_share(d), d.expected) == pytest.approx(
        sk.roc_auc_score(d.expected, d.yes / 4)
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_neither_is_a_third_class_wrong_but_absent_from_precision(seed: int) -> None:
    d = random_decisions(seed, neither=True)
    truth = np.repeat(d.expected, 4).astype(int)
    rows = zip(d.yes, d.no, d.neither, strict=True)
    said = np.concatenate([[1] * y + [0] * n + [2] * u for y, n, u in rows])
    pooled = confusion(d)
    labels = [1, 0]
    recall, specificity = sk.recall_score(truth, said, labels=labels, average=None, zero_division=0)
    assert metrics.recall(pooled) == pytest.approx(recall)
    assert metrics.specificity(pooled) == pytest.approx(specificity)
    assert metrics.accuracy(pooled) == pytest.approx((truth == said).mean())
    precision = sk.precision_score(truth, said, labels=[1], average="micro")
    assert metrics.precision(pooled) == pytest.approx(precision)
    assert metrics.unparsed_rate(pooled) == pytest.approx((said == 2).mean())


@pytest.mark.parametrize("seed", SEEDS)
def test_the_papers_score_counts_neither_as_no(seed: int) -> None:
    d = random_decisions(seed, neither=True)
    truth, said = flat(replace(d, no=d.no + d.neither, neither=0 * d.no))
    pooled = confusion(d.as_paper())
    assert metrics.f1(pooled) == pytest.approx(sk.f1_score(truth, said))
    assert metrics.accuracy(pooled) == pytest.approx(sk.accuracy_score(truth, said))


@pytest.mark.parametrize("seed", SEEDS)
def test_d_prime_and_criterion_are_the_normal_quantiles(seed: int) -> None:
    pooled = confusion(random_decisions(seed))
    hit = (pooled.tp + 0.5) / (pooled.positives + 1)
    alarm = (pooled.fp + 0.5) / (pooled.negatives + 1)
    assert metrics.d_prime(pooled) == pytest.approx(stats.norm.ppf(hit) - stats.norm.ppf(alarm))
    assert metrics.criterion(pooled) == pytest.approx(-(stats.norm.ppf(hit) + stats.norm.ppf(alarm)) / 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_repeats_and_probabilities_have_d_prime_on_one_scale(seed: int) -> None:
    """Four repeats that say one thing are no more questions than one probability: 1.97 stood beside 1.92."""
    d = random_decisions(seed, neither=True)
    wanted = metrics.figures(d.shares(), metrics.yes_share(d))
    found = metrics.figures(d, metrics.yes_share(d))
    for name in ("d_prime", "criterion", "j", "accuracy"):
        assert found[name] == pytest.approx(wanted[name])
    hit, alarm = (d.yes[side].sum() / 4 for side in (d.expected, ~d.expected))
    z = [
        stats.norm.ppf((part + 0.5) / (n + 1))
        for part, n in ((hit, d.expected.sum()), (alarm, (~d.expected).sum()))
    ]
    assert found["d_prime"] == pytest.approx(z[0] - z[1])


@pytest.mark.parametrize("seed", SEEDS)
def test_within_question_variance_is_numpys(seed: int) -> None:
    d = random_decisions(seed)
    each = [np.var([1] * y + [0] * (4 - y), ddof=1) for y in d.yes]
    assert metrics.within_question_variance(d) == pytest.approx(np.mean(each))


def test_a_share_of_nothing_is_not_a_number() -> None:
    pooled = confusion(random_decisions(0).where(np.zeros(60, bool)))
    assert math.isnan(metrics.recall(pooled))
    assert math.isnan(metrics.precision(pooled))


def test_variance_of_probabilities_is_what_that_of_ever_more_repeats_tends_to() -> None:
    """Their sums miss 1 by rounding; such a sum was once taken for a number of repeats above 1."""
    p = np.array([0.1, 0.7, 0.3])
    none = np.zeros(3, np.int64)
    exact = Decisions(np.array([True, False, True]), p, (1 - p) * (1 + 1e-9), 0 * p, none, none, none)
    draws = np.random.default_rng(0).binomial(200_000, p)
    counted = Decisions(exact.expected, draws, 200_000 - draws, none, none, none, none)
    found = metrics.within_question_variance(exact)
    assert found == pytest.approx(metrics.within_question_variance(counted), abs=2e-3)
