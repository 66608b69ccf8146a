"""POST /v1/chat/completions: one question with its recordings, answered n times."""

import json
import secrets
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import JSONResponse, Response

from ltu.query import Query, Sample
from ltu.serve.chat_form import ChatForm, Message
from ltu.serve.content import Content, TextPart, check_clip_count, clip_of, sequence_of, text_of
from ltu.serve.gone import EventStream
from ltu.serve.pieces import Piece, Usage, Wording, pieces
from ltu.serve.problems import Problem, problem_of
from ltu.serve.service import Service

SEEDS = 1 << 53  # JavaScript's whole numbers


async def complete(service: Service, form: ChatForm, caller: str) -> Response:
    """The response to a request whose client still listens."""
    start = time.perf_counter()
    service.check_model(form.model)
    _check(form, service)
    query = await service.prepare(lambda: query_of(service, form))
    ticket = await service.submit(query, f"{caller} {form.user or form.safety_identifier or ''}", stream=True)
    prompt = len(query.sequence.ids) + 31 * len(query.sequence.clips)
    chat = _Chat(service, form, query, Usage(prompt), start)
    stops = [form.stop] if isinstance(form.stop, str) else form.stop or []
    wording = Wording(service, form.ltu.logprobs == "raw", bool(form.logprobs))
    stream = pieces(ticket, stops, wording, chat.usage)
    if not form.stream:
        async with aclosing(stream):
            return JSONResponse(await chat.whole(stream))
    first = await anext(stream)  # what can't be answered is refused before the stream begins
    return EventStream(lambda event: chat.send(first, stream, event))


def query_of(service: Service, form: ChatForm) -> Query:
    """Raises Problem, AudioError, PromptError, Error."""
    model, [message] = service.model, [m for m in form.messages if m.role == "user"]
    where = f"messages[{form.messages.index(message)}].content"
    content = _content(message, where, service)
    check_clip_count(content, service.limits.clips, where)
    fields = ("temperature", "top_p", "top_k", "repetition_penalty")
    given: dict[str, Any] = {name: value for name in fields if (value := getattr(form, name)) is not None}
    seed = secrets.randbelow(SEEDS) if form.seed is None else form.seed % (1 << 64)
    sequence = sequence_of(model, content, form.ltu.format, where)
    mode = Sample(
        first_repeat=form.ltu.first_repeat, logprobs=form.top_logprobs or 0 if form.logprobs else None
    )
    tokens = form.max_completion_tokens or form.max_tokens
    return Query(sequence, form.n or 1, seed, replace(model.sampling, **given), tokens, mode)


def _check(form: ChatForm, service: Service) -> None:
    """What pydantic can't say of a form. Raises Problem."""
    users = 0
    for place, message in enumerate(form.messages):
        where = f"messages[{place}]"
        if message.role == "user":
            users += 1
            if message.content is None:
                raise Problem(400, f"{where}.content is missing", f"{where}.content")
        elif message.role not in ("system", "developer") or message.content:
            what = "system text" if message.role in ("system", "developer") else "history"
            raise Problem(
                400,
                f"{where}: this model answers one question; it takes no {what}",
                where,
                "unsupported_value",
            )
    if users != 1:
        raise Problem(
            400, f"messages: this model answers one question; there are {users} user messages", "messages"
        )
    for name, most in (
        ("n", service.limits.choices),
        ("max_completion_tokens", service.limits.tokens),
        ("max_tokens", service.limits.tokens),
    ):
        if (getattr(form, name) or 0) > most:
            raise Problem(400, f"{name} is {getattr(form, name)}; this server gives at most {most}", name)
    if form.top_logprobs is not None and not form.logprobs:
        raise Problem(400, "top_logprobs needs logprobs: true", "top_logprobs")
    if form.stream_options is not None and not form.stream:
        raise Problem(400, "stream_options needs stream: true", "stream_options")


