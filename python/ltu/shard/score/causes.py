"""Why an answer is wrong: the sound was not heard, the relation not known, or the two not joined."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from ltu.shard import HEADLINE
from ltu.shard.score.breakdown import Condition, difference, over_noise, questions, show
from ltu.shard.score.scored import Run, Scored


def heard_clips(run: Run, condition: Condition) -> set[int] | None:
    """Clips whose label at least half of the repeats name, asked in the same position; None if not asked."""
    share: dict[int, list[float]] = defaultdict(list)
    for s in run.scored:
        asked = s.asked
        if asked.task == "identity" and not asked.control and asked.position == condition.position:
            share[asked.clip].append(s.strict)
    return {clip for clip, values in share.items() if sum(values) / len(values) >= 0.5} if share else None


def known_questions(run: Run, condition: Condition) -> set[int] | None:
    """Questions that at least half of the repeats answer rightly with the word in place of the sound."""
    asked = questions(run, condition, "word")
    return {s.asked.base for s in asked if s.right(HEADLINE) >= 0.5} if asked else None


def error_split(run: Run, condition: Condition) -> dict[str, Any] | None:
    """Shares of the wrong answers; None without the controls that it needs."""
    heard, known = heard_clips(run, condition), known_questions(run, condition)
    if heard is None or known is None:
        return None
    counts = {"not heard": 0, "not known": 0, "not joined": 0}
    total = 0
    for s in questions(run, condition):
        wrong = len(s.texts) - round(s.right(HEADLINE) * len(s.texts))
        total += len(s.texts)
        counts[_cause(s, heard, known)] += wrong
    errors = sum(counts.values())
    shares = {name: count / errors if errors else None for name, count in counts.items()}
    return {**asdict(condition), "answers": total, "errors": errors, "shares": shares}


def _cause(s: Scored, heard: set[int], known: set[int]) -> str:
    if s.asked.clip not in heard:
        return "not heard"
    return "not joined" if s.asked.base in known else "not known"


def j_given_named(run: Run, condition: Condition) -> dict[str, Any] | None:
    """J minus J with noise on questions about clips whose label the model names: they are not balanced."""
    heard = heard_clips(run, condition)
    chosen = [s for s in questions(run, condition) if heard and s.asked.clip in heard]
    noise = {s.asked.base: s for s in questions(run, condition, "noise")}
    found = over_noise(run, chosen, noise) if chosen else None
    return found and {**asdict(condition), "questions": len(chosen), "over_noise": found}


def audio_use(run: Run, condition: Condition) -> dict[str, Any] | None:
    """J(audio) − J(another word's clip in its place), paired by question."""
    played = {s.asked.base: s for s in questions(run, condition, "other")}
    pairs = [(s, played[s.asked.id]) for s in questions(run, condition) if s.asked.id in played]
    if not pairs:
        return None
    own, other = (run.decisions(list(side), HEADLINE) for side in zip(*pairs, strict=True))
    return {**asdict(condition), "questions": len(pairs), "difference": show(difference(own, other))}


def all_causes(run: Run, conditions: list[Condition]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name of the section, row) for everything that the controls allow."""
    for condition in conditions:
        found = (
            ("errors", error_split(run, condition)),
            ("given_named", j_given_named(run, condition)),
            ("audio_use", audio_use(run, condition)),
        )
        yield from ((name, row) for name, row in found if row is not None)
