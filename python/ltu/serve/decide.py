"""Questions about recordings → probabilities. No answer depends on the other questions of its request."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ltu.audio import Clip
from ltu.errors import Error
from ltu.model import DECISION_TEMPERATURE
from ltu.prompt import AUDIO
from ltu.query import Answer, Decisions, Distribution, Exact, Query, Score
from ltu.readings import Options, Reading
from ltu.sampling import Sampling
from ltu.serve.content import Content, sequence_of
from ltu.serve.decision_form import DecisionExtension
from ltu.serve.problems import Problem
from ltu.serve.service import Service

Kind = Literal["predicate", "choice", "score"]
READ = "careful"
LEAST_MASS = 0.01  # of all labels together; below it none of them is what the model says


@dataclass(frozen=True)
class Asked:
    """One question: what the model reads, and what is wanted of its answer."""

    kind: Kind
    content: Content
    where: str
    term: str = ""
    labels: Sequence[str] = ()
    named: bool = False
    """Whether an answer that names a label counts, in place of the label alone."""


@dataclass(frozen=True)
class Decided:
    """What came of one question. `refusal`: why there is no answer."""

    refusal: str | None
    probability: float | None
    """Of yes, for a predicate."""
    masses: tuple[float, ...]
    """The exact probability of each label: as the whole answer, or that it is named first."""
    details: dict[str, Any]

    @property
    def shares(self) -> list[float]:
        """Probabilities of the labels that sum to 1."""
        total = math.fsum(self.masses)
        return [mass / total for mass in self.masses]

    @property
    def best(self) -> int:
        return max(range(len(self.masses)), key=lambda place: self.masses[place])


@dataclass(frozen=True)
class Cost:
    """Positions: of the prompts, those of them that were in the tree, and computed by walks."""

    prompt: int
    cached: int
    answers: int


def placed(given: Content, instructions: Content, where: str) -> Content:
    """A question's whole content.

    The input's recordings stand at the [AUDIO]s of the instructions; where there are none, the input stands
    before the instructions.
    """
    pieces: Content = []
    clips = iter([part for part in given if isinstance(part, Clip)])
    places = sum(part.count(AUDIO) for part in instructions if isinstance(part, str))
    count = sum(isinstance(part, Clip) for part in given)
    if places and places != count:
        raise Problem(400, f"{where} holds {places} {AUDIO} and the input {count} recordings", where)
    for part in instructions:
        if isinstance(part, Clip):
            pieces.append(part)
            continue
        first, *rest = part.split(AUDIO)
        pieces.append(first)
        for text in rest:
            pieces += [next(clips), text]
    before = [part for part in given if isinstance(part, str)] if places else list(given)
    spoken = any(isinstance(part, Clip) or part for part in before)
    return [*before, " ", *pieces] if spoken else pieces


async def decide(
    service: Service, asked: Sequence[Asked], settings: DecisionExtension, caller: str
) -> tuple[list[Decided], Cost]:
    """All questions at once, in one tree; answers in their order."""
    limits = service.limits
    if len(asked) > limits.questions:
        raise Problem(
            400, f"there are {len(asked)} questions; at most {limits.questions} are taken", "questions"
        )
    most = limits.nodes // limits.questions
    budget = settings.node_budget or most
    if budget > most:
        raise Problem(
            400, f"ltu.node_budget is {settings.node_budget}; at most {most} is taken", "ltu.node_budget"
        )
    for one in asked:
        clips = sum(isinstance(part, Clip) for part in one.content)
        if clips > limits.clips:
            raise Problem(
                400, f"{one.where}: {clips} recordings; at most {limits.clips} are taken", one.where
            )
    queries = await service.prepare(lambda: [_queries(service, one, settings, budget) for one in asked])
    tickets = []
    try:
        for query in (query for pair in queries for query in pair):
            tickets.append(await service.submit(query, caller))
        answers = await asyncio.gather(*tickets)
    finally:
        for ticket in tickets:
            ticket.cancel()
    decided, cost = [], Cost(0, 0, 0)
    for place, one in enumerate(asked):
        calm, sampled = answers[2 * place : 2 * place + 2]
        sequence = queries[place][0].sequence
        prompt = len(sequence.ids) + 31 * len(sequence.clips)
        cached = min(prompt, calm[0].found)
        cost = Cost(cost.prompt + prompt, cost.cached + cached, cost.answers + _computed(calm))
        decided.append(_decided(service, one, calm, sampled))
    service.metrics.shared.inc(cost.cached)
    return decided, cost


def _queries(service: Service, one: Asked, settings: DecisionExtension, budget: int) -> tuple[Query, Query]:
    """At temperature 1, and as the file samples."""
    model = service.model
    sequence = sequence_of(model, one.content, settings.format, one.where)
    file = model.sampling
    if one.kind == "predicate" or one.named:
        exact = Exact(_reading(one), settings.epsilon, budget)
        calm = replace(file, temperature=1.0)
        return Query(sequence, sampling=calm, mode=exact), Query(sequence, sampling=file, mode=exact)
    ids = tuple(tuple(model.prompter.continuation(label)) for label in one.labels)
    score = Score(ids, end=True)
    return Query(sequence, sampling=Sampling(), mode=score), Query(sequence, sampling=file, mode=score)


def _reading(one: Asked) -> Reading | Options:
    """Raises Problem for labels that a reading can't tell apart."""
    if one.kind == "predicate":
        return Reading(READ, one.term)
    try:
        return Options(tuple(one.labels))
    except Error as error:
        raise Problem(400, f"{one.where}: {error}", one.where) from None


