"""Questions → an OpenAI-compatible endpoint → recorded answers."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ltu.errors import Error, needs
from ltu.training.reformulate.completion import Reply, judge, read_completion, request
from ltu.training.reformulate.progress import Progress
from ltu.training.reformulate.question import Question

if TYPE_CHECKING:
    from openai import AsyncOpenAI

RETRIES = 8  # the client's: waits of 0.5 s to 8 s, or what the server asks for
HOPELESS = 10  # questions in a row without an answer, after which the endpoint counts as down
USELESS = 100  # questions in a row without an answer that can be used


@dataclass(frozen=True)
class Endpoint:
    """`base_url`: None, the provider's. `timeout`: seconds for one request."""

    model: str
    base_url: str | None
    api_key: str | None
    timeout: float

    @property
    def name(self) -> str:
        return self.base_url or "the API"

    def client(self) -> "AsyncOpenAI":
        """Raises Error without the package or without a key."""
        with needs("reformulate", "use --offline"):
            from openai import AsyncOpenAI
        if not self.api_key and not self.base_url:
            raise Error(
                "OPENAI_API_KEY is not set: set it, or name your own server with --base-url, or use --offline"
            )
        key = self.api_key or "none"  # a server of one's own seldom wants one, the client always does
        return AsyncOpenAI(api_key=key, base_url=self.base_url, timeout=self.timeout, max_retries=RETRIES)


def ask(
    progress: Progress, endpoint: Endpoint, seed: int, concurrency: int, advance: Callable[[], None]
) -> None:
    """Settles every pending question, `concurrency` of them at a time.

    Raises Error if some got no answer: they stay pending, and a new start asks for these alone.
    """
    client = endpoint.client()  # what is missing is said before anything is begun
    asyncio.run(_Asking(progress, endpoint, client, seed, advance).all(concurrency))


class _NoAnswerError(Exception):
    pass


class _Asking:
    def __init__(
        self,
        progress: Progress,
        endpoint: Endpoint,
        client: "AsyncOpenAI",
        seed: int,
        advance: Callable[[], None],
    ) -> None:
        self._progress, self._endpoint, self._client = progress, endpoint, client
        self._seed, self._advance = seed, advance
        self._unanswered = self._in_a_row = self._refused = 0

    async def all(self, concurrency: int) -> None:
        questions = self._progress.pending()
        async with self._client:
            workers = [asyncio.create_task(self._work(questions)) for _ in range(concurrency)]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        if self._unanswered:
            raise Error(
                f"{self._endpoint.name}: {self._unanswered} questions got no answer ({self._reason}); "
                "start the same command again to ask these alone"
            )

    async def _work(self, questions: Iterator[Question]) -> None:
        for question in questions:
            try:
                await self._settle(question)
            except _NoAnswerError as error:
                self._unanswered += 1
                self._in_a_row += 1
                self._reason = str(error)
                if self._in_a_row == HOPELESS:
                    raise Error(
                        f"{self._endpoint.name}: {HOPELESS} questions in a row got no answer ({error}); "
                        "what was answered is kept, start the same command again later"
                    ) from None
            else:
                self._in_a_row = 0
                self._advance()

    async def _settle(self, question: Question) -> None:
        """Asks until an answer is accepted or the tries are used up."""
        while len(question.refused) < self._progress.tries:
            reply = await self._ask(question)
            verdict = judge(question, reply)
            self._progress.record([(question, reply, verdict)])
            if verdict.prompt:
                self._refused = 0
                return
            question = question.refuse(reply.answer, verdict.problem)
        self._refused += 1
        if self._refused == USELESS:
            raise Error(
                f"{self._endpoint.name}: of {USELESS} questions in a row every answer was refused (the last: "
                f"{question.refused[-1][1]}); give another --model, or start the same command again to go on"
            )

    async def _ask(self, question: Question) -> Reply:
        from openai import APIError, APIStatusError

        try:
            body = request(question, self._endpoint.model, self._seed)
            completion = await self._client.chat.completions.create(**body)
        except APIStatusError as error:
            if error.status_code in (401, 403, 404):  # the same for every question
                raise Error(
                    f"{self._endpoint.name}: {_message(error)}; check the key, --model and --base-url"
                ) from None
            raise _NoAnswerError(_message(error)) from None
        except APIError as error:
            raise _NoAnswerError(_message(error)) from None
        except ValueError:  # 200, but no JSON
            return read_completion(None)
        return read_completion(completion.to_dict() if hasattr(completion, "to_dict") else None)


def _message(error: Exception) -> str:
    """The server's words, or what broke the connection."""
    text = " ".join(str(error).split()).rstrip(".")
    cause = " ".join(str(error.__cause__ or "").split())
    return f"{text}: {cause}" if cause and cause not in text else text
