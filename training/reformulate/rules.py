"""A reformulator without a language model: rules and frames (data/rules.toml)."""

import random
import re
from collections.abc import Callable, Sequence
from functools import cache
from itertools import islice

from ltu.prompt import AUDIO

from .checks import Verdict, check
from .completion import Reply
from .openaqa import Kind
from .progress import PAGE, Progress
from .resources import table

NAME = "rules, no language model"  # in settings and provenance


def answer_all(progress: Progress, seed: int, advance: Callable[[int], None]) -> None:
    """Settles every pending question; what the checks refuse is recorded, another frame is tried."""
    while questions := list(islice(progress.pending(), PAGE)):
        answered = []
        for question in questions:
            rng = random.Random(f"{seed}:{question.number}:{len(question.refused)}")
            prompt = reformulate(question.kind, question.instruction, rng)
            problem = check(question.kind, question.instruction, prompt)
            answered.append((question, Reply(prompt), Verdict("" if problem else prompt, problem)))
        progress.record(answered)
        advance(sum(bool(verdict.prompt) for _, _, verdict in answered))


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
    return _pick(rng, rules["open"]["frames"]).replace("{}", _uncapitalised(question))


@cache
def _audio() -> re.Pattern[str]:
    """What names the audio: "the given audio clip", "this recording", "clip given"; not "audio quality"."""
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
