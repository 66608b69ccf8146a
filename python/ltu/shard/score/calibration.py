"""Whether a probability of yes means what it says: Brier score, calibration error, risk and coverage.

A temperature divides the log-odds of yes against no (Guo et al. 2017); 1 leaves them.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ltu.errors import Error
from ltu.shard.score.breakdown import questions
from ltu.shard.score.metrics import Bools, Floats, auroc
from ltu.shard.score.records import Bin, Calibration, CalibrationRow, Condition
from ltu.shard.score.scored import Run, Scored

BINS = 10  # of equal mass
LEAST = 1e-6  # what a probability of 0 is taken for
COLDEST, HOTTEST = 0.05, 100.0  # between which a temperature is looked for
SOURCES = ("exact", "log-odds")


@dataclass(frozen=True)
class Fit:
    """A temperature that was fitted on some words, and what it does on the others."""

    temperature: float
    source: str
    fitted_on: tuple[str, ...]
    before: Calibration
    after: Calibration


def calibration(odds: Floats, expected: Bools, temperature: float = 1.0) -> Calibration:
    """Of log-odds of yes against no, divided by a temperature; `expected`: whether yes is right."""
    p = 1 / (1 + np.exp(-odds / temperature))
    truth = expected.astype(np.float64)
    right = np.where(expected, p, 1 - p)
    order = np.argsort(p, kind="stable")
    bins = tuple(
        Bin(len(part), float(p[part].mean()), float(truth[part].mean()))
        for part in np.array_split(order, min(BINS, len(p)))
    )
    ece = sum(b.questions * abs(b.probability - b.share) for b in bins) / len(p)
    surest = np.argsort(-np.abs(odds), kind="stable")
    wrong = np.cumsum(((odds > 0) != expected)[surest])
    steps = np.unique(np.ceil(np.linspace(0.1, 1, 10) * len(p)).astype(int))
    risk = tuple((int(n) / len(p), float(wrong[n - 1]) / int(n)) for n in steps)
    brier = float(np.mean((p - truth) ** 2))
    log_loss = float(-np.log(np.maximum(right, LEAST)).mean())
    return Calibration(len(p), brier, float(ece), log_loss, auroc(odds, expected), bins, risk)


def temperature_of(odds: Floats, expected: Bools) -> float:
    """The temperature of least log-loss, by golden-section search on its logarithm."""

    def loss(log_temperature: float) -> float:
        signed = np.where(expected, odds, -odds) / math.exp(log_temperature)
        return float(np.logaddexp(0.0, -signed).mean())

    low, high, golden = math.log(COLDEST), math.log(HOTTEST), (math.sqrt(5) - 1) / 2
    for _ in range(80):
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return math.exp((low + high) / 2)


def odds_of(scored: Sequence[Scored], source: str) -> Floats | None:
    """Log-odds of yes against no from exact probabilities or scores; None where a run has none."""
    if source == "log-odds":
        found = [s.log_odds for s in scored if s.log_odds is not None]
    else:
        found = [
            math.log(max(s.exact.yes, LEAST) / max(s.exact.no, LEAST)) for s in scored if s.exact is not None
        ]
    return np.array(found) if found and len(found) == len(scored) else None


def calibration_rows(run: Run, asked: Sequence[Condition]) -> Iterator[CalibrationRow]:
    """The calibration of each condition, for each kind of probabilities that the run has."""
    for condition in asked:
        base = questions(run, condition)
        for source in SOURCES:
            if (odds := odds_of(base, source)) is not None:
                found = calibration(odds, np.array([bool(s.asked.expected) for s in base]))
                yield CalibrationRow(**asdict(condition), source=source, found=found)


def fit(run: Run) -> Fit:
    """A temperature from half of the words, every second one, reported on the others. Raises Error.

    From exact probabilities if they are those of sampling at temperature 1, else from scores.
    """
    base = [s for s in run.scored if not s.asked.control and s.asked.expected is not None]
    source = "exact" if run.exact_temperature == 1 else "log-odds"
    odds = odds_of(base, source)
    if odds is None:
        source, odds = "log-odds", odds_of(base, "log-odds")
    if odds is None:
        raise Error(
            f"run {run.row['id']}: has no log-odds of yes against no; run again with --exact --untempered, or"
            " with --scores"
        )
    expected = np.array([bool(s.asked.expected) for s in base])
    labels = sorted({s.label for s in base})
    if len(labels) < 2:
        raise Error(f"run {run.row['id']}: asks about {len(labels)} word; at least two are needed")
    chosen = labels[::2]
    mine = np.array([s.label in chosen for s in base])
    temperature = temperature_of(odds[mine], expected[mine])
    before = calibration(odds[~mine], expected[~mine])
    after = calibration(odds[~mine], expected[~mine], temperature)
    return Fit(temperature, source, tuple(chosen), before, after)
