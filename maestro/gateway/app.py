"""The application: routes behind the door, errors in one shape, and the pane's files beside them.

Invariants: every answer of 400 and above has the shape `Problem`; no answer of ours holds a stack trace; what the
application began it ends.
What is not here: which process serves it, and at which port (`serve_apps.api`, `tests.pane_stage`).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from maestro.errors import MaestroError
from maestro.gateway.access import Doorkeeper
from maestro.gateway.directory import Directory, keep_minding
from maestro.gateway.door import LOOPBACK, Door
from maestro.gateway.found import Discoveries
from maestro.gateway.gate import Gate, Plant, Spending
from maestro.gateway.pace import Pace
from maestro.gateway.problems import Gap, headers_of, problem, status_of
from maestro.gateway.routes import history, live, look, people, plant, steer, who
from maestro.gateway.shapes import Problem
from maestro.gateway.tail import POLL_S, Tail
from maestro.gateway.tidings import Gone
from maestro.runtime.verbs import Installation

MIND_S = 0.5
STATIC = Path(__file__).parents[1] / "pane" / "static"
DOCUMENTED = {status: {"model": Problem} for status in (400, 401, 403, 404, 409, 410, 413, 415, 422, 429, 503)}
CODES = {404: "not_found", 405: "method_not_allowed"}
Closing = Callable[[], Awaitable[None]]
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Terms:
    """How an API is served."""

    hosts: Collection[str] = LOOPBACK
    """Names by which it may be asked."""
    static: Path = STATIC
    """The built files of the pane."""
    secure: bool = False
    """Behind TLS."""
    four_eyes: tuple[str, ...] = ()
    """Patterns of actions that need a second person: `maestro.gateway.eyes`."""
    pace: Pace | None = None
    poll_s: float = POLL_S
    mounts: Sequence[BaseRoute] = ()
    """Routes of others beside ours, which see to their own askers, such as webhooks."""


AS_USUAL = Terms()


def build(
    at: Installation, terms: Terms = AS_USUAL, spending: Spending | None = None, asked: Plant | None = None
) -> ASGIApp:
    """The whole application over one tenant's store, behind its door.

    Args:
        asked: what only Ray knows.
    """
    return Door(inner(at, terms, spending, asked), terms.hosts, terms.pace or Pace())


class Opening:
    """An application that is opened when its server begins, and closed when it ends: `opened()` gives both."""

    def __init__(self, opened: Callable[[], Awaitable[tuple[ASGIApp, Closing]]]) -> None:
        self._opened = opened
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._app, close = await self._opened()
            try:
                await self._app(scope, receive, send)
            finally:
                await close()
        elif self._app is not None:
            await self._app(scope, receive, send)


def inner(at: Installation, terms: Terms, spending: Spending | None = None, asked: Plant | None = None) -> FastAPI:
    """The application without its door: for its OpenAPI file, and for whoever looks at its routes."""
    directory = Directory(at)
    doorkeeper = Doorkeeper(at.backend.register, at.backend.clock, at.tenant)
    found = Discoveries(at, directory)
    tail = Tail(at, directory, found)
    gate = Gate(at, doorkeeper, directory, tail, found, spending, asked, four_eyes=terms.four_eyes, secure=terms.secure)

    @contextlib.asynccontextmanager
    async def living(_: FastAPI) -> AsyncIterator[None]:
        async with _kept(gate, terms):
            yield

    app = FastAPI(
        title="Maestro",
        version="1",
        description="Long-lived, resumable, budgeted computations. See docs/reference/http-api.md.",
        docs_url=None,
        redoc_url=None,
        lifespan=living,
        responses=DOCUMENTED,  # type: ignore[arg-type]  # dict is invariant
        separate_input_output_schemas=False,
    )
    app.state.gate = gate
    for routes in (who, steer, look, history, people, live, plant):
        app.include_router(routes.router)
    _tell_errors(app)
    app.routes.extend(terms.mounts)
    _serve_files(app, terms.static)
    return app


@contextlib.asynccontextmanager
async def _kept(gate: Gate, terms: Terms) -> AsyncIterator[None]:
    """The feed is followed, and the directory filled, for as long as this is open."""
    await gate.tail.begin()
    work = (
        gate.tail.run(terms.poll_s),
        keep_minding(gate.directory, gate.tail.moved, MIND_S),
        gate.directory.load(),
    )
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _tell_errors(app: FastAPI) -> None:
    @app.exception_handler(MaestroError)
    async def ours(request: Request, error: MaestroError) -> Response:
        told = problem(error, request.state.request_id).model_dump(mode="json")
        if isinstance(error, Gap):
            facts: dict[str, Any] = error.facts
            told = Gone(**{**told, "cursor": facts["cursor"], "snapshot": facts["snapshot"]}).model_dump(mode="json")
        return JSONResponse(told, status_of(error), headers_of(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = [str(part) for part in first["loc"]]
        missing = first["type"] == "missing" and place == ["body"]
        code, status = ("malformed", 400) if missing else ("invalid_input", 422)
        told = Problem(
            code=code,
            message=str(first["msg"]).removeprefix("Value error, ")[:500],
            field=".".join(place[1:] or place)[:200],
            hint="see /openapi.json",
            request_id=request.state.request_id,
        )
        return JSONResponse(told.model_dump(mode="json"), status)

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> Response:
        code = CODES.get(error.status_code, "malformed")
        told = Problem(code=code, message=str(error.detail)[:500], request_id=request.state.request_id)
        return JSONResponse(told.model_dump(mode="json"), error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def defect(request: Request, error: Exception) -> Response:
        log.error("a defect of the API", request_id=request.state.request_id, path=request.url.path, exc_info=error)
        told = Problem(code="defect", message="a defect of Maestro", request_id=request.state.request_id)
        return JSONResponse(told.model_dump(mode="json"), 500)


def _serve_files(app: FastAPI, folder: Path) -> None:
    """The pane's page at / and at every place inside it; its files, whose names hold their hashes, for ever."""

    @app.get("/", include_in_schema=False)
    @app.get("/pane/{place:path}", include_in_schema=False)
    async def page() -> Response:
        index = folder / "index.html"
        if not index.is_file():
            raise HTTPException(404, "the pane is not built into this installation; the API is at /v1")
        return FileResponse(index, media_type="text/html", headers={"Cache-Control": "no-cache"})

    @app.get("/assets/{name}", include_in_schema=False)
    async def asset(name: str) -> Response:
        path = folder / "assets" / name
        if path.parent != folder / "assets" or not path.is_file():
            raise HTTPException(404, "no such file")
        return FileResponse(path, headers={"Cache-Control": "public, max-age=31536000, immutable"})
