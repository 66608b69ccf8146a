"""Stored answers, read: how many repeats of a question say yes, no or neither; which labels they name."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ltu.errors import Error
from ltu.query import Distribution
from ltu.readings import READINGS, Decision, decide
from ltu.shard import HEADLINE
from ltu.shard.run.consistency import contradictions, refuse
from ltu.shard.run.store import Asked, Store
from ltu.shard.score.metrics import Decisions, Floats, Ints
from ltu.shard.spec.labels import labels_named, names_part, relatives, right_labels
from ltu.shard.spec.relations import Relation, relations_of
from ltu.shard.spec.words import Word


@dataclass(frozen=True)
class Scored:
    """One question with its answers. `decisions` has one row per reading, one decision per repeat."""

    asked: Asked
    label: str
    texts: tuple[str, ...]
    decisions: dict[str, tuple[Decision, ...]]
    exact: Distribution | None = None
    log_odds: float | None = None

    def count(self, decision: Decision, reading: str) -> int:
        return self.decisions[reading].count(decision)

    def right(self, reading: str) -> float:
        """Share of the repeats that answer a question about a term rightly."""
        return self.count("yes" if self.asked.expected else "no", reading) / len(self.texts)

    @cached_property
    def named(self) -> tuple[tuple[str, ...], ...]:
        """Identity: the labels that each repeat names."""
        return tuple(tuple(labels_named(text)) for text in self.texts)

    @cached_property
    def strict(self) -> float:
        """Identity: share of the repeats that name the whole canonical label."""
        return sum(self.label in names for names in self.named) / len(self.texts)

    @cached_property
    def lenient(self) -> float:
        """Identity: share of the repeats that name one of the label's comma parts."""
        return sum(names_part(text, self.label) for text in self.texts) / len(self.texts)

    @cached_property
    def relative(self) -> float:
        """Identity: share of the repeats that name a label above, below or beside it instead."""
        near = relatives(self.label)
        return sum(self.label not in n and bool(near & set(n)) for n in self.named) / len(self.texts)

    @cached_property
    def right_labels(self) -> int:
        right = right_labels(self.label)
        return sum(name in right for names in self.named for name in names)


