"""A model that does not listen gains nothing: J is exactly 0."""

import random
from collections import Counter, defaultdict

import numpy as np
import pytest
from fake import Benchmark
from hypothesis import given, settings
from hypothesis import strategies as st

from ltu.shard.score.metrics import Decisions, confusion, youden
from ltu.shard.spec import build as build_module
from ltu.shard.spec.build import build
from ltu.shard.spec.clips import Candidate
from ltu.shard.spec.negatives import Positive, assign, balanced
from ltu.shard.spec.ontology import DISTANCES, audioset
from ltu.shard.spec.specification import Question, Spec, SpecClip
from ltu.shard.spec.words import shipped_words, true_terms


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Spec]:
    """The 78-word benchmark, balanced and as in the paper, with clips that are not decoded."""
    words = shipped_words()
    candidates = [Candidate(w.label, f"{w.word}-{i}.wav", f"{w.word}-{i}") for w in words for i in range(4)]
    clips = [SpecClip(i, c.file, c.label, c.recording, f"{i:064x}") for i, c in enumerate(candidates)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_module, "read_clips", lambda candidates, folder: clips)
        folder = tmp_path_factory.mktemp("none")
        return {
            paper: build(words, candidates, folder, "w", paper_negatives=paper) for paper in (False, True)
        }


def tiers(spec: Spec, task: str, tier: str, position: str = "interleaved") -> list[Question]:
    return [q for q in spec.questions if (q.task, q.position) == (task, position) and tier in q.tiers]


def j_of(questions: list[Question], says_yes: list[bool]) -> float:
    yes = np.array(says_yes, np.int64)
    none = np.zeros_like(yes)
    expected = np.array([q.expected for q in questions], bool)
    return youden(confusion(Decisions(expected, yes, 1 - yes, none, none, none, none)))


@pytest.mark.parametrize("tier", DISTANCES)
@pytest.mark.parametrize("task", ["synonym", "hypernym"])
def test_answers_that_ignore_the_audio_score_zero(whole: dict[bool, Spec], task: str, tier: str) -> None:
    questions = tiers(whole[False], task, tier)
    assert len(questions) > 100
    for seed in range(20):
        chance = random.Random(seed)
        mood = defaultdict(lambda chance=chance: chance.random() < 0.5)
        assert j_of(questions, [mood[q.term] for q in questions]) == 0


