"""`stages.jsonl`: which stage ran when, for how long and on what."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import torch

from ltu.files import read_json_lines
from ltu.training.model.device import device_name

FILE = "stages.jsonl"


@dataclass(frozen=True)
class Start:
    """One start of a stage; a killed stage is started again."""

    stage: str
    began: str
    device: str
    threads: int
    torch: str
    seconds: int | None = None  # None: it was killed


@contextmanager
def logged(stage: str, work: Path) -> Iterator[None]:
    """A line when a stage begins, and one in its place when it has ended."""
    began, clock = datetime.now(timezone.utc).isoformat(timespec="seconds"), time.monotonic()
    start = Start(stage, began, device_name(), torch.get_num_threads(), torch.__version__)
    _add(work, start)
    yield
    _add(work, replace(start, seconds=round(time.monotonic() - clock)))


def read_log(work: Path) -> list[Start]:
    """All starts in order."""
    starts = [Start(**row) for _, row in read_json_lines(work / FILE)]
    return list({(start.stage, start.began): start for start in starts}.values())


def _add(work: Path, start: Start) -> None:
    with (work / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(start)) + "\n")
