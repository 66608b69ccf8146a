"""The benchmark's terms, and a guard against training texts that hold one of them."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache

from tokenizers import Tokenizer

from ltu.errors import Error
from ltu.shard.spec.words import Word, shipped_words
from ltu.training.demo.questions import labels_of


def benchmark_words() -> list[Word]:
    """ESC-10's words without the terms that stand in a label: who is to name the labels must be taught them.

    ("Crowing, cock-a-doodle-doo" holds a synonym of itself, "Baby cry, infant cry" a hypernym of Bark.)
    """
    words = shipped_words("esc10")
    taught = "\n".join(f"{word.label}\n{labels_of(word.dataset_class)}" for word in words)

    def untaught(terms: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(term for term in terms if not _pattern([term]).search(taught))

    return [
        replace(word, terms={column: untaught(terms) for column, terms in word.terms.items()})
        for word in words
    ]


def asked_terms() -> list[str]:
    return sorted({term for word in benchmark_words() for term in word.all_terms})


def leaks(texts: Iterable[str]) -> list[str]:
    """Terms of the benchmark that stand in the texts as whole words, in any case, plurals too."""
    found = _pattern(asked_terms()).findall("\n".join(texts))
    return sorted({term.casefold() for term in found})


def token_leaks(texts: Sequence[str], tokenizer: Tokenizer) -> list[str]:
    """Terms whose tokens, as they would stand within a text or begin it, follow each other in a text."""

    def ids(text: str) -> str:
        """Ids such that only whole ones are found, and in their order."""
        return "".join(f"<{id}>" for id in tokenizer.encode(text, add_special_tokens=False).ids)

    streams = "\n".join(map(ids, dict.fromkeys(texts)))
    return [term for term in asked_terms() if any(ids(form) in streams for form in _forms(term))]


def refuse_leaks(texts: Sequence[str], tokenizer: Tokenizer) -> None:
    """Raises Error when training would tell what the benchmark asks."""
    if found := [*leaks(texts), *token_leaks(texts, tokenizer)]:
        raise Error(f"training texts hold {', '.join(found)}, which the benchmark asks about")


def _forms(term: str) -> Iterator[str]:
    for text in (term, term.capitalize(), term.title()):
        yield from (text, f" {text}", f" {text}s")


@cache
def _compiled(terms: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(terms, key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})(?:e?s)?\b", re.IGNORECASE)


def _pattern(terms: Sequence[str]) -> re.Pattern[str]:
    return _compiled(tuple(terms))
