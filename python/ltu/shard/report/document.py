"""A scored run → everything that is said about it. Needs no model."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np

from ltu.readings import READINGS
from ltu.shard import HEADLINE
from ltu.shard.report.notes import asked_clips, asked_words, notes
from ltu.shard.report.table2 import Beside, beside
from ltu.shard.score.breakdown import conditions, identity_rows, questions, rows, word_rows
from ltu.shard.score.calibration import calibration_rows
from ltu.shard.score.causes import audio_use, error_split, j_given_named
from ltu.shard.score.compare import between, within
from ltu.shard.score.metrics import yes_share
from ltu.shard.score.records import (
    AudioUse,
    CalibrationRow,
    Comparison,
    Condition,
    ErrorSplit,
    GivenNamed,
    IdentityRow,
    Part,
    WordRow,
)
from ltu.shard.score.scored import Run

FORMAT = 1
Row = TypeVar("Row")


@dataclass(frozen=True)
class RunRow:
    """What was run, on what."""

    id: int
    model: str
    model_sha256: str
    licence: str | None
    spec: str
    spec_sha256: str
    repeats: int
    seed: int
    max_new_tokens: int
    sampling: Mapping[str, float]
    selection: Mapping[str, Any]  # the settings that chose questions
    header: Mapping[str, Any]  # of the specification
    questions: int
    answered: int
    clips: int
    words: int
    devices: tuple[Mapping[str, Any], ...]  # as each session described its own


@dataclass(frozen=True)
class ExactRow(Condition):
    """How far the repeats are from the probabilities that they are drawn with."""

    questions: int
    mean_difference: float
    rms_difference: float
    rms_of_sampling: float  # expected
    largest_undecided: float
    positions_a_question: float


@dataclass(frozen=True)
class Disagreement:
    """An answer that the two readings take differently."""

    question: int
    repeat: int
    term: str
    text: str
    careful: str
    paper: str


@dataclass(frozen=True)
class Disagreements:
    answers: int
    disagree: int
    list: tuple[Disagreement, ...]


@dataclass(frozen=True)
class Failure:
    file: str
    reason: str


@dataclass(frozen=True)
class Report:
    """Everything; docs/shard.md lists what its JSON holds."""

    notes: tuple[str, ...]
    run: RunRow
    conditions: tuple[Part, ...]
    identity: tuple[IdentityRow, ...]
    words: tuple[WordRow, ...]
    errors: tuple[ErrorSplit, ...]
    given_named: tuple[GivenNamed, ...]
    audio_use: tuple[AudioUse, ...]
    calibration: tuple[CalibrationRow, ...]
    exact: tuple[ExactRow, ...]
    comparisons: tuple[Comparison, ...]
    readings: Disagreements
    table2: tuple[Beside, ...]
    failures: tuple[Failure, ...]

    def to_json(self) -> dict[str, Any]:
        flat = {name: [row.to_json() for row in getattr(self, name)] for name in ("calibration", "table2")}
        document: dict[str, Any] = _lists({"format": FORMAT, **asdict(self), **flat})
        return document


def _lists(value: Any) -> Any:
    """Tuples become lists, as they do in JSON."""
    if isinstance(value, Mapping):
        return {key: _lists(entry) for key, entry in value.items()}
    return [_lists(entry) for entry in value] if isinstance(value, list | tuple) else value


def report(run: Run, against: Run | None = None) -> Report:
    asked = conditions(run)

    def of_each(about: Callable[[Run, Condition], Row | None]) -> tuple[Row, ...]:
        """For the conditions that have what it takes."""
        return tuple(row for condition in asked if (row := about(run, condition)) is not None)

    def of_all(about: Callable[[Run, Condition], Iterable[Row]]) -> tuple[Row, ...]:
        return tuple(row for condition in asked for row in about(run, condition))

    found, identity = of_all(rows), tuple(identity_rows(run))
    failures = (Failure(run.clips[clip]["file"], why) for clip, why in sorted(run.failures.items()))
    return Report(
        notes=tuple(notes(run, against)),
        run=run_row(run),
        conditions=found,
        identity=identity,
        words=of_all(word_rows),
        errors=of_each(error_split),
        given_named=of_each(j_given_named),
        audio_use=of_each(audio_use),
        calibration=tuple(calibration_rows(run, asked)),
        exact=of_each(exact_row),
        comparisons=(*within(run), *(between(run, against) if against else ())),
        readings=disagreements(run, asked),
        table2=tuple(beside(found, identity)),
        failures=tuple(failures),
    )


def run_row(run: Run) -> RunRow:
    row = run.row
    devices = [json.loads(session["device"]) for session in run.sessions]
    return RunRow(
        id=row["id"],
        model=row["model"],
        model_sha256=row["model_sha256"],
        licence=row["licence"],
        spec=row["spec"],
        spec_sha256=row["spec_sha256"],
        repeats=row["repeats"],
        seed=row["seed"],
        max_new_tokens=row["max_new_tokens"],
        sampling=json.loads(row["sampling"]),
        selection=json.loads(row["selection"]),
        header=json.loads(row["header"]),
        questions=row["asked"],
        answered=row["answered"],
        clips=len(asked_clips(run)),
        words=len(asked_words(run)),
        devices=tuple(d for i, d in enumerate(devices) if d not in devices[:i]),
    )


def exact_row(run: Run, condition: Condition) -> ExactRow | None:
    """None without --exact, or of another temperature than that of the repeats."""
    base = questions(run, condition)
    exact = run.exact(base)
    if exact is None or run.exact_temperature != json.loads(run.row["sampling"])["temperature"]:
        return None
    drawn = run.decisions(base, HEADLINE)
    off = yes_share(drawn) - exact.yes
    walks = [s.exact for s in base if s.exact is not None]
    return ExactRow(
        **asdict(condition),
        questions=len(base),
        mean_difference=float(off.mean()),
        rms_difference=float(np.sqrt(np.mean(off**2))),
        rms_of_sampling=float(np.sqrt(np.mean(exact.yes * (1 - exact.yes) / drawn.repeats))),
        largest_undecided=max(walk.undecided for walk in walks),
        positions_a_question=sum(walk.nodes for walk in walks) / len(walks),
    )


def disagreements(run: Run, asked: list[Condition]) -> Disagreements:
    """How often the two readings differ on an answer, and where."""
    answers, found = 0, []
    for condition in asked if run.stopped_by is None else ():
        for s in questions(run, condition):
            answers += len(s.texts)
            for repeat, text in enumerate(s.texts):
                first, second = (s.decisions[reading][repeat] for reading in READINGS)
                if first != second:
                    taken = dict(zip(READINGS, (first, second), strict=True))
                    found.append(Disagreement(s.asked.id, repeat, s.asked.term, text, **taken))
    return Disagreements(answers, len(found), tuple(found))
