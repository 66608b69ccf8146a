"""What is wrong with a request, in OpenAI's form."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from ltu.errors import AudioError, Error, PromptError

LOG = logging.getLogger("ltu.serve")
TYPES = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
CODES = {
    401: "invalid_api_key",
    413: "request_too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
}


class Problem(Exception):  # noqa: N818
    """Ends a request with this status; `param` is the field that is meant, as in messages[0].content."""

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param = status, message, param
        self.code, self.headers = code or CODES.get(status), headers

    def body(self) -> dict[str, Any]:
        kind = TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        return JSONResponse(self.body(), self.status, self.headers)


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorForm(BaseModel):
    """The body of every error."""

    error: ErrorDetail


def problem_of(error: Exception) -> Problem:
    """What a client is told of an exception; what nobody foresaw is logged."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, AudioError):
        return Problem(400, str(error), "input_audio", "invalid_audio")
    if isinstance(error, PromptError):
        return Problem(400, str(error), code="invalid_prompt")
    if isinstance(error, (Error, MemoryError)):
        return Problem(
            503, str(error) or "not enough memory", code="unavailable", headers={"Retry-After": "5"}
        )
    LOG.error("a request failed", exc_info=error)
    return Problem(500, "the server failed; its log says how")


def field(location: Sequence[str | int], tags: frozenset[str] = frozenset()) -> str | None:
    """("body", "messages", 0, "content") → "messages[0].content", without what pydantic adds of unions."""
    name = ""
    for part in location:
        if isinstance(part, int):
            name += f"[{part}]"
        elif part != "body" and part not in tags and "[" not in part:
            name += f".{part}" if name else part
    return name or None


UNION_TAGS = frozenset(
    {"str", "int", "float", "bool", "text", "input_text", "input_json", "predicate", "choice", "noul"}
)


def install(app: FastAPI) -> None:
    """Every error of the application leaves in OpenAI's form."""

    def answer(_: Request, error: Exception) -> JSONResponse:
        return problem_of(error).response()

    def invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return _of_validation(error.errors()).response()

    def http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return Problem(error.status_code, error.detail, headers=error.headers).response()

    for kind in (Problem, Error, MemoryError, Exception):
        app.add_exception_handler(kind, answer)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)


def _of_validation(errors: Sequence[Any]) -> Problem:
    """The most telling of pydantic's errors: the one that lies deepest."""
    error = max(errors, key=lambda error: (error["type"] == "extra_forbidden", len(error["loc"])))
    where = field(error["loc"], UNION_TAGS)
    if error["type"] == "extra_forbidden":
        return Problem(400, f"{where} is not supported", where, "unsupported_parameter")
    if error["type"] == "json_invalid":
        return Problem(400, f"the body is no JSON: {error['ctx']['error']}", code="invalid_json")
    what = str(error["msg"]).removeprefix("Value error, ")
    return Problem(400, f"{where or 'the body'}: {what}", where, "invalid_value")
