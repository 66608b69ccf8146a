"""Stored answers of all models → verdicts, tables, figures and a page."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ltu.files import write_json, write_text
from ltu.shard.run.controls import CONTROLS
from ltu.shard.run.store import Store
from ltu.shard.score.scored import Run, load_run
from ltu.shard.spec.prompts import ALL_CELLS, PAPER_CELLS, identity_prompt
from ltu.shard.spec.relations import IDENTITY, PAPER_RELATIONS, PAPER_TASKS
from ltu.show.html import document_of, figures_of, heading_of, table_of
from ltu.show.markdown import to_markdown
from ltu.training.study.ask import CONTROLS_SEED
from ltu.training.study.claims import claims, judge
from ltu.training.study.contrasts import CONFUSION_FIGURES, answers, level
from ltu.training.study.figures import figures
from ltu.training.study.folder import Folder
from ltu.training.study.models import Training
from ltu.training.study.sizes import Sizes
from ltu.training.study.tables import tables

Runs = Mapping[str, Sequence[Run]]  # model → its runs, one for each seed
Document = dict[str, Any]
ABOUT_TERMS = ("recall", "precision", "f1", "j", "yes_rate", "unparsed")
CLIP_AND_CONTROLS = ("", *CONTROLS)  # "": the clip itself
HEADING = "The paper's study in miniature"
QUICK = "A quick run. Its models have learnt too little and its benchmark is too small: it claims nothing."


def write_report(folder: Folder, trainings: Sequence[Training], sizes: Sizes, to: Path) -> list[Path]:
    """Writes results.json, .md and .html and the figures. Returns them. Raises Error without matplotlib."""
    document = _finite(_document(folder, trainings, sizes))
    to.mkdir(parents=True, exist_ok=True)
    write_json(to / "results.json", document)
    return [to / "results.json", *write_pages(document, to)]


def write_pages(document: Document, to: Path) -> list[Path]:
    """Files that show results.json to people: .md, .html and the figures."""
    shown, drawn, notes = list(tables(document)), list(figures(document)), document["notes"]
    figure_part = figures_of((figure.caption, figure.svg) for figure in drawn)
    parts = [heading_of(HEADING, notes), table_of(shown[0]), figure_part, *map(table_of, shown[1:])]
    files = {"results.md": to_markdown(HEADING, notes, shown), "results.html": document_of(HEADING, parts)}
    files |= {f"{figure.name}.svg": figure.svg for figure in drawn}
    for name, text in files.items():
        write_text(to / name, text)
    return [to / name for name in files]


def _document(folder: Folder, trainings: Sequence[Training], sizes: Sizes) -> Document:
    runs = _runs(trainings, folder.results)
    controlled = [training for training in trainings if training.seed == CONTROLS_SEED]
    spec = next(iter(runs.values()))[0]
    verdicts = [judge(claim, runs) for claim in claims()]
    for row in () if sizes.claims else verdicts:
        row["verdict"] = "none: quick"
    return {
        "notes": [] if sizes.claims else [QUICK],
        "sizes": asdict(sizes),
        "rates": _read(folder.rates),
        "benchmark": {
            "sha256": spec.row["spec_sha256"],
            "clips": len(spec.clips),
            "recordings": len({clip["recording"] for clip in spec.clips.values()}),
            "questions": spec.row["asked"],
            "devices": [json.loads(session["device"])["kernels"] for session in spec.sessions],
        },
        "verdicts": verdicts,
        "models": [_model(folder, training) for training in trainings],
        "levels": list(_levels(runs)),
        "controls": list(_controls(_runs(controlled, folder.control_results))),
    }


def _runs(trainings: Sequence[Training], results: Callable[[Training], Path]) -> Runs:
    """The scored runs of each model, one for each seed."""
    runs: dict[str, list[Run]] = {}
    for training in trainings:
        runs.setdefault(training.model, []).append(load_run(Store(results(training))))
    return runs


def _model(folder: Folder, training: Training) -> Document:
    """One training's steps and losses, and its model's answers about development clips."""
    log = _read(folder.log(training))
    keep = ("model", "seed", "rate", "steps", "development_loss")
    return {**{name: log[name] for name in keep}, "development": _read(folder.development(training))}


def _levels(runs: Runs) -> Iterator[Document]:
    """Every figure of each model in each way of asking, with the interval over recordings and seeds."""
    for model, seeds in runs.items():
        for task in PAPER_TASKS:
            for cell in ALL_CELLS:
                if task == IDENTITY and identity_prompt(cell) is None:
                    continue
                found = [answers(run, task, [cell]) for run in seeds]
                names = ("named",) if task == "identity" else ABOUT_TERMS
                values = {name: asdict(level(found, CONFUSION_FIGURES[name])) for name in names}
                yield {"model": model, "task": task, **cell._asdict(), "figures": values}


def _controls(runs: Runs) -> Iterator[Document]:
    """J in the paper's ways of asking, whatever is heard in place of the clip, of one seed."""
    for model, seeds in runs.items():
        for task in PAPER_RELATIONS:
            for cell in PAPER_CELLS:
                for heard in CLIP_AND_CONTROLS:
                    found = [answers(run, task, [cell], heard) for run in seeds]
                    j = asdict(level(found, CONFUSION_FIGURES["j"]))
                    yield {"model": model, "task": task, **cell._asdict(), "heard": heard, "j": j}


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _finite(value: Any) -> Any:
    """The document with null in place of NaN, which JSON lacks."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
