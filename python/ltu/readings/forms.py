"""The forms in which an answer may have the term that was asked for."""

import re

from ltu.readings.letters import plain


def forms(term: str) -> tuple[tuple[str, ...], ...]:
    """A term's words and those of its other number; what hyphens join are words of their own."""
    words = tuple(part for word in plain(term).split() for part in word.split("-") if part)
    if not words:
        return (tuple(term.split()),)
    found = {words: None}
    for at in {len(words) - 1, *(at - 1 for at, word in enumerate(words) if at and word == "of")}:
        for other in _other_number(words[at]):
            found[(*words[:at], other, *words[at + 1 :])] = None
    return tuple(found)


def _other_number(word: str) -> tuple[str, ...]:
    found = [f"{word}s", f"{word}es"]
    if re.search("[^aeiou]y$", word):
        found.append(f"{word[:-1]}ies")
    if word.endswith("man"):
        found.append(f"{word[:-3]}men")
    if re.search("lf$|[^f]fe$", word):
        found.append(re.sub("fe?$", "ves", word))
    if re.search("[^su]s$", word):
        found.append(word[:-1])
    return tuple(found)
