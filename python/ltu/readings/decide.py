"""A whole answer → its decision, with Python's `re`: what the engine's automaton is held against."""

import re
from functools import lru_cache

from ltu.readings.forms import forms
from ltu.readings.letters import plain
from ltu.readings.rules import (
    BORDERS,
    LETTERS,
    SENTENCE_ENDS,
    Between,
    Border,
    Decision,
    Either,
    Gap,
    Place,
    Row,
    Rule,
    Rules,
    Term,
    Token,
    laid_out,
    rules_of,
)

OPEN, CLOSE = "\x01", "\x02"  # around the term
WORD = f"[{LETTERS}]+"
BETWEEN = f"[^{LETTERS}{SENTENCE_ENDS}]+"  # spaces, commas, quotes, brackets
BORDER_LEFT, BORDER_RIGHT = f"(?<![{LETTERS}])", f"(?![{LETTERS}])"
ANCHOR: dict[Place, str] = {"start": rf"\A[^{LETTERS}]*", "any": "", "end": ""}
ENDING: dict[Place, str] = {"start": "", "any": "", "end": rf"[^{LETTERS}]*\Z"}


@lru_cache(maxsize=1 << 14)  # repeats of a question mostly say the same
def decide(text: str, term: str, reading: str = "careful") -> Decision:
    """What an answer to a question about `term` says under a reading. Raises Error for an unknown one."""
    return decide_by(rules_of(reading), text, term)


def decide_by(rules: Rules, text: str, term: str) -> Decision:
    """What an answer says by these rules; the last decision if none of them holds."""
    marked = _marked(text, term)
    best: tuple[int, Decision] | None = None
    for rule in rules.rules:
        match = _pattern(rule).search(marked)
        if match is None:
            continue
        start = match.start("phrase") + (marked[match.start("phrase")] == OPEN)
        if not rules.by_position:
            return rule.decision
        if best is None or start < best[0]:
            best = (start, rule.decision)
    return best[1] if best else rules.decisions[-1]


def _marked(text: str, term: str) -> str:
    """The text with the term between marks, so that patterns are made once for all terms."""
    unmarked = plain(text).replace(OPEN, " ").replace(CLOSE, " ")
    return _term(term).sub(rf"{OPEN}\g<0>{CLOSE}", unmarked) if term.strip() else unmarked


@lru_cache(maxsize=4096)
def _term(term: str) -> re.Pattern[str]:
    rows = "|".join(BETWEEN.join(map(re.escape, form)) for form in forms(term))
    return re.compile(f"{BORDER_LEFT}(?:{rows}){BORDER_RIGHT}", re.IGNORECASE | re.ASCII)


@lru_cache
def _pattern(rule: Rule) -> re.Pattern[str]:
    phrases = "|".join(map(_row, rule.phrases))
    whole = f"{ANCHOR[rule.at]}{BORDER_LEFT}(?P<phrase>{phrases}){BORDER_RIGHT}{ENDING[rule.at]}"
    return re.compile(whole, re.IGNORECASE | re.ASCII)


def _row(row: Row) -> str:
    """A regular expression for a row of words or tokens."""
    return "".join(
        _token(token, BETWEEN if before else "", BETWEEN if behind else "")
        for token, before, behind in laid_out(row)
    )


def _token(token: str | Token, before: str, behind: str) -> str:
    if isinstance(token, Between):
        return _border(token.border)
    if isinstance(token, Gap):
        most = "" if token.most is None else token.most
        return f"(?:{before}{_word(token.without)}{behind}){{{token.least},{most}}}"
    if isinstance(token, Term):
        return f"{before}{OPEN}[^{CLOSE}]*{CLOSE}{behind}"
    if isinstance(token, Either):
        either = f"{before}(?:{'|'.join(map(_row, token.rows))}){behind}"
        return f"(?:{either})?" if token.optional else either
    return f"{before}{re.escape(token)}{behind}"


def _word(without: frozenset[str]) -> str:
    """Any word but those."""
    no = f"(?!(?:{'|'.join(sorted(without))}){BORDER_RIGHT})" if without else ""
    return f"{no}{WORD}"


def _border(border: Border) -> str:
    if border == "_":
        return f"[ {OPEN}{CLOSE}]+"
    if border == "/":
        return f"[^{LETTERS}]+"
    inside = BETWEEN[:-1] if border == "," else f"[^{LETTERS}]"
    return f"{inside}*[{re.escape(BORDERS[border])}]{inside}*"
