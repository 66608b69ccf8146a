"""`hf:org/repo[:type]`, with a server of our own in the Hub's place."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import typer.testing
from huggingface_hub import constants

import ltu
from ltu.cli.run import app
from ltu.hub import hub_file
from tiny import tiny_gguf

COMMIT = "a" * 40


class Hub(BaseHTTPRequestHandler):
    """Lists the files of repositories and sends them, as the Hub's API does."""

    repositories: ClassVar[dict[str, dict[str, bytes]]] = {}
    asked: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.asked.append(path)
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/main", path):
            files = self.repositories.get(match[1])
            if files is None:
                return self.send(401, b"{}", {"X-Error-Code": "RepoNotFound"})
            tree = [{"type": "file", "path": n, "size": len(d), "oid": COMMIT} for n, d in files.items()]
            return self.send(200, json.dumps(tree).encode())
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path)
        data = self.repositories.get(match[1], {}).get(match[2]) if match else None
        if data is None:
            return self.send(404, b"", {"X-Error-Code": "EntryNotFound"})
        etag = hashlib.sha256(data).hexdigest()
        self.send(200, data, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    tiny = tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    Hub.asked.clear()
    Hub.repositories = {
        "org/one": {"README.md": b"", "tiny-F32.gguf": tiny},
        "org/two": {"tiny-Q4_K.gguf": b"GGUF", "tiny-Q4_K_M.gguf": b"GGUF", "more/tiny-f32.gguf": tiny},
        "org/none": {"model.safetensors": b""},
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", address)  # HF_ENDPOINT, which is read once
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield Hub
    server.shutdown()
    server.server_close()


def test_a_model_of_the_hub_is_fetched_once_and_answers_without_a_network(
    hub: type[Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ltu.load("hf:org/one", device="cpu", threads=1)
    assert model.generate("yes", seed=1)[0].text is not None
    assert Path(model.path).name == "tiny-F32.gguf"
    hub_file("hf:org/one:f32")
    assert sum("resolve" in path for path in hub.asked if not path.endswith("json")) <= 3
    with monkeypatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        hub.asked.clear()
        assert str(hub_file("hf:org/one")) == model.path
        assert not hub.asked
        with pytest.raises(ltu.Error, match="the Hub can't be reached and the cache has no file of it"):
            hub_file("hf:org/two:f32")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens
    assert str(hub_file("hf:org/one")) == model.path


def test_a_type_picks_one_file(hub: type[Hub]) -> None:
    assert hub_file("hf:org/two:q4_k").name == "tiny-Q4_K.gguf"
    assert hub_file("hf:org/two:Q4_K_M").name == "tiny-Q4_K_M.gguf"
    assert hub_file("hf:org/two:f32").parent.name == "more"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hf:", "is no name of a model on the Hub; write hf:org/repo"),
        ("hf:org", "is no name of a model"),
        ("hf:org/one/../x", "is no name of a model"),
        ("hf:org/two", "several GGUF files; name one of its types: more/tiny-f32.gguf, tiny-Q4_K.gguf"),
        ("hf:org/two:q8_0", "no GGUF file of the type q8_0; name one of its types: more/tiny-f32.gguf"),
        ("hf:org/none", "holds no GGUF file"),
        ("hf:org/nothing", "no such repository, or asks for a token; set HF_TOKEN"),
    ],
)
def test_what_is_wrong_is_one_line(hub: type[Hub], name: str, message: str) -> None:
    result = typer.testing.CliRunner().invoke(app, ["--gguf", name, "--prompt", "yes"])
    assert result.exit_code == 1
    assert message in result.output
    assert result.output.count("\n") == 1
