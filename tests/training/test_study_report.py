"""From stored answers to verdicts: which questions count, and what is written."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ltu.files import write_json
from ltu.query import Distribution
from ltu.shard.run.store import Asked
from ltu.shard.score.scored import Run, Scored
from ltu.shard.spec.prompts import ALL_CELLS, Cell, identity_prompt
from ltu.shard.spec.relations import IDENTITY, PAPER_TASKS
from ltu.shard.spec.words import shipped_words
from ltu.training.study import report
from ltu.training.study.claims import claims, judge
from ltu.training.study.contrasts import answers
from ltu.training.study.folder import Folder
from ltu.training.study.models import RECIPES, Training
from ltu.training.study.sizes import Sizes

WORDS = {word.label: word for word in shipped_words("esc10")}
CLIPS = {n: {"recording": f"r{n // 2}"} for n in range(8)}
CHANCE = {"base": 0.6, "small": 0.9, "small-prepended": 0.7, "small-long": 0.7, "large": 0.7}  # to be right


def made(seed: int, right: float) -> Run:
    """Two questions of each kind about each clip in each way, one of another tier, and all controls."""
    rng, label, scored = np.random.default_rng(seed), next(iter(WORDS)), []
    for control in ("", "word", "silence", "noise", "other"):
        for task, cell in (
            (t, c) for t in PAPER_TASKS for c in ALL_CELLS if t != IDENTITY or identity_prompt(c)
        ):
            for clip in CLIPS:
                for expected, tiers in ((True, "elsewhere,branch"), (False, "elsewhere"), (False, "branch")):
                    about = ("", "", None, "") if task == "identity" else ("x", label, expected, tiers)
                    if task == "identity" and (not expected or control == "word"):
                        continue
                    where = (control, clip, task, *cell)
                    number = len(scored)
                    fields: tuple[Any, ...] = (number, number, *where, *about, "", False, False)
                    asked = Asked(*fields)
                    hit = bool(rng.uniform() < right) and not control
                    yes = float(hit == expected)
                    text = (
                        (f"Labels: {label}" if hit else "Rain")
                        if task == "identity"
                        else "Yes"
                        if yes
                        else "No"
                    )
                    decisions: Any = dict.fromkeys(("careful", "paper"), ("yes" if yes else "no",) * 4)
                    exact = Distribution(yes, 1 - yes, 0.0, 0.0, 1)
                    scored.append(
                        Scored(asked, label, (text,) * 4, decisions if expected is not None else {}, exact)
                    )
    row = {"id": 1, "selection": "{}", "spec_sha256": "0" * 64, "asked": len(scored)}
    sessions = [{"device": json.dumps({"kernels": "ltu"})}]
    return Run(row, WORDS, CLIPS, {}, sessions, tuple(scored))


@pytest.fixture(scope="module")
def runs() -> dict[str, list[Run]]:
    return {
        model: [made(10 * n + seed, right) for seed in range(3)]
        for n, (model, right) in enumerate(CHANCE.items())
    }


def test_headline_questions_alone_count(runs: dict[str, list[Run]]) -> None:
    found = answers(runs["base"][0], "synonym", [Cell("interleaved", "short")])
    assert len(found.decisions) == 2 * len(CLIPS)  # the positive and its negative, not the other tier
    assert found.decisions.expected.sum() == len(CLIPS)
    assert sorted(set(found.recordings)) == ["r0", "r1", "r2", "r3"]
    both = answers(runs["base"][0], "identity", [Cell("interleaved", "short"), Cell("interleaved", "long")])
    assert len(both.decisions) == 2 * len(CLIPS)


def test_repeats_and_probabilities_agree_where_answers_are_certain(runs: dict[str, list[Run]]) -> None:
    for claim in claims():
        row = judge(claim, runs)
        for key in ("value", "low", "high"):
            assert row["exact"][key] == pytest.approx(row["repeats"][key], nan_ok=True)


def test_everything_is_written_and_a_quick_run_claims_nothing(
    runs: dict[str, list[Run]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(tmp_path / "study")
    trainings = [Training(model, seed, 1e-3) for model in RECIPES for seed in range(3)]
    counts = {kind: {"right": 1, "of": 2} for kind in ("name", "property", "label")}
    for training in trainings:
        log = {
            "model": training.model,
            "seed": training.seed,
            "rate": 1e-3,
            "steps": 1,
            "development_loss": 1.0,
        }
        folder.log(training).parent.mkdir(parents=True)
        write_json(folder.log(training), log)
        write_json(folder.development(training), {"prepended": counts, "interleaved": counts})
    write_json(folder.rates, {})
    monkeypatch.setattr(report, "Store", lambda path: path)
    monkeypatch.setattr(report, "load_run", lambda path: next(
        runs[t.model][t.seed] for t in trainings if path in (folder.results(t), folder.control_results(t))
    ))  # fmt: skip
    sizes = Sizes(False, 3, 32, 32, 4, 1, (1e-3,), (1e-3,), 8)
    written = report.write_report(folder, trainings, sizes, tmp_path / "out")
    assert {path.name for path in written} == {
        "results.json", "results.md", "results.html", "verdicts.svg", "ways.svg"
    }  # fmt: skip
    document = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert {row["verdict"] for row in document["verdicts"]} == {"none: quick"}
    assert len(document["levels"]) == len(RECIPES) * (6 + 7 + 7)
    for name in ("results.md", "results.html"):
        assert report.QUICK in (tmp_path / "out" / name).read_text(encoding="utf-8")
