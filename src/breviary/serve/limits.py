"""What stands before the service: how many bytes a request may bring, its token, and what a browser may load.

Plain ASGI middleware, so that a body is refused while it arrives and not after it has been kept.
"""

import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

OPEN = ("/", "/health")  # what can be read without the token: no documents, no models
PAGE = "/page/"
POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
SAFE = {"content-security-policy": POLICY, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}


class TooLarge(Exception):
    """The body has more bytes than are allowed."""


class Size:
    """Answers 413 to a body of more than `most` bytes, announced or not."""

    def __init__(self, app: App, most: int) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass the request on, counting."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        announced = _header(scope, b"content-length")
        if announced.isdigit() and int(announced) > self.most:
            return await _say(send, 413, f"at most {self.most} bytes are taken; shorten the document")
        count, started = 0, False

        async def counted() -> Message:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > self.most:
                raise TooLarge
            return message

        async def noting(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, counted, noting)
        except TooLarge:
            if not started:
                await _say(send, 413, f"at most {self.most} bytes are taken; shorten the document")


class Token:
    """Answers 401 to a request without `Authorization: Bearer <token>`, but for the page itself and /health."""

    def __init__(self, app: App, token: str) -> None:
        self.app, self.expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass the request on if it may."""
        is_open = scope["type"] != "http" or scope["path"] in OPEN or scope["path"].startswith(PAGE)
        if is_open or hmac.compare_digest(_header(scope, b"authorization"), self.expected):
            return await self.app(scope, receive, send)
        await _say(
            send, 401, "this service wants its token: Authorization: Bearer ...", (b"www-authenticate", b"Bearer")
        )


class Safe:
    """Adds the headers that keep a browser from loading anything of elsewhere."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.headers = [(name.encode(), value.encode()) for name, value in SAFE.items()]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass the request on."""

        async def added(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *self.headers]
            await send(message)

        await self.app(scope, receive, added)


def _header(scope: Message, name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key == name), b"")


async def _say(send: Send, status: int, detail: str, *headers: tuple[bytes, bytes]) -> None:
    body = json.dumps({"detail": detail}).encode()
    kind = (b"content-type", b"application/json")
    await send({"type": "http.response.start", "status": status, "headers": [kind, *headers]})
    await send({"type": "http.response.body", "body": body})
