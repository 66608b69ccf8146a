"""Words and clips → a specification: which questions are asked of which clip, and what is right."""

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal, NamedTuple

from ltu.audio import load_audio
from ltu.errors import AudioError, Error
from ltu.shard.spec.clips import Candidate
from ltu.shard.spec.negatives import Pairs, Positive, assign, balanced, per_clip
from ltu.shard.spec.ontology import DISTANCES, Distance, audioset
from ltu.shard.spec.prompts import cells, identity_prompt, term_prompt
from ltu.shard.spec.relations import IDENTITY, Relation, relations
from ltu.shard.spec.specification import Question, Spec, SpecClip, same_truth
from ltu.shard.spec.words import Word, true_terms
from ltu.text_files import Say
from ltu.version import __version__


class Fact(NamedTuple):
    """What may be asked of a clip, and what is right; `tiers` as in a Question."""

    relation: Relation
    about: Positive
    expected: bool
    tiers: tuple[Distance, ...]


def build(
    words: Sequence[Word],
    candidates: Sequence[Candidate],
    folder: Path,
    name: str,
    seed: int = 0,
    questions: Literal["paper", "all"] = "paper",
    paper_negatives: bool = False,
    per_word: int = 4,
    asked: Sequence[Relation] = relations(),
    say: Say = lambda note: None,
) -> Spec:
    """A whole benchmark. `say` is told, one line each, what could not be had. Raises Error."""
    used = {candidate.label for candidate in candidates}
    for word in words:
        have = sum(candidate.label == word.label for candidate in candidates)
        recordings = len({c.recording for c in candidates if c.label == word.label})
        if have < per_word:
            say(f"{word.label}: {have} clips instead of {per_word}")
        if recordings < have:
            say(f"{word.label}: its {have} clips are cut from {recordings} recordings")
    words = [word for word in words if word.label in used]
    if len(words) < 2:
        raise Error(
            f"{folder}: clips of {len(words)} words; at least two are needed to ask what a clip is not"
        )
    clips = read_clips(candidates, folder)
    by_label = {word.label: word for word in words}
    true = {word.label: true_terms(word) for word in words}
    facts: list[Fact] = []
    for relation in asked:
        positives = [Positive(c.id, t, c.label) for c in clips for t in by_label[c.label].asked(relation)]
        facts += _facts(relation, positives, clips, by_label, true, seed, paper_negatives, say)
    clips = _with_other(clips, facts, true, random.Random(f"{seed} other"))
    rows: list[Question] = []
    for clip in clips:
        mine = [fact for fact in facts if fact.about.clip == clip.id]
        mine.sort(key=lambda fact: (asked.index(fact.relation), fact.about.term))
        for cell in cells(questions):
            if (text := identity_prompt(cell)) is not None:
                rows.append(Question(len(rows), clip.id, IDENTITY, *cell, text))
            for relation, about, expected, tiers in mine:
                text = term_prompt(relation, cell, about.term)
                id, term, label = len(rows), about.term, about.term_word
                rows.append(Question(id, clip.id, relation.name, *cell, text, term, label, expected, tiers))
    header = {
        "name": name,
        "seed": seed,
        "questions": questions,
        "negatives": "as many a clip as right terms" if paper_negatives else "balanced by term and by clip",
        "relations": [asdict(relation) for relation in asked],
        "clips_folder": str(folder.resolve()),
        "sources": {"words": name, "ontology": "AudioSet, 632 classes", "synsets": "WordNet 3.1"},
        "versions": {"ltu-engine": __version__},
        "counts": {"words": len(words), "clips": len(clips), "questions": len(rows)},
    }
    spec = Spec(header, tuple(words), tuple(clips), tuple(rows))
    if changed := len(rows) - len(same_truth(spec)):
        say(f"{changed} of {len(rows)} questions are not asked of another word's clip: it is true of that")
    return spec


def read_clips(candidates: Sequence[Candidate], folder: Path) -> list[SpecClip]:
    """Decodes those without a hash. Raises AudioError for one it cannot read, or that is there twice."""
    clips: list[SpecClip] = []
    seen: dict[str, str] = {}
    for candidate in candidates:
        hash = candidate.hash or load_audio(folder / candidate.file).hash
        if hash in seen:
            raise AudioError(f"{candidate.file}: is the same recording as {seen[hash]}; remove one of them")
        seen[hash] = candidate.file
        clips.append(SpecClip(len(clips), candidate.file, candidate.label, candidate.recording, hash))
    return clips


