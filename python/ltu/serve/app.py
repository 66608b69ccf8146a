"""The application: which path does what."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from fastapi import FastAPI, Request
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, Response

from ltu.model import Model
from ltu.serve import problems
from ltu.serve.chat import complete
from ltu.serve.chat_form import ChatForm
from ltu.serve.decision_form import DecisionForm, SystemOneForm
from ltu.serve.decisions import Body, openai_decisions, system_one
from ltu.serve.gone import CLIENT_LEFT, unless_gone
from ltu.serve.guard import Guard
from ltu.serve.limits import Limits
from ltu.serve.page import add_page
from ltu.serve.problems import ErrorForm, Problem
from ltu.serve.pulse import Pulse
from ltu.serve.service import Service
from ltu.version import __version__

ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorForm, "description": "The request can't be answered; the message says why."},
    503: {"model": ErrorForm, "description": "The server is shutting down, or the engine is stuck."},
}


def create_app(
    model: Model,
    name: str | None = None,
    keys: Iterable[str] = (),
    hosts: Iterable[str] = ("127.0.0.1", "localhost", "::1", "testserver"),
    limits: Limits | None = None,
    origins: Iterable[str] = (),
) -> FastAPI:
    """Everything that is served of a model.

    name: under which it is asked for; None: from its file. keys: one of them has to be sent; none: anybody
    may ask. hosts: names that a Host header may hold; "*": any. origins: of pages that may ask from browsers.
    """
    service = Service.of(model, name, limits)
    pulse = Pulse(model, service.limits.stalled_seconds)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await pulse.start()
        yield

    app = FastAPI(title="LTU Engine", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.service = service
    problems.install(app)
    app.add_middleware(Guard, limits=service.limits, keys=keys, hosts=hosts)
    if allowed := list(origins):
        app.add_middleware(CORSMiddleware, allow_origins=allowed, allow_methods=["*"], allow_headers=["*"])
    _add_questions(app, service)
    _add_facts(app, service, pulse)
    add_page(app, service, ERRORS)
    return app


def _add_questions(app: FastAPI, service: Service) -> None:
    async def answer(request: Request, operation: str, work: Callable[[], Awaitable[Response]]) -> Response:
        """The response to whoever still listens; his going away ends the work."""
        with service.metrics.request(operation) as outcome:
            try:
                response = await unless_gone(request.receive, work) or Response(status_code=CLIENT_LEFT)
            except Exception as error:
                outcome.status = problems.problem_of(error).status
                raise
            outcome.status = response.status_code
            return response

    def caller(request: Request) -> str:
        return str(request.state.client)

    @app.post("/v1/chat/completions", responses=ERRORS)
    async def chat_completions(form: ChatForm, request: Request) -> Response:
        return await answer(request, "chat", lambda: complete(service, form, caller(request)))

    async def as_json(body: Awaitable[Body]) -> Response:
        return JSONResponse(await body)

    @app.post("/v1/decisions", responses=ERRORS)
    async def decisions(form: DecisionForm, request: Request) -> Response:
        return await answer(
            request, "decisions", lambda: as_json(openai_decisions(service, form, caller(request)))
        )

    @app.post("/v1/systemone", responses=ERRORS)
    async def systemone(form: SystemOneForm, request: Request) -> Response:
        return await answer(request, "systemone", lambda: as_json(system_one(service, form, caller(request))))


def _add_facts(app: FastAPI, service: Service, pulse: Pulse) -> None:
    @app.get("/v1/models", responses=ERRORS)
    async def models() -> Response:
        """In OpenAI's form (`data`) and in TypeSafe's (`models`)."""
        about = service.about()
        described = {"name": service.name, "description": about["meta"]["name"], "release_date": ""}
        return JSONResponse({"object": "list", "data": [about], "models": [described]})

    @app.get("/v1/models/{name}", responses=ERRORS)
    async def model(name: str) -> Response:
        service.check_model(name)
        return JSONResponse(service.about())

    @app.get("/health", responses=ERRORS)
    async def health() -> Response:
        """200 while the engine answers and computes what its file says that it computes."""
        if problem := await pulse.problem():
            raise Problem(503, problem, code="unavailable")
        return JSONResponse(
            {"status": "ok", "self_test": pulse.self_test, "system_fingerprint": service.fingerprint}
        )

    @app.get("/metrics", responses=ERRORS, response_class=PlainTextResponse)
    async def metrics() -> Response:
        text = await anyio.to_thread.run_sync(service.metrics.text)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")
