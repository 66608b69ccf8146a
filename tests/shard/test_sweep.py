"""A sweep asks every question once, survives being killed, and never mixes runs."""

import itertools
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake import Benchmark, FakeModel

from ltu.audio import load_audio
from ltu.errors import Error
from ltu.query import Answer, Likely
from ltu.shard.run import sweep as sweep_module
from ltu.shard.run.asking import Ask, answered
from ltu.shard.run.controls import noise, silence
from ltu.shard.run.runs import Settings, check_kernels, prepare, select
from ltu.shard.run.store import Store
from ltu.shard.run.sweep import Summary, sweep

SCRIPT = Path(__file__).with_name("sweep_process.py")


def run(
    benchmark: Benchmark,
    model: FakeModel,
    results: Path,
    settings: Settings | None = None,
    folder: Path | None = None,
) -> Summary:
    store = Store(results, create=True)
    with store.writing():
        id = prepare(store, benchmark.spec, model, folder or benchmark.folder, settings or Settings())
        summary = sweep(model, store, id, lambda count: None, {"device": "none"})
    store.close()
    return summary


def rows(results: Path, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
    with sqlite3.connect(results) as db:
        return sorted(db.execute(f"SELECT {columns} FROM {table}"), key=repr)


ANSWERS = ("answers", "run, question, repeat, text, token_ids, logprob, stop")
QUESTIONS = ("questions", "run, id, base, control, clip, prompt, expected, clip_seen, term_seen, audio_hash")


@pytest.fixture(scope="module")
def whole(benchmark: Benchmark, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    run(benchmark, benchmark.model(folder / "m.gguf"), folder / "results.db")
    return folder / "results.db"


def test_every_question_has_all_its_repeats(benchmark: Benchmark, whole: Path) -> None:
    asked = {(id, repeat) for (id,) in rows(whole, "questions", "id") for repeat in range(4)}
    assert set(rows(whole, "answers", "question, repeat")) == asked
    assert len(asked) == 4 * len(benchmark.spec.questions)


def test_killed_at_twenty_moments_it_ends_with_the_same_rows(
    benchmark: Benchmark, whole: Path, tmp_path: Path
) -> None:
    spec, results = tmp_path / "spec.jsonl", tmp_path / "results.db"
    benchmark.spec.write(spec)
    moments = random.Random(7)
    arguments = [
        sys.executable,
        str(SCRIPT),
        *map(str, (spec, results, tmp_path / "m.gguf", benchmark.folder)),
    ]
    kills = progress = 0
    while kills < 20:
        process = subprocess.Popen([*arguments, "0.0015"], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        time.sleep(moments.uniform(0, 0.5 if kills else 0.02))
        finished = process.poll() is not None
        process.kill()
        process.wait()
        process.stdout.close()
        kills += not finished
        progress = max(progress, len(rows(results, "answers", "question, repeat")))
        if finished:  # a run of its own may end before 20 kills: start another one
            for file in tmp_path.glob("results.db*"):
                file.unlink()
    assert 0 < progress < len(rows(whole, *ANSWERS)), "the kills fell into the work"
    subprocess.run([*arguments, "0"], check=True, stdout=subprocess.DEVNULL)
    assert rows(results, *ANSWERS) == rows(whole, *ANSWERS)
    assert rows(results, *QUESTIONS) == rows(whole, *QUESTIONS)


def test_going_on_asks_only_what_is_missing(benchmark: Benchmark, whole: Path, tmp_path: Path) -> None:
    results = Path(shutil.copy(whole, tmp_path / "results.db"))
    with sqlite3.connect(results) as db:
        db.execute("DELETE FROM answers WHERE question % 10 = 0")
        db.execute("UPDATE questions SET finished = NULL WHERE id % 10 = 0")
    model = benchmark.model(tmp_path / "m.gguf")
    summary = run(benchmark, model, results)
    assert summary.answered == len(model.asked) == len(range(0, len(benchmark.spec.questions), 10))
    assert rows(results, *ANSWERS) == rows(whole, *ANSWERS)


def test_a_second_process_says_that_another_one_writes(benchmark: Benchmark, tmp_path: Path) -> None:
    results = tmp_path / "results.db"
    store = Store(results, create=True)
    with store.writing(), pytest.raises(Error, match="is writing to it"):
        run(benchmark, benchmark.model(tmp_path / "m.gguf"), results)
    run(benchmark, benchmark.model(tmp_path / "m.gguf"), results, Settings(limit=10))


def test_other_settings_or_another_model_are_another_run(benchmark: Benchmark, tmp_path: Path) -> None:
    results = tmp_path / "results.db"
    ways = [Settings(limit=20), Settings(limit=20, seed=1), Settings(limit=20, repeats=2), Settings(limit=30)]
    model = benchmark.model(tmp_path / "m.gguf")
    assert [run(benchmark, model, results, way).run for way in ways] == [1, 2, 3, 4]
    other = benchmark.model(tmp_path / "n.gguf", skill=0.5)
    assert run(benchmark, other, results, ways[0]).run == 5
    again = run(benchmark, model, results, ways[1])
    assert (again.run, again.answered, again.answered_before) == (2, 0, 20)


def test_a_clip_that_cannot_be_read_is_a_recorded_failure(benchmark: Benchmark, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(benchmark.folder, tmp_path / "clips"))
    clips = benchmark.spec.clips
    (folder / clips[0].file).write_bytes(b"not audio")
    shutil.copy(folder / clips[2].file, folder / clips[1].file)
    results, model = tmp_path / "results.db", benchmark.model(tmp_path / "m.gguf")
    summary = run(benchmark, model, results, folder=folder)
    reasons = dict(rows(results, "failures", "clip, reason"))
    assert "not audio" in reasons[0]
    assert "is not the recording" in reasons[1]
    mine = sum(question.clip in (0, 1) for question in benchmark.spec.questions)
    assert summary.answered == len(benchmark.spec.questions) - mine
    shutil.copytree(benchmark.folder, folder, dirs_exist_ok=True)
    assert run(benchmark, model, results, folder=folder).answered == mine
    assert rows(results, "failures", "clip, reason") == []


def test_seen_clips_and_terms_are_marked(benchmark: Benchmark, tmp_path: Path) -> None:
    clip = benchmark.spec.clips[3]
    info = {"ltu.train.clips": [clip.hash], "ltu.train.terms": ["VEHICLE"]}
    model = benchmark.model(tmp_path / "m.gguf", **info)
    run(benchmark, model, tmp_path / "results.db")
    for question, term, seen_clip, seen_term in rows(
        tmp_path / "results.db", "questions", "clip, term, clip_seen, term_seen"
    ):
        assert seen_clip == (question == clip.id)
        assert seen_term == (term == "vehicle")


def test_controls_play_what_they_say_and_each_query_is_asked_once(
    benchmark: Benchmark, tmp_path: Path
) -> None:
    model = benchmark.model(tmp_path / "m.gguf")
    run(benchmark, model, tmp_path / "results.db", Settings(controls=True))
    assert len(set(model.asked)) == len(model.asked)
    clips = {clip.id: clip for clip in benchmark.spec.clips}
    heard = {clip.id: noise(load_audio(benchmark.folder / clip.file)).hash for clip in benchmark.spec.clips}
    columns = "control, clip, task, term, prompt, audio_hash"
    found = rows(tmp_path / "results.db", "questions", columns)
    assert {row[0] for row in found} == {"", "word", "silence", "noise", "other"}
    for control, clip, task, term, prompt, audio in found:
        other = clips[clip].other
        assert other is not None
        expected = {
            "": clips[clip].hash,
            "silence": silence().hash,
            "noise": heard[clip],
            "other": clips[other].hash,
        }
        assert audio == expected.get(control)
        if control == "word":
            relation = {"synonym": "similar to", "hypernym": "a type of"}[task]
            assert prompt == f"Is {benchmark.spec.word(clips[clip].label).word} {relation} {term}?"


def test_noise_is_as_long_and_as_loud_as_the_clip_and_always_the_same(benchmark: Benchmark) -> None:
    clip = load_audio(benchmark.folder / benchmark.spec.clips[0].file)
    made = noise(clip)
    assert len(made.waveform) == len(clip.waveform)
    assert made.hash == noise(clip).hash != clip.hash
    assert np.std(made.waveform) == pytest.approx(np.std(clip.waveform), rel=0.02)


def test_controls_do_not_change_the_answers(benchmark: Benchmark, whole: Path, tmp_path: Path) -> None:
    run(benchmark, benchmark.model(tmp_path / "m.gguf"), tmp_path / "r.db", Settings(controls=True))
    mine = rows(tmp_path / "r.db", *ANSWERS)
    assert set(rows(whole, *ANSWERS)) < set(mine)


def test_words_tasks_and_limit_choose_questions(benchmark: Benchmark) -> None:
    spec = benchmark.spec
    chosen = select(spec, Settings(words=("bark", "Rain"), tasks=("hypernym",)))
    assert {spec.clips[q.clip].label for q in chosen} == {"Bark", "Rain"}
    assert {q.task for q in chosen} == {"hypernym"}
    assert select(spec, Settings(limit=7)) == select(spec, Settings(limit=7))
    assert len(select(spec, Settings(limit=7))) == 7
    with pytest.raises(Error, match="meow"):
        select(spec, Settings(words=("meow",)))


def test_questions_about_a_clip_are_asked_together(benchmark: Benchmark, tmp_path: Path) -> None:
    """They share its embeddings and prefix in the engine."""
    model = benchmark.model(tmp_path / "m.gguf", batch=1)
    run(benchmark, model, tmp_path / "r.db", Settings(controls=True))
    heard = [clips for _, clips in model.asked]
    changes = sum(a != b for a, b in itertools.pairwise(heard))
    assert changes == len(set(heard)) - 1


def test_a_file_that_is_no_result_file_is_left_alone(tmp_path: Path) -> None:
    text, other = tmp_path / "notes.txt", tmp_path / "other.db"
    text.write_text("hello " * 100)
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE mine (x)")
    for file in (text, other):
        before = file.read_bytes()
        with pytest.raises(Error, match="is not a result file"):
            Store(file, create=True)
        assert file.read_bytes() == before


def test_a_full_disk_is_one_line_and_what_is_answered_stays(
    benchmark: Benchmark, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "r.db"
    monkeypatch.setattr(sweep_module, "COMMIT_SECONDS", 0.0)
    model = benchmark.model(tmp_path / "m.gguf")
    store = Store(results, create=True)
    with store.writing():
        id = prepare(store, benchmark.spec, model, benchmark.folder, Settings())
        pages = store.db.execute("PRAGMA page_count").fetchone()[0]
        store.db.execute(f"PRAGMA max_page_count = {pages + 12}")
        with pytest.raises(Error, match=r"cannot be written .*full"):
            sweep(model, store, id, lambda count: None, {})
    store.close()
    kept = len(rows(results, "answers", "question, repeat"))
    assert 0 < kept < 4 * len(benchmark.spec.questions)
    run(benchmark, model, results)
    assert rows(results, *ANSWERS) == rows(whole, *ANSWERS)


def test_other_kernels_go_on_with_a_run_only_when_allowed(
    benchmark: Benchmark, whole: Path, tmp_path: Path
) -> None:
    store = Store(shutil.copy(whole, tmp_path / "r.db"))
    run = store.run()["id"]
    with store.writing():
        store.start_session(run, {"kernels": "ltu avx2"})
        check_kernels(store, run, "ltu avx2")
        with pytest.raises(Error, match=r"was computed on ltu avx2; on cuda .* --allow-mixed"):
            check_kernels(store, run, "cuda")


def test_an_exact_identity_answer_is_read_for_each_question_by_its_own_label() -> None:
    ask = Ask("clip", 0, "What is [AUDIO]?", "interleaved", "", (3, 9))
    likely = Likely((("Labels: Dog; Bark", 0.75), ("Labels: Rain", 0.125)), undecided=0.125, nodes=9)
    exact = Answer("", (), 0.0, "exact", likely=likely)
    drawn = Answer("Labels: Rain", (1, 2), -1.0, "eos")
    row = answered(ask, {3: "Dog", 9: "Rain"}, ("hash", 1.0, 0.5), [exact, drawn])
    assert [(d.yes, d.no, d.undecided) for d in row.exact] == [(0.75, 0.125, 0.125), (0.125, 0.75, 0.125)]
    assert [text for text, *_ in row.repeats] == ["Labels: Rain"]
