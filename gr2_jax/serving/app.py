"""The web application: routes, limits and error answers. What is answered comes from `rows`."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from gr2_jax import __version__
from gr2_jax.errors import UserError
from gr2_jax.serving.batching import Busy
from gr2_jax.serving.openapi import description
from gr2_jax.serving.requests import explain_request, fields_of, judged_request, search_request
from gr2_jax.serving.rows import ServedRows

LARGEST_BODY = 1 << 20  # bytes
_PAGE = Path(__file__).parent / "page"
SENDING = 10.0  # seconds in which a client must have sent its request
_MOST_JUDGED = 50
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

Handler = Callable[[Request], Awaitable[Response]]


class JSON(Response):
    """ASCII, so that no text of a document, however odd, fails to be encoded."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False).encode("ascii")


def make_app(rows: ServedRows, *, hosts: Sequence[str] = ("*",), seconds: float = 30.0) -> Starlette:
    """
    Args:
        rows: What is searched; the application starts and stops them.
        hosts: Names that a request's Host header may have.
        seconds: After which a search is given up.
    """

    async def health(request: Request) -> Response:
        return JSON({"status": "ok", "version": __version__})

    async def about(request: Request) -> Response:
        return JSON(rows.about())

    async def search(request: Request) -> Response:
        (answer,) = await rows.search(search_request(dict(request.query_params)))
        return JSON(answer)

    async def search_batch(request: Request) -> Response:
        return JSON({"results": await rows.search(search_request(fields_of(await _body(request))))})

    async def explain(request: Request) -> Response:
        return JSON({"docids": await rows.explain(explain_request(fields_of(await _body(request))))})

    async def judged(request: Request) -> Response:
        words, first = judged_request(dict(request.query_params))
        return JSON({"queries": list(rows.judged.about(words, first, _MOST_JUDGED))})

    async def document(request: Request) -> Response:
        found = rows.document(request.path_params["doc_id"])
        if found is None:
            raise HTTPException(404, f"there is no document '{request.path_params['doc_id'][:100]}'")
        return JSON({"doc_id": found.doc_id, "title": found.title, "url": found.url, "text": found.text})

    async def openapi(request: Request) -> Response:
        return JSON(description(rows.name))

    async def page(request: Request) -> Response:
        return FileResponse(_PAGE / "index.html")

    async def api_page(request: Request) -> Response:
        return FileResponse(_PAGE / "api.html")

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await rows.start()
        yield
        await rows.stop()

    return Starlette(
        routes=[
            Route("/", page),
            Route("/api", api_page),
            Route("/openapi.json", openapi),
            Route("/health", health),
            Route("/api/rows", about),
            Route("/api/search", _limited(search, seconds), methods=["GET"]),
            Route("/api/search", _limited(search_batch, seconds), methods=["POST"]),
            Route("/api/explain", _limited(explain, seconds), methods=["POST"]),
            Route("/api/judged", judged),
            Route("/api/documents/{doc_id:path}", document),
            Mount("/page", StaticFiles(directory=_PAGE)),
        ],
        middleware=[Middleware(_Headers), Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))],
        exception_handlers={HTTPException: _http_error, UserError: _bad_request, Busy: _busy},
        lifespan=lifespan,
    )


def _limited(handler: Handler, seconds: float) -> Handler:
    """The handler, given up after these seconds."""

    async def within(request: Request) -> Response:
        try:
            async with asyncio.timeout(seconds):
                return await handler(request)
        except TimeoutError:
            return _error(504, f"the search took longer than {seconds:g} seconds")

    return within


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(SENDING):
            async for part in request.stream():
                body += part
                if len(body) > LARGEST_BODY:
                    raise HTTPException(413)
        return bytes(body)
    except TimeoutError as error:
        raise HTTPException(408, f"the request took longer than {SENDING:g} seconds to arrive") from error


def _error(status: int, sentence: str, **headers: str) -> Response:
    return JSON({"error": sentence}, status, headers=headers)


async def _http_error(request: Request, error: HTTPException) -> Response:
    sentences = {
        404: f"there is nothing at {request.url.path[:100]}: see /api",
        405: f"{request.url.path[:100]} does not take {request.method[:20]}: see /api",
        413: f"a request has at most {LARGEST_BODY:,} bytes",
    }
    told = error.detail if error.status_code == 404 and error.detail != "Not Found" else None
    return _error(error.status_code, told or sentences.get(error.status_code, error.detail), **(error.headers or {}))


async def _bad_request(request: Request, error: UserError) -> Response:
    return _error(400, str(error))


async def _busy(request: Request, error: Busy) -> Response:
    return _error(503, "too many queries wait: try again in a second", **{"Retry-After": "1"})


class _Headers:
    """Adds headers by which a browser runs nothing but the page's own script, whatever a document holds."""

    def __init__(self, app):
        self._app = app

    async def __call__(self, scope, receive, send):
        async def sending(message):
            if message["type"] == "http.response.start":
                own = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                message = message | {"headers": [*message["headers"], *own]}
            await send(message)

        await self._app(scope, receive, sending)