def _computed(answers: Sequence[Answer]) -> int:
    walks = [answer.distribution or answer.decisions for answer in answers]
    return sum(w.nodes if w else len(a.token_ids) for w, a in zip(walks, answers, strict=True))


def _decided(service: Service, one: Asked, calm: Sequence[Answer], sampled: Sequence[Answer]) -> Decided:
    if one.kind == "predicate":
        found, as_sampled = calm[0].distribution, sampled[0].distribution
        assert found
        assert as_sampled
        return _predicate(found, as_sampled, service.model.info.get(DECISION_TEMPERATURE, 1.0))
    if one.named:
        named, as_sampled_named = calm[0].decisions, sampled[0].decisions
        assert named
        assert as_sampled_named
        return _named(named, as_sampled_named)
    masses = tuple(math.exp(answer.logprob) for answer in calm)
    mass = math.fsum(masses)
    details = {
        "mass": mass,
        "whole": dict(zip(one.labels, masses, strict=True)),
        "as_sampled": dict(zip(one.labels, (math.exp(answer.logprob) for answer in sampled), strict=True)),
    }
    refusal = None
    if mass < LEAST_MASS:
        refusal = (
            f"all labels together are the model's answer with probability {mass:.2g} only; "
            "ask so that it answers with a label alone"
        )
    return Decided(refusal, None, masses, details)


def _named(found: Decisions, sampled: Decisions) -> Decided:
    numbers, none = _shares(found), found.probabilities[-1][1]
    refusal = None
    if none + found.undecided > 0.5:
        refusal = (
            "the answer names none of the labels, or stays undecided, with probability "
            f"{none + found.undecided:.3g}"
        )
    masses = tuple(probability for _, probability in found.probabilities[:-1])
    return Decided(refusal, None, masses, numbers | {"as_sampled": _shares(sampled)})


def _shares(found: Decisions) -> dict[str, Any]:
    *named, (_, none) = found.probabilities
    return {
        "named": dict(named),
        "none": none,
        "undecided": found.undecided,
        "positions": found.nodes,
    }


def _predicate(found: Distribution, sampled: Distribution, temperature: float) -> Decided:
    details = _numbers(found) | {"temperature": temperature, "as_sampled": _numbers(sampled)}
    said, open_ = found.yes + found.no, found.neither + found.undecided
    if open_ > 0.5 or not said:
        refusal = f"the answer says neither yes nor no, or stays undecided, with probability {open_:.3g}"
        return Decided(refusal, None, (), details)
    calibrated = found.at_temperature(temperature)
    return Decided(None, calibrated.yes / (calibrated.yes + calibrated.no), (), details)


def _numbers(found: Distribution) -> dict[str, Any]:
    return {
        "yes": found.yes,
        "no": found.no,
        "neither": found.neither,
        "undecided": found.undecided,
        "positions": found.nodes,
    }