@dataclass(frozen=True)
class Run:
    """A stored run, scored."""

    row: dict[str, Any]
    words: dict[str, Word]
    clips: dict[int, dict[str, Any]]
    failures: dict[int, str]
    sessions: list[dict[str, Any]]
    scored: tuple[Scored, ...]
    unanswered: tuple[Asked, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.row['model']} on {self.row['spec']}"

    @property
    def relations(self) -> tuple[Relation, ...]:
        return relations_of(json.loads(self.row["header"]))

    @property
    def relation_names(self) -> tuple[str, ...]:
        """In the order in which they are asked."""
        return tuple(relation.name for relation in self.relations)

    @property
    def stopped_by(self) -> str | None:
        """The reading whose decision ended answers early; no other can read them."""
        reading: str | None = json.loads(self.row["selection"]).get("stop_when_decided")
        return reading

    @property
    def exact_temperature(self) -> float:
        """The sampling temperature whose exact probabilities it has of questions about a term."""
        if json.loads(self.row["selection"]).get("untempered"):
            return 1.0
        return float(json.loads(self.row["sampling"])["temperature"])

    @property
    def is_part(self) -> bool:
        """Whether only a part of the benchmark was asked, which has no balance to keep."""
        selection = json.loads(self.row["selection"])
        return bool(selection["limit"] is not None or selection["words"])

    @cached_property
    def unheard(self) -> frozenset[int]:
        """Questions that, or a control of which, could not be asked since a clip could not be read."""

        def heard(asked: Asked) -> int:
            other: int | None = self.clips[asked.clip]["other"]
            return asked.clip if asked.control != "other" or other is None else other

        return frozenset(asked.base for asked in self.unanswered if heard(asked) in self.failures)

    @cached_property
    def word_index(self) -> dict[str, int]:
        return {label: index for index, label in enumerate(sorted(self.words))}

    @cached_property
    def term_index(self) -> dict[str, int]:
        terms = {s.asked.term.casefold() for s in self.scored}
        return {term: index for index, term in enumerate(sorted(terms))}

    def select(self, keep: Callable[[Scored], bool]) -> list[Scored]:
        return [scored for scored in self.scored if keep(scored)]

    def decisions(self, scored: Sequence[Scored], reading: str) -> Decisions:
        """Arrays of questions about a term. Raises Error for answers that another reading stopped."""
        if self.stopped_by not in (None, reading):
            raise Error(
                f"run {self.row['id']}: its answers end where the {self.stopped_by} reading had decided them;"
                f" the {reading} reading needs whole ones: run again without --stop-when-decided"
            )
        index = self.word_index
        return Decisions(
            np.array([s.asked.expected for s in scored], np.bool_),
            *counts(scored, reading),
            np.array([index[s.label] for s in scored], np.int64),
            np.array([index[s.asked.term_label] for s in scored], np.int64),
            np.array([self.term_index[s.asked.term.casefold()] for s in scored], np.int64),
        )

    def exact(self, scored: Sequence[Scored]) -> Decisions | None:
        """Probabilities in place of counts; what is undecided counts as neither. None if not asked for."""
        found = [s.exact for s in scored if s.exact is not None]
        if not found or len(found) < len(scored):
            return None
        d = self.decisions(scored, HEADLINE)
        yes, no = np.array([e.yes for e in found]), np.array([e.no for e in found])
        return replace(d, yes=yes, no=no, neither=np.maximum(1 - yes - no, 0.0))

    def log_odds(self, scored: Sequence[Scored]) -> Floats | None:
        """Untempered log-odds of yes against no; None if not asked for."""
        found = [s.log_odds for s in scored if s.log_odds is not None]
        return np.array(found) if found and len(found) == len(scored) else None

    def at_zero(self, scored: Sequence[Scored], odds: Floats) -> Decisions:
        """What the log-odds would decide: yes above 0."""
        yes = (odds > 0).astype(np.int64)
        return replace(self.decisions(scored, HEADLINE), yes=yes, no=1 - yes, neither=0 * yes)


def counts(scored: Sequence[Scored], reading: str) -> tuple[Ints, Ints, Ints]:
    """How many repeats of each question say yes, no, neither."""
    yes, no, neither = (
        np.array([s.count(decision, reading) for s in scored], np.int64)
        for decision in ("yes", "no", "neither")
    )
    return yes, no, neither


def load_run(store: Store, id: int | None = None) -> Run:
    """Reads a run (by default the latest) and decides every answer under both readings. Raises Error."""
    row = dict(store.run(id))
    refuse(store, contradictions(store, row))
    run = row["id"]
    clips = {clip["id"]: dict(clip) for clip in store.rows("clips", run)}
    texts: dict[int, list[str]] = defaultdict(list)
    for answer in store.rows("answers", run):  # in order of question and repeat
        texts[answer["question"]].append(answer["text"])
    measured, questions = store.measured(run), store.questions(run)
    scored = tuple(
        _score(asked, clips[asked.clip]["label"], texts[asked.id], *measured[asked.id])
        for asked in questions
        if asked.id in texts
    )
    unanswered = tuple(asked for asked in questions if asked.id not in texts)
    asked = relations_of(json.loads(row["header"]))
    words = {
        word["label"]: Word.from_json(json.loads(word["row"]), asked) for word in store.rows("words", run)
    }
    failures = {failure["clip"]: failure["reason"] for failure in store.rows("failures", run)}
    sessions = [dict(session) for session in store.rows("sessions", run)]
    return Run(row, words, clips, failures, sessions, scored, unanswered)


def _score(
    asked: Asked, label: str, texts: Iterable[str], exact: Distribution | None, log_odds: float | None
) -> Scored:
    texts = tuple(texts)
    if asked.task == "identity":
        return Scored(asked, label, texts, {}, exact)
    by_reading = {r: tuple(decide(text, asked.term, r) for text in texts) for r in READINGS}
    return Scored(asked, label, texts, by_reading, exact, log_odds)
