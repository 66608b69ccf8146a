"""What stands before every request: who may ask, how much he may send, whether there is a place for it."""

import contextlib
import hmac
import ipaddress
import json
import re
from collections import Counter
from collections.abc import Iterable

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ltu.serve.limits import Limits
from ltu.serve.problems import Problem

OPEN = ("/health", "/")  # and what lies below /page/: asked by those who have no key yet
HALF = re.compile(rb"\\u[dD][89a-fA-F]")
SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
]


class Guard:
    """Refuses a request before its body is read, where its head says enough."""

    def __init__(self, app: ASGIApp, limits: Limits, keys: Iterable[str], hosts: Iterable[str]) -> None:
        """hosts: names by which the server may be called; "*": any. keys: none, and everybody may ask."""
        self._app, self._limits = app, limits
        self._keys = [key.encode() for key in keys]
        self._hosts = {host.lower() for host in hosts}
        self.open: Counter[str] = Counter()  # requests under way, by client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        try:
            client = self._admitted(scope, headers)
            if scope["method"] != "POST":
                return await self._app(scope, receive, _secured(send))
            self._check_head(headers)
            self._check_place(client)
        except Problem as problem:
            await _drain(receive, headers, self._limits)
            return await problem.response()(scope, receive, send)
        scope.setdefault("state", {})["client"] = client
        self.open[client] += 1
        try:
            body = await self._body(receive)
            _check_unicode(body)
            await self._app(scope, _after(body, receive), _secured(send))
        except Problem as problem:
            await problem.response()(scope, receive, send)
        finally:
            self.open[client] -= 1
            if not self.open[client]:
                del self.open[client]

    def _admitted(self, scope: Scope, headers: Headers) -> str:
        """Who asks: his address, and the key that he sends."""
        if "*" not in self._hosts and _host(headers.get("host", "")) not in self._hosts:
            raise Problem(
                400, "the Host header names another server; start ltu-serve with --allow-host", "Host"
            )
        address = (scope.get("client") or ("unknown", 0))[0]
        scheme, _, key = headers.get("authorization", "").partition(" ")
        key = key.strip() if scheme.lower() == "bearer" else ""
        path = scope["path"]
        if self._keys and path not in OPEN and not path.startswith("/page/"):
            sent = key.encode(errors="replace")
            if not any([hmac.compare_digest(sent, known) for known in self._keys]):  # noqa: C419 (all of them)
                raise Problem(
                    401,
                    "send a valid key as Authorization: Bearer KEY",
                    headers={"WWW-Authenticate": "Bearer"},
                )
        return f"{address} {key}"

    def _check_head(self, headers: Headers) -> None:
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
            raise Problem(415, f"send JSON with Content-Type: application/json, not {kind or 'nothing'}")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise Problem(415, "send the body uncompressed")
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > self._limits.body_bytes:
            raise self._too_large()

    def _check_place(self, client: str) -> None:
        most = self._limits.requests
        if self.open.total() >= most or self.open[client] >= max(1, most // 2):
            raise Problem(429, "too many requests are under way; try again", headers={"Retry-After": "1"})

    async def _body(self, receive: Receive) -> bytes:
        body = bytearray()
        with anyio.move_on_after(self._limits.body_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Problem(400, "the client left before its body had arrived")
                body += message.get("body", b"")
                if len(body) > self._limits.body_bytes:
                    raise self._too_large()
                if not message.get("more_body"):
                    return bytes(body)
        raise Problem(408, f"the body did not arrive within {self._limits.body_seconds:g} s")

    def _too_large(self) -> Problem:
        return Problem(413, f"the body is larger than {self._limits.body_bytes / (1 << 20):g} MiB")


def local_hosts(host: str) -> set[str]:
    """Names under which a server that listens on `host` is called from where it listens."""
    names = {host.lower()}
    if host in ("127.0.0.1", "::1", "localhost"):
        names |= {"127.0.0.1", "::1", "localhost"}
    return names


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _host(header: str) -> str:
    """ "[::1]:8000" → "::1"."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()


def _check_unicode(body: bytes) -> None:
    """JSON can write half a character, which no response could repeat. Raises Problem."""
    if HALF.search(body):
        with contextlib.suppress(ValueError, RecursionError):  # no JSON: said where the body is read
            text = json.dumps(json.loads(body), ensure_ascii=False)
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise Problem(400, "the body holds what is no Unicode character; write it in UTF-8")


def _after(body: bytes, receive: Receive) -> Receive:
    """The body at once, then whatever comes."""
    sent = False

    async def next_message() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_message


def _secured(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *SECURITY]
        await send(message)

    return with_headers


async def _drain(receive: Receive, headers: Headers, limits: Limits) -> None:
    """Reads a moderate rest, since a client that still sends may lose the response with the connection."""
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return
    left = 2 * limits.body_bytes
    with anyio.move_on_after(2):
        while left > 0:
            message = await receive()
            left -= len(message.get("body", b""))
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                return
