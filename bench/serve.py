"""Many clients at once, some slow, broken or gone before their answer: none wrong, lost or mixed up.

    python bench/serve.py [--gguf FILE] [--clients 64] [--requests 2000] [--json FILE]

Starts ltu-serve and asks each of its questions alone first. Then every client sends its requests, one after
the other: chat, streamed chat and decisions, each compared with what was answered alone; in between bodies
that arrive in pieces, that are no JSON or end half-way, and requests whose client leaves. Latencies and
throughput are told beside those of one client; memory is the server's resident memory on the way.
"""

import argparse
import asyncio
import base64
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import as_file
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from machine import processor

CLIPS = ("4-183992-A.ogg", "4-164859-A.ogg", "4-125929-A.ogg", "4-175945-A.ogg")
TERMS = ("bird", "animal", "vehicle", "tool")
TOKENS, SEEDS = 12, 3
KINDS = ("whole", "streamed", "decision", "slow", "broken", "leaving")
WEIGHTS = (40, 20, 15, 10, 10, 5)


@dataclass(frozen=True)
class Question:
    """A request that has one right answer."""

    path: str
    body: dict[str, Any]


@dataclass
class Outcome:
    """What became of the requests."""

    answered: int = 0
    refused: int = 0  # broken ones, as they should be
    left: int = 0
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def questions(model: str) -> list[Question]:
    """Chat and decisions about the demo's recordings."""
    from ltu.demo_model import ASSETS

    found = []
    for clip in CLIPS:
        with as_file(ASSETS / "clips" / clip) as path:
            audio = {
                "type": "input_audio",
                "input_audio": {"data": base64.b64encode(path.read_bytes()).decode()},
            }
        for term in TERMS:
            parts = [{"type": "text", "text": "Is "}, audio, {"type": "text", "text": f" a type of {term}?"}]
            message = [{"role": "user", "content": parts}]
            for seed in range(SEEDS):
                chat = {
                    "model": model,
                    "messages": message,
                    "seed": seed,
                    "n": 1 + seed,
                    "max_tokens": TOKENS,
                }
                found.append(Question("/v1/chat/completions", chat))
            asked = [{"type": "predicate", "instructions": f"Is [AUDIO] a type of {term}?"}]
            decision = {"model": model, "input": [{"role": "user", "content": [audio]}], "questions": asked}
            found.append(Question("/v1/decisions", {**decision, "ltu": {"node_budget": 32}}))
    return found


class Load:
    """Clients of one server, whose answers to the questions are known."""

    def __init__(self, server: str, asked: Sequence[Question]) -> None:
        self._host, _, port = urlsplit(server).netloc.rpartition(":")
        self._port = int(port)
        self._chat = [question for question in asked if question.path.startswith("/v1/chat")]
        self._decisions = [question for question in asked if question not in self._chat]
        self._known: dict[int, Any] = {}

    async def learn(self) -> None:
        """Asks each question alone."""
        for question in self._chat + self._decisions:
            status, body = await self._ask(question.path, json.dumps(question.body).encode())
            assert status == 200, body
            self._known[id(question)] = _said(json.loads(body))

    async def run(self, clients: int, requests: int, seed: int = 0) -> Outcome:
        """`clients` at once, each sending `requests`."""
        outcome = Outcome()
        randoms = [random.Random(f"{seed} {client}") for client in range(clients)]
        await asyncio.gather(*(self._client(chosen, requests, outcome) for chosen in randoms))
        return outcome

    async def _client(self, chosen: random.Random, requests: int, outcome: Outcome) -> None:
        for kind in chosen.choices(KINDS, WEIGHTS, k=requests):
            question = chosen.choice(self._decisions if kind == "decision" else self._chat)
            try:
                await self._one(kind, question, chosen, outcome)
            except (OSError, ValueError, asyncio.IncompleteReadError) as error:
                outcome.lost.append(f"{kind}: {type(error).__name__} {error}")

    async def _one(self, kind: str, question: Question, chosen: random.Random, outcome: Outcome) -> None:
        body = json.dumps({**question.body, "stream": True} if kind == "streamed" else question.body).encode()
        if kind == "leaving":
            await self._ask(question.path, body, leave_after=chosen.random() * 0.2)
            outcome.left += 1
        elif kind == "broken":
            status, _ = await self._ask(question.path, chosen.choice([body[:-5], b"", b"[" * 999]))
            outcome.refused += status == 400
            if status != 400:
                outcome.wrong.append(f"broken: status {status}")
        else:
            start = time.perf_counter()
            status, data = await self._ask(question.path, body, pause=0.05 if kind == "slow" else 0)
            if status != 200:
                return outcome.lost.append(f"{kind}: status {status} {data[:200]!r}")
            outcome.seconds.append(time.perf_counter() - start)
            outcome.answered += 1
            found = _streamed(data) if kind == "streamed" else _said(json.loads(data))
            if found != self._known[id(question)]:
                outcome.wrong.append(f"{kind}: {found} for {self._known[id(question)]}")

    async def _ask(
        self, path: str, body: bytes, pause: float = 0, leave_after: float | None = None
    ) -> tuple[int, bytes]:
        """Status and body. pause: between the pieces of the request; leave_after: seconds, then hang up."""
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            head = f"POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
            size = len(body) // 4 + 1 if pause else len(body) or 1
            for start in range(0, len(body), size):
                await asyncio.sleep(pause)
                writer.write(body[start : start + size])
                await writer.drain()
            if leave_after is not None:
                await asyncio.sleep(leave_after)
                return 0, b""
            status, _, data = (await reader.read()).partition(b"\r\n\r\n")
            return int(status.split()[1]), data
        finally:
            writer.close()


