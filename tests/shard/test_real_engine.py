"""The sweep on the real engine: a tiny model of random weights."""

import sqlite3
import sys
from pathlib import Path

import pytest
from fake import Benchmark

import ltu
from ltu.errors import Error
from ltu.shard.report.document import report
from ltu.shard.run.asking import NO, YES
from ltu.shard.run.runs import Settings, prepare
from ltu.shard.run.store import Store
from ltu.shard.run.sweep import sweep
from ltu.shard.score.scored import load_run

sys.path.insert(0, str(Path(__file__).parents[1]))
from tiny import tiny_gguf


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ltu.Model:
    path = tiny_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf", context=1024)
    model = ltu.load(path, device="cpu", threads=1)
    model.max_new_tokens = 3
    return model


SETTINGS = Settings(limit=24, controls=True, exact=True, scores=True, epsilon=0.05)


def test_a_sweep_with_everything_equals_the_same_questions_asked_alone(
    benchmark: Benchmark, model: ltu.Model, tmp_path: Path
) -> None:
    store = Store(tmp_path / "r.db", create=True)
    with store.writing():
        run = prepare(store, benchmark.spec, model, benchmark.folder, SETTINGS)
        summary = sweep(model, store, run, lambda count: None, {})
    assert summary.answered == summary.questions
    assert not summary.failures
    scored = load_run(store).scored
    for s in [s for s in scored if not s.asked.control][:6]:
        clip = benchmark.folder / benchmark.spec.clips[s.asked.clip].file
        how = "prepended" if s.asked.position == "prepended" else "interleaved"
        alone = model.generate(s.asked.prompt, clip, repeats=4, format=how)
        assert tuple(answer.text for answer in alone) == s.texts
        if s.asked.term:
            exact = model.answer_distribution(
                s.asked.prompt, clip, s.asked.term, format=how, epsilon=SETTINGS.epsilon
            )
            assert s.exact == exact
            yes, lower_yes, no, lower_no = model.score(s.asked.prompt, (*YES, *NO), clip, format=how)
            assert s.log_odds is not None
            assert (
                min(yes, lower_yes) - max(no, lower_no) - 1
                < s.log_odds
                < max(yes, lower_yes) - min(no, lower_no) + 1
            )
    assert report(load_run(store)).exact


def test_a_sweep_that_was_cut_off_ends_with_the_same_rows(
    benchmark: Benchmark, model: ltu.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltu.shard.run.sweep.COMMIT_SECONDS", 0.0)

    def answers(name: str, stop_after: int | None) -> list[tuple[object, ...]]:
        store = Store(tmp_path / name, create=True)
        committed = 0

        def progress(count: int) -> None:
            nonlocal committed
            committed += count
            if stop_after is not None and committed >= stop_after:
                raise KeyboardInterrupt

        with store.writing():
            run = prepare(store, benchmark.spec, model, benchmark.folder, Settings(limit=40))
            if stop_after is not None:
                with pytest.raises(KeyboardInterrupt):
                    sweep(model, store, run, progress, {})
                stop_after = None
            sweep(model, store, run, progress, {})
        store.close()
        with sqlite3.connect(tmp_path / name) as db:
            return db.execute("SELECT question, repeat, text, token_ids, logprob FROM answers").fetchall()

    assert answers("cut.db", 10) == answers("whole.db", None)


def test_answers_that_stop_when_decided_keep_their_decision_and_refuse_another_reading(
    benchmark: Benchmark, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    words = ("yes", "no", "yeah", "nope")
    path = tiny_gguf(tmp_path_factory.mktemp("talkative") / "tiny.gguf", context=1024, words=words, seed=33)
    model = ltu.load(path, device="cpu", threads=1)
    model.max_new_tokens, model.sampling = 40, ltu.Sampling(temperature=1.5)
    decided: dict[str | None, list[tuple[str, ...]]] = {}
    for stop in (None, "careful"):
        store = Store(tmp_path / f"{stop}.db", create=True)
        with store.writing():
            settings = Settings(tasks=("hypernym",), limit=60, stop_when_decided=stop)
            sweep(
                model,
                store,
                prepare(store, benchmark.spec, model, benchmark.folder, settings),
                lambda _: None,
                {},
            )
        run = load_run(store)
        decided[stop] = [scored.decisions["careful"] for scored in run.scored]
        stops = {answer["stop"] for answer in store.rows("answers", run.row["id"])}
        assert ("decided" in stops) == bool(stop)
    assert decided["careful"] == decided[None]
    assert {"yes", "no"} <= {decision for row in decided[None] for decision in row}
    with pytest.raises(Error, match="run again without --stop-when-decided"):
        run.decisions(run.scored, "paper")
    assert any("no other reading" in note for note in report(run).notes)
