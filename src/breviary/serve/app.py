"""The HTTP service: one page for people, one endpoint for programs.

    POST /summarise   JSON, or a form with a file; answers JSON, or lines of it as the summary is written
    GET  /models      what can be asked for
    GET  /health      for whoever watches over it
    GET  /            the page;  /openapi.json and /docs describe the rest

A request that is wrong is told so before it waits; one that comes when the queue is full is told when to come again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from breviary.serve import bodies, limits
from breviary.serve.desk import Desk, Full, Job
from breviary.serve.schema import Answer, Asked, Failed, Finished, Health, Offer, Problem

PAGE = Path(__file__).parent / "page"
LINES = "application/x-ndjson"
SOON = "10"  # seconds after which a client that found the queue full may ask again
PATIENCE = 10.0  # seconds that a request may go on after the service was told to stop
PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body is not what its content type says"},
    401: {"model": Problem, "description": "The token is missing or wrong"},
    413: {"model": Problem, "description": "The body is too large"},
    415: {"model": Problem, "description": "Neither JSON nor a form"},
    422: {"model": Problem, "description": "The document or a setting cannot be used, and why"},
    503: {"model": Problem, "description": "As many requests wait as may; Retry-After says when to come again"},
}


@dataclass(frozen=True)
class Settings:
    """How the service is reached."""

    hosts: tuple[str, ...]  # names in the Host header; others may be an attack by DNS rebinding
    token: str | None = None


def create(desk: Desk, offer: Offer, read: bodies.Read, settings: Settings) -> FastAPI:
    """The service. `read` turns a file's name and bytes into text, and raises DataError."""

    @asynccontextmanager
    async def alive(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(desk.close, PATIENCE)

    app = FastAPI(title="breviary", version="1", lifespan=alive, docs_url=None, redoc_url=None)
    _protect(app, offer, settings)

    @app.post("/summarise", responses=PROBLEMS, openapi_extra={"requestBody": bodies.DESCRIBED}, response_model=Answer)
    async def summarise(request: Request) -> Any:
        """Summarise one document. `Accept: application/x-ndjson` gives it line by line as it is written."""
        asked, source = await bodies.asked(request, read)
        _refuse_unknown(asked, offer)
        try:
            job = desk.take(asked)
        except Full:
            raise HTTPException(
                503, "as many requests wait as may; ask again in a moment", {"Retry-After": SOON}
            ) from None
        if LINES in request.headers.get("accept", ""):
            return StreamingResponse(_lines(job, source), media_type=LINES, headers={"Cache-Control": "no-store"})
        return await _whole(job, request, source)

    @app.get("/models", responses={401: PROBLEMS[401]})
    async def models() -> Offer:
        """What can be asked for."""
        return offer

    @app.get("/health")
    async def health() -> Health:
        """Whether the service answers, and how much waits."""
        return Health(status="stopping" if desk.stopping else "ok", waiting=desk.waiting, busy=desk.busy)

    _show_pages(app)
    components = app.openapi().setdefault("components", {}).setdefault("schemas", {})
    components["Asked"] = Asked.model_json_schema(ref_template="#/components/schemas/{model}")
    return app


def _protect(app: FastAPI, offer: Offer, settings: Settings) -> None:
    """Everything between a request and its handler, the outermost last."""

    @app.exception_handler(StarletteHTTPException)
    async def problem(request: Request, error: StarletteHTTPException) -> JSONResponse:
        return JSONResponse({"detail": str(error.detail)}, error.status_code, error.headers)

    if settings.token:
        app.add_middleware(limits.Token, token=settings.token)
    app.add_middleware(limits.Size, most=offer.max_bytes)
    app.add_middleware(limits.Safe)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(settings.hosts))


def _refuse_unknown(asked: Asked, offer: Offer) -> None:
    names = [model.name for model in offer.models]
    for field, chosen, known in (("model", asked.model, names), ("profile", asked.profile, offer.profiles)):
        if chosen is not None and chosen not in known:
            raise HTTPException(422, f"{field}: there is no '{chosen}' here (there is: {', '.join(known)})")


async def _whole(job: Job, request: Request, source: str | None) -> Answer:
    """The answer, in one piece. A client that goes away ends its request."""

    async def last() -> Any:
        return [event async for event in job.events()][-1:]

    waiting = asyncio.ensure_future(last())
    while not waiting.done():
        await asyncio.wait([waiting], timeout=0.5)
        if not waiting.done() and await request.is_disconnected():
            job.drop()
    match waiting.result():
        case [Finished(answer=answer)]:
            return answer.model_copy(update={"source": source})
        case [Failed(detail=detail)]:
            raise HTTPException(422 if not job.stop.is_set() else 503, detail)
        case _:
            raise HTTPException(503, "the request was dropped", {"Retry-After": SOON})


async def _lines(job: Job, source: str | None) -> AsyncIterator[str]:
    """Every event, a line of JSON each."""
    try:
        async for event in job.events():
            if isinstance(event, Finished):
                event = Finished(answer=event.answer.model_copy(update={"source": source}))
            yield event.model_dump_json() + "\n"
    finally:
        job.drop()  # also where the client went away


def _show_pages(app: FastAPI) -> None:
    for path, file in {"/": "index.html", "/docs": "docs.html"}.items():
        app.add_api_route(path, _file(file), include_in_schema=False)
    app.mount("/page", StaticFiles(directory=PAGE), name="page")


def _file(name: str) -> Callable[[], FileResponse]:
    return lambda: FileResponse(PAGE / name)
