"""The server among clients that are broken, slow, greedy or gone."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from raw import ask, get, opened, post, request
from served import serving
from sounds import heard, said, user

import ltu
from ltu.cli.serve import main
from ltu.serve.cores import threads_beside_http
from ltu.serve.limits import Limits

CHAT = "/v1/chat/completions"
SHORT = {"model": "tiny", "messages": user(said("Is "), heard(1), said(" a bird?")), "seed": 1, "n": 2}
LONG = {"model": "tiny", "messages": SHORT["messages"], "n": 64, "max_tokens": 1500, "temperature": 50.0}


def live_cells(model: ltu.Model) -> int:
    return int(model.description()["kv_cells_taken"])


def until_idle(model: ltu.Model) -> None:
    """Returns when nothing is computed any more."""
    steps = -1
    for _ in range(600):
        now = model.description()["steps"]
        if now == steps:
            return
        steps = now
        time.sleep(0.05)
    pytest.fail("the engine still computes")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'"text"', 400),
        (b"\xff\xfe\x00", 400),
        (b"[" * 100_000, 400),
        (b'{"model": "tiny", "messages": [{"role": "user", "content": "\\ud800"}]}', 400),
        (b'{"model": "tiny", "messages": [{"role": "user", "content": "x"}], "temperature": NaN}', 400),
        (b'{"model": "tiny", "messages": [{"role": "user", "content": "x"}], "temperature": 1e999}', 400),
        (
            b'{"model": "tiny", "messages": [{"role": "user", "content": "x"}], "seed": '
            + b"9" * 5000
            + b"}",
            400,
        ),
        (b'{"model": "\\ud800", "messages": [{"role": "user", "content": "x"}]}', 400),
        (b'{"model": "tiny", "\\ud800": 1, "messages": [{"role": "user", "content": "x"}]}', 400),
        (b"x" * (3 << 20), 413),
    ],
)
def test_no_body_breaks_the_server(server: str, body: bytes, status: int) -> None:
    for path in (CHAT, "/v1/decisions", "/v1/systemone"):
        response = post(server, path, body)
        assert response.status == status, response.body
        assert set(response.error) == {"message", "type", "param", "code"}


def test_every_refusal_is_in_openai_s_form(server: str) -> None:
    for status, response in (
        (404, get(server, "/v1/embeddings")),
        (404, get(server, "/v1/models/other")),
        (405, get(server, CHAT)),
        (405, ask(server, "DELETE", "/v1/models")),
        (415, ask(server, "POST", CHAT, b"{}", {"Content-Type": "text/plain"})),
        (415, post(server, CHAT, b"{}", **{"Content-Encoding": "zstd"})),
        (400, get(server, "/v1/models", Host="evil.example:8000")),
        (400, post(server, CHAT, {**SHORT, "messages": user({"type": "input_audio", "input_audio": {}})})),
    ):
        assert response.status == status, response.body
        assert set(response.error) == {"message", "type", "param", "code"}
        assert response.headers["content-type"] == "application/json"


def test_bodies_in_chunks_are_counted_and_slow_ones_end(server: str) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n".encode()
    with opened(server) as slow:
        slow.sendall(head + b"Content-Length: 100\r\n\r\n{")
        with opened(server) as large:
            large.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
            chunk = b"x" * (1 << 20)
            for _ in range(3):
                large.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            assert b" 413 " in large.recv(1000)
        assert b" 408 " in slow.recv(1000)


def test_only_a_key_opens_the_door(model: ltu.Model) -> None:
    with serving(model, keys=["secret", "other"]) as server:
        for key in ("secret", "other"):
            assert get(server, "/v1/models", Authorization=f"Bearer {key}").status == 200
        for headers in ({}, {"Authorization": "Bearer secre"}, {"Authorization": "Basic secret"}):
            refused = get(server, "/v1/models", **headers)
            assert refused.status == 401
            assert refused.error["code"] == "invalid_api_key"
            assert post(server, CHAT, SHORT, **headers).status == 401
        assert get(server, "/health").status == 200
        assert get(server, "/metrics").status == 401


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_frees_its_cells(server: str, model: ltu.Model, stream: bool) -> None:
    until_idle(model)
    before = live_cells(model)
    with opened(server) as client:
        client.sendall(request(CHAT, {**LONG, "stream": stream}))
        if stream:
            assert b" 200 " in client.recv(1000)
        else:
            steps = model.description()["steps"]
            while model.description()["steps"] < steps + 3:
                time.sleep(0.01)
        assert live_cells(model) > before
    until_idle(model)
    assert live_cells(model) < before + 200  # its prompt may stay, its 64 answers don't
    assert post(server, CHAT, SHORT).status == 200


def test_more_requests_than_there_are_places_are_sent_away(model: ltu.Model) -> None:
    with serving(model, limits=Limits(requests=2)) as server, opened(server) as first:
        first.sendall(request(CHAT, {**LONG, "stream": True}))
        assert b" 200 " in first.recv(1000)
        refused = post(server, CHAT, SHORT)  # one client has half of the places
        assert refused.status == 429
        assert refused.error["type"] == "rate_limit_error"
        assert int(refused.headers["retry-after"]) > 0
        assert post(server, CHAT, SHORT, Authorization="Bearer another").status == 200
        assert get(server, "/health").status == 200


def test_a_light_client_beside_a_heavy_one_waits_few_steps(server: str, model: ltu.Model) -> None:
    until_idle(model)
    alone = model.description()["steps"]
    expected = post(server, CHAT, SHORT).json["choices"]
    alone = model.description()["steps"] - alone
    heavy = [opened(server) for _ in range(8)]
    try:
        for client in heavy:
            client.sendall(request(CHAT, {**LONG, "stream": True}))
        assert b" 200 " in heavy[0].recv(1000)
        before = model.description()["steps"]
        found = post(server, CHAT, SHORT, Authorization="Bearer light")
        assert found.json["choices"] == expected
        # The heavy one's answers take 1500; a tiny model takes a few while a busy machine reads a request.
        assert model.description()["steps"] - before <= alone + 300
    finally:
        for client in heavy:
            client.close()
    until_idle(model)


def test_requests_together_are_answered_as_alone(server: str) -> None:
    asked = [{**SHORT, "seed": seed, "messages": user(heard(seed % 3), said("Is it?"))} for seed in range(12)]
    alone = [post(server, CHAT, body).json["choices"] for body in asked]
    together: list[Any] = [None] * len(asked)

    def one(place: int) -> None:
        together[place] = post(server, CHAT, asked[place]).json["choices"]

    threads = [threading.Thread(target=one, args=(place,)) for place in range(len(asked))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_health_models_and_metrics(server: str, model: ltu.Model) -> None:
    health = get(server, "/health").json
    assert health["status"] == "ok"
    assert health["self_test"] == "passed"
    [about] = get(server, "/v1/models").json["data"]
    assert about["id"] == "tiny"
    assert about["meta"]["input_modalities"] == ["text", "audio"]
    assert get(server, "/v1/models/tiny").json == about
    post(server, CHAT, SHORT)
    counts = model.description()
    families = text_string_to_metric_families(get(server, "/metrics").body.decode())
    found = {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}
    assert found["ltu_positions_total", "answer"] == counts["answer_positions"]
    assert found["ltu_positions_total", "prompt"] == counts["prompt_positions"]
    assert found["ltu_clips_encoded_total",] == counts["clips"]
    assert found["gen_ai_server_request_duration_seconds_count", "chat", "200"] > 0
    assert found["ltu_positions_shared_total",] > 0


def test_pages_of_other_origins_are_not_let_in_unless_asked(server: str, model: ltu.Model) -> None:
    preflight = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in ask(server, "OPTIONS", CHAT, headers=preflight).headers
    with serving(model, origins=["https://a.example"]) as open_server:
        allowed = ask(open_server, "OPTIONS", CHAT, headers=preflight).headers
        assert allowed["access-control-allow-origin"] == "https://a.example"


def test_containers_leave_a_core_to_http(tmp_path: Path) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/box").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/box\n")
    assert threads_beside_http(tmp_path) == max(1, cores - 1)
    for quota, threads in (("max 100000", max(1, cores - 1)), ("100000 100000", 1), ("50000 100000", 1)):
        (tmp_path / "sys/fs/cgroup/box/cpu.max").write_text(quota)
        assert threads_beside_http(tmp_path) == threads


def started(path: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
    """ltu-serve in a process of its own, and its address."""
    command = "from ltu.cli.serve import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "--gguf", str(path), "--port", "0", "--name", "tiny", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    line = process.stdout.readline()
    return process, line.rpartition(" ")[2].strip()


def test_sigterm_lets_finish_what_runs(path: Path) -> None:
    process, server = started(path, "--threads", "1")
    with opened(server) as client:
        client.sendall(request(CHAT, {**LONG, "n": 4, "max_tokens": 300, "stream": True}))
        received = client.recv(1000)
        process.send_signal(signal.SIGTERM)
        while piece := client.recv(1 << 16):
            received += piece
    assert received.count(b"data: [DONE]") == 1
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


def test_wrong_options_are_one_line(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for options, code, word in (
        (["--host", "0.0.0.0"], 2, "--api-key"),
        (["--max-body", "many"], 2, "--max-body"),
        (["--host", "203.0.113.1", "--api-key", "k"], 1, "--port"),
    ):
        monkeypatch.setattr(sys, "argv", ["ltu-serve", "--gguf", str(path), *options])
        with pytest.raises(SystemExit) as end:
            main()
        [line] = capsys.readouterr().err.splitlines()
        assert (end.value.code, word in line) == (code, True), line


def test_the_description_says_what_is_taken(server: str) -> None:
    described = json.dumps(get(server, "/openapi.json").json)
    for word in (CHAT, "/v1/decisions", "/v1/systemone", "input_audio", "first_repeat", "node_budget"):
        assert word in described
