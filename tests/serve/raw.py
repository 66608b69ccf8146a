"""Requests below the official clients: any bytes."""

import http.client
import json
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]


def ask(
    server: str, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> Response:
    connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Response(response.status, found, response.read())
    finally:
        connection.close()


def get(server: str, path: str, **headers: str) -> Response:
    return ask(server, "GET", path, headers=headers)


def post(server: str, path: str, body: Any, **headers: str) -> Response:
    """`body`: bytes as they are, anything else as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ask(server, "POST", path, data, {"Content-Type": "application/json", **headers})


def opened(server: str) -> socket.socket:
    host, _, port = urlsplit(server).netloc.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def request(path: str, body: Any) -> bytes:
    """A POST's bytes."""
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data
