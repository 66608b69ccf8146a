"""A relation is data: a third one goes from a table through build and run into every part of the report."""

import json
import random
from dataclasses import asdict
from pathlib import Path

import pytest
from fake import Benchmark

import ltu
from ltu.shard.harness.tasks import write_tasks
from ltu.shard.report.document import report as report_of
from ltu.shard.report.page import page
from ltu.shard.report.table2 import beside_table
from ltu.shard.report.tables import tables
from ltu.shard.run.runs import Settings, prepare
from ltu.shard.run.store import Store
from ltu.shard.run.sweep import sweep
from ltu.shard.score.paper import TABLE2
from ltu.shard.score.scored import Run, load_run
from ltu.shard.spec.build import build
from ltu.shard.spec.clips import choose, from_folders
from ltu.shard.spec.relations import Relation, relations
from ltu.shard.spec.specification import Spec, read_spec
from ltu.shard.spec.words import Word, shipped_words

MERONYM = Relation(**json.loads('{"name": "meronym", "phrase": "a part of", "terms": "holonyms"}'))
THREE = (*relations(), MERONYM)
WHOLES = ("farmyard", "coastline", "clockwork", "nursery", "storm", "workshop", "airfield", "hearth")


@pytest.fixture(scope="module")
def spec(benchmark: Benchmark, tmp_path_factory: pytest.TempPathFactory) -> Spec:
    """The small benchmark's words with a column more, written and read back."""
    rows = [word.to_json() for word in benchmark.spec.words]
    for row, whole in zip(rows, (*WHOLES, "zoo", "choir"), strict=True):
        row["holonyms"] = [whole]
    words = [Word.from_json(row, THREE) for row in rows]
    clips = choose(from_folders(benchmark.folder, words), 4, random.Random(0))
    path = tmp_path_factory.mktemp("meronyms") / "s.jsonl"
    build(words, clips, benchmark.folder, "three", asked=THREE).write(path)
    return read_spec(path)


@pytest.fixture(scope="module")
def run(benchmark: Benchmark, spec: Spec, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    model = benchmark.model(folder / "m.gguf")
    model.hears = {clip.hash: spec.word(clip.label) for clip in spec.clips}
    store = Store(folder / "r.db", create=True)
    with store.writing():
        id = prepare(store, spec, model, benchmark.folder, Settings(controls=True))
        sweep(model, store, id, lambda count: None, {})
    return load_run(store)


def test_its_questions_are_made_of_its_phrase_and_its_own_terms(spec: Spec) -> None:
    asked = [q for q in spec.questions if q.task == "meronym"]
    holonym = {word.label: word.terms["holonyms"][0] for word in spec.words}
    label = {clip.id: clip.label for clip in spec.clips}
    assert {q.prompt for q in asked if q.cell.wording == "short"} == {
        f"Is [AUDIO] a part of {term}?" for term in holonym.values()
    }
    for q in asked:
        assert (q.term == holonym[label[q.clip]]) == q.expected
    assert spec.tasks == ("identity", "synonym", "hypernym", "meronym")


def test_the_other_relations_are_asked_as_without_it(benchmark: Benchmark, spec: Spec) -> None:
    def others(of: Spec) -> list[tuple[object, ...]]:
        return [(q.clip, q.prompt, q.expected, q.tiers) for q in of.questions if q.task != "meronym"]

    assert others(spec) == others(benchmark.spec)


def test_every_part_of_the_report_has_it_and_no_other_relation_in_its_place(run: Run) -> None:
    made = report_of(run)
    document = made.to_json()
    for part in ("conditions", "words", "errors", "given_named", "audio_use", "comparisons"):
        assert "meronym" in {row["task"] for row in document[part]}, part
    row = next(r for r in document["conditions"] if (r["task"], r["part"]) == ("meronym", "all"))
    mine = [s for s in run.scored if s.asked.task == "meronym" and not s.asked.control]
    mine = [s for s in mine if s.asked.position == "prepended" and "elsewhere" in s.asked.tiers]
    positive = [s.right("careful") for s in mine if s.asked.expected]
    assert row["questions"] == len(mine)
    assert row["figures"]["recall"]["value"] == pytest.approx(sum(positive) / len(positive))
    assert row["figures"]["j"]["low"] > 0.3
    assert any("meronym" in cells for table in tables(made) for cells in table.rows)
    assert page(run, made).count("<svg") == 5


def test_the_papers_rows_stay_those_of_its_own_relations(run: Run) -> None:
    made = report_of(run)
    document = made.to_json()
    assert not any("meronym" in name for row in document["table2"] for name in row)
    assert len(beside_table(made.table2).columns) == 12
    with pytest.raises(KeyError):
        TABLE2[0].cells("meronym")


def test_other_harnesses_get_it_too(spec: Spec, tmp_path: Path) -> None:
    assert {"shard_meronym", "shard_meronym_choice"} <= set(write_tasks(spec, tmp_path, tmp_path / "out"))
    row = json.loads((tmp_path / "out" / "meronym.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert row["prompt"].startswith("Is <audio> a part of ")


def test_a_column_that_no_relation_names_and_an_unknown_task_are_refused(spec: Spec, tmp_path: Path) -> None:
    row = shipped_words("esc10")[0].to_json()
    with pytest.raises(TypeError, match="holonyms"):
        Word.from_json({**row, "holonyms": ["farmyard"]})
    header = {**spec.header, "relations": [asdict(relation) for relation in relations()]}
    words = tuple(word for word in shipped_words("esc10"))
    Spec(header, words, spec.clips, spec.questions).write(tmp_path / "s.jsonl")
    with pytest.raises(ltu.Error, match="its task 'meronym' is not among identity, synonym, hypernym"):
        read_spec(tmp_path / "s.jsonl")
