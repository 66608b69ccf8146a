"""Proposes table rows for AudioSet labels from WordNet: sense, synonyms, hypernyms, related terms.

Only building a table needs this (and nltk with its "wordnet" data); the shipped tables do not. A proposal
is for review. A review file maps each label to the reader's choices, which go before the automatic ones:
`word`, `synset`, the columns of terms (`synonyms`, …), `class` (a data set's name of it) and `why`. Terms
that a reader would not call wrong of a word without WordNet's saying so stand in assets/shard/doubtful.jsonl.
"""

import json
import math
import re
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from ltu.errors import Error, needs
from ltu.files import read_json_lines
from ltu.shard.spec.ontology import audioset, label_parts
from ltu.shard.spec.relations import relations
from ltu.shard.spec.words import Word, group_of

Synset = Any  # nltk is untyped

# Hypernyms that say nothing about a clip: WordNet's top, kinds of kinds, and what every clip is (a sound).
TOP_TERMS = """entity, physical entity, abstraction, abstract entity, thing, object, physical object, whole,
    unit, artifact, artefact, instrumentality, instrumentation, matter, substance, part, portion, process,
    physical process, natural process, chemical process, organic process, attribute, state, event, happening,
    psychological feature, act, deed, human action, human activity, action, activity, occurrence, occurrent,
    natural event, phenomenon, natural phenomenon, physical phenomenon, living thing, animate thing, organism,
    being, causal agent, cause, causal agency, group, grouping, collection, relation, communication, sound,
    noise, change, motion, movement, way, covering, implement, system, structure, medium, message, property,
    bodily property, device, container, craft, commodity, durables, consumer goods, equipment, mechanism,
    control, restraint, support, chordate, vertebrate, placental, change of state"""
UNINFORMATIVE = frozenset(term.strip() for term in TOP_TERMS.split(","))
FUNCTION_WORDS = "a an and are as at be by for from in is it its of on or that the to used which with"
STOP = frozenset(FUNCTION_WORDS.split())


def words_of(text: str) -> Counter[str]:
    """Content words, plural s cut off."""
    found = re.findall(r"[a-z]+", text.lower())
    return Counter(word.removesuffix("s") for word in found if word not in STOP)


def similarity(one: Counter[str], other: Counter[str]) -> float:
    """Cosine of two bags of words, 0 to 1."""
    dot = sum(count * other[word] for word, count in one.items())
    norm = math.sqrt(sum(c * c for c in one.values()) * sum(c * c for c in other.values()))
    return dot / norm if norm else 0.0


def printed(lemma: str) -> str:
    return lemma.replace("_", " ")


def ancestors(synset: Synset) -> list[Synset]:
    """Hypernyms, nearest first."""
    return list(synset.closure(lambda s: s.hypernyms() + s.instance_hypernyms()))


def senses(label: str, wordnet: Any) -> list[tuple[float, Synset]]:
    """Noun senses of a label's parts, the best first, scored against the ontology.

    The score is the mean of two cosines: the ontology's description with the gloss, and the names and
    descriptions above the label with the lemmas of the sense's hypernyms.
    """
    ontology = audioset()
    description = words_of(ontology.nodes[ontology.id(label)].description)
    higher = sorted(ontology.ancestors(label))
    above = words_of(" ".join(f"{name} {ontology.nodes[ontology.id(name)].description}" for name in higher))
    scored = {}
    for part in label_parts(label):
        for synset in wordnet.synsets(part.replace(" ", "_"), "n"):
            path = words_of(" ".join(printed(n) for s in ancestors(synset) for n in s.lemma_names()))
            gloss = words_of(synset.definition())
            scored[synset] = (similarity(description, gloss) + similarity(above, path)) / 2
    return sorted(((score, s) for s, score in scored.items()), key=lambda pair: (-pair[0], pair[1].name()))


def synonyms(synset: Synset, word: str, wordnet: Any) -> list[str]:
    """Lemmas that are another word than `word` and whose first noun sense is this one."""
    taken = {stem(word)}
    found = []
    for lemma in synset.lemma_names():
        if stem(printed(lemma)) in taken or wordnet.synsets(lemma, "n")[0] != synset:
            continue  # a spelling variant or inflection; a homograph
        taken.add(stem(printed(lemma)))
        found.append(printed(lemma))
    return found