def _said(body: Any) -> Any:
    """What an answer says, without ids and times."""
    if "answers" in body:
        return body["answers"]
    return [(choice["message"]["content"], choice["finish_reason"]) for choice in body["choices"]]


def _streamed(data: bytes) -> Any:
    """The same of a stream of events."""
    texts: dict[int, str] = {}
    finish: dict[int, str] = {}
    *events, end = [event.removeprefix("data: ") for event in data.decode().split("\n\n") if event]
    if end != "[DONE]":
        raise ValueError(f"the stream ends with {end[:200]}")
    for choice in (choice for event in events for choice in json.loads(event)["choices"]):
        texts[choice["index"]] = texts.get(choice["index"], "") + (choice["delta"].get("content") or "")
        finish[choice["index"]] = choice["finish_reason"] or finish.get(choice["index"], "")
    return [(texts[index], finish[index]) for index in sorted(texts)]


def _resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmRSS"))


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=100)
    return {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98]}


async def measure(server: str, pid: int, clients: int, requests: int) -> dict[str, Any]:
    load = Load(server, questions("tiny"))
    await load.learn()
    figures: dict[str, Any] = {}
    for name, count, each in (("one client", 1, min(200, requests)), ("together", clients, requests)):
        memory: list[float] = []
        watch = asyncio.create_task(_watch(pid, memory))
        start = time.perf_counter()
        outcome = await load.run(count, each)
        seconds = time.perf_counter() - start
        watch.cancel()
        figures[name] = {
            **{key: value for key, value in asdict(outcome).items() if key != "seconds"},
            "clients": count,
            "requests_a_client": each,
            "answers_a_second": outcome.answered / seconds,
            **_percentiles(outcome.seconds),
            "resident_mb": memory[:: max(1, len(memory) // 10)],
        }
    one, many = figures["one client"], figures["together"]
    figures["ratios"] = {key: many[key] / one[key] for key in ("answers_a_second", "p50", "p95", "p99")}
    return figures


async def _watch(pid: int, memory: list[float]) -> None:
    while True:
        memory.append(_resident_mb(pid))
        await asyncio.sleep(2)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gguf")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--requests", type=int, default=2000, help="of each client")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    options = ["--gguf", given.gguf] if given.gguf else []
    command = [
        sys.executable,
        "-c",
        "from ltu.cli.serve import main; main()",
        "--port",
        "0",
        "--name",
        "tiny",
    ]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        address = server.stdout.readline().split()[-1]
        figures = {
            "machine": processor(),
            **asyncio.run(measure(address, server.pid, given.clients, given.requests)),
        }
        server.terminate()
    text = json.dumps(figures, indent=1)
    print(text)
    if given.json:
        given.json.write_text(text + "\n")
    many = figures["together"]
    sys.exit(bool(many["wrong"] or many["lost"]))


if __name__ == "__main__":
    main()
