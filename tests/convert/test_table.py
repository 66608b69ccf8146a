"""What docs/gguf.md says of the tensors is what the engine's table says."""

import re
from pathlib import Path

import pytest

from ltu.convert.table import Row, table
from tiny import tiny_model

PAGE = (Path(__file__).parents[2] / "docs" / "gguf.md").read_text(encoding="utf-8")
LINE = re.compile(r"\| `([\w.{},]+)` \| ([^|]+) \|(?: (matrix|the same)?[^|]*)\|")


def documented(architecture: str, vocabulary: int) -> dict[str, tuple[tuple[int, ...], bool]]:
    """Name → (shape, whether a matrix) of each line of the page's table; two blocks of each kind."""
    sizes = {"w": 32, "h": 64, "W": 64, "H": 96, "Q": 64, "K": 32, "V": vocabulary, "heads": 4}
    rows: dict[str, tuple[tuple[int, ...], bool]] = {}
    section = PAGE[PAGE.index("## Tensors") : PAGE.index("## Types")]
    for name, shape, kind in LINE.findall(section):
        if name.endswith("attn_q.bias") or name.endswith("attn_{k,v}.bias"):
            if architecture != "qwen2":
                continue
            kind = ""
        numbers = re.sub(r"(\d)([a-z])", r"\1 * \2", shape.strip()).replace("/", "//")
        values = tuple(int(eval(number, {}, sizes)) for number in numbers.split(","))
        before, _, rest = name.partition("{")
        parts, _, after = rest.partition("}")
        for part in parts.split(","):
            for block in range(2) if "N" in name else [0]:
                rows[f"{before}{part}{after}".replace("N", str(block))] = values[::-1], kind != ""
    return rows


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_the_page_lists_the_engines_tensors(architecture: str) -> None:
    keys = tiny_model(architecture=architecture).keys

    def told(row: Row) -> tuple[tuple[int, ...], bool]:
        return row.shape, row.matrix

    assert documented(architecture, keys["llama.vocab_size"]) == {
        name: told(row) for name, row in table(keys).items()
    }
