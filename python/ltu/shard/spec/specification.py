"""The specification file: words, clips and questions of one benchmark, as JSON Lines below a header.

Each line has a `kind`: "header" (first), "word", "clip", "question". docs/shard.md lists the fields.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from ltu.errors import Error
from ltu.files import read_json_lines, write_text
from ltu.shard.spec.ontology import Distance
from ltu.shard.spec.prompts import Cell, Position, Wording, identity_prompt, term_prompt
from ltu.shard.spec.relations import IDENTITY, Relation, relations_of
from ltu.shard.spec.words import Word, true_terms

FORMAT = 1


@dataclass(frozen=True)
class SpecClip:
    """One evaluation clip; `label` is its word's, `other` a clip of another word (a control)."""

    id: int
    file: str
    label: str
    recording: str
    hash: str
    other: int | None = None


@dataclass(frozen=True)
class Question:
    """One prompt about one clip. Identity questions have no term and no expected answer.

    `term_label` is the word that the term was asked for. `tiers` are the distances in whose J the question
    counts: a negative in its own, a positive in each tier where it has its negative.
    """

    id: int
    clip: int
    task: str
    position: Position
    wording: Wording
    prompt: str
    term: str = ""
    term_label: str = ""
    expected: bool | None = None
    tiers: tuple[Distance, ...] = ()

    @property
    def cell(self) -> Cell:
        return Cell(self.position, self.wording)


@dataclass(frozen=True)
class Spec:
    header: dict[str, Any]
    words: tuple[Word, ...]
    clips: tuple[SpecClip, ...]
    questions: tuple[Question, ...]

    @property
    def relations(self) -> tuple[Relation, ...]:
        return relations_of(self.header)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Identity and the relations, in the order in which they are asked."""
        return (IDENTITY, *(relation.name for relation in self.relations))

    @property
    def hash(self) -> str:
        """Hex SHA-256 of words, clips and questions; the same benchmark has the same, wherever it lies."""
        rows = "\n".join(line for line in self._lines() if not line.startswith('{"kind": "header"'))
        return hashlib.sha256(rows.encode()).hexdigest()

    def word(self, label: str) -> Word:
        return next(word for word in self.words if word.label == label)

    def part(self, asked: Callable[[Question], bool]) -> "Spec":
        """With some of its questions alone."""
        kept = tuple(question for question in self.questions if asked(question))
        counts = {**self.header["counts"], "questions": len(kept)}
        return replace(self, header={**self.header, "counts": counts}, questions=kept)

    def write(self, path: Path) -> None:
        write_text(path, "".join(f"{line}\n" for line in self._lines()))

    def _lines(self) -> Iterator[str]:
        yield _line("header", {"format": FORMAT, **self.header})
        yield from (_line("word", word.to_json()) for word in self.words)
        yield from (_line("clip", asdict(clip)) for clip in self.clips)
        yield from (_line("question", asdict(question)) for question in self.questions)


def _line(kind: str, row: dict[str, Any]) -> str:
    return json.dumps({"kind": kind, **row}, ensure_ascii=False)


Row = TypeVar("Row", SpecClip, Question)


def _row(cls: type[Row], row: dict[str, Any]) -> Row:
    known = {field.name for field in fields(cls)}
    if unknown := set(row) - known:
        raise ValueError(f"unknown fields {', '.join(sorted(unknown))}")
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
    return cls(**values)


def read_spec(path: Path) -> Spec:
    """Reads and checks a specification. Raises Error that names the line."""
    if not path.is_file():
        raise Error(f"{path}: no such file; make one with ltu-shard build")
    header: dict[str, Any] | None = None
    words, clips, questions = [], [], []
    for number, row in read_json_lines(path, "a line of a specification"):
        try:
            kind = row.pop("kind")
            if (header is None) != (kind == "header"):
                raise ValueError("one header is needed, on the first line")
            if kind == "header":
                if row.pop("format") != FORMAT:
                    raise ValueError("made by another version; build it again")
                header = row
            elif kind == "word":
                words.append(Word.from_json(row, relations_of(header or {})))
            elif kind == "clip":
                clips.append(_row(SpecClip, row))
            elif kind == "question":
                questions.append(_row(Question, row))
            else:
                raise ValueError(f"unknown kind {kind!r}")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Error(f"{path}:{number}: is not a line of a specification: {error}") from None
    if header is None:
        raise Error(f"{path}: is empty; make one with ltu-shard build")
    spec = Spec(header, tuple(words), tuple(clips), tuple(questions))
    if problems := list(check(spec)):
        raise Error(f"{path}: {problems[0]}" + (f" (and {len(problems) - 1} more)" if problems[1:] else ""))
    return spec


def check(spec: Spec) -> Iterator[str]:
    """What contradicts itself in a specification, one line each."""
    for name, count in (spec.header.get("counts") or {}).items():
        rows = getattr(spec, name, None)
        if rows is not None and len(rows) != count:
            yield f"{len(rows)} of {count} {name} are there: was it cut off?"
    labels = {word.label for word in spec.words}
    clips = {clip.id: clip for clip in spec.clips}
    relations = {relation.name: relation for relation in spec.relations}
    if len(clips) != len(spec.clips):
        yield "two clips have the same id"
    if len({question.id for question in spec.questions}) != len(spec.questions):
        yield "two questions have the same id"
    for clip in spec.clips:
        if clip.label not in labels:
            yield f"clip {clip.id}: its word {clip.label!r} is not in the file"
        if clip.other is not None and clip.other not in clips:
            yield f"clip {clip.id}: the other clip {clip.other} is not in the file"
    for question in spec.questions:
        where = f"question {question.id}"
        if question.clip not in clips:
            yield f"{where}: its clip {question.clip} is not in the file"
        elif question.task not in spec.tasks:
            yield f"{where}: its task {question.task!r} is not among {', '.join(spec.tasks)}"
        elif question.task != IDENTITY and question.term_label not in labels:
            yield f"{where}: the word {question.term_label!r} of its term is not in the file"
        elif (question.expected is None) != (question.task == IDENTITY):
            yield f"{where}: a question about a term needs an expected answer, an identity question has none"
        elif question.prompt != _prompt(question, relations.get(question.task)):
            yield f"{where}: its prompt is not what its task, position, wording and term make"


def same_truth(spec: Spec) -> frozenset[int]:
    """Questions to which another word's clip in the place of their own makes no yes: identity, and terms that
    are not true of that clip's word. A listener has J 0 on them with that clip."""
    true = {word.label: true_terms(word) for word in spec.words}
    label = {clip.id: clip.label for clip in spec.clips}
    other = {clip.id: label.get(clip.other) for clip in spec.clips if clip.other is not None}
    return frozenset(
        q.id
        for q in spec.questions
        if not q.term or q.term.casefold() not in true.get(other.get(q.clip) or "", ())
    )


def _prompt(question: Question, relation: Relation | None) -> str | None:
    if relation is None:
        return identity_prompt(question.cell)
    return term_prompt(relation, question.cell, question.term)
