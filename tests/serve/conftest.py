"""One server for all tests."""

import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from served import serving

import ltu
from ltu.serve.limits import Limits

sys.path.insert(0, str(Path(__file__).parents[1]))
from tiny import tiny_gguf


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = ("yes", "no", "bird", "it", "is")
    sampling = {"temperature": 0.8, "top_k": 50, "top_p": 0.95, "repetition_penalty": 1.1}
    return tiny_gguf(
        tmp_path_factory.mktemp("serve") / "tiny.gguf", words=words, sampling=sampling, context=2048
    )


@pytest.fixture(scope="session")
def model(path: Path) -> Iterator[ltu.Model]:
    with ltu.load(path, device="cpu", threads=1) as model:
        yield model


@pytest.fixture(scope="session")
def limits() -> Limits:
    return Limits(body_bytes=2 << 20, body_seconds=1.0, requests=40, nodes=64 * 64)


@pytest.fixture(scope="session")
def server(model: ltu.Model, limits: Limits) -> Iterator[str]:
    with serving(model, limits=limits) as address:
        yield address


@pytest.fixture
def client(server: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0) as client:
        yield client
