"""From stored answers to verdicts: which questions count, and what is written."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ltu.query import Distribution
from ltu.shard.run.store import Asked
from ltu.shard.score.scored import Run, Scored
from ltu.shard.spec.prompts import Cell
from ltu.shard.spec.relations import PAPER_RELATIONS
from ltu.shard.spec.words import shipped_words
from ltu.training.study import report
from ltu.training.study.contrasts import answers
from ltu.training.study.folder import Folder
from ltu.training.study.models import AGAIN, BASE, COMPARED, RECIPES, TUNED, Training
from ltu.training.study.records import Gate, Log, Named, Rates, Tried
from ltu.training.study.sizes import Sizes

WORDS = {word.label: word for word in shipped_words("esc50")}
CLIPS = {n: {"recording": f"r{n // 2}"} for n in range(24)}
CHANCE = {  # to be right
    "base": 0.6,
    "small": 0.9,
    "small-prepended": 0.6,
    "small-long": 0.7,
    "large": 0.7,
    "large-prepended": 0.7,
}
SIZES = Sizes(True, 3, 3, 240, 48, 24, 24, 5e-4, (1e-4,), 8, 2)


def made(model: str, split: int, seed: int) -> tuple[Run, Run]:
    """Two questions of each kind about each clip in each way, one of another tier: exact, and for labels."""
    rng = np.random.default_rng([split, seed, *model.encode()])
    label, cells = next(iter(WORDS)), RECIPES[model].asked
    terms, named = [], []
    for cell in cells:
        for clip in CLIPS:
            for task in PAPER_RELATIONS:
                for expected, tiers in ((True, "elsewhere,branch"), (False, "elsewhere"), (False, "branch")):
                    hit = rng.uniform() < CHANCE["base" if model == AGAIN else model]
                    about: tuple[Any, ...] = ("x", label, expected, tiers)
                    asked = _asked(len(terms), clip, task, cell, about)
                    yes = float(hit == expected)
                    decisions: Any = dict.fromkeys(("careful", "paper"), ("yes" if yes else "no",))
                    exact = Distribution(yes, 1 - yes, 0.0, 0.0, 1)
                    terms.append(Scored(asked, label, ("",), decisions, exact))
            text = f"Labels: {label}" if rng.uniform() < 0.8 else "Rain"
            asked = _asked(len(named), clip, "identity", cell, ("", "", None, ""))
            named.append(Scored(asked, label, (text,), {}))
    row = {"id": 1, "selection": "{}", "spec_sha256": "0" * 64, "asked": len(terms)}
    sessions = [{"device": json.dumps({"kernels": "ltu"})}]
    return Run(row, WORDS, CLIPS, {}, sessions, tuple(terms)), Run(
        row, WORDS, CLIPS, {}, sessions, tuple(named)
    )


def _asked(number: int, clip: int, task: str, cell: Cell, about: tuple[Any, ...]) -> Asked:
    fields: tuple[Any, ...] = (number, number, "", clip, task, *cell, *about, "", False, False)
    return Asked(*fields)


TRAININGS = [
    *(Training(AGAIN if split == 1 else BASE, split, 0, 5e-4) for split in range(3)),
    *(Training(model, split, seed, 1e-4) for model in TUNED for split in range(3) for seed in range(3)),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A finished study. Hypernyms miss the gate."""
    folder = Folder(tmp_path / "study")
    for training in (*TRAININGS, Training(BASE, 1, 0, 5e-4)):
        folder.log(training).parent.mkdir(parents=True)
        at = (training.model, training.split, training.seed, training.rate)
        Log(*at, 1, 2.0, 1.0, ({"loss": 2.0},)).write(folder.log(training))
        Named({"prepended": 0.7, "interleaved": 0.6}).write(folder.labels(training))
        if training.recipe.part == "base":
            Gate({"synonym": 0.4, "hypernym": 0.2 if training.split else 0.4}, 0.7).write(
                folder.gate(training)
            )
    Rates((Tried(1e-4, 1.0, 0.0),)).write(folder.rates)
    stored = {}
    for training in TRAININGS:
        terms, named = made(training.model, training.split, training.seed)
        stored |= {folder.terms(training): terms, folder.named(training): named}
    monkeypatch.setattr(report, "Store", lambda path: path)
    monkeypatch.setattr(report, "load_run", stored.__getitem__)
    return folder


def test_headline_questions_alone_count() -> None:
    terms, named = made("base", 0, 0)
    found = answers(terms, "synonym", [Cell("interleaved", "short")])
    assert len(found.decisions) == 2 * len(CLIPS)  # the positive and its negative, not the other tier
    assert found.decisions.expected.sum() == len(CLIPS)
    assert sorted(set(found.recordings)) == sorted({clip["recording"] for clip in CLIPS.values()})
    labels = answers(named, "identity", [Cell("interleaved", "short"), Cell("prepended", "long")])
    assert len(labels.decisions) == 2 * len(CLIPS)


def test_verdicts_come_out_as_they_were_put_in(folder: Folder) -> None:
    document = report.made(folder, TRAININGS, SIZES)
    found = {row.claim.id: row for row in document.verdicts}
    assert document.testable == ("identity", "synonym")
    assert {found[id].verdict for id in ("S5", "I1", "L5")} == {"shown"}  # .9 against .6, .6 and .7
    assert {row.verdict for row in found.values() if row.claim.task == "hypernym"} == {"not testable", "none"}
    assert {row.verdict for row in found.values() if row.claim.role == "table"} == {"none"}
    assert found["I1"].estimate.value == pytest.approx(0.6, abs=0.1)  # J: twice the chance, less one
    assert np.shape(found["I1"].levels) == (2, 3, 3)


def test_holm_counts_the_primary_claims_that_are_testable(folder: Folder) -> None:
    document = report.made(folder, TRAININGS, SIZES)
    primary = [row for row in document.verdicts if row.claim.role == "primary"]
    counted = [row for row in primary if np.isfinite(row.p_holm)]
    assert {row.claim.id for row in counted} == {"Z6", "S5", "I1", "L5", "D1"}
    smallest = min(counted, key=lambda row: row.estimate.p)
    assert smallest.p_holm == pytest.approx(min(1, 5 * smallest.estimate.p))


def test_everything_is_written(folder: Folder, tmp_path: Path) -> None:
    written = report.write_report(folder, TRAININGS, SIZES, tmp_path / "out")
    assert {path.name for path in written} == {
        "results.json", "results.md", "results.html", "verdicts.svg", "ways.svg"
    }  # fmt: skip
    table = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert len(table["levels"]) == sum(3 * len(recipe.asked) for recipe in COMPARED.values())
    assert len(table["models"]) == len(TRAININGS)
    assert [row["training"]["model"] for row in table["gates"]] == [BASE, BASE, AGAIN, BASE]
    text = (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    assert "not testable" in text
    assert "nan" not in text.casefold()


def test_a_quick_run_claims_nothing(folder: Folder) -> None:
    document = report.made(folder, TRAININGS, Sizes(False, *list(vars(SIZES).values())[1:]))
    assert {row.verdict for row in document.verdicts} == {"none"}
    assert report.QUICK in document.notes


def test_a_rate_at_the_edge_is_said(folder: Folder) -> None:
    Rates((Tried(1e-4, 1.0, 0.0), Tried(3e-4, 2.0, 0.0))).write(folder.rates)
    assert any("edge" in note for note in report.made(folder, TRAININGS, SIZES).notes)
