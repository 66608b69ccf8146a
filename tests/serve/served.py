"""A server in a thread, which is asked over real sockets."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

import ltu
from ltu.serve.app import create_app
from ltu.serve.server import address_of, listen


@contextmanager
def serving(model: ltu.Model, **settings: object) -> Iterator[str]:
    """The address of a server."""
    with listen("127.0.0.1", 0) as listening:
        app = create_app(model, "tiny", **settings)  # type: ignore[arg-type]
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=5, ws="none")
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield address_of(listening)
        finally:
            server.should_exit = True
            thread.join()
