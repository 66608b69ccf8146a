"""A source of every kind of item, and the server that answers for them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_api import Server
from openaqa_rows import items, write_source


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "openaqa.json", items(30))


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()
