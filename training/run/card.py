"""The model card of a run: data, configuration and figures, as the run itself knows them."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from ltu.training.config import Config, Source
from ltu.training.items.data import summary
from ltu.training.run.metadata import front_matter
from ltu.training.run.train import Trained

ROWS = 20  # most in the table of losses


def card(config: Config, trained: Trained) -> str:
    """Markdown. Paths of this machine stay out of it, the configuration's included."""
    base, trained_parts = config.base.source, ", ".join(config.train.train)
    return f"""{front_matter(config)}
# {config.name}

An audio language model of the LTU kind: a CAV-MAE encoder, a projector and LoRA (r {config.lora.r}, α
{config.lora.alpha}, on {", ".join(config.lora.targets)}) on {_source(base)}. Trained were: {trained_parts}.
{_start(trained)}
## Data

{_lines([*map(_source, config.data.datasets), *summary(trained.data, config.data, named=False)])}

`ltu.json` lists the hashes of the {len(trained.clips)} clips that this model, or what it started from, was
trained on, and the {len(trained.terms)} terms that were asked about.

## Figures

{trained.steps} steps. Mean cross-entropy of the targets ({config.data.loss_on}), natural logarithm:

{_losses(trained.log)}

## Configuration

{_lines(f"`{key} = {value}`" for key, value in _settings(config))}
"""


def _source(source: Source) -> str:
    return f"{source.name} ({', '.join(filter(None, (source.license, source.url)))})"


def _start(trained: Trained) -> str:
    start = trained.start
    return f"Started from {start.name} (SHA-256 {start.sha256}).\n" if start else ""


def _lines(entries: Iterable[str]) -> str:
    return "\n".join(f"- {entry.strip()}" for entry in entries)


def _losses(log: list[dict[str, float]]) -> str:
    columns = {"training": "loss", "development": "eval_loss"}
    by_step: dict[int, dict[str, float]] = {}
    for entry in log:
        row = by_step.setdefault(int(entry["step"]), {})
        row |= {name: entry[key] for name, key in columns.items() if key in entry}
    rows = [(step, row) for step, row in sorted(by_step.items()) if row]
    every = -(-len(rows) // ROWS) or 1
    lines = ["| step | training | development |", "| --- | --- | --- |"]
    for step, row in [*rows[:-1:every], *rows[-1:]]:
        cells = (f"{row[name]:.4f}" if name in row else "" for name in columns)
        lines.append(f"| {step} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _settings(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """("train.batch", 4) and so on, in the configuration's order."""
    for field in fields(value):
        entry = getattr(value, field.name)
        key = f"{name}.{field.name}" if name else field.name
        if is_dataclass(entry):
            yield from _settings(entry, key)
        elif isinstance(entry, Path):
            yield key, json.dumps(entry.name)
        elif entry is not None and field.name not in ("datasets", "reported"):
            yield key, json.dumps(entry, ensure_ascii=False)
