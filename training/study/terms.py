"""A guard against training texts that hold a term of the benchmark."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from tokenizers import Tokenizer

from ltu.errors import Error


def leaks(texts: Iterable[str], terms: Sequence[str]) -> list[str]:
    """Those of the terms that stand in the texts as whole words, in any case, plurals too."""
    found = {text.casefold() for text in pattern(tuple(terms)).findall("\n".join(texts))}
    return sorted(found)


def token_leaks(texts: Sequence[str], terms: Sequence[str], tokenizer: Tokenizer) -> list[str]:
    """Terms whose tokens, as they would stand within a text or begin it, follow each other in a text."""

    def ids(text: str) -> str:
        """Ids such that only whole ones are found, and in their order."""
        return "".join(f"<{id}>" for id in tokenizer.encode(text, add_special_tokens=False).ids)

    streams = "\n".join(map(ids, dict.fromkeys(texts)))
    return [term for term in terms if any(ids(form) in streams for form in _forms(term))]


def refuse_leaks(texts: Sequence[str], terms: Sequence[str], tokenizer: Tokenizer) -> None:
    """Raises Error when training would tell what the benchmark asks."""
    if found := [*leaks(texts, terms), *token_leaks(texts, terms, tokenizer)]:
        raise Error(f"training texts hold {', '.join(found)}, which the benchmark asks about")


def _forms(term: str) -> Iterator[str]:
    for text in (term, term.capitalize(), term.title()):
        yield from (text, f" {text}", f" {text}s")


@cache
def pattern(terms: tuple[str, ...]) -> re.Pattern[str]:
    """Matches each of the terms as whole words; without terms nothing."""
    longest_first = "|".join(map(re.escape, sorted(terms, key=len, reverse=True)))
    return re.compile(rf"\b(?:{longest_first})(?:e?s)?\b" if terms else r"(?!)", re.IGNORECASE)
