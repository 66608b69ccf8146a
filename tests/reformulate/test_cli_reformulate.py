"""The command as a user types it, against a server that misbehaves on purpose."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fake_api import Fault, Request, Server, good_answer, question_of
from openaqa_rows import items, read_rows, taken, write_source
from typer.testing import CliRunner, Result

from ltu.cli.reformulate import app
from ltu.training.items.examples import read_items
from ltu.training.reformulate import api, batch


@pytest.fixture(autouse=True)
def no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"):
        monkeypatch.delenv(name, raising=False)


def typed(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def done(*arguments: object) -> dict[str, Any]:
    """What a command that succeeds prints as JSON."""
    result = typed(*arguments, "--json")
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def failed(*arguments: object) -> str:
    """The one line of a command that fails."""
    result = typed(*arguments)
    assert result.exit_code == 1, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert "unexpected" not in line
    assert "Traceback" not in result.output
    return line


def assert_rows_are_the_sources(output: Path, rows: list[dict[str, Any]]) -> None:
    """In order, with equal fields, answers and audio ids, and a prompt for each."""
    written = read_rows(output)
    assert [{**row, "instruction": ""} for row in written] == [{**row, "instruction": ""} for row in rows]
    assert all(row["instruction"].count("[AUDIO]") == 1 for row in written)


def test_rows_keep_everything_but_the_instruction(source: Path, tmp_path: Path, server: Server) -> None:
    output = tmp_path / "out.jsonl"
    document = done(source, "--output", output, "--base-url", server.url, "--model", "small-model")
    assert (document["items"], document["rows"], document["failed"]) == (18, 18, 0)
    assert (document["input_tokens"], document["output_tokens"]) == (18 * 500, 18 * 30)
    assert "dollars" not in document  # nobody said what this model costs
    rows = taken(items(30))
    assert_rows_are_the_sources(output, rows)
    for row, original in zip(read_rows(output), rows, strict=True):
        assert original["instruction"].split()[-1] in row["instruction"]  # its own prompt, not a neighbour's
    assert [row.audio for row in read_items(output)] == [(row["audio_id"],) for row in rows]
    provenance = json.loads((tmp_path / "out.provenance.json").read_text())
    assert provenance["by"] == "small-model"
    assert provenance["models"] == ["small-model-2025-04-14"]


def test_prepended_keeps_the_draw_and_the_questions_and_is_trained_on_as_such(
    source: Path, tmp_path: Path
) -> None:
    output, reworded = tmp_path / "prepended.jsonl", tmp_path / "interleaved.jsonl"
    document = done(source, "--output", output, "--prepended", "--subset", 7)
    done(source, "--output", reworded, "--offline", "--subset", 7)
    assert (document["rows"], document["failed"]) == (7, 0)
    rows, others = read_rows(output), read_rows(reworded)
    assert [{**row, "instruction": ""} for row in rows] == [{**row, "instruction": ""} for row in others]
    questions = {row["audio_id"] + row["output"]: row["instruction"] for row in items(30)}
    assert all(questions[row["audio_id"] + row["output"]] == row["instruction"] for row in rows)
    assert {row.format for row in read_items(output)} == {"prepended"}
    assert json.loads((tmp_path / "prepended.provenance.json").read_text())["by"].startswith("nothing")


def test_requests_carry_the_papers_settings(
    source: Path, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "the-key")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    document = done(source, "--output", tmp_path / "out.jsonl", "--concurrency", 3)
    assert document["dollars"] == pytest.approx(18 * (500 * 0.4 + 30 * 1.6) / 1e6, abs=1e-4)
    assert server.most_at_once <= 3
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer the-key"}
    bodies = [request.body for request in server.requests]
    assert {body["model"] for body in bodies} == {"gpt-4.1-mini"}
    assert all(0.7 <= body["temperature"] <= 1.1 for body in bodies)
    assert len({body["temperature"] for body in bodies}) > 12
    assert all(body["response_format"]["json_schema"]["strict"] for body in bodies)


def faults(request: Request) -> Fault | None:
    """Each question meets another fault the first time, and a good answer after it."""
    if request.number > 1:
        return None
    number = int("".join(filter(str.isdigit, request.question)))
    place = number // 5 * 3 + number % 5  # among those that are taken
    return [
        Fault(status=429),
        Fault(status=500),
        Fault(status=503),
        Fault(cut=True),
        Fault(raw=b"<html>busy</html>"),
        Fault(raw=b'{"choices": []}'),
        Fault(content="not JSON"),
        Fault(content='{"revised_prompt": "Is [AUDIO] like [AUDIO]?"}'),
        Fault(content='{"revised_prompt": "What does the recording [AUDIO] hold?"}'),
        Fault(content=""),
    ][place % 10]


def test_every_fault_is_overcome(source: Path, tmp_path: Path, server: Server) -> None:
    server.behaviour = faults
    output = tmp_path / "out.jsonl"
    document = done(source, "--output", output, "--base-url", server.url)
    assert (document["rows"], document["failed"]) == (18, 0)
    assert_rows_are_the_sources(output, taken(items(30)))
    assert set(server.successes) == {row["instruction"] for row in taken(items(30))}
    told = {r.body["messages"][-1]["content"] for r in server.requests if len(r.body["messages"]) > 2}
    for reason in ("not valid JSON", "exactly once, not 2 times", '"recording"'):
        assert any(reason in text for text in told)
    assert sum(document["problems"].values()) == sum(server.successes.values()) - 18
    first_try = sum(figures["valid_first"] for figures in document["quality"].values())
    assert first_try == 18 - sum(document["problems"].values())


def test_a_slow_server_is_asked_again(source: Path, tmp_path: Path, server: Server) -> None:
    never = threading.Event()
    server.behaviour = lambda request: Fault(wait=never) if request.number == 1 else None
    arguments = ("--output", tmp_path / "out.jsonl", "--base-url", server.url, "--subset", 4)
    document = done(source, *arguments, "--timeout", 0.3)
    never.set()
    assert document["rows"] == 4
    assert len(server.requests) == 8


def test_items_that_use_up_their_tries_are_listed_and_the_others_written(
    source: Path, tmp_path: Path, server: Server
) -> None:
    rows = taken(items(30))
    bad = {rows[4]["instruction"], rows[9]["instruction"]}
    server.behaviour = lambda r: Fault(content='{"revised_prompt": "no"}') if r.question in bad else None
    output = tmp_path / "out.jsonl"
    document = done(source, "--output", output, "--base-url", server.url, "--tries", 2)
    assert (document["rows"], document["failed"]) == (16, 2)
    assert_rows_are_the_sources(output, [row for row in rows if row["instruction"] not in bad])
    listed = read_rows(tmp_path / "out.failed.jsonl")
    assert [row["instruction"] for row in listed] == [rows[4]["instruction"], rows[9]["instruction"]]
    assert all("exactly once" in row["problem"] and row["answers"] == 2 for row in listed)

    server.behaviour = lambda request: None
    before = len(server.requests)
    document = done(source, "--output", output, "--base-url", server.url, "--tries", 3)  # one more chance
    assert len(server.requests) == before + 2
    assert (document["rows"], document["failed"]) == (18, 0)
    assert not (tmp_path / "out.failed.jsonl").exists()


def test_killed_and_started_again_it_repeats_no_answered_request(tmp_path: Path, server: Server) -> None:
    source = write_source(tmp_path / "openaqa.json", items(100))
    output = tmp_path / "out.jsonl"
    hold = threading.Event()
    server.behaviour = lambda r: Fault(wait=hold) if len(server.requests) > 25 else refused_first(r)
    options = map(str, [source, "--output", output, "--concurrency", 4, "--base-url", server.url])
    command = [sys.executable, "-m", "ltu.cli.reformulate", *options]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    database = tmp_path / "out.db"
    wait_for(lambda: rows_of(database, "SELECT count(*) FROM attempts") == [(25,)])
    wait_for(lambda: len(server.requests) == 29)  # four of them are held
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not output.exists()
    accepted = {row[0] for row in rows_of(database, "SELECT instruction FROM items WHERE prompt != ''")}
    assert accepted
    before = len(server.requests)

    server.behaviour = refused_first
    document = done(source, "--output", output, "--base-url", server.url)
    hold.set()
    assert_rows_are_the_sources(output, taken(items(100)))
    again = server.requests[before:]
    assert not accepted & {request.question for request in again}
    assert 25 + len(again) == 60 + 10  # each item once, and the ten whose first answer is refused once more
    assert document["input_tokens"] == 70 * 500


def is_refused_first(question: str) -> bool:
    return question.rstrip("?").endswith("1")


def refused_first(request: Request) -> Fault | None:
    """Some questions get a useless answer until they tell of one."""
    told = any(message["role"] == "assistant" for message in request.body["messages"])
    return Fault(content="half an answer") if is_refused_first(request.question) and not told else None


def rows_of(database: Path, select: str) -> list[Any]:
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
            return db.execute(select).fetchall()
    except sqlite3.OperationalError:  # not there yet
        return []


def wait_for(condition: Any) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it never came")


def test_finished_work_is_written_again_without_asking(source: Path, tmp_path: Path, server: Server) -> None:
    output, page = tmp_path / "out.jsonl", tmp_path / "page.html"
    done(source, "--output", output, "--base-url", server.url)
    first = output.read_bytes()
    output.unlink()
    done(source, "--output", output, "--report", page)  # needs no key either
    assert output.read_bytes() == first
    assert len(server.requests) == 18
    assert page.exists()


def test_a_server_that_is_down_ends_the_work_and_what_was_answered_stays(
    source: Path, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "RETRIES", 0)
    server.behaviour = lambda request: Fault(status=500) if len(server.requests) > 5 else None
    arguments = (source, "--output", tmp_path / "out.jsonl", "--base-url", server.url, "--concurrency", 1)
    line = failed(*arguments)
    assert "10 questions in a row" in line
    assert "fault 500" in line
    assert len(server.requests) == 15
    server.behaviour = lambda request: None
    assert done(*arguments)["rows"] == 18
    assert sum(server.successes.values()) == 18


def test_questions_without_an_answer_stay_pending(
    source: Path, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "RETRIES", 1)
    bad = taken(items(30))[3]["instruction"]
    server.behaviour = lambda request: Fault(cut=True) if request.question == bad else None
    arguments = (source, "--output", tmp_path / "out.jsonl", "--base-url", server.url)
    line = failed(*arguments)
    assert "1 questions got no answer" in line
    assert "Connection error" in line
    server.behaviour = lambda request: None
    assert done(*arguments)["rows"] == 18
    assert max(server.successes.values()) == 1


@pytest.mark.parametrize("status", [401, 404])
def test_a_wrong_key_or_model_ends_the_work_at_once(
    source: Path, tmp_path: Path, server: Server, status: int
) -> None:
    server.behaviour = lambda request: Fault(status=status)
    line = failed(source, "--output", tmp_path / "out.jsonl", "--base-url", server.url, "--concurrency", 2)
    assert f"fault {status}" in line
    assert "--model" in line
    assert len(server.requests) <= 2


def test_without_a_key_or_the_package_it_says_what_to_do(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (source, "--output", tmp_path / "out.jsonl")
    assert "OPENAI_API_KEY" in failed(*arguments)
    monkeypatch.setitem(sys.modules, "openai", None)
    assert "pip install 'ltu-engine[reformulate]'" in failed(*arguments, "--api-key", "k")
    assert not list(tmp_path.glob("out*"))
    assert done(*arguments, "--offline")["rows"] == 18


def test_other_settings_or_another_source_do_not_mix(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    done(source, "--output", output, "--offline", "--subset", 6)
    assert "was begun with limit 6, not 7" in failed(source, "--output", output, "--offline", "--subset", 7)
    assert "was begun with by" in failed(source, "--output", output, "--subset", 6, "--base-url", "http://x")
    source.write_text(source.read_text().replace("dog", "god"))
    line = failed(source, "--output", output, "--offline", "--subset", 6)
    assert "is not what it was" in line
    assert [row["output"] for row in read_rows(output)].count('A "dog" barks\nat night.') == 2


def test_two_processes_do_not_write_at_once(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with closing(sqlite3.connect(tmp_path / "out.db.lock", isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        assert "another process is writing" in failed(source, "--output", output, "--offline")
    assert done(source, "--output", output, "--offline")["rows"] == 18


def test_rules_need_no_server_and_are_marked(source: Path, tmp_path: Path) -> None:
    output, page = tmp_path / "out.jsonl", tmp_path / "page.html"
    document = done(source, "--output", output, "--offline", "--report", page, "--seed", 3)
    assert document["by"] == "rules, no language model"
    assert json.loads((tmp_path / "out.provenance.json").read_text())["by"] == document["by"]
    assert "not by a language model" in page.read_text()
    assert_rows_are_the_sources(output, taken(items(30)))
    other = tmp_path / "other.jsonl"
    done(source, "--output", other, "--offline", "--seed", 3)
    assert other.read_bytes() == output.read_bytes()


def test_what_rules_cannot_write_is_recorded(tmp_path: Path) -> None:
    rows = items(10)
    rows[7]["instruction"] = "Which file is it?"
    source, output = write_source(tmp_path / "s.json", rows), tmp_path / "o.jsonl"
    document = done(source, "--output", output, "--offline", "--tries", 2)
    assert (document["rows"], document["failed"]) == (5, 1)
    assert document["problems"] == {'it says "file", which refers to a media file': 2}
    (row,) = read_rows(tmp_path / "o.failed.jsonl")
    assert (row["item"], row["answers"], row["output"]) == (8, 2, rows[7]["output"])


def test_a_subset_has_every_kind_and_the_sources_order(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    document = done(source, "--output", output, "--offline", "--subset", 9)
    assert {kind: figures["items"] for kind, figures in document["quality"].items()} == {
        "label": 3,
        "acoustic": 3,
        "open": 3,
    }
    ids = [row["audio_id"] for row in read_rows(output)]
    assert ids == [row["audio_id"] for row in items(30) if row["audio_id"] in ids]
    large = tmp_path / "large.jsonl"
    done(source, "--output", large, "--offline", "--subset", 14)
    assert set(ids) < {row["audio_id"] for row in read_rows(large)}


def test_a_dry_run_shows_ten_requests_and_touches_nothing(source: Path, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    shown = typed(source, "--dry-run").stdout
    assert shown.count("[system]") == 10
    assert "18 requests: about" in shown
    assert "at $0.4 and $1.6 a million" in shown
    assert "in batch files" in shown
    document = done(source, "--dry-run", "--model", "other", "--subset", 12)
    assert (document["items"], len(document["requests"]), document["dollars"]) == (12, 10, None)
    assert {row["kind"] for row in document["requests"]} == {"label", "acoustic", "open"}
    priced = done(source, "--dry-run", "--model", "other", "--price-input", 2, "--price-output", 0)
    assert priced["dollars"] == pytest.approx(2 * priced["input_tokens"] / 1e6)
    assert set(tmp_path.iterdir()) == before


def answered(requests: Path, faulty: dict[int, Any]) -> list[dict[str, Any]]:
    """What the provider makes of a request file; `faulty` gives lines another content, None an error."""
    results = []
    for place, row in enumerate(read_rows(requests)):
        content = faulty.get(place, good_answer(row["body"]))
        message = {"role": "assistant", "content": content}
        usage = {"prompt_tokens": 500, "completion_tokens": 30}
        body = {"model": "batched", "choices": [{"message": message}], "usage": usage}
        response = {"status_code": 200 if content else 500, "body": body if content else None}
        results.append({"id": "x", "custom_id": row["custom_id"], "response": response, "error": None})
    return results[::-1]  # the provider promises no order


def test_batch_files_go_out_and_come_back(source: Path, tmp_path: Path, server: Server) -> None:
    output, folder = tmp_path / "out.jsonl", tmp_path / "batch"
    arguments = (source, "--output", output)
    assert done(*arguments, "--batch-write", folder)["waiting_in_batch_files"] == 18
    (first,) = sorted(folder.iterdir())
    rows = read_rows(first)
    assert {(row["method"], row["url"]) for row in rows} == {("POST", "/v1/chat/completions")}
    assert [question_of(row["body"]) for row in rows] == [row["instruction"] for row in taken(items(30))]
    assert done(*arguments, "--batch-write", folder)["pending"] == 0  # nothing is asked for twice
    assert done(*arguments, "--base-url", server.url)["waiting_in_batch_files"] == 18
    assert len(list(folder.iterdir())) == 1
    assert server.requests == []

    results = tmp_path / "results.jsonl"
    results.write_text("".join(json.dumps(row) + "\n" for row in answered(first, {2: "not JSON", 5: None})))
    for _ in range(2):  # reading it twice changes nothing
        document = done(*arguments, "--batch-read", results)
        assert (document["pending"], document["waiting_in_batch_files"]) == (2, 0)
        assert document["input_tokens"] == 17 * 500
    assert not output.exists()

    done(*arguments, "--batch-write", folder)
    second = sorted(folder.iterdir())[1]
    assert [len(row["body"]["messages"]) for row in read_rows(second)] == [4, 2]
    done(*arguments, "--batch-read", results)  # the old error says nothing about the new request
    results.write_text("".join(json.dumps(row) + "\n" for row in answered(second, {})))
    document = done(*arguments, "--batch-read", results)
    assert (document["rows"], document["failed"]) == (18, 0)
    assert document["dollars"] == pytest.approx(19 * (500 * 0.4 + 30 * 1.6) / 1e6 / 2, abs=1e-4)
    assert_rows_are_the_sources(output, taken(items(30)))


def test_lost_batches_can_be_forgotten(source: Path, tmp_path: Path, server: Server) -> None:
    arguments = (source, "--output", tmp_path / "out.jsonl")
    done(*arguments, "--batch-write", tmp_path / "batch")
    assert (
        done(*arguments, "--batch-forget", "--base-url", server.url, "--model", "gpt-4.1-mini")["rows"] == 18
    )


def test_a_line_that_is_no_result_is_named(source: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    results.write_text('{"custom_id": "x"}\n')
    line = failed(source, "--output", tmp_path / "out.jsonl", "--batch-read", results)
    assert "results.jsonl:1" in line


def test_results_of_other_work_are_refused(source: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        written = done(source, "--output", tmp_path / f"{name}.jsonl", "--batch-write", tmp_path / "batch")
        assert written["waiting_in_batch_files"] == 18
    results = tmp_path / "results.jsonl"
    (row, *_) = answered(tmp_path / "batch" / "one-001.jsonl", {})
    results.write_text(json.dumps(row) + "\n")
    line = failed(source, "--output", tmp_path / "other.jsonl", "--batch-read", results)
    assert "one-001" in line
    assert done(source, "--output", tmp_path / "one.jsonl", "--batch-read", results)["pending"] == 0


def test_large_work_is_cut_into_batch_files(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MOST_REQUESTS", 7)
    done(source, "--output", tmp_path / "out.jsonl", "--batch-write", tmp_path / "batch")
    files = sorted((tmp_path / "batch").iterdir())
    assert [file.name for file in files] == ["out-001.jsonl", "out-002.jsonl", "out-003.jsonl"]
    rows = [row for file in files for row in read_rows(file)]
    assert [len(read_rows(file)) for file in files] == [7, 7, 4]
    assert len({row["custom_id"] for row in rows}) == 18


def test_leaks_are_reported_with_their_terms(tmp_path: Path) -> None:
    rows = items(10)
    rows[2]["instruction"] = "Is there a vehicle in the audio clip?"
    source, output, page = write_source(tmp_path / "s.json", rows), tmp_path / "o.jsonl", tmp_path / "p.html"
    document = done(source, "--output", output, "--offline", "--report", page)
    assert document["leaks"] == 1
    assert document["leaked_terms"] == {"vehicle": 1}
    (leak,) = read_rows(tmp_path / "o.leaks.jsonl")
    assert (leak["item"], leak["audio_id"], leak["terms"]) == (3, "audio/é2.flac", ["vehicle"])
    assert "Is there a vehicle in <mark>[AUDIO]</mark>?" in page.read_text()


def test_the_page_shows_samples_histograms_and_failures(source: Path, tmp_path: Path, server: Server) -> None:
    bad = taken(items(30))[2]["instruction"]
    server.behaviour = lambda r: Fault(content="<script>") if r.question == bad else None
    page = tmp_path / "page.html"
    done(source, "--output", tmp_path / "out.jsonl", "--base-url", server.url, "--report", page)
    text = page.read_text()
    for part in (
        "Label classification",
        "distinct-2",
        "self-BLEU",
        "first words",
        "Failed",
        "What happens in the",
    ):
        assert part in text
    assert "A &quot;dog&quot; barks" in text
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")  # needs nothing else
    assert text.endswith("</html>\n")


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        ((), "--output"),
        (("--output", "x.db"), "--output"),
        (("--output", "x.jsonl", "--subset", 0), "--subset"),
        (("--output", "x.jsonl", "--offline", "--batch-write", "f"), "--offline"),
        (("--output", "x.jsonl", "--batch-read", "f", "--batch-write", "f"), "--batch-write"),
        (("--dry-run", "--price-input", 1), "--price-input"),
    ],
)
def test_wrong_usage_exits_with_2_and_names_the_option(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[object, ...], option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = typed(source, *arguments)
    assert result.exit_code == 2
    assert option in result.output
    assert os.listdir(tmp_path) == [source.name]


def test_a_missing_or_broken_file_is_one_line_and_exit_1(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    assert "absent.json: No such file" in failed(tmp_path / "absent.json", "--output", output, "--offline")
    broken = tmp_path / "broken.json"
    broken.write_text('[{"instruction": ')
    assert "broken.json: item 1" in failed(broken, "--output", output, "--offline")
    assert "no such folder" in failed(broken, "--output", tmp_path / "none" / "out.jsonl", "--offline")


def test_a_model_that_never_gives_a_prompt_is_not_asked_for_ever(tmp_path: Path, server: Server) -> None:
    server.behaviour = lambda request: Fault(content="I cannot do that.")
    source = write_source(tmp_path / "source.json", items(400))
    line = failed(source, "--output", tmp_path / "rows.jsonl", "--base-url", server.url, "--api-key", "k")
    assert "of 100 questions in a row every answer was refused (the last: it is not valid JSON)" in line
    assert len({request.question for request in server.requests}) < 150  # of 240
