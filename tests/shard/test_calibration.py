"""Calibration against scikit-learn, and a temperature that finds its way into the model file."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from fake import Benchmark
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss
from typer.testing import CliRunner, Result

import ltu
from ltu.cli.shard import app
from ltu.query import Distribution
from ltu.shard.report.document import report
from ltu.shard.run.runs import Settings, prepare
from ltu.shard.run.store import Store
from ltu.shard.run.sweep import sweep
from ltu.shard.score.calibration import BINS, calibration, fit, temperature_of
from ltu.shard.score.scored import load_run

sys.path.insert(0, str(Path(__file__).parents[1]))
from tiny import tiny_gguf


def simulated(sharper: float, questions: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds that are `sharper` times those that the answers are drawn with."""
    random = np.random.default_rng(7)
    odds = random.normal(0, 1.5, questions)
    return odds * sharper, random.random(questions) < 1 / (1 + np.exp(-odds))


def test_figures_agree_with_scikit_learn() -> None:
    odds, truth = simulated(2.0)
    found, p = calibration(odds, truth), 1 / (1 + np.exp(-odds))
    assert found.brier == pytest.approx(brier_score_loss(truth, p))
    assert found.log_loss == pytest.approx(log_loss(truth, p))
    share, probability = calibration_curve(truth, p, n_bins=BINS, strategy="quantile")
    assert [b.share for b in found.reliability] == pytest.approx(list(share), abs=2e-3)
    assert found.ece == pytest.approx(np.mean(np.abs(share - probability)), abs=1e-3)
    assert found.risk[-1] == (1.0, pytest.approx(np.mean((odds > 0) != truth)))
    assert [coverage for coverage, _ in found.risk] == sorted(coverage for coverage, _ in found.risk)


@pytest.mark.parametrize("sharper", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_sharpened(sharper: float) -> None:
    odds, truth = simulated(sharper)
    temperature = temperature_of(odds, truth)
    assert temperature == pytest.approx(sharper, rel=0.1)
    assert calibration(odds, truth, temperature).ece < 0.03


def test_a_temperature_moves_yes_and_no_and_leaves_neither() -> None:
    found = Distribution(0.6, 0.2, 0.15, 0.05, 9).at_temperature(2.0)
    assert found.yes / found.no == pytest.approx(3**0.5)
    assert found.yes + found.no == pytest.approx(0.8)
    assert (found.neither, found.undecided) == (0.15, 0.05)
    assert Distribution(0.6, 0.2, 0.15, 0.05, 9).at_temperature(1.0).yes == pytest.approx(0.6)
    assert Distribution(0.8, 0.0, 0.2, 0.0, 9).at_temperature(3.0).yes == 0.8


def test_calibrate_writes_the_temperature_into_the_file_that_was_run(
    benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ltu.load(tiny_gguf(tmp_path / "m.gguf", context=1024), device="cpu", threads=1)
    model.max_new_tokens = 1
    store = Store(tmp_path / "r.db", create=True)
    with store.writing():
        settings = Settings(repeats=1, scores=True, limit=60, tasks=("synonym", "hypernym"))
        sweep(model, store, prepare(store, benchmark.spec, model, benchmark.folder, settings), print, {})
    store.close()
    clip = benchmark.folder / benchmark.spec.clips[0].file
    prompt = "Is [AUDIO] a type of animal?"
    plain = model.answer_distribution(prompt, clip, "animal", temperature=1.0)
    assert model.answer_distribution(prompt, clip, "animal", calibrated=True) == plain, "no temperature yet"

    def calibrated() -> Result:
        return CliRunner().invoke(
            app, ["calibrate", str(tmp_path / "r.db"), "--gguf", str(tmp_path / "m.gguf"), "--json"]
        )

    before = (tmp_path / "m.gguf").read_bytes()
    with monkeypatch.context() as patched:  # few questions: what fits one half is far off for the other
        patched.setattr("ltu.shard.score.calibration.temperature_of", lambda *_: 1e-3)
        refused = calibrated()
    assert refused.exit_code == 1
    assert "makes the others worse" in " ".join(refused.stderr.split())
    assert (tmp_path / "m.gguf").read_bytes() == before
    done = calibrated()
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    again = ltu.load(tmp_path / "m.gguf", device="cpu", threads=1)
    assert again.info["ltu.decision.temperature"] == pytest.approx(told["temperature"], abs=1e-3)
    odds = plain.at_temperature(told["temperature"])
    warmed = again.answer_distribution(prompt, clip, "animal", calibrated=True, max_new_tokens=1)
    assert (warmed.yes, warmed.no) == pytest.approx((odds.yes, odds.no), rel=1e-2)
    assert {"brier_before", "brier_after", "ece_before", "ece_after"} <= set(told)
    assert calibrated().exit_code == 1, "the file is no longer the one that was run"


def test_untempered_probabilities_are_those_of_sampling_at_temperature_1(
    benchmark: Benchmark, tmp_path: Path
) -> None:
    model = ltu.load(tiny_gguf(tmp_path / "m.gguf", context=1024), device="cpu", threads=1)
    model.max_new_tokens = 1
    store = Store(tmp_path / "r.db", create=True)
    with store.writing():
        settings = Settings(repeats=1, exact=True, untempered=True, limit=12, tasks=("synonym", "hypernym"))
        sweep(model, store, prepare(store, benchmark.spec, model, benchmark.folder, settings), print, {})
    run = load_run(store)
    for scored in run.scored[:4]:
        asked = scored.asked
        clip, format = run.clips[asked.clip]["file"], "prepended" if asked.position == "prepended" else None
        wanted = model.answer_distribution(
            asked.prompt, clip, asked.term, temperature=1.0, format=format or "interleaved"
        )
        assert scored.exact is not None
        assert (scored.exact.yes, scored.exact.no) == pytest.approx((wanted.yes, wanted.no))
    assert fit(run).source == "exact"
    assert report(run).exact == (), "repeats are drawn at another temperature"
