"""From a specification to stored answers: what `ltu-shard run` does, for programs as well."""

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from ltu.shard.run.asking import Answers
from ltu.shard.run.runs import Settings, check_kernels, prepare
from ltu.shard.run.store import Store
from ltu.shard.run.sweep import Summary, sweep
from ltu.shard.spec.specification import Spec

Progress = Callable[[int, int], None]


def run(
    model: Answers,
    spec: Spec,
    results: Path,
    settings: Settings,
    device: Mapping[str, Any],
    clips: Path | None = None,
    allow_mixed: bool = False,
    progress: Progress = lambda answered, asked: None,
) -> Summary:
    """Asks what is not yet answered in `results`, which is made if it is not there.

    `device` describes what computes ("kernels" and whatever else is to be remembered); `clips` is where the
    recordings are, if not where the specification found them; `progress` is told how many questions are
    answered, of how many. Raises Error, also for a run that other kernels began unless `allow_mixed`.
    """
    with closing(Store(results, create=True)) as store, store.writing():
        id = prepare(store, spec, model, clips or Path(spec.header["clips_folder"]), settings)
        if not allow_mixed:
            check_kernels(store, id, device["kernels"])
        row = store.run(id)
        answered = row["answered"]
        progress(answered, row["asked"])

        def more(count: int) -> None:
            nonlocal answered
            answered += count
            progress(answered, row["asked"])

        plain = json.loads(json.dumps(dict(device), default=str))
        return sweep(model, store, id, more, plain)