@pytest.mark.parametrize("tier", DISTANCES)
def test_answers_that_ignore_the_term_score_zero(whole: dict[bool, Spec], tier: str) -> None:
    questions = tiers(whole[False], "hypernym", tier)
    chance = random.Random(0)
    mood = defaultdict(lambda: chance.random() < 0.5)
    assert j_of(questions, [mood[q.clip] for q in questions]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("tier", ["branch", "parent"])
@pytest.mark.parametrize("task", ["synonym", "hypernym"])
def test_near_negatives_are_balanced_inside_each_group(whole: dict[bool, Spec], task: str, tier: str) -> None:
    """So a group's J is 0 for who does not listen; "elsewhere" a group's terms are asked of other groups."""
    spec = whole[False]
    group = {clip.id: spec.word(clip.label).group for clip in spec.clips}
    asked = tiers(spec, task, tier)
    for name in set(group.values()):
        mine = [q for q in asked if group[q.clip] == name]
        sides = [Counter(q.term for q in mine if q.expected is side) for side in (True, False)]
        assert sides[0] == sides[1]
    if (task, tier) == ("synonym", "branch"):
        assert len(asked) == 8 * sum(len(word.terms["synonyms"]) for word in spec.words), "none is lost"


def test_no_positive_is_lost_in_the_default_tier(whole: dict[bool, Spec]) -> None:
    terms = sum(len(word.terms["hypernyms"]) for word in shipped_words())
    asked = tiers(whole[False], "hypernym", "elsewhere")
    assert Counter(q.expected for q in asked) == {True: 4 * terms, False: 4 * terms}


def test_every_negative_is_false_of_its_clip_and_as_far_as_it_says(whole: dict[bool, Spec]) -> None:
    spec = whole[False]
    true = {word.label: true_terms(word) for word in spec.words}
    owners = defaultdict(set)
    for word in spec.words:
        for relation in spec.relations:
            for term in word.asked(relation):
                owners[relation.name, term].add(word.label)
    for q in spec.questions:
        if q.expected is False:
            label = spec.clips[q.clip].label
            assert q.term.casefold() not in true[label]
            assert q.term_label in owners[q.task, q.term]
            near = {audioset().distance(label, owner) for owner in owners[q.task, q.term]}
            assert q.tiers == (max(near, key=DISTANCES.index),)


def test_no_question_is_asked_twice(whole: dict[bool, Spec]) -> None:
    asked = Counter((q.clip, q.prompt, q.position) for q in whole[False].questions)
    assert max(asked.values()) == 1


def test_as_in_the_paper_every_clip_has_as_many_negatives_as_positives(whole: dict[bool, Spec]) -> None:
    """408 to 624 made accuracy and F1 other figures than Table 2's."""
    for task in ("synonym", "hypernym"):
        sides = [
            Counter(q.clip for q in tiers(whole[True], task, "elsewhere") if q.expected == expected)
            for expected in (True, False)
        ]
        assert sides[0] == sides[1]
        assert len(sides[0]) == 312


def test_the_same_seed_makes_the_same_benchmark(
    benchmark: Benchmark, tmp_path_factory: pytest.TempPathFactory
) -> None:
    candidates = [Candidate(c.label, c.file, c.recording) for c in benchmark.spec.clips]
    again = build(benchmark.spec.words, candidates, benchmark.folder, "small")
    other = build(benchmark.spec.words, candidates, benchmark.folder, "small", seed=1)
    assert again.hash == benchmark.spec.hash != other.hash


def test_the_other_clip_of_a_control_is_of_another_word_and_used_once(benchmark: Benchmark) -> None:
    clips = benchmark.spec.clips
    assert sorted(clip.other for clip in clips if clip.other is not None) == [clip.id for clip in clips]
    assert all(clips[clip.other].label != clip.label for clip in clips if clip.other is not None)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 7), st.integers(0, 10_000))
def test_what_cannot_be_balanced_is_left_out_and_the_rest_is_balanced(words: int, seed: int) -> None:
    chance = random.Random(seed)
    positives = [
        Positive(c, f"t{w}{i}", f"w{w}") for w in range(words) for i in range(2) for c in (2 * w, 2 * w + 1)
    ]
    banned = {(c, p.term) for c in range(2 * words) for p in positives if chance.random() < 0.4}

    def allowed(clip: int, term: str) -> bool:
        return term[1] != str(clip // 2) and (clip, term) not in banned

    kept, negatives = balanced(positives, allowed, random.Random(seed))
    assert all(allowed(clip, term) for clip, term in negatives)
    assert len(set(negatives)) == len(negatives)
    assert Counter(term for _, term in negatives) == Counter(p.term for p in kept)
    assert Counter(clip for clip, _ in negatives) == Counter(p.clip for p in kept)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_assignment_is_as_large_as_scipys_maximum_flow(seed: int) -> None:
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_flow

    chance = random.Random(seed)
    demand = {f"a{i}": chance.randint(1, 3) for i in range(6)}
    capacity = {f"t{i}": chance.randint(1, 3) for i in range(6)}
    edges = {(t, a) for t in capacity for a in demand if chance.random() < 0.4}
    names = ["source", *demand, *capacity, "sink"]
    graph = np.zeros((len(names), len(names)), np.int32)
    for asker, count in demand.items():
        graph[0, names.index(asker)] = count
    for taker, count in capacity.items():
        graph[names.index(taker), -1] = count
    for taker, asker in edges:
        graph[names.index(asker), names.index(taker)] = 1
    pairs = assign(demand, capacity, lambda t, a: (t, a) in edges, random.Random(seed))
    assert len(pairs) == maximum_flow(csr_matrix(graph), 0, len(names) - 1).flow_value
