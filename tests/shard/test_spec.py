"""A specification is read as it was written, and a broken one is refused with the line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake import Benchmark

from ltu.errors import Error
from ltu.shard.spec.specification import read_spec

Rows = list[dict[str, Any]]


def test_written_and_read_it_is_the_same(benchmark: Benchmark, tmp_path: Path) -> None:
    benchmark.spec.write(tmp_path / "s.jsonl")
    again = read_spec(tmp_path / "s.jsonl")
    assert (again.words, again.clips, again.questions) == (
        benchmark.spec.words,
        benchmark.spec.clips,
        benchmark.spec.questions,
    )
    assert again.hash == benchmark.spec.hash


def test_the_hash_does_not_depend_on_where_the_clips_lie(benchmark: Benchmark, tmp_path: Path) -> None:
    benchmark.spec.header["clips_folder"], before = "elsewhere", benchmark.spec.header["clips_folder"]
    benchmark.spec.write(tmp_path / "s.jsonl")
    benchmark.spec.header["clips_folder"] = before
    assert read_spec(tmp_path / "s.jsonl").hash == benchmark.spec.hash


def change(key: str, value: Any, kind: str) -> Callable[[Rows], None]:
    def changed(rows: Rows) -> None:
        next(row for row in rows if row["kind"] == kind and row.get("term") != "")[key] = value

    return changed


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda rows: rows.pop(0), r":1: .*one header"),
        (lambda rows: rows.clear(), "is empty"),
        (lambda rows: rows.append({"kind": "song"}), "unknown kind 'song'"),
        (lambda rows: rows.append({"no": 1}), "is not a line of a specification"),
        (change("format", 99, "header"), "another version"),
        (change("colour", "red", "clip"), "colour"),
        (change("label", "Unicorn", "clip"), "Unicorn"),
        (change("clip", 999, "question"), "clip 999 is not in the file"),
        (change("prompt", "Is it?", "question"), "its prompt is not"),
        (change("expected", None, "question"), "needs an expected answer"),
        (change("id", 1, "clip"), "same id"),
        (lambda rows: rows.pop(), r"questions are there: was it cut off\?"),
        (lambda rows: rows.__delitem__(slice(1, None)), "0 of 10 words are there: was it cut off"),
        (change("label", "Unicorn", "word"), r":2: .*'Unicorn' is no class of AudioSet's ontology"),
        (change("label", 5, "word"), ":2: .*label is 5, and no text"),
        (change("synonyms", "x", "word"), ":2: .*synonyms is 'x', and no list of texts"),
    ],
)
def test_what_is_broken_is_said(
    benchmark: Benchmark, tmp_path: Path, damage: Callable[[Rows], Any], message: str
) -> None:
    file = tmp_path / "s.jsonl"
    benchmark.spec.write(file)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    damage(rows)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(Error, match=message) as found:
        read_spec(file)
    assert str(found.value).startswith(str(file))


def test_a_line_that_is_no_json_is_said(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text("not json\n")
    with pytest.raises(Error, match=r"s\.jsonl:1: is not a line"):
        read_spec(tmp_path / "s.jsonl")
