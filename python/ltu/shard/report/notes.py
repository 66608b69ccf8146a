"""What a reader must know of a run before any figure."""

from collections.abc import Iterator

import numpy as np

from ltu.shard import HEADLINE
from ltu.shard.score.breakdown import conditions, questions
from ltu.shard.score.compare import in_common
from ltu.shard.score.intervals import ROUGH_BELOW
from ltu.shard.score.scored import Run
from ltu.shard.spec.ontology import DISTANCES
from ltu.shard.spec.relations import IDENTITY

MANY = 0.2  # a share of answers that are neither that a reader has to know


def asked_clips(run: Run) -> set[int]:
    return {s.asked.clip for s in run.scored} | {asked.clip for asked in run.unanswered}


def asked_words(run: Run) -> set[str]:
    """Labels of the clips that were asked about."""
    return {run.clips[clip]["label"] for clip in asked_clips(run)}


def notes(run: Run, against: Run | None = None) -> Iterator[str]:
    """What a reader must know before any figure; training clips come first."""
    seen = sum(clip["seen"] for clip in run.clips.values())
    if seen:
        yield (
            f"TRAINING CLIPS: {seen} of {len(run.clips)} clips were used to train this model;"
            " figures on them say nothing about new recordings (see “seen”)."
        )
    if run.row["answered"] < run.row["asked"]:
        left = run.row["asked"] - run.row["answered"]
        yield f"UNFINISHED: {left} of {run.row['asked']} questions have no answer."
    if run.stopped_by:
        yield f"Answers end where the {run.stopped_by} reading had decided them: no other reading is shown."
    if run.failures:
        yield from _failure_notes(run)
    if run.is_part:
        yield "A part of the benchmark (--limit or --words) is not balanced: J of a deaf model is not 0 here."
    words = len(asked_words(run))
    if words < ROUGH_BELOW:
        yield f"{_count(words, 'word')}: intervals are rough below {ROUGH_BELOW}."
    yield from _neither_notes(run)
    if against is not None:
        yield from _common_notes(run, against)
    outside = sorted({term for word in run.words.values() for term in word.outside})
    if outside:
        yield f"Terms from outside WordNet: {', '.join(outside)}."


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _failure_notes(run: Run) -> Iterator[str]:
    """How many questions went with the clips, and how many more for the balance."""
    base = [s for s in run.scored if not s.asked.control and s.asked.task != IDENTITY]
    kept = {
        s.asked.id
        for condition in conditions(run)
        for tier in DISTANCES
        for s in questions(run, condition, tier=tier)
    }
    missing = {a.id for a in run.unanswered if a.id in run.unheard and not a.control and a.task != IDENTITY}
    more = len({s.asked.id for s in base} - kept)
    left = (
        ""
        if run.is_part
        else f", and {_count(more, 'more question')} are left out of every row for the balance"
    )
    clips, gone = _count(len(run.failures), "clip"), _count(len(missing), "question")
    yield f"{clips} could not be read: {gone} about a term are missing{left}."


def _neither_notes(run: Run) -> Iterator[str]:
    for condition in conditions(run):
        if base := questions(run, condition):
            share = float(np.mean([s.count("neither", HEADLINE) / len(s.texts) for s in base]))
            if share >= MANY:
                yield (
                    f"{100 * share:.0f} % of the answers are neither yes nor no ({condition.task},"
                    f" {condition.position}): J is {'−1' if share == 1 else 'lowered by that share'},"
                    " whatever was heard."
                )


def _common_notes(run: Run, against: Run) -> Iterator[str]:
    for condition in conditions(run, (IDENTITY, *run.relation_names)):
        common, all = in_common(run, against, condition)
        if common < all:
            asked = f"{condition.task}, {condition.position}"
            yield f"{common} of {_count(all, 'question')} in common with the other run ({asked})."
