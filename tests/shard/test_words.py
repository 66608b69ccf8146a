"""The shipped word tables keep the rules that make a term fair."""

import re
from collections import Counter
from types import SimpleNamespace

import pytest

from ltu.shard.spec.ontology import audioset, label_parts
from ltu.shard.spec.wordnet import UNINFORMATIVE, senses, stem, synonyms
from ltu.shard.spec.words import Word, shipped_words, true_terms

WORDS = shipped_words("words")
ESC10 = shipped_words("esc10")
ESC50 = shipped_words("esc50")
ALL = [*WORDS, *ESC10, *ESC50]
VULGAR = {"ass", "cock", "fart", "piss", "bitch", "bastard", "shit", "damn", "boob tube", "crap", "tit"}


def test_there_are_78_words_in_the_three_groups() -> None:
    assert len(WORDS) == 78
    assert Counter(w.group for w in WORDS) == {"anthrophony": 52, "biophony": 19, "geophony": 7}


def test_every_word_is_one_of_the_527_labels_once() -> None:
    labels = [word.label for word in WORDS]
    assert len(set(labels)) == 78
    assert set(labels) <= set(audioset().labels)
    assert len(audioset().labels) == 527


@pytest.mark.parametrize("word", ALL, ids=lambda w: w.word)
def test_terms_keep_the_rules(word: Word) -> None:
    assert 1 <= len(word.terms["synonyms"]) <= 2
    assert 1 <= len(word.terms["hypernyms"]) <= 2
    for term in word.all_terms:
        assert "_" not in term
        assert term == term.strip()
        assert term
        assert term.casefold() not in VULGAR
        assert term[0].islower() or re.fullmatch(r"[A-Z][a-z]+ [a-z]+", term), "only species have capitals"
    assert not UNINFORMATIVE & set(word.terms["hypernyms"])
    assert stem(word.word) not in {stem(term) for term in word.terms["synonyms"]}, (
        "a spelling variant or inflection"
    )
    assert len({stem(term) for term in word.terms["synonyms"]}) == len(word.terms["synonyms"])
    assert not set(word.terms["synonyms"]) & set(word.terms["hypernyms"])
    assert 0 <= word.score <= 1
    assert word.gloss
    assert re.fullmatch(r".+\.n\.\d\d", word.synset)


@pytest.mark.parametrize("word", ALL, ids=lambda w: w.word)
def test_a_hypernym_does_not_stand_in_the_label(word: Word) -> None:
    assert not set(label_parts(word.label)) & set(word.terms["hypernyms"])


def test_a_synonym_belongs_to_one_word_only() -> None:
    for table in (WORDS, ESC10, ESC50):
        owners = Counter(term.casefold() for word in table for term in word.terms["synonyms"])
        assert max(owners.values()) == 1


def test_only_esc10_takes_terms_from_outside_wordnet_and_marks_them() -> None:
    assert not any(word.outside for word in WORDS)
    assert {"Bark", "Tick-tock", "Chainsaw"} <= {word.label for word in ESC10 if word.outside}


def test_esc10_map_has_the_ten_classes() -> None:
    classes = {word.dataset_class: word.label for word in ESC10}
    assert len(classes) == 10
    assert (classes["Dog bark"], classes["Sea waves"], classes["Clock tick"]) == (
        "Bark",
        "Waves, surf",
        "Tick-tock",
    )


@pytest.mark.parametrize("word", ALL, ids=lambda w: w.word)
def test_a_words_own_terms_are_never_its_negatives(word: Word) -> None:
    assert {term.casefold() for term in word.all_terms} <= true_terms(word)


@pytest.mark.parametrize(
    ("label", "term"),
    [
        ("Dog", "animal"),  # an ancestor in WordNet
        ("Train", "vehicle"),  # not one in WordNet, but in AudioSet
        ("Saxophone", "musical instrument"),
        ("Wind", "woodwind"),  # another noun sense of the word: the winds of an orchestra
        ("Roaring cats (lions, tigers)", "mammal"),
        ("Meow", "feline"),
    ],
)
def test_what_is_true_in_another_sense_or_in_the_ontology_is_no_negative(label: str, term: str) -> None:
    assert term in true_terms(next(word for word in WORDS if word.label == label))


class Synset(SimpleNamespace):
    """As much of nltk's as the choice of a sense asks for."""

    def name(self) -> str:
        return str(self.id)

    def definition(self) -> str:
        return str(self.gloss)

    def lemma_names(self) -> list[str]:
        return list(self.lemmas)

    def hypernyms(self) -> list["Synset"]:
        return list(self.above)

    def instance_hypernyms(self) -> list["Synset"]:
        return []

    def closure(self, step):  # type: ignore[no-untyped-def]
        for near in step(self):
            yield near
            yield from near.closure(step)

    def __hash__(self) -> int:
        return hash(self.id)


SOUND = Synset(id="sound.n.04", gloss="the sudden occurrence of an audible event", lemmas=["sound"], above=[])
TISSUE = Synset(id="plant_tissue.n.01", gloss="the tissue of a plant", lemmas=["plant_tissue"], above=[])
TREE = Synset(
    id="bark.n.01", gloss="tough covering of the stems and roots of trees", lemmas=["bark"], above=[TISSUE]
)
DOG = Synset(
    id="bark.n.04", gloss="the sound made by a dog", lemmas=["bark", "barking", "woofing"], above=[SOUND]
)
WORDNET = SimpleNamespace(
    synsets=lambda name, pos: {"bark": [TREE, DOG], "woofing": [DOG], "barking": [DOG]}[name]
)


def test_the_dogs_bark_is_chosen_not_the_trees() -> None:
    (best, chosen), (other, _) = senses("Bark", WORDNET)
    assert chosen is DOG
    assert best > other


def test_inflections_and_homographs_are_no_synonyms() -> None:
    assert synonyms(DOG, "bark", WORDNET) == ["woofing"]
