"""A sweep on a local Ray cluster gives the rows of a local sweep, also when a worker is killed."""

import os
import signal
import sqlite3
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fake import Benchmark

import ltu
from ltu.shard.run.asking import Answers
from ltu.shard.run.runs import Settings, prepare
from ltu.shard.run.store import Store
from ltu.shard.run.sweep import sweep

pytest.importorskip("ray.util", reason="the extra ray is not installed")
import ray

sys.path.insert(0, str(Path(__file__).parents[1]))
from ltu.shard.run.cluster import Cluster
from tiny import tiny_gguf

SETTINGS = Settings(limit=60, repeats=2)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> ltu.Model:
    model = ltu.load(tiny_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf"), device="cpu", threads=1)
    model.max_new_tokens = 8
    return model


@pytest.fixture(scope="module")
def cluster(local: ltu.Model) -> Iterator[Cluster]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield Cluster(local, 2, partial(ltu.load, device="cpu", threads=1), threads=1)
    ray.shutdown()


def rows(benchmark: Benchmark, model: Answers, results: Path, killed: Any = None) -> list[Any]:
    store = Store(results, create=True)

    def progress(count: int) -> None:
        nonlocal killed
        if killed is not None:
            os.kill(killed, signal.SIGKILL)
            killed = None

    with store.writing():
        run = prepare(store, benchmark.spec, model, benchmark.folder, SETTINGS)
        sweep(model, store, run, progress, {})
    store.close()
    with sqlite3.connect(results) as db:
        return db.execute("SELECT question, repeat, text, token_ids FROM answers").fetchall()


def test_two_workers_give_the_same_rows_and_one_may_be_killed(
    benchmark: Benchmark, local: ltu.Model, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltu.shard.run.sweep.COMMIT_SECONDS", 0.0)
    alone = rows(benchmark, local, tmp_path / "local.db")
    assert len(alone) == 120
    assert rows(benchmark, cluster, tmp_path / "two.db") == alone
    before = list(cluster.workers)
    pid = ray.get(before[0].__ray_call__.remote(lambda self: os.getpid()))
    assert rows(benchmark, cluster, tmp_path / "killed.db", killed=pid) == alone
    assert before[0] not in cluster.workers
    assert len(cluster.workers) == 2
