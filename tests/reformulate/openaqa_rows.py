"""OpenAQA-style rows, made up."""

import json
from pathlib import Path
from typing import Any


def items(count: int) -> list[dict[str, Any]]:
    """OpenAQA-style rows in turn: label, acoustic, open, caption (left out), another dataset (left out)."""
    made = []
    for number in range(count):
        row = {"input": "", "audio_id": f"audio/é{number}.flac", "dataset": "as_strong_train"}
        match number % 5:
            case 0:
                row |= {"instruction": f"Classify the clip, please: {number}", "task": "cla_label"}
                row |= {"output": "Labels: Dog; Bark", "dataset": "as_20k"}
            case 1:
                row |= {"instruction": f"Describe features and label the recording {number}", "task": "cla"}
                row |= {"output": "Labels with acoustic features: Deep -> Car"}
            case 2:
                row |= {"instruction": f"What happens in the clip {number}?", "task": "open-ended question"}
                row |= {"output": 'A "dog" barks\nat night.'}
            case 3:
                row |= {"instruction": "Caption it.", "task": "caption", "output": "Audio caption: A dog."}
            case _:
                row |= {
                    "instruction": "Label it.",
                    "task": "cla",
                    "output": "Labels: Dog",
                    "dataset": "fsd50k",
                }
        made.append(row)
    return made


def taken(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that are reformulated."""
    return [row for number, row in enumerate(rows) if number % 5 < 3]


def write_source(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return path


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
