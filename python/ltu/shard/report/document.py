"""A scored run → everything that is said about it, as one JSON-able document. Needs no model."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np

from ltu.readings import READINGS
from ltu.shard import HEADLINE
from ltu.shard.report.notes import asked_clips, asked_words, notes
from ltu.shard.report.table2 import beside
from ltu.shard.score.breakdown import Condition, conditions, identity_rows, questions, rows, word_rows
from ltu.shard.score.calibration import calibration_rows
from ltu.shard.score.causes import all_causes
from ltu.shard.score.compare import between, within
from ltu.shard.score.metrics import yes_share
from ltu.shard.score.scored import Run

FORMAT = 1


def report(run: Run, against: Run | None = None) -> dict[str, Any]:
    """The document; docs/shard.md lists its keys."""
    asked = conditions(run)
    causes: dict[str, list[dict[str, Any]]] = {"errors": [], "given_named": [], "audio_use": []}
    for section, row in all_causes(run, asked):
        causes[section].append(row)
    found = [part for condition in asked for part in rows(run, condition)]
    identity = list(identity_rows(run))
    return {
        "format": FORMAT,
        "notes": list(notes(run, against)),
        "run": run_row(run),
        "conditions": found,
        "identity": identity,
        "words": [row for condition in asked for row in word_rows(run, condition)],
        **causes,
        "calibration": list(calibration_rows(run, asked)),
        "exact": [row for row in (exact_row(run, condition) for condition in asked) if row],
        "comparisons": within(run) + (between(run, against) if against else []),
        "readings": disagreements(run, asked),
        "table2": beside(found, identity),
        "failures": [
            {"file": run.clips[clip]["file"], "reason": why} for clip, why in sorted(run.failures.items())
        ],
    }


def run_row(run: Run) -> dict[str, Any]:
    """What was run, on what."""
    keep = (
        "id",
        "model",
        "model_sha256",
        "licence",
        "spec",
        "spec_sha256",
        "repeats",
        "seed",
        "max_new_tokens",
    )
    row = {name: run.row[name] for name in keep}
    row |= {name: json.loads(run.row[name]) for name in ("sampling", "selection", "header")}
    counts = {"questions": run.row["asked"], "answered": run.row["answered"], "clips": len(asked_clips(run))}
    devices = [json.loads(session["device"]) for session in run.sessions]
    return {
        **row,
        **counts,
        "words": len(asked_words(run)),
        "devices": [d for i, d in enumerate(devices) if d not in devices[:i]],
    }


def exact_row(run: Run, condition: Condition) -> dict[str, Any] | None:
    """How far the repeats are from the probabilities that they are drawn with; None without --exact."""
    base = questions(run, condition)
    exact = run.exact(base)
    if exact is None:
        return None
    drawn = run.decisions(base, HEADLINE)
    off = yes_share(drawn) - exact.yes
    walks = [s.exact for s in base if s.exact is not None]
    expected = float(np.sqrt(np.mean(exact.yes * (1 - exact.yes) / drawn.repeats)))
    return {
        **asdict(condition),
        "questions": len(base),
        "mean_difference": float(off.mean()),
        "rms_difference": float(np.sqrt(np.mean(off**2))),
        "rms_of_sampling": expected,
        "largest_undecided": max(walk.undecided for walk in walks),
        "positions_a_question": sum(walk.nodes for walk in walks) / len(walks),
    }


def disagreements(run: Run, asked: list[Condition]) -> dict[str, Any]:
    """How often the two readings differ on an answer, and where."""
    first, second = READINGS
    answers, found = 0, []
    for condition in asked if run.stopped_by is None else ():
        for s in questions(run, condition):
            answers += len(s.texts)
            for repeat, text in enumerate(s.texts):
                one, other = s.decisions[first][repeat], s.decisions[second][repeat]
                if one != other:
                    where = {"question": s.asked.id, "repeat": repeat, "term": s.asked.term}
                    found.append({**where, "text": text, first: one, second: other})
    return {"answers": answers, "disagree": len(found), "list": found}