def hypernyms(synset: Synset, wordnet: Any) -> list[str]:
    """One lemma, no homograph, of each informative hypernym, nearest first."""
    found = []
    for above in ancestors(synset):
        lemmas = [name for name in above.lemma_names() if wordnet.synsets(name, "n")[0] == above]
        if lemmas and not UNINFORMATIVE & {printed(name) for name in above.lemma_names()}:
            found.append(printed(lemmas[0]))
    return list(dict.fromkeys(found))


def stem(term: str) -> str:
    """Equal for spelling variants and inflections: no spaces, hyphens or endings."""
    return re.sub(r"(ing|er|e?s|e|ed)$", "", re.sub(r"[ -]", "", term.casefold()))


def related(word: Word, terms: Iterable[str], wordnet: Any) -> list[str]:
    """Those of `terms` that name a noun sense of the word, or what stands above or below one."""
    names = {word.word, *label_parts(word.label)}
    own = {s for name in names for s in wordnet.synsets(name.replace(" ", "_"), "n")}
    own.add(wordnet.synset(word.synset))
    line = own | {a for s in own for a in ancestors(s)}
    line |= {d for s in own for d in s.closure(lambda s: s.hyponyms() + s.instance_hyponyms())}
    lemmas = {printed(name).casefold() for s in line for name in s.lemma_names()}
    return sorted(term for term in terms if term.casefold() in lemmas)


def proposal(label: str, choice: dict[str, Any], wordnet: Any) -> Word:
    """One row: what the scores say, where `choice` says nothing else."""
    scored = senses(label, wordnet)
    synset = wordnet.synset(choice["synset"]) if "synset" in choice else next((s for _, s in scored), None)
    if synset is None:
        raise Error(f"{label}: no part of it is a noun in WordNet; name a synset in the review file")
    parts = label_parts(label)
    named = (part for part in parts if synset in wordnet.synsets(part.replace(" ", "_"), "n"))
    word = choice.get("word") or next(named, parts[0])
    proposed = {"synonyms": synonyms(synset, word, wordnet), "hypernyms": hypernyms(synset, wordnet)}
    terms = {
        relation.terms: tuple(choice.get(relation.terms) or proposed.get(relation.terms, ())[:2])
        for relation in relations()
    }
    known = {printed(n) for s in (synset, *ancestors(synset)) for n in s.lemma_names()}
    return Word(
        label=label,
        word=word,
        group=group_of(label),
        synset=synset.name(),
        gloss=synset.definition(),
        score=round(next((score for score, s in scored if s == synset), 0.0), 2),
        terms=terms,
        outside=tuple(t for each in terms.values() for t in each if t not in known),
        reviewed=choice.get("why", ""),
        dataset_class=choice.get("class", ""),
    )


@dataclass(frozen=True)
class Doubt:
    """Why terms are not asked of clips of some labels, and of those below them in the ontology."""

    why: str
    terms: frozenset[str]
    labels: frozenset[str]

    def holds(self, label: str) -> bool:
        return not self.labels.isdisjoint({label} | audioset().ancestors(label))


@cache
def doubts() -> tuple[Doubt, ...]:
    """What a reader who looked at every term beside every label would not call wrong."""
    with as_file(files("ltu") / "assets/shard/doubtful.jsonl") as path:
        rows = [row for _, row in read_json_lines(path)]
    return tuple(Doubt(row["why"], frozenset(row["terms"]), frozenset(row["labels"])) for row in rows)


def doubtful(label: str, terms: Iterable[str]) -> set[str]:
    """Those of `terms` that a reader would not call wrong of a clip with this label."""
    said = {term for doubt in doubts() if doubt.holds(label) for term in doubt.terms}
    return said & set(terms)


def table(review: dict[str, dict[str, Any]], wordnet: Any) -> list[Word]:
    """A whole table; `related` needs all of its terms, so it comes last."""
    words = [proposal(label, choice, wordnet) for label, choice in review.items()]
    terms = {term for word in words for term in word.all_terms}
    true_of = [{*related(word, terms, wordnet), *doubtful(word.label, terms)} for word in words]
    return [replace(word, related=tuple(sorted(true))) for word, true in zip(words, true_of, strict=True)]


def main() -> None:
    """`python -m ltu.shard.spec.wordnet REVIEW.json > WORDS.jsonl`."""
    with needs("shard"):
        from nltk.corpus import wordnet

    review = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for word in table(review, wordnet):
        print(json.dumps(word.to_json(), ensure_ascii=False))


if __name__ == "__main__":
    main()
