"""One question as the model gets it, and its answers as the store gets them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from ltu.audio import Clip, load_audio
from ltu.errors import AudioError
from ltu.prompt import Format, PromptSequence
from ltu.query import Answer, Distribution, Likely, Query
from ltu.readings import Reading
from ltu.sampling import Sampling
from ltu.shard import HEADLINE
from ltu.shard.run.controls import noise, silence
from ltu.shard.run.store import Answered, Asked
from ltu.shard.spec.labels import names_label

IDENTITY_NODES = 256  # most positions for the whole answers to one identity question
YES, NO = ("Yes", "yes"), ("No", "no")  # what log-odds are of, untempered


class Prompts(Protocol):
    def sequence(
        self, prompt: str, clips: Sequence[Clip] = (), format: Format = "interleaved"
    ) -> PromptSequence: ...
    def continuation(self, text: str) -> list[int]: ...


class Answers(Protocol):
    """What a sweep needs of a model; ltu.Model is one."""

    path: str
    info: Mapping[str, Any]
    sampling: Sampling
    max_new_tokens: int
    clip_threads: int

    @property
    def prompter(self) -> Prompts: ...
    def prepare(self, clips: Iterable[Clip]) -> None: ...
    def answers(self, queries: Iterable[Query]) -> Iterator[Answer]: ...


@dataclass(frozen=True)
class Ask:
    """One query and the questions that it answers. `sound` is what is played, `clip` where it comes from."""

    sound: str  # "clip", "noise", "silence" or "" for a prompt without audio
    clip: int
    prompt: str
    format: Format
    term: str
    questions: tuple[int, ...]

    @property
    def played(self) -> tuple[str, int]:
        return self.sound, self.clip


def plan(pending: Sequence[Asked], other: Mapping[int, int | None]) -> list[Ask]:
    """Each distinct query once, all about one clip together (they share its embeddings and prefix)."""
    groups: dict[tuple[int, int, str, str, Format, str], list[int]] = defaultdict(list)
    for q in pending:
        format: Format = "prepended" if q.position == "prepended" else "interleaved"
        if q.control == "word":
            where, sound, format = (1, 0), "", "interleaved"
        elif q.control == "silence":
            where, sound = (1, 0), "silence"
        else:
            heard = other[q.clip] if q.control == "other" else q.clip
            assert heard is not None
            where, sound = (0, heard), "noise" if q.control == "noise" else "clip"
        groups[(*where, sound, q.prompt, format, q.term)].append(q.id)
    ordered = sorted(groups.items(), key=lambda item: (item[0][:3], item[1]))
    return [
        Ask(sound, clip, text, form, term, tuple(ids)) for (_, clip, sound, text, form, term), ids in ordered
    ]


def queries_of(
    ask: Ask,
    sequence: PromptSequence,
    tag: int,
    repeats: int,
    seed: int,
    settings: Mapping[str, Any],
    model: Answers,
) -> Iterator[Query]:
    """What one question takes: its repeats, exact probabilities and, if it is about a term, log-odds."""
    stop = Reading(HEADLINE, ask.term) if ask.term and settings.get("stop_when_decided") else None
    common = (seed, model.sampling, model.max_new_tokens)
    yield Query(sequence, repeats, *common, stop_when_decided=stop, tag=tag)
    if settings["exact"]:
        reading = Reading(HEADLINE, ask.term) if ask.term else None
        nodes = settings["node_budget"] if reading else min(IDENTITY_NODES, settings["node_budget"])
        how: dict[str, Any] = {"reading": reading, "epsilon": settings["epsilon"], "node_budget": nodes}
        if ask.term and settings.get("untempered"):
            common = (seed, replace(model.sampling, temperature=1.0), model.max_new_tokens)
        yield Query(sequence, 1, *common, mode="exact", tag=tag, **how)
    if ask.term and settings["scores"]:
        ids = tuple(tuple(model.prompter.continuation(text)) for text in (*YES, *NO))
        yield Query(sequence, mode="score", continuations=ids, tag=tag)


def answers_of(ask: Ask, repeats: int, settings: Mapping[str, Any]) -> int:
    scores = len((*YES, *NO)) if ask.term and settings["scores"] else 0
    return repeats + bool(settings["exact"]) + scores


def answered(
    ask: Ask, labels: Mapping[int, str], timing: tuple[str | None, float, float], answers: Sequence[Answer]
) -> Answered:
    """All answers of one query, in whatever order they came. `labels`: of the questions' clips."""
    ordered = sorted(answers, key=lambda answer: answer.repeat)
    drawn = [a for a in ordered if a.stop not in ("exact", "given")]
    exact = tuple(
        answer.distribution or _named(answer.likely, labels[question])
        for answer in ordered
        if answer.stop == "exact"
        for question in ask.questions
    )
    given = [a.logprob for a in ordered if a.stop == "given"]
    yes, no = (np.logaddexp.reduce(side) for side in (given[: len(YES)], given[len(YES) :]))
    odds = float(yes - no) if given else None
    repeats = tuple((a.text, a.token_ids, a.logprob, a.stop) for a in drawn)
    return Answered(ask.questions, *timing, repeats, exact, odds)


def _named(likely: Likely | None, label: str) -> Distribution:
    """Whether the answer names the label: yes or no, as far as whole answers are known."""
    assert likely is not None
    yes = sum(p for text, p in likely.answers if names_label(text, label))
    no = sum(p for text, p in likely.answers) - yes
    return Distribution(yes, no, 0.0, likely.undecided, likely.nodes)


def sound_of(ask: Ask, clips: Mapping[int, Any]) -> list[Clip]:
    """Raises AudioError for a clip that cannot be read or has changed."""
    if not ask.sound:
        return []
    if ask.sound == "silence":
        return [silence()]
    row = clips[ask.clip]
    clip = load_audio(row["file"])
    if clip.hash != row["hash"]:
        raise AudioError(f"{row['file']}: is not the recording that the specification was built from")
    return [noise(clip) if ask.sound == "noise" else clip]
