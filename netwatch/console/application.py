"""The application: from a request of HTTP to the answer of a page.

Each request passes the same stations: the host it asks for, the route, who has signed in, whether
the role may see it, the form token and the origin of what it sends, the purpose, the page itself,
and the audit, which is written before anything of the answer is sent. All of that runs in one of a
bounded number of threads, because the store is synchronous; only reading the request and sending
the answer do not.

**Headers.** Every answer has the same security headers, also that to a mistake.

**Events.** By server-sent events a page learns that what it shows has changed, and loads it again.

A stream asks a page's question, `Events.state`, every few seconds and sends the answer when it is
another. That is a digest and a number, so it needs no rights of its own beyond those of the page.
Streams are few, in all and of each account (`netwatch.console.streams`), end with the session,
after an hour, and when the console ends; browsers connect again by themselves.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from netwatch.console.console import Console
from netwatch.console.dispatch import Dispatcher, Sent
from netwatch.console.rendering import static_files
from netwatch.console.routes import ROUTES
from netwatch.console.streams import WAIT_SECONDS
from netwatch.console.view import Asked, Events, Pairs, Refused, parse_pairs
from netwatch.core.errors import NetwatchError

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Nothing from elsewhere, nothing inline."""

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""What every answer says."""

_HSTS = "max-age=31536000"

INTERVAL = 3.0
"""Seconds between two questions."""

STREAM_SECONDS = 3600.0
"""Seconds after which a stream ends."""

_BEGIN = b"retry: 10000\n\n"
_NOTHING = b":\n\n"  # a comment: it finds out whether the client is still there

MAX_THREADS = 8
"""Requests that are answered at a time; more wait."""

MAX_EXPORTS = 2
"""Exports that are made at a time; more are refused."""

MAX_HEAD = 16 * 1024
"""Bytes of the head of a request."""

MAX_BODY = 64 * 1024
"""Bytes of a form."""

BODY_SECONDS = 10.0
"""Seconds in which a form has to arrive."""

ANSWER_SECONDS = 15.0
"""Seconds in which a page has to be ready."""

EXPORT_SECONDS = 600.0
"""Seconds that an export may take, however small it is."""

EXPORT_RATE = 128 * 1024
"""Bytes for which an export has one more second: a client that takes less in the long run may not
hold one of the few exports."""

MAX_AGE = 31_536_000
"""Seconds for which a browser may keep a static file: its address changes with its content."""

T = TypeVar("T")
_END = object()


class Headers:
    """Adds the headers to all answers of an application. Pages are not kept by browsers and
    proxies, unless they say how. A request whose head is too large is refused before anything reads
    it: the server bounds only heads that arrive in pieces."""

    def __init__(self, application: ASGIApp, *, is_secure: bool) -> None:
        self._application = application
        self._headers = HEADERS | ({"Strict-Transport-Security": _HSTS} if is_secure else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        answer = _TOO_LARGE if _head_size(scope) > MAX_HEAD else self._application
        await answer(scope, receive, send_with_headers)


def _head_size(scope: Scope) -> int:
    """Bytes of the head of a request, without what is the same in all of them."""
    fields = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
    return len(scope["raw_path"]) + len(scope["query_string"]) + fields


_TOO_LARGE = PlainTextResponse(
    "The head of the request is too large.", 431, {"Connection": "close"}
)


class EventStreams:
    """The streams of one console, all in one event loop."""

    def __init__(self, threads: anyio.CapacityLimiter) -> None:
        self._threads = threads
        self._ended = anyio.Event()

    def end(self) -> None:
        """End all streams."""
        self._ended.set()

    async def stream(self, events: Events) -> AsyncIterator[bytes]:
        """The bytes of a stream."""
        yield _BEGIN
        known: str | None = events.known
        end = anyio.current_time() + STREAM_SECONDS
        while (found := await self._ask(events, known)) is not None:
            yield f"event: changed\ndata: {found}\n\n".encode() if found != known else _NOTHING
            known = found
            with anyio.move_on_after(INTERVAL):
                await self._ended.wait()
            if self._ended.is_set() or anyio.current_time() >= end:
                break

    async def _ask(self, events: Events, known: str | None) -> str | None:
        """The state; that of before where the store is busy."""
        try:
            return await anyio.to_thread.run_sync(
                events.state, limiter=self._threads, abandon_on_cancel=True
            )
        except NetwatchError:
            return known


class _EventsResponse(StreamingResponse):
    """The answer with a stream; its place is free again once it has ended, however it did."""

    leave: Callable[[], None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.leave()


class _AnyMethod:
    """An endpoint that is asked whatever the method: what is refused has a page of the console."""

    def __init__(self, endpoint: Callable[[Request], Awaitable[Response]]) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self._endpoint(Request(scope, receive))
        await response(scope, receive, send)


class Application:
    """Answers the requests to one console."""

    def __init__(self, console: Console, *, is_secure: bool) -> None:
        self._dispatcher = Dispatcher(console, is_secure=is_secure)
        self._pages = anyio.CapacityLimiter(MAX_THREADS)
        self._exports = anyio.CapacityLimiter(MAX_EXPORTS)
        self._events = EventStreams(self._pages)
        self._places = console.streams
        self._is_secure = is_secure

    def end_events(self) -> None:
        """End what would go on for as long as browsers look at it."""
        self._events.end()

    def asgi(self) -> ASGIApp:
        """The application for a server."""
        paths = dict.fromkeys(route.path for route in ROUTES)
        routes = [
            StarletteRoute("/static/{name}", _AnyMethod(self._static)),
            *(StarletteRoute(path, _AnyMethod(partial(self._answer, path))) for path in paths),
            StarletteRoute("/{anything:path}", _AnyMethod(partial(self._answer, None))),
        ]
        application = Starlette(routes=routes)
        # A redirect to the same path with a slash would be built from the header of the host.
        application.router.redirect_slashes = False
        return Headers(application, is_secure=self._is_secure)

    async def _static(self, request: Request) -> Response:
        file = static_files().get(request.path_params["name"])
        if file is None or request.method not in ("GET", "HEAD"):
            return await self._answer(None, request)
        headers = {"Cache-Control": f"public, max-age={MAX_AGE}, immutable"}
        return Response(file.content, media_type=file.media_type, headers=headers)

    async def _answer(self, path: str | None, request: Request) -> Response:
        """The answer to a request for a route with this `path`, None if there is no route."""
        try:
            form, body = await _sent(request)
        except Refused as refused:
            asked = Asked.of(request, ())
            return _response(await self._run(self._dispatcher.refuse, asked, refused))
        asked = Asked.of(request, form, body)
        try:
            with anyio.fail_after(ANSWER_SECONDS):
                sent = await self._run(self._dispatcher.answer, path, asked)
        except TimeoutError:
            sent = await self._run(self._dispatcher.refuse, asked, Refused(503, retry_after=10))
        if isinstance(sent.content, bytes):
            return _response(sent)
        if isinstance(sent.content, Events):
            return await self._stream_of(sent, sent.content, asked)
        if self._exports.available_tokens >= 1:
            return _response(sent, self._stream(sent))
        busy = Refused(503, retry_after=30)
        return _response(await self._run(self._dispatcher.refuse, asked, busy))

    async def _stream_of(self, sent: Sent, events: Events, asked: Asked) -> Response:
        """The answer with events, where its account has a place for them."""
        if status := self._places.take(events.account):
            full = Refused(status, retry_after=WAIT_SECONDS)
            return _response(await self._run(self._dispatcher.refuse, asked, full))
        response = _EventsResponse(
            self._events.stream(events), sent.status, sent.headers, media_type=sent.media_type
        )
        response.leave = partial(self._places.leave, events.account)
        return response

    async def _run(self, function: Callable[..., T], *arguments: Any) -> T:
        return await anyio.to_thread.run_sync(
            function, *arguments, limiter=self._pages, abandon_on_cancel=True
        )

    async def _stream(self, sent: Sent) -> AsyncIterator[bytes]:
        """The pieces of a download, each made when the one before it was sent."""
        assert isinstance(sent.content, Iterator)
        end = anyio.current_time() + EXPORT_SECONDS
        async with self._exports:
            try:
                while (piece := await self._piece(sent.content, end)) is not _END:
                    yield piece
                    end += len(piece) / EXPORT_RATE
            except (NetwatchError, TimeoutError):
                # The client must not take what was cut for the whole.
                if not sent.cut:
                    raise
                yield sent.cut

    async def _piece(self, pieces: Iterator[bytes], end: float) -> Any:
        """The next piece, `_END` behind the last one. Raises `TimeoutError`, and what made the
        pieces raises."""
        if anyio.current_time() > end:
            raise TimeoutError("an export took too long")
        return await anyio.to_thread.run_sync(_next, pieces, limiter=self._pages)


def _next(pieces: Iterator[bytes]) -> Any:
    return next(pieces, _END)


def _response(sent: Sent, stream: AsyncIterator[bytes] | None = None) -> Response:
    if stream is not None:
        response: Response = StreamingResponse(
            stream, sent.status, sent.headers, media_type=sent.media_type
        )
    else:
        assert isinstance(sent.content, bytes)
        response = Response(sent.content, sent.status, sent.headers, media_type=sent.media_type)
    for cookie in sent.cookies:
        response.headers.append("Set-Cookie", cookie)
    return response


_KINDS = {"POST": "application/x-www-form-urlencoded", "PATCH": "application/json"}
"""What requests send, by their method."""


async def _sent(request: Request) -> tuple[Pairs, bytes]:
    """The fields of a form, and what a program sends. Raises `Refused` for what is too large, too
    slow or of another kind."""
    kind = _KINDS.get(request.method)
    if kind is None:
        return (), b""
    body = bytearray()
    try:
        with anyio.fail_after(BODY_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > MAX_BODY:
                    raise Refused(413)
    except TimeoutError:
        raise Refused(408) from None
    except ClientDisconnect:
        raise Refused(400) from None
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and given != kind:
        raise Refused(415)
    if request.method == "PATCH":
        return (), bytes(body)
    return parse_pairs(bytes(body).decode("latin-1")), b""
