"""A local server that speaks the chat-completion protocol and misbehaves on purpose."""

import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

OLD_PROMPT = re.compile(r'^Old Prompt: "(.*)"$', re.MULTILINE)
GOOD = {
    "label": "After hearing [AUDIO], which labels fit? ({})",
    "acoustic": "For [AUDIO], give labels and acoustic features. ({})",
    "open": "Thinking of [AUDIO]: {}",
}


def question_of(body: dict[str, Any]) -> str:
    """The question that a request asks to reformulate."""
    found = OLD_PROMPT.search(body["messages"][1]["content"])
    assert found
    return found.group(1)


def good_answer(body: dict[str, Any]) -> str:
    """JSON that passes every check, different for each question."""
    user = body["messages"][1]["content"]
    kind = "open" if "open-ended" in user else "acoustic" if "acoustic" in user else "label"
    question = question_of(body).replace("clip", "").replace("recording", "")
    return json.dumps({"revised_prompt": GOOD[kind].format(question)})


@dataclass
class Request:
    question: str
    body: dict[str, Any]
    number: int  # how many requests for this question came before, plus one
    headers: dict[str, str]


@dataclass
class Fault:
    """What the server does instead of a good answer: any of these."""

    status: int = 200
    content: str | None = None  # of the message
    raw: bytes | None = None  # of the response
    cut: bool = False  # the connection, without a word
    wait: threading.Event | None = None  # before answering


Behaviour = Callable[[Request], Fault | None]


@dataclass
class Server:
    """`behaviour` gives the fault of each request, None for a good answer; replace it at will."""

    behaviour: Behaviour = lambda request: None
    requests: list[Request] = field(default_factory=list)
    successes: Counter[str] = field(default_factory=Counter)
    most_at_once: int = 0
    _at_once: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._http.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that went away
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _begin(self, body: dict[str, Any], headers: dict[str, str]) -> Request:
        with self._lock:
            question = question_of(body)
            before = sum(request.question == question for request in self.requests)
            request = Request(question, body, before + 1, headers)
            self.requests.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        return request

    def _end(self, question: str, success: bool) -> None:
        with self._lock:
            self._at_once -= 1
            self.successes[question] += success

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.path == "/v1/chat/completions"
                request = server._begin(body, {k.lower(): v for k, v in self.headers.items()})
                fault = server.behaviour(request) or Fault()
                if fault.wait:
                    fault.wait.wait(20)
                server._end(request.question, fault.status == 200 and not fault.cut)
                if fault.cut:
                    self.close_connection = True
                    self.connection.close()
                    return
                content = good_answer(body) if fault.content is None else fault.content
                answer = completion(body, content) if fault.status == 200 else error(fault.status)
                data = json.dumps(answer).encode() if fault.raw is None else fault.raw
                try:
                    self.send_response(fault.status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(data)))
                    if fault.status != 200:
                        self.send_header("Retry-After-Ms", "5")
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:  # the client did not wait
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def completion(body: dict[str, Any], content: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": f"{body['model']}-2025-04-14",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
        ],
        "usage": {"prompt_tokens": 500, "completion_tokens": 30, "total_tokens": 530},
    }


def error(status: int) -> dict[str, Any]:
    return {"error": {"message": f"fault {status}", "type": "fault", "param": None, "code": None}}