def _facts(
    relation: Relation,
    positives: list[Positive],
    clips: Sequence[SpecClip],
    words: Mapping[str, Word],
    true: Mapping[str, frozenset[str]],
    seed: int,
    paper_negatives: bool,
    say: Say,
) -> list[Fact]:
    """What is asked of which clip, and what is right, for one relation."""
    label_of = {clip.id: clip.label for clip in clips}
    asked_for: dict[str, list[str]] = defaultdict(list)  # term → the words that it belongs to
    for positive in positives:
        if positive.term_word not in asked_for[positive.term]:
            asked_for[positive.term].append(positive.term_word)

    closest = {
        (label, term): max((audioset().distance(label, owner) for owner in owners), key=DISTANCES.index)
        for label in true
        for term, owners in asked_for.items()
    }

    def at(distance: Distance) -> Callable[[int, str], bool]:
        def allowed(clip: int, term: str) -> bool:
            label = label_of[clip]
            return closest[label, term] == distance and term.casefold() not in true[label]

        return allowed

    tiers: dict[Positive, list[Distance]] = {positive: [] for positive in positives}
    negatives: list[Fact] = []
    for distance in DISTANCES[:1] if paper_negatives else DISTANCES:
        rng = random.Random(f"{seed} {relation.name} {distance}")
        kept: Sequence[Positive] = positives
        pairs: Pairs
        if paper_negatives:
            pairs = per_clip(positives, at(distance), rng)
            asked_twice = len(label_of) * 2
            if len(positives) < asked_twice:
                say(
                    f"{relation.name}: {len(positives)} questions a side, not {asked_twice}: words lack terms"
                )
        elif distance == DISTANCES[0]:
            kept, pairs = balanced(positives, at(distance), rng)
        else:
            groups = {clip: words[label].group for clip, label in label_of.items()}
            kept, pairs = _balanced_in_groups(positives, groups, at(distance), rng)
        if distance == DISTANCES[0] and len(kept) < len(positives):
            left_out = len(positives) - len(kept)
            say(f"{relation.name}: {left_out} of {len(positives)} questions have no balanced negative")
        for positive in kept:
            tiers[positive].append(distance)
        turns: dict[str, int] = defaultdict(int)
        for clip, term in pairs:  # a term of several words stands for each of them in turn
            word = asked_for[term][turns[term] % len(asked_for[term])]
            turns[term] += 1
            negatives.append(Fact(relation, Positive(clip, term, word), False, (distance,)))
    return [Fact(relation, p, True, tuple(tiers[p])) for p in positives if tiers[p]] + negatives


def _balanced_in_groups(
    positives: Sequence[Positive],
    groups: Mapping[int, str],
    allowed: Callable[[int, str], bool],
    rng: random.Random,
) -> tuple[list[Positive], Pairs]:
    """Near negatives lie in their clip's group of sounds (`groups`): each group is balanced by itself."""
    members: dict[str, list[Positive]] = defaultdict(list)
    for positive in positives:
        members[groups[positive.clip]].append(positive)
    parts = [balanced(members[group], allowed, rng) for group in sorted(members)]
    return [kept for part, _ in parts for kept in part], [pair for _, part in parts for pair in part]


def _with_other(
    clips: Sequence[SpecClip],
    facts: Sequence[Fact],
    true: dict[str, frozenset[str]],
    rng: random.Random,
) -> list[SpecClip]:
    """Each clip gets another word's clip, each taken once: one of which none of its terms is true, else any.

    Of the latter the questions whose truth would change have no such control (`same_truth`).
    """
    terms: dict[int, set[str]] = defaultdict(set)
    for _, about, _, _ in facts:
        terms[about.clip].add(about.term.casefold())
    label = {clip.id: clip.label for clip in clips}

    def unrelated(other: int, clip: int) -> bool:
        return label[other] != label[clip] and not terms[clip] & true[label[other]]

    def another_word(other: int, clip: int) -> bool:
        return label[other] != label[clip]

    once = dict.fromkeys(label, 1)
    found = {clip: other for other, clip in assign(once, once, unrelated, rng)}
    left = {clip: 1 for clip in label if clip not in found}
    free = {other: 1 for other in label if other not in found.values()}
    found |= {clip: other for other, clip in assign(left, free, another_word, rng)}
    return [SpecClip(c.id, c.file, c.label, c.recording, c.hash, found.get(c.id)) for c in clips]