def _content(message: Message, where: str, service: Service) -> Content:
    if isinstance(message.content, str):
        return [text_of(message.content, where)]
    content: Content = []
    for place, part in enumerate(message.content or []):
        at = f"{where}[{place}]"
        if isinstance(part, TextPart):
            content.append(text_of(part.text, f"{at}.text"))
        else:
            content.append(clip_of(part.input_audio, f"{at}.input_audio", service.clips))
    return content


@dataclass
class _Chat:
    """One request that is being answered."""

    service: Service
    form: ChatForm
    query: Query
    usage: Usage
    start: float

    async def whole(self, stream: AsyncGenerator[Piece]) -> dict[str, Any]:
        """All choices in one body."""
        repeats = range(self.form.n or 1)
        texts, logprobs = [""] * len(repeats), [list[dict[str, Any]]() for _ in repeats]
        finish: list[str | None] = [None] * len(repeats)
        async for piece in self._timed(stream):
            index = self._index(piece)
            texts[index] += piece.text
            logprobs[index] += piece.logprobs
            finish[index] = piece.finish
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": texts[index], "refusal": None},
                "logprobs": {"content": logprobs[index], "refusal": None} if self.form.logprobs else None,
                "finish_reason": finish[index],
            }
            for index in repeats
        ]
        clips = self.service.about_clips(self.query.sequence.clips)
        extension = {"clips": clips, "first_repeat": self.form.ltu.first_repeat}
        return self._head("chat.completion") | {
            "choices": choices,
            "usage": self.usage.body(),
            "ltu": extension,
        }

    async def send(
        self, first: Piece, stream: AsyncGenerator[Piece], event: Callable[[str], Awaitable[None]]
    ) -> None:
        """All choices as chunks; what goes wrong on the way is an `error` event."""
        head = self._head("chat.completion.chunk")
        with_usage = bool(self.form.stream_options and self.form.stream_options.include_usage)
        head |= {"usage": None} if with_usage else {}

        async def chunk(index: int, delta: dict[str, Any], piece: Piece | None = None) -> None:
            told = {"content": piece.logprobs, "refusal": None} if piece and piece.logprobs else None
            finish = piece.finish if piece and not delta else None
            choice = {"index": index, "delta": delta, "logprobs": told, "finish_reason": finish}
            await event(_json(head | {"choices": [choice]}))

        try:
            async with aclosing(stream):
                for index in range(self.form.n or 1):
                    await chunk(index, {"role": "assistant", "content": "", "refusal": None})
                async for piece in self._timed(_chain(first, stream)):
                    index = self._index(piece)
                    if piece.text or piece.logprobs:
                        await chunk(index, {"content": piece.text}, piece)
                    if piece.finish:
                        await chunk(index, {}, Piece(piece.repeat, finish=piece.finish))
        except Exception as error:
            await event(_json(problem_of(error).body()))
            return
        if with_usage:
            await event(_json(head | {"choices": [], "usage": self.usage.body()}))
        await event("[DONE]")

    async def _timed(self, stream: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
        """The same pieces, measured."""
        metrics, first = self.service.metrics, 0.0
        async for piece in stream:
            if not first:
                first = time.perf_counter()
                metrics.first_token.observe(first - self.start)
            yield piece
        if first and self.usage.tokens > 1:
            metrics.per_token.observe((time.perf_counter() - first) / (self.usage.tokens - 1))
        metrics.shared.inc(self.usage.cached)

    def _index(self, piece: Piece) -> int:
        return piece.repeat - self.form.ltu.first_repeat

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self.service.name,
            "system_fingerprint": self.service.fingerprint,
            "seed": self.query.seed,
        }

    def __post_init__(self) -> None:
        self._id, self._created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())


async def _chain(first: Piece, stream: AsyncIterator[Piece]) -> AsyncIterator[Piece]:
    yield first
    async for piece in stream:
        yield piece


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
