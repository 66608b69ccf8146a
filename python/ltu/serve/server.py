"""Runs the application until it is told to stop, and lets what runs end."""

import signal
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from ltu.errors import Error

LAST_SECONDS = 30  # for requests that run when the server is told to stop


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one. Raises Error."""
    try:
        [(family, _, _, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return socket.create_server(address[:2], family=family, backlog=512)
    except OSError as error:
        raise Error(f"{host}:{port}: {error.strerror or error}; choose another --host or --port") from None


def address_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: FastAPI, listening: socket.socket, started: Callable[[], None]) -> None:
    """Returns after SIGTERM, when the last request has ended; Ctrl-C raises KeyboardInterrupt then."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=LAST_SECONDS,
        ws="none",
    )

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started()

    before = signal.signal(signal.SIGTERM, lambda *_: None)  # to which uvicorn hands it on in the end
    try:
        Server(config).run(sockets=[listening])
    finally:
        signal.signal(signal.SIGTERM, before)
