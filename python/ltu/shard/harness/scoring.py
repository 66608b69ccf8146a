"""What the task files call: audio in, figures out."""

from collections.abc import Sequence
from typing import Any

from ltu.audio import load_audio
from ltu.defaults import SAMPLE_RATE
from ltu.readings import decide
from ltu.shard.spec.labels import names_label


def audio(doc: dict[str, Any]) -> list[dict[str, Any]]:
    """The clip as the harness passes audio on: samples and rate."""
    return [{"array": load_audio(doc["file"]).waveform, "sampling_rate": SAMPLE_RATE}]


def relation(doc: dict[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """Accuracy, and what J is made of: (right answer is yes, answered rightly), under the careful reading."""
    right = decide(results[0], doc["term"]) == doc["target"].lower()
    return {"acc": float(right), "j": (doc["target"] == "Yes", right)}


def identity(doc: dict[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """Whether the answer names the whole canonical label."""
    return {"acc": float(names_label(results[0], doc["label"]))}


def youden(items: Sequence[tuple[bool, float]]) -> float:
    """Recall + specificity − 1 of (right answer is yes, share answered rightly); NaN without both kinds."""
    sides = [[right for expected, right in items if expected is kind] for kind in (True, False)]
    return sum(sum(side) / len(side) for side in sides) - 1 if all(sides) else float("nan")
