"""Answer → yes, no or neither, by a reading: a data file of phrases, in order.

A phrase is a row of words, each between word borders, case-folded (ASCII), with no end of a sentence between
them. `a|b` is either, `<name>` one of a set, `x?` may be missing, `...3` are up to three words, `{term}` is
the term asked for, singular or plural. A rule holds at the `start` of the answer, at its `end`, or anywhere.
Where several hold, `first: "rule"` takes the earlier rule, `first: "position"` the match that begins earlier
in the answer, and of two at one place the earlier rule.
"""

import json
import re
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Literal

Decision = Literal["yes", "no", "neither"]
Reading = Literal["careful", "paper"]
READINGS: tuple[Reading, ...] = ("careful", "paper")
HEADLINE: Reading = "careful"

WORD = r"[A-Za-z0-9_]+"
BETWEEN = r"[^A-Za-z0-9_.!?;:\n]+"  # spaces, commas, quotes, brackets
BORDER_LEFT, BORDER_RIGHT = r"(?<![A-Za-z0-9_])", r"(?![A-Za-z0-9_])"
ANCHOR = {"start": r"\A[^A-Za-z0-9_]*", "any": "", "end": ""}
ENDING = {"start": "", "any": "", "end": r"[^A-Za-z0-9_]*\Z"}


def decide(text: str, term: str, reading: Reading = "careful") -> Decision:
    """What an answer to a question about `term` says under a reading."""
    rules = rules_of(reading)["rules"]
    by_position = rules_of(reading)["first"] == "position"
    best: tuple[int, Decision] | None = None
    for index, rule in enumerate(rules):
        match = _pattern(reading, index, term if _asks_term(reading, index) else "").search(text)
        if match is None:
            continue
        start = match.start("phrase")
        if not by_position or rule["at"] == "start":
            return _decision(rule)
        if best is None or start < best[0]:
            best = (start, _decision(rule))
    return best[1] if best else "neither"


def _decision(rule: dict[str, Any]) -> Decision:
    decision: Decision = rule["decision"]
    return decision


@cache
def rules_of(name: Reading) -> dict[str, Any]:
    text = files("ltu").joinpath(f"assets/shard/reading-{name}.json").read_text(encoding="utf-8")
    reading: dict[str, Any] = json.loads(text)
    return reading


@cache
def _asks_term(reading: Reading, index: int) -> bool:
    return any("{term}" in phrase for phrase in rules_of(reading)["rules"][index]["phrases"])


@lru_cache(maxsize=4096)
def _pattern(reading: Reading, index: int, term: str) -> re.Pattern[str]:
    rule = rules_of(reading)["rules"][index]
    sets = rules_of(reading)["sets"]
    phrases = "|".join(_phrase(phrase.split(), sets, term) for phrase in rule["phrases"])
    whole = f"{ANCHOR[rule['at']]}{BORDER_LEFT}(?P<phrase>{phrases}){BORDER_RIGHT}{ENDING[rule['at']]}"
    return re.compile(whole, re.IGNORECASE | re.ASCII)


def _phrase(tokens: list[str], sets: dict[str, list[str]], term: str) -> str:
    """A regular expression for a row of tokens; what may be missing takes its space along."""
    parts = []
    for position, token in enumerate(tokens):
        last = position == len(tokens) - 1
        between = "" if last else BETWEEN
        if token.startswith("..."):
            parts.append(f"(?:{WORD}{BETWEEN}){{0,{int(token[3:])}}}")
        elif token == "{term}":
            parts.append(f"{_words(term)}(?:e?s)?{between}")
        elif token.endswith("?"):
            parts.append(f"(?:{_either(token[:-1], sets)}{between})?")
        else:
            parts.append(f"{_either(token, sets)}{between}")
    return "".join(parts)


def _either(token: str, sets: dict[str, list[str]]) -> str:
    words = sets[token[1:-1]] if token.startswith("<") else token.split("|")
    return f"(?:{'|'.join(map(_words, words))})"


def _words(text: str) -> str:
    return BETWEEN.join(re.escape(word) for word in text.split())
