"""A reformulator without a language model: rules and frames (data/rules.toml)."""

import random
import re
from collections.abc import Callable, Sequence
from functools import cache
from itertools import islice

from ltu.prompt import AUDIO
from ltu.training.reformulate.checks import Verdict, check
from ltu.training.reformulate.completion import Reply
from ltu.training.reformulate.openaqa import Kind
from ltu.training.reformulate.progress import PAGE, Progress
from ltu.training.reformulate.question import Question
from ltu.training.reformulate.resources import table

NAME = "rules, no language model"  # in settings and provenance
PREPENDED = "nothing: the questions as they are"


def keep_all(progress: Progress, advance: Callable[[int], None]) -> None:
    """Settles every pending question by leaving it as it is: the clip then stands before the text."""
    pending = progress.pending()
    while questions := list(islice(pending, PAGE)):
        kept = [(q, Reply(q.instruction), Verdict(q.instruction)) for q in questions]
        progress.record(kept)
        advance(len(kept))


def answer_all(progress: Progress, seed: int, advance: Callable[[int], None]) -> None:
    """Settles every pending question; what the checks refuse is recorded and written anew."""
    while progress.counts().pending:
        pending = progress.pending()
        while questions := list(islice(pending, PAGE)):
            answered = [(question, *_answer(question, seed)) for question in questions]
            progress.record(answered)
            advance(sum(_settled(question, verdict, progress.tries) for question, _, verdict in answered))


def _answer(question: Question, seed: int) -> tuple[Reply, Verdict]:
    rng = random.Random(f"{seed}:{question.number}:{len(question.refused)}")
    prompt = reformulate(question.kind, question.instruction, rng)
    problem = check(question.kind, question.instruction, prompt)
    return Reply(prompt), Verdict("" if problem else prompt, problem)


def _settled(question: Question, verdict: Verdict, tries: int) -> bool:
    return bool(verdict.prompt) or len(question.refused) + 1 == tries


def reformulate(kind: Kind, instruction: str, rng: random.Random) -> str:
    """A prompt with [AUDIO], to be checked like any other."""
    rules = table("rules")
    if kind != "open":
        if rng.random() < 0.5:
            return _pick(rng, rules[kind]["whole"])
        return f"{_pick(rng, rules['openings'])} {_pick(rng, rules[kind]['requests'])}"
    question = " ".join(instruction.split())
    if named := _audio().search(question):
        before, after = question[: named.start()], question[named.end() :]
        return f"{before}{AUDIO}{_audio().sub('it', after)}"
    based = question.startswith(tuple(rules["open"]["based"]))
    frame = rules["open"]["frame_of_based"] if based else _pick(rng, rules["open"]["frames"])
    return str(frame).replace("{}", _uncapitalised(question))


@cache
def _audio() -> re.Pattern[str]:
    """Matches words that name the audio: "the given audio clip", "clip given"; not "audio quality"."""
    rules = table("rules")["open"]
    articles, adjectives, nouns, others = (
        "|".join(rules[part]) for part in ("articles", "adjectives", "nouns", "compounds")
    )
    return re.compile(
        rf"(?:\b(?:{articles})\s+)?(?:\b(?:{adjectives})\s+)?\b(?:{nouns})\b(?:\s+(?:{adjectives})\b)?"
        rf"(?!-)(?!\s+(?:{others})s?\b)",
        re.IGNORECASE,
    )


def _uncapitalised(question: str) -> str:
    first = question.split(" ", 1)[0]
    return first.lower() + question[len(first) :] if first in table("rules")["open"]["openers"] else question


def _pick(rng: random.Random, choices: Sequence[str]) -> str:
    return choices[int(rng.random() * len(choices))]
