"""The shipped word tables keep the rules that make a term fair."""

import re
from collections import Counter
from difflib import SequenceMatcher
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import pytest

from ltu.shard.spec.ontology import audioset, label_parts
from ltu.shard.spec.wordnet import UNINFORMATIVE, Doubt, doubtful, doubts, senses, stem, synonyms
from ltu.shard.spec.words import Word, shipped_words, stands_in, true_terms

WORDS = shipped_words("words")
ESC10 = shipped_words("esc10")
ESC50 = shipped_words("esc50")
ALL = [*WORDS, *ESC10, *ESC50]
VULGAR = {"ass", "cock", "fart", "piss", "bitch", "bastard", "shit", "damn", "boob tube", "crap", "tit"}


def test_there_are_78_words_in_the_three_groups() -> None:
    assert len(WORDS) == 78
    assert Counter(w.group for w in WORDS) == {"anthrophony": 52, "biophony": 19, "geophony": 7}


def test_docs_say_how_many_words_have_two_terms() -> None:
    twos = [sum(len(word.terms[column]) == 2 for word in WORDS) for column in ("synonyms", "hypernyms")]
    page = (Path(__file__).parents[2] / "docs/shard.md").read_text(encoding="utf-8")
    assert f"{twos[0]} words have two synonyms and {twos[1]} two hypernyms" in page
    terms = {term for word in WORDS for term in word.all_terms}
    pairs = [(word, term) for word in WORDS for term in terms if term not in word.all_terms]
    excluded = sum(term.casefold() in true_terms(word) for word, term in pairs)
    assert f"{len(terms)} terms beside all 78 labels ({len(terms) * 78:,} pairs" in page
    assert f"{excluded} of the others are not asked" in page


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


def test_terms_from_outside_wordnet_are_marked() -> None:
    for word in ALL:
        assert set(word.outside) <= set(word.all_terms)
    outside = {term for word in ALL for term in word.outside}
    assert {"lorry", "shears", "woof", "motor saw", "natural sound"} <= outside
    assert not {"whirlybird", "automobile", "vehicle", "rainfall"} & outside


def test_a_word_has_one_row_for_all_presets() -> None:
    """The ESC-10 map asks less of three words: the terms that the study in miniature keeps from training."""
    rows = {word.label: (word.word, word.synset, word.terms) for word in ESC50}
    shared = [word for word in WORDS if word.label in rows]
    assert len(shared) == 26
    for word in shared:
        assert (word.word, word.synset, word.terms) == rows[word.label]
    for word in ESC10:
        mine = [w.terms for w in WORDS if w.label == word.label]
        if word.label in {"Helicopter", "Fire"}:
            assert mine == [word.terms]
        elif mine:
            assert set(word.terms["synonyms"]) <= set(mine[0]["synonyms"])


def test_two_hypernyms_are_not_two_names_of_one_synset() -> None:
    one_synset = [{"warning device", "alarm"}, {"breathing", "respiration"}, {"approval", "commendation"}]
    assert not [word.label for word in ALL if set(word.terms["hypernyms"]) in one_synset]


def test_two_synonyms_are_not_two_spellings_of_one() -> None:
    """As electric storm and electrical storm are."""
    for word in ALL:
        for one, other in combinations(word.terms["synonyms"], 2):
            assert SequenceMatcher(None, one, other).ratio() < 0.9, (word.label, one, other)


@pytest.mark.parametrize(
    ("label", "term", "stands"),
    [
        ("Violin, fiddle", "fiddle", True),
        ("Bird vocalization, bird call, bird song", "birdcall", True),
        ("Roaring cats (lions, tigers)", "big cat", True),
        ("Drum", "marching drums", True),
        ("Piano", "pianoforte", False),
        ("Dog", "pooch", False),
    ],
)
def test_a_term_stands_in_a_label_in_either_number(label: str, term: str, stands: bool) -> None:
    assert stands_in(label, term) == stands


@pytest.mark.parametrize("table", [WORDS, ESC10, ESC50], ids=["78", "esc10", "esc50"])
def test_what_a_reader_would_not_call_wrong_is_in_the_tables(table: list[Word]) -> None:
    terms = {term for word in table for term in word.all_terms}
    for word in table:
        assert doubtful(word.label, terms) <= set(word.related), "make the table again"


def test_every_doubt_has_a_reason_and_is_about_what_is_asked() -> None:
    terms = {term for word in ALL for term in word.all_terms}
    for doubt in doubts():
        assert doubt.why
        assert doubt.terms <= terms
        assert all(any(Doubt("", doubt.terms, frozenset({label})).holds(w.label) for w in ALL)
                   for label in doubt.labels), doubt  # fmt: skip


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
        ("Sneeze", "expulsion"),  # in its own gloss
        ("Fireworks", "combustion"),
        ("Truck", "combustion"),
        ("Vibraphone", "xylophone"),
        ("Thunderstorm", "air current"),
        ("Snake", "carnivore"),
        ("Dog", "yelp"),
        ("Foghorn", "wind instrument"),
        ("Crying, sobbing", "mammal"),
        ("Hair dryer", "breeze"),
        ("Timpani", "membranophone"),
        ("Bird vocalization, bird call, bird song", "poultry"),
        ("Motorcycle", "chopper"),  # another sense of the term
        ("Vehicle horn, car horn, honking", "automobile"),
        ("Foghorn", "boat"),
        ("Snare drum", "signal"),
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
