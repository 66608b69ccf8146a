"""Work for clients that may leave before it is done."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import anyio
from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

T = TypeVar("T")
CLIENT_LEFT = 499  # nginx's status for it; nobody reads it but a log


async def unless_gone(receive: Receive, work: Callable[[], Awaitable[T]]) -> T | None:
    """What the work returns or raises; None when the client left and the work was cancelled.

    Neither streaming nor awaiting a body tells a server that nobody listens any more: only receiving does.
    """
    results: list[T] = []
    errors: list[Exception] = []

    async def watch(scope: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(watch, group.cancel_scope)
        try:
            results.append(await work())
        except Exception as error:
            errors.append(error)
        group.cancel_scope.cancel()
    if errors:
        raise errors[0]
    return results[0] if results else None


class EventStream(Response):
    """Server-sent events; `write` sends them and is cancelled when the client leaves."""

    media_type = "text/event-stream"

    def __init__(
        self,
        write: Callable[[Callable[[str], Awaitable[None]]], Awaitable[None]],
        headers: Mapping[str, str] | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        self.status_code, self.background = 200, background
        self.body = b""
        self._write = write
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no", **(headers or {})})
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def event(data: str) -> None:
            body = f"data: {data}\n\n".encode()
            await send({"type": "http.response.body", "body": body, "more_body": True})

        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await unless_gone(receive, lambda: self._write(event))
        await send({"type": "http.response.body", "body": b"", "more_body": False})
