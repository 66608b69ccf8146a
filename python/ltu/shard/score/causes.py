"""Why an answer is wrong: the sound was not heard, the relation not known, or the two not joined."""

from collections import defaultdict
from dataclasses import asdict

from ltu.shard import HEADLINE
from ltu.shard.score.breakdown import difference, over_noise, questions
from ltu.shard.score.records import AudioUse, Condition, ErrorSplit, Figure, GivenNamed
from ltu.shard.score.scored import Run, Scored

CAUSES = ("not heard", "not known", "not joined")


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


def error_split(run: Run, condition: Condition) -> ErrorSplit | None:
    """Shares of the wrong answers; None without the controls that it needs."""
    heard, known = heard_clips(run, condition), known_questions(run, condition)
    if heard is None or known is None:
        return None
    counts = dict.fromkeys(CAUSES, 0)
    total = 0
    for s in questions(run, condition):
        wrong = len(s.texts) - round(s.right(HEADLINE) * len(s.texts))
        total += len(s.texts)
        counts[_cause(s, heard, known)] += wrong
    errors = sum(counts.values())
    shares = {name: count / errors if errors else None for name, count in counts.items()}
    return ErrorSplit(**asdict(condition), answers=total, errors=errors, shares=shares)


def _cause(s: Scored, heard: set[int], known: set[int]) -> str:
    if s.asked.clip not in heard:
        return "not heard"
    return "not joined" if s.asked.base in known else "not known"


def j_given_named(run: Run, condition: Condition) -> GivenNamed | None:
    """J minus J with noise on questions about clips whose label the model names: they are not balanced."""
    heard = heard_clips(run, condition)
    chosen = [s for s in questions(run, condition) if heard and s.asked.clip in heard]
    noise = {s.asked.base: s for s in questions(run, condition, "noise")}
    found = over_noise(run, chosen, noise) if chosen else None
    return None if found is None else GivenNamed(**asdict(condition), questions=len(chosen), over_noise=found)


def audio_use(run: Run, condition: Condition) -> AudioUse | None:
    """J(audio) − J(another word's clip in its place), paired by question."""
    played = {s.asked.base: s for s in questions(run, condition, "other")}
    pairs = [(s, played[s.asked.id]) for s in questions(run, condition) if s.asked.id in played]
    if not pairs:
        return None
    own, other = (run.decisions(list(side), HEADLINE) for side in zip(*pairs, strict=True))
    found = Figure.of(difference(own, other))
    return AudioUse(**asdict(condition), questions=len(pairs), difference=found)
