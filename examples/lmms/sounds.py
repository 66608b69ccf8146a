"""What the two tasks here ask of a row: one of the package's recordings and a question about it."""

from pathlib import Path
from typing import Any

CLIPS = Path(__file__).parents[2] / "python" / "ltu" / "assets" / "clips"
Row = dict[str, Any]


def recordings(row: Row) -> list[str]:
    return [str(CLIPS / row["file"])]


def messages(row: Row) -> list[dict[str, Any]]:
    before, after = row["question"].split("[AUDIO]")
    heard = {"type": "audio", "url": recordings(row)[0]}
    parts = [{"type": "text", "text": before}, heard, {"type": "text", "text": after}]
    return [{"role": "user", "content": parts}]


def text(row: Row) -> str:
    question: str = row["question"]
    return question


def first_word(row: Row, results: list[str]) -> dict[str, float]:
    said = results[0].replace(",", " ").split()
    return {"right": float(bool(said) and said[0].lower() == row["answer"].lower())}
