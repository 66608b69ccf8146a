"""A whole answer → its decision, with Python's `re`: what the engine's automaton is held against."""

import re
from functools import lru_cache

from ltu.readings.rules import (
    LETTERS,
    SENTENCE_ENDS,
    Decision,
    Either,
    Gap,
    Phrase,
    Place,
    Rule,
    Rules,
    rules_of,
)

WORD = f"[{LETTERS}]+"
BETWEEN = f"[^{LETTERS}{SENTENCE_ENDS}]+"  # spaces, commas, quotes, brackets
BORDER_LEFT, BORDER_RIGHT = f"(?<![{LETTERS}])", f"(?![{LETTERS}])"
ANCHOR: dict[Place, str] = {"start": rf"\A[^{LETTERS}]*", "any": "", "end": ""}
ENDING: dict[Place, str] = {"start": "", "any": "", "end": rf"[^{LETTERS}]*\Z"}


def decide(text: str, term: str, reading: str = "careful") -> Decision:
    """What an answer to a question about `term` says under a reading. Raises Error for an unknown one."""
    return decide_by(rules_of(reading), text, term)


def decide_by(rules: Rules, text: str, term: str) -> Decision:
    """What an answer says by these rules; the last decision if none of them holds."""
    best: tuple[int, Decision] | None = None
    for rule in rules.rules:
        match = _pattern(rule, term if rule.asks_term else "").search(text)
        if match is None:
            continue
        start = match.start("phrase")
        if not rules.by_position or rule.at == "start":
            return rule.decision
        if best is None or start < best[0]:
            best = (start, rule.decision)
    return best[1] if best else rules.decisions[-1]


@lru_cache(maxsize=4096)
def _pattern(rule: Rule, term: str) -> re.Pattern[str]:
    phrases = "|".join(_phrase(phrase, term) for phrase in rule.phrases)
    whole = f"{ANCHOR[rule.at]}{BORDER_LEFT}(?P<phrase>{phrases}){BORDER_RIGHT}{ENDING[rule.at]}"
    return re.compile(whole, re.IGNORECASE | re.ASCII)


def _phrase(phrase: Phrase, term: str) -> str:
    """A regular expression for a phrase; what may be missing takes its space along."""
    parts = []
    for place, token in enumerate(phrase):
        between = "" if place == len(phrase) - 1 else BETWEEN
        if isinstance(token, Gap):
            parts.append(f"(?:{WORD}{BETWEEN}){{0,{token.most}}}")
        elif isinstance(token, Either):
            either = f"(?:{'|'.join(map(_row, token.rows))})"
            parts.append(f"(?:{either}{between})?" if token.optional else f"{either}{between}")
        else:
            parts.append(f"{_row(tuple(term.split()))}(?:e?s)?{between}")
    return "".join(parts)


def _row(words: tuple[str, ...]) -> str:
    return BETWEEN.join(map(re.escape, words))
