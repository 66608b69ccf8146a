"""Which words a model is taught, chosen on and judged on: three splits, so that each word is judged once,
and always as a new one."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256

from ltu.shard.spec.words import Word, shipped_words
from ltu.training.study.terms import pattern
from ltu.training.study.texts import fixed_texts

SPLITS = 3
DEVELOPMENT_WORDS = 5


@dataclass(frozen=True)
class Split:
    """Names and labels of all words are taught; of relations to other terms those of `taught` alone."""

    number: int
    judged: tuple[Word, ...]
    development: tuple[Word, ...]
    taught: tuple[Word, ...]

    @property
    def new_terms(self) -> tuple[str, ...]:
        """What no text that is trained on may hold: terms of the judged and of the development words."""
        return terms_of((*self.judged, *self.development))


def terms_of(words: Iterable[Word]) -> tuple[str, ...]:
    return tuple(sorted({term for word in words for term in word.all_terms}))


@cache
def study_words() -> tuple[Word, ...]:
    """SHARD's words of ESC-50 and the instruments, by the hash of their class, without the terms that stand
    in what every model is taught: names, labels and the questions' own words."""
    taught = "\n".join(fixed_texts())

    def untaught(terms: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(term for term in terms if not pattern((term,)).search(taught))

    words = sorted(shipped_words("esc50"), key=lambda word: sha256(word.dataset_class.encode()).hexdigest())
    return tuple(
        replace(word, terms={column: untaught(terms) for column, terms in word.terms.items()})
        for word in words
    )


@cache
def splits() -> tuple[Split, ...]:
    found = []
    for number in range(SPLITS):
        judged = study_words()[number::SPLITS]
        others = [word for word in study_words() if word not in judged]
        start = number * DEVELOPMENT_WORDS
        development = tuple(others[start : start + DEVELOPMENT_WORDS])
        taught = tuple(word for word in others if word not in development)
        found.append(Split(number, judged, development, taught))
    return tuple(found)
