"""Which words are judged, chosen on and taught."""

import re
from collections import Counter

from ltu.shard.spec.words import shipped_words
from ltu.training.study.split import DEVELOPMENT_WORDS, SPLITS, splits, study_words
from ltu.training.study.texts import classes, fixed_texts, labels, names


def test_every_word_is_judged_once_and_never_where_it_is_taught() -> None:
    judged = [word.label for split in splits() for word in split.judged]
    assert sorted(judged) == sorted(word.label for word in shipped_words("esc50"))
    for split in splits():
        parts = [{word.label for word in part} for part in (split.judged, split.development, split.taught)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == len(judged)
        assert len(parts[1]) == DEVELOPMENT_WORDS


def test_blocks_are_of_a_size_and_their_words_have_terms() -> None:
    assert [len(split.judged) for split in splits()] == [18, 18, 17]
    for split in splits():
        for column in ("synonyms", "hypernyms"):
            have = Counter(bool(word.terms[column]) for word in split.judged)
            assert have[False] <= 1


def test_development_words_differ_between_splits() -> None:
    assert len({word.label for split in splits() for word in split.development}) == SPLITS * DEVELOPMENT_WORDS


def test_no_term_that_is_asked_stands_in_what_everybody_is_taught() -> None:
    text = "\n".join(fixed_texts()).casefold()
    asked = {term for word in study_words() for term in word.all_terms}
    assert len(asked) > 150
    assert not [term for term in asked if re.search(rf"\b{re.escape(term.casefold())}\b", text)]


def test_every_class_has_a_label_and_a_name() -> None:
    for name in classes():
        assert labels(name)
        assert names(name)
