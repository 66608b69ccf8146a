"""Decisions → figures. Pure functions over arrays of one row per question.

An answer that is neither yes nor no is a third outcome: wrong for accuracy, recall and specificity, absent
from precision. `as_paper` counts it as No, which is what the paper's numbers imply.
"""

from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Decisions:
    """Questions with a right answer. `yes`, `no`, `neither` count repeats (or are exact probabilities).

    Words and terms are indices: the clusters.
    """

    expected: Bools
    yes: Ints | Floats
    no: Ints | Floats
    neither: Ints | Floats
    clip_word: Ints
    term_word: Ints  # that the term was asked for
    term: Ints  # of which several words may have one

    def __len__(self) -> int:
        return len(self.expected)

    def where(self, mask: Any) -> "Decisions":
        """The questions that a mask or an index array names."""
        return Decisions(*(column[mask] for column in vars(self).values()))

    def as_paper(self) -> "Decisions":
        """What is neither counts as No."""
        return replace(self, no=self.no + self.neither, neither=np.zeros_like(self.neither))

    def shares(self) -> "Decisions":
        """Shares of each question's repeats in place of their counts."""
        whole = np.maximum(self.repeats, 1)
        return replace(self, yes=self.yes / whole, no=self.no / whole, neither=self.neither / whole)

    @property
    def repeats(self) -> Ints | Floats:
        return self.yes + self.no + self.neither


@dataclass(frozen=True)
class Confusion:
    """Pooled answers; `lost_positive` and `lost_negative` are those that say neither."""

    tp: float
    fn: float
    tn: float
    fp: float
    lost_positive: float = 0
    lost_negative: float = 0

    @property
    def positives(self) -> float:
        return self.tp + self.fn + self.lost_positive

    @property
    def negatives(self) -> float:
        return self.tn + self.fp + self.lost_negative


def confusion(d: Decisions) -> Confusion:
    """All repeats pooled, as the paper pools them."""
    right, wrong = d.expected, ~d.expected
    columns = (d.yes[right], d.no[right], d.no[wrong], d.yes[wrong], d.neither[right], d.neither[wrong])
    return Confusion(*(column.sum().item() for column in columns))


def ratio(part: float, whole: float) -> float:
    """NaN for a share of nothing."""
    return part / whole if whole else float("nan")


def recall(c: Confusion) -> float:
    return ratio(c.tp, c.positives)


def specificity(c: Confusion) -> float:
    return ratio(c.tn, c.negatives)


def youden(c: Confusion) -> float:
    """Youden's J: recall + specificity - 1. A model that does not listen has 0, less its share of neither."""
    return recall(c) + specificity(c) - 1


def precision(c: Confusion) -> float:
    return ratio(c.tp, c.tp + c.fp)


def accuracy(c: Confusion) -> float:
    return ratio(c.tp + c.tn, c.positives + c.negatives)


def f1(c: Confusion) -> float:
    return ratio(2 * c.tp, 2 * c.tp + c.fp + c.fn + c.lost_positive)


def yes_rate(c: Confusion) -> float:
    return ratio(c.tp + c.fp, c.positives + c.negatives)


def unparsed_rate(c: Confusion) -> float:
    return ratio(c.lost_positive + c.lost_negative, c.positives + c.negatives)


def _z_scores(c: Confusion) -> tuple[float, float]:
    """z of hit and false-alarm rate; log-linear correction (Hautus 1995): one half in each cell."""
    z = NormalDist().inv_cdf
    return z((c.tp + 0.5) / (c.positives + 1)), z((c.fp + 0.5) / (c.negatives + 1))


def d_prime(c: Confusion) -> float:
    hit, alarm = _z_scores(c)
    return hit - alarm


def criterion(c: Confusion) -> float:
    """Above 0: inclined to say no."""
    return -sum(_z_scores(c)) / 2


def auroc(scores: Floats, expected: Bools) -> float:
    """Probability that a positive scores above a negative, ties half."""
    if expected.all() or not expected.any():
        return float("nan")
    values, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    positives = int(expected.sum())
    above = ranks[inverse][expected].sum() - positives * (positives + 1) / 2
    return float(above / (positives * (len(values[inverse]) - positives)))


def yes_share(d: Decisions) -> Floats:
    """Share of a question's repeats that say yes."""
    return d.yes / np.maximum(d.repeats, 1)


def within_question_variance(d: Decisions) -> float:
    """Mean over questions of the unbiased variance of "says yes" between repeats; 0 with one repeat.

    Of probabilities in place of counts: what it tends to with ever more repeats, p(1 − p).
    """
    n = d.repeats
    if not np.issubdtype(n.dtype, np.integer):
        return float((d.yes * (1 - d.yes)).mean()) if len(d) else 0.0
    many = n > 1
    if not many.any():
        return 0.0
    share = yes_share(d)[many]
    return float((share * (1 - share) * n[many] / (n[many] - 1)).mean())


BOUNDS = {
    "j": (-1.0, 1.0),
    **dict.fromkeys(
        ("accuracy", "precision", "recall", "f1", "specificity", "yes_rate", "unparsed", "auroc"), (0.0, 1.0)
    ),
    "within_question_variance": (0.0, 0.5),  # of two repeats that differ
}
FIGURES = {
    "j": youden,
    "accuracy": accuracy,
    "precision": precision,
    "recall": recall,
    "f1": f1,
    "specificity": specificity,
    "yes_rate": yes_rate,
    "d_prime": d_prime,
    "criterion": criterion,
    "unparsed": unparsed_rate,
}


def figures(d: Decisions, scores: Floats) -> dict[str, float]:
    """Every figure of a set of decisions; the AUROC is that of the scores.

    d′ and criterion count questions, not answers: repeats, probabilities and log-odds are corrected alike.
    """
    pooled = confusion(d)
    result = {name: figure(pooled) for name, figure in FIGURES.items()}
    by_question = confusion(d.shares())
    result |= {"d_prime": d_prime(by_question), "criterion": criterion(by_question)}
    result["auroc"] = auroc(scores, d.expected)
    result["within_question_variance"] = within_question_variance(d)
    return result
