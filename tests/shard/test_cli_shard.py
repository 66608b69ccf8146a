"""The commands as a user types them, with a model that needs no weights."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from fake import Benchmark
from typer.testing import CliRunner, Result

import ltu.model
import ltu.shard.run.cluster
from ltu.cli.shard import app
from ltu.sampling import Sampling


def typed(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def results(benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `ltu-shard run` leaves."""
    model = benchmark.model(tmp_path / "m.gguf")
    temperature, top_p, penalty = (float(np.float32(number)) for number in (0.1, 0.95, 1.1))
    model.sampling = Sampling(temperature, 500, top_p, penalty)  # as a model file has them
    model.description = lambda: {"device": "none", "kernels": "none"}  # type: ignore[attr-defined]
    monkeypatch.setattr(ltu.model, "load", lambda gguf, device, threads, **_: model)
    spec = tmp_path / "s.jsonl"
    benchmark.spec.write(spec)
    done = typed("run", "--gguf", tmp_path / "m.gguf", "--spec", spec, "--out", tmp_path / "r.db", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["answered_now"] == len(benchmark.spec.questions)
    return tmp_path / "r.db"


def test_build_run_report(benchmark: Benchmark, results: Path, tmp_path: Path) -> None:
    table = tmp_path / "words.jsonl"
    table.write_text("".join(json.dumps(word.to_json()) + "\n" for word in benchmark.spec.words))
    out = tmp_path / "own.jsonl"
    built = typed("build", "--clips", benchmark.folder, "--table", table, "--out", out, "--json")
    assert json.loads(built.stdout)["words"] == 10
    assert typed("validate", out).exit_code == 0
    page = tmp_path / "page.html"
    document = json.loads(typed("report", results, "--json", "--html", page).stdout)
    assert document["run"]["answered"] == len(benchmark.spec.questions)
    assert page.read_text().startswith("<!doctype html>")
    for form in ((), ("--markdown",), ("--csv",)):
        assert "hypernym" in typed("report", results, *form).stdout


def test_workers_of_a_cluster_keep_embeddings_too(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--embeddings did nothing beside --engine ray."""
    loads: list[dict[str, object]] = []
    loaded = ltu.model.load

    def load(gguf, device, threads, **more):  # type: ignore[no-untyped-def]
        loads.append(more)
        return loaded(gguf, device, threads, **more)

    def cluster(local, workers, load, threads, gpu):  # type: ignore[no-untyped-def]
        return load(local.path)

    monkeypatch.setattr(ltu.model, "load", load)
    monkeypatch.setattr(ltu.shard.run.cluster, "Cluster", cluster)
    how = ("--gguf", tmp_path / "m.gguf", "--spec", results.with_name("s.jsonl"), "--out", tmp_path / "c.db")
    done = typed("run", *how, "--engine", "ray", "--embeddings", tmp_path / "kept", "--limit", "5")
    assert done.exit_code == 0, done.output
    assert [more["embeddings"] for more in loads] == [tmp_path / "kept"] * 2


def test_numbers_are_written_as_they_were_meant(results: Path) -> None:
    sampling = json.loads(typed("report", results, "--json").stdout)["run"]["sampling"]
    assert sampling == {"temperature": 0.1, "top_k": 500, "top_p": 0.95, "repetition_penalty": 1.1}


def test_list_and_validate_take_both_kinds_of_file(results: Path) -> None:
    assert json.loads(typed("list", results, "--json").stdout)[0]["model"] == "fake"
    assert len(json.loads(typed("list", results.with_name("s.jsonl"), "--json").stdout)) == 10
    assert "runs: 1" in typed("validate", results).stdout


def test_list_has_a_header_and_dates_that_people_read(results: Path) -> None:
    lines = typed("list", results).stdout.splitlines()
    header = next(line.split() for line in lines if line.split()[:1] == ["id"])
    assert header == ["id", "model", "spec", "repeats", "seed", "asked", "answered", "created"]
    row = next(line for line in lines if " fake " in line)
    assert re.search(r" \d{4}-\d\d-\d\d \d\d:\d\d$", row.rstrip())
    words = typed("list", results.with_name("s.jsonl")).stdout
    assert re.search(r"^label +group +synset +clips +synonyms +hypernyms", words, re.MULTILINE)


def test_export_writes_a_file_for_each_way_of_asking(results: Path, tmp_path: Path) -> None:
    assert typed("export", results, "--out", tmp_path / "logs").exit_code == 0
    names = sorted(file.name for file in (tmp_path / "logs").iterdir())
    assert len(names) == 6
    assert "samples_shard_synonym_prepended_long.jsonl" in names


def test_table2_needs_no_results() -> None:
    shown = typed("report", "--table2").stdout
    assert "1262" in shown
    assert "38.78" in shown


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("build", "--clips", "nowhere", "--out", "x"), "--clips"),
        (("build", "--clips", ".", "--out", "x", "--folds", "4"), "--folds"),
        (("build", "--clips", ".", "--out", "x", "--preset", "esc10", "--folds", "four"), "--folds"),
        (("build", "--clips", ".", "--out", "x", "--reviewed", "f"), "--reviewed"),
        (("build", "--clips", ".", "--out", "x", "--per-word", str(10**20)), "--per-word"),
        (("run", "--spec", "s", "--out", "r", "--untempered"), "--untempered"),
        (("run", "--spec", "s", "--out", "r", "--epsilon", "nan"), "--epsilon"),
        (("run", "--spec", "s", "--out", "r", "--epsilon", "-1"), "--epsilon"),
        (("run", "--spec", "s", "--out", "r", "--clips", "nowhere"), "--clips"),
        (("run", "--spec", "s", "--out", "r", "--seed", str(2**64)), "--seed"),
        (("report", "r.db", "--json", "--csv"), "--json, --csv and --markdown"),
        (("report", "r.db", "--csv", "--markdown"), "--json, --csv and --markdown"),
        (("report",), "RESULTS"),
    ],
)
def test_wrong_usage_exits_with_2_and_names_the_option(arguments: tuple[str, ...], option: str) -> None:
    done = typed(*arguments)
    assert done.exit_code == 2
    assert option in done.output


def test_a_task_that_the_specification_does_not_ask_is_wrong_usage(results: Path, tmp_path: Path) -> None:
    spec = results.with_name("s.jsonl")
    for tasks in ("singing", ","):
        done = typed("run", "--spec", spec, "--out", tmp_path / "x", "--tasks", tasks)
        assert done.exit_code == 2
        assert "--tasks" in done.output


@pytest.mark.parametrize("command", ["report", "list", "validate"])
def test_a_missing_file_is_one_line_and_exit_1(command: str, tmp_path: Path) -> None:
    done = typed(command, tmp_path / "nothing.db")
    assert done.exit_code == 1
    assert "no such file" in done.output
    assert len(done.output.strip().splitlines()) == 1
