"""POST /v1/decisions (OpenAI's form) and POST /v1/systemone (TypeSafe's): one way to decide."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ltu.audio import Clip
from ltu.serve.content import AudioPart, Content, TextPart, clip_of, text_of
from ltu.serve.decide import Asked, Cost, Decided, decide, placed
from ltu.serve.decision_form import (
    AnyQuestion,
    Choice,
    DecisionForm,
    NamedChoice,
    Noul,
    Part,
    Predicate,
    Rubric,
    Score,
    SystemOneForm,
)
from ltu.serve.problems import Problem
from ltu.serve.service import Service

Body = dict[str, Any]


async def openai_decisions(service: Service, form: DecisionForm, caller: str) -> Body:
    """The body of a Decision. Raises Problem and the errors of prompts and clips."""
    service.check_model(form.model)
    asked = await service.prepare(lambda: _questions(service, form))
    decided, cost = await decide(service, asked, form.ltu, f"{caller} {form.safety_identifier or ''}")
    answers = [_answer(question, one) for question, one in zip(form.questions, decided, strict=True)]
    return {
        "object": "decision",
        "answers": answers,
        "model": service.name,
        "system_fingerprint": service.fingerprint,
        "usage": _usage(cost),
        "ltu": {"clips": service.about_clips(_clips(asked))},
    }


async def system_one(service: Service, form: SystemOneForm, caller: str) -> Body:
    """The body of a SystemOneResponse; a question without an answer has one of type refusal."""
    service.check_model(form.model)
    asked = await service.prepare(lambda: _named_questions(service, form))
    decided, cost = await decide(service, asked, form.ltu, caller)
    answers = {
        name: _named_answer(question, one)
        for (name, question), one in zip(form.questions.items(), decided, strict=True)
    }
    return {
        "answers": answers,
        "model": service.name,
        "system_fingerprint": service.fingerprint,
        "usage": _usage(cost),
        "ltu": {"clips": service.about_clips(_clips(asked))},
    }


def _questions(service: Service, form: DecisionForm) -> list[Asked]:
    given = _input(service, form)
    asked = []
    for place, question in enumerate(form.questions):
        where = f"questions[{place}].instructions"
        content = placed(given, _parts(service, question.instructions, where), where)
        labels = [] if isinstance(question, Predicate) else _distinct(question.labels, f"questions[{place}]")
        how = question.ltu
        asked.append(Asked(question.type, content, where, how.term, labels, how.labels == "named"))
    return asked


def _input(service: Service, form: DecisionForm) -> Content:
    if isinstance(form.input, str):
        return [text_of(form.input, "input")]
    content: Content = []
    for place, message in enumerate(form.input):
        where = f"input[{place}]"
        if message.role != "user" and message.content:
            raise Problem(
                400, f"{where}: only messages of the user are taken, not of the {message.role}", where
            )
        parts = _parts(service, message.content, f"{where}.content")
        for part in parts:
            if isinstance(part, str):
                text_of(part, f"{where}.content")
        content += ["\n", *parts] if content and parts else parts
    return content


def _parts(service: Service, given: str | list[Part], where: str) -> Content:
    if isinstance(given, str):
        return [given]
    content: Content = []
    for place, part in enumerate(given):
        if isinstance(part, TextPart):
            content.append(part.text)
        elif isinstance(part, AudioPart):
            content.append(clip_of(part.input_audio, f"{where}[{place}].input_audio", service.clips))
        else:
            content.append(text_of(_text(part.data), f"{where}[{place}].data"))
    return content


def _answer(question: AnyQuestion, decided: Decided) -> Body:
    body: Body = {"type": question.type, "name": question.name, "ltu": decided.details}
    if decided.refusal:
        return body | {"type": "refusal", "ltu": {**decided.details, "reason": decided.refusal}}
    if isinstance(question, Predicate):
        return body | {"probability": decided.probability}
    confidence = decided.masses[decided.best]
    if isinstance(question, Choice):
        values = [option.value for option in question.choices]
        table = [{"value": v, "probability": p} for v, p in zip(values, decided.shares, strict=True)]
        return body | {"choice": values[decided.best], "confidence": confidence, "probabilities": table}
    assert isinstance(question, Score)
    levels = zip(question.labels, decided.shares, strict=True)
    table = [{"label": label, "probability": p, "value": place} for place, (label, p) in enumerate(levels)]
    return body | {"score": _mean(decided.shares), "confidence": confidence, "probabilities": table}


def _named_questions(service: Service, form: SystemOneForm) -> list[Asked]:
    assets = {
        name: service.clips.of_data(asset.data_base64, f"assets.{name}.data_base64")
        for name, asset in (form.assets or {}).items()
    }
    if "" in assets:
        raise Problem(400, "assets: a name is empty", "assets")
    first = [service.clips.of_data(url, f"audio[{n}]") for n, url in enumerate(form.audio or [])]
    state = [*first, *_with_assets(_text(form.state), assets)]
    for part in state:
        if isinstance(part, str):
            text_of(part, "state")
    asked = []
    for name, question in form.questions.items():
        where = f"questions.{name}.instructions"
        content = placed(state, _with_assets(_text(question.instructions), assets), where)
        if isinstance(question, Noul):
            asked.append(Asked("predicate", content, where, question.ltu.term))
        else:
            labels = _distinct(list(question.criteria), f"questions.{name}.criteria")
            named = question.ltu.labels == "named"
            asked.append(Asked(question.type, content, where, labels=labels, named=named))
    return asked


def _named_answer(question: Noul | NamedChoice | Rubric, decided: Decided) -> Body:
    body: Body = {"type": question.type, "ltu": decided.details}
    if decided.refusal:
        return body | {"type": "refusal", "ltu": {**decided.details, "reason": decided.refusal}}
    if isinstance(question, Noul):
        return body | {"noul": decided.probability}
    labels, confidence = list(question.criteria), decided.masses[decided.best]
    if isinstance(question, NamedChoice):
        shares = dict(zip(labels, decided.shares, strict=True))
        return body | {"choice": labels[decided.best], "confidence": confidence, "probabilities": shares}
    return body | {
        "score": _mean(decided.shares),
        "confidence": confidence,
        "legend": {str(place): label for place, label in enumerate(labels)},
        "probabilities": {str(place): share for place, share in enumerate(decided.shares)},
    }


def _with_assets(text: str, assets: Mapping[str, Clip]) -> Content:
    """The text with the recordings at their names; of names that begin alike the longest counts."""
    if not assets:
        return [text]
    names = "|".join(re.escape(name) for name in sorted(assets, key=len, reverse=True))
    return [assets[part] if n % 2 else part for n, part in enumerate(re.split(f"({names})", text))]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(", ", ": "))


def _distinct(labels: Sequence[str], where: str) -> list[str]:
    """Labels that can be told apart. Raises Problem."""
    if not all(labels):
        raise Problem(400, f"{where}: a label is empty", where)
    if len(set(labels)) < len(labels):
        raise Problem(400, f"{where}: two labels are the same text", where)
    return list(labels)


def _clips(asked: Sequence[Asked]) -> tuple[Clip, ...]:
    """Every recording once, in order of appearance."""
    clips = {part.hash: part for one in asked for part in one.content if isinstance(part, Clip)}
    return tuple(clips.values())


def _mean(shares: Sequence[float]) -> float:
    return sum(place * share for place, share in enumerate(shares))


def _usage(cost: Cost) -> Body:
    return {
        "input_tokens": cost.prompt,
        "input_tokens_details": {
            "cached_tokens": cost.cached,
            "cache_write_tokens": cost.prompt - cost.cached,
        },
        "output_tokens": cost.answers,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": cost.prompt + cost.answers,
    }
