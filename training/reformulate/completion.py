"""The protocol: a chat completion as a request and as what comes back, directly or in a batch file."""

from dataclasses import dataclass
from typing import Any

from ltu.training.reformulate.checks import Verdict, check_answer
from ltu.training.reformulate.prompts import KEY, draw, messages, retry
from ltu.training.reformulate.question import Question

LONGEST_ANSWER = 300  # tokens; the longest prompt of Tables 7–9 has about 40
RESPONSE_FORMAT = {
    "type": "json_schema",
    "json_schema": {
        "name": "revision",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {KEY: {"type": "string"}},
            "required": [KEY],
            "additionalProperties": False,
        },
    },
}


@dataclass(frozen=True)
class Reply:
    """A model's answer; `problem` says why there is no answer, "" where there is one."""

    answer: str
    problem: str = ""
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


def request(question: Question, model: str, seed: int) -> dict[str, Any]:
    drawn = draw(seed, question.number)
    conversation = messages(question.kind, question.instruction, drawn.variation)
    for answer, reason in question.refused:
        conversation += retry(answer, reason)
    return {
        "model": model,
        "messages": conversation,
        "temperature": drawn.temperature,
        "max_completion_tokens": LONGEST_ANSWER,
        "response_format": RESPONSE_FORMAT,
    }


def read_completion(body: Any) -> Reply:
    """Reads the answer from a response's decoded body, whatever a server has put there."""
    try:
        message = body["choices"][0]["message"]
        usage = body.get("usage") or {}
        tokens = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
        answer, refusal, model = message.get("content"), message.get("refusal"), str(body.get("model") or "")
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return Reply("", "the server's answer is no chat completion")
    answer = _text(answer)
    if not answer:
        return Reply("", f"the model refused: {refusal}" if refusal else "it is empty", model, *tokens)
    whole = answer.encode(errors="replace").decode()  # halves of characters can't be stored
    return Reply(whole, "" if whole == answer else "it holds halves of characters", model, *tokens)


def _text(content: Any) -> str:
    """A message's content: a text, or a list of parts of which some are text."""
    if isinstance(content, list):
        return "".join(_text(part.get("text")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def judge(question: Question, reply: Reply) -> Verdict:
    if reply.problem:
        return Verdict(problem=reply.problem)
    return check_answer(question.kind, question.instruction, reply.answer)
