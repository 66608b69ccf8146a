"""The notebook's cells run, each after the other, on a tiny model in the demo's place."""

import json
from pathlib import Path

import pytest

import ltu
from tiny import tiny_gguf

ROOT = Path(__file__).parents[1]
NOTEBOOK = json.loads((ROOT / "examples" / "tour.ipynb").read_text(encoding="utf-8"))
CODE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def test_every_cell_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = ltu.load(tiny_gguf(tmp_path / "tiny.gguf", context=2048), device="cpu", threads=1)
    monkeypatch.setattr(ltu, "load", lambda: tiny)
    names: dict[str, object] = {}
    for cell in CODE:
        exec(compile("".join(cell["source"]), "tour.ipynb", "exec"), names)
    assert capsys.readouterr().out.count("\n") >= 15


def test_it_shows_what_the_demo_model_answered() -> None:
    shown = "".join("".join(o.get("text", "")) for cell in CODE for o in cell["outputs"])
    assert "Yes, it is a type of bird." in shown
    assert not [o for cell in CODE for o in cell["outputs"] if o["output_type"] == "error"]
