"""One pooled HTTP client, its time limits, and replies read within bounds."""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, fields
from functools import cache
from typing import TypeVar

import httpx

from .credential import Key
from .envelope import retry_after, words_of
from .errors import MAX_SHOWN, BackendError, BackendTimeout, ConnectionFailed, IncompleteReply, UnusableReply
from .text import INVALID, parse

T = TypeVar("T")

MAX_KEY = 4 * 1024
"""What is read of an error's body beyond what is shown, in bytes, so that a key at its end is masked."""
ERROR_SECONDS = 5.0
"""How long an error's body is waited for, at most; `between_chunks` bounds it too."""
DRAIN_SECONDS = 0.5
"""How long the end of a body is waited for after the last event, so that the connection can be used again."""
MAX_BODY = 64 * 1024 * 1024
"""The largest reply that is read whole, in bytes."""
IDLE_SECONDS = 30.0
"""How long an unused connection is kept."""
HEADERS = {
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate",  # what httpx reads with any set of packages
    "Connection": "keep-alive",
    "User-Agent": f"python-httpx/{httpx.__version__}",
}
"""What every request says, beside the key."""


@dataclass(frozen=True)
class Timeouts:
    """Limits in seconds; None is no limit.

    `connect`: TCP and TLS, each. `first_byte`: from the call to the head of the reply. `between_chunks`: from
    one chunk of the reply to the next; comments and blank lines that keep the connection alive are not
    chunks. `total`: the whole call. `models`: the whole of `list_models`.
    """

    connect: float | None = 10.0
    first_byte: float | None = 120.0
    between_chunks: float | None = 120.0
    total: float | None = None
    models: float | None = 5.0

    @classmethod
    def of(cls, given: Mapping[str, float | None] | None) -> Timeouts:
        """The defaults, replaced by those given. Raises ValueError for an unknown name or a bad value."""
        known = [field.name for field in fields(cls)]
        for name, value in (given or {}).items():
            if name not in known:
                raise ValueError(f"unknown time limit {name!r}; known: {', '.join(known)}")
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (number and math.isfinite(value) and value > 0):
                raise ValueError(
                    f"the time limit {name} must be a number of seconds above 0, or None, not {value!r}"
                )
        return cls(**(given or {}))


def checked_url(base_url: str) -> str:
    """The root that paths are appended to: without user information, without a trailing `/`, `/v1` or `/v1/`.

    User information is dropped because the HTTP library would make Basic authentication of it, in place of
    the key. Raises ValueError for what is not `http(s)://host…`, and for a query or a fragment.
    """
    try:
        url = httpx.URL(base_url.strip())
    except (httpx.InvalidURL, TypeError, AttributeError):
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        raise ValueError("base_url must look like http://host:port or https://host/path, without a query")
    path = url.raw_path.partition(b"?")[0].decode("ascii").rstrip("/").removesuffix("/v1").rstrip("/")
    return f"{url.scheme}://{url.netloc.decode('ascii')}{path}"


class Body:
    """The body of a reply with status 200, read piece by piece within the time limits."""

    def __init__(self, response: httpx.Response, timeouts: Timeouts, deadline: float | None) -> None:
        self.content_type: str = response.headers.get("content-type", "")
        self._pieces = response.aiter_bytes()
        self._timeouts = timeouts
        self._deadline = deadline
        self.ended = False
        """Whether there is nothing more to read: the end was reached, or the connection broke."""

    async def read(self, take: Callable[[bytes], T]) -> T:
        """What `take` makes of the next bytes, content-decoded. It is given piece after piece until it makes
        something of one; an empty piece is the end.

        `between_chunks` counts from the call on, so pieces of which nothing is made do not prolong it, and
        the caller's own time between two calls does not count. Raises BackendTimeout, or IncompleteReply when
        the connection breaks.
        """
        between = _moment(self._timeouts.between_chunks)
        limit, when = _earliest(("between_chunks", between), ("total", self._deadline))
        try:
            async with asyncio.timeout_at(when):
                while True:
                    piece = await anext(self._pieces, b"")
                    self.ended = not piece
                    if (made := take(piece)) or self.ended:
                        return made
        except (TimeoutError, httpx.HTTPError) as error:
            self.ended = True
            raise _translated(error, limit) from error

    async def read_all(self) -> bytes:
        """The whole body. Blank lines that a queue sends ahead of it are no progress."""
        body = bytearray()

        def take(piece: bytes) -> bool:
            body.extend(piece)
            if len(body) > MAX_BODY:
                raise UnusableReply(f"the reply is larger than {MAX_BODY} bytes; it is given up")
            return bool(piece.strip())

        while not self.ended:
            await self.read(take)
        return bytes(body)

    async def drain(self) -> None:
        """Read to the end for a moment. A body that was not read to its end costs the connection, and the
        next call a new handshake; a server that never ends it must not block
        (https://github.com/openai/openai-python/issues/3440).
        """
        with suppress(TimeoutError, httpx.HTTPError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while await anext(self._pieces, b""):
                    pass


class Transport:
    """Sends requests to one provider with one key, over one pool of connections for each event loop.

    It is httpx without its client: redirects are not followed, no cookie is kept, and the environment's proxies
    and netrc are not used. A request goes where the caller said, with the key that the caller gave. Of the
    environment only `SSL_CERT_FILE` and `SSL_CERT_DIR` count.
    """

    def __init__(self, base_url: str, key: Key, timeouts: Timeouts) -> None:
        self.base_url = checked_url(base_url)
        self.timeouts = timeouts
        self._key = key
        self._extensions = {"timeout": httpx.Timeout(None, connect=timeouts.connect).as_dict()}
        self._pools: dict[
            asyncio.AbstractEventLoop, tuple[httpx.AsyncHTTPTransport, AsyncGenerator[None, None]]
        ] = {}

    @asynccontextmanager
    async def open(
        self, method: str, path: str, content: bytes | None = None, *, total: float | None = None
    ) -> AsyncIterator[Body]:
        """Send a request, and give its body once the head of a 200 is there. The connection is always let go.

        Raises BackendError for any other status, ConnectionFailed, BackendTimeout and IncompleteReply.
        """
        pool = await self._pool()
        headers = {**HEADERS, **self._key.headers}
        if content is not None:
            headers["Content-Type"] = "application/json"
        url = self.base_url + path
        request = httpx.Request(method, url, headers=headers, content=content, extensions=self._extensions)
        deadline = _moment(total or self.timeouts.total)
        limit, when = _earliest(("first_byte", _moment(self.timeouts.first_byte)), ("total", deadline))
        try:
            async with asyncio.timeout_at(when):
                response = await pool.handle_async_request(request)
        except (TimeoutError, httpx.HTTPError) as error:
            raise _translated(error, limit, _origin(request)) from error
        response.request = request
        try:
            if response.status_code != 200:
                seconds = min(ERROR_SECONDS, self.timeouts.between_chunks or ERROR_SECONDS)
                raise await _refusal(response, seconds)
            yield Body(response, self.timeouts, deadline)
        except BackendError as error:
            error.status = error.status or response.status_code
            error.request_id = response.headers.get("x-request-id")
            raise
        finally:
            with suppress(httpx.HTTPError):
                await response.aclose()

    async def aclose(self) -> None:
        """Close the connections. A later call opens new ones."""
        if entry := self._pools.pop(asyncio.get_running_loop(), None):
            await entry[1].aclose()
        self.close_soon()

    def close_soon(self) -> None:
        """Let each event loop close its own connections, from a function that cannot wait for it."""
        self._pools.clear()  # with its last reference gone, `_until_closed` runs to its end on its loop

    async def _pool(self) -> httpx.AsyncHTTPTransport:
        loop = asyncio.get_running_loop()
        if loop not in self._pools:
            self._pools = {each: entry for each, entry in self._pools.items() if not each.is_closed()}
            # No bound on connections: a stream that a caller forgot must not make the next call wait.
            limits = httpx.Limits(max_connections=None, keepalive_expiry=IDLE_SECONDS)
            pool = httpx.AsyncHTTPTransport(verify=_tls(), trust_env=False, limits=limits)
            lifetime = _until_closed(pool)
            self._pools[loop] = pool, lifetime
            await anext(lifetime)
        return self._pools[loop][0]


async def _until_closed(pool: httpx.AsyncHTTPTransport) -> AsyncGenerator[None, None]:
    """Closes the pool when it is closed itself: by `aclose`, when its last reference goes, or when its
    event loop shuts down (`loop.shutdown_asyncgens`). So no socket outlives its loop, and a second loop
    starts afresh.
    """
    try:
        yield
    finally:
        await pool.aclose()


@cache
def _tls() -> ssl.SSLContext:
    """One context for all pools: making one takes tens of milliseconds."""
    return httpx.create_ssl_context()


def _moment(seconds: float | None) -> float | None:
    return None if seconds is None else asyncio.get_running_loop().time() + seconds


def _earliest(*limits: tuple[str, float | None]) -> tuple[str, float | None]:
    """The limit that runs out first."""
    return min(limits, key=lambda limit: math.inf if limit[1] is None else limit[1])


def _translated(error: Exception, limit: str, origin: str = "") -> BackendError:
    """The HTTP library's exception as this package's; `limit` names the time limit that was set."""
    if isinstance(error, TimeoutError):
        return BackendTimeout(f"the provider took too long: the time limit {limit!r} ran out")
    if isinstance(error, httpx.ConnectTimeout):
        return BackendTimeout("the provider took too long: the time limit 'connect' ran out")
    if isinstance(error, httpx.ConnectError | httpx.UnsupportedProtocol):
        return ConnectionFailed(f"no connection to {origin}: {error}")
    if isinstance(error, httpx.DecodingError):
        return UnusableReply(f"the reply's content encoding is broken: {error}")
    return IncompleteReply(f"the connection broke before the reply was complete: {error!r}")


def _origin(request: httpx.Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc.decode('ascii')}"


async def _refusal(response: httpx.Response, seconds: float) -> BackendError:
    """The exception for a status other than 200, with as much of its body as the bounds allow."""
    data = bytearray()
    with suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(seconds):
            async for piece in response.aiter_bytes():
                data += piece
                if len(data) > MAX_SHOWN + MAX_KEY:
                    break
    body = data.decode("utf-8", "replace")
    value = parse(body)
    words = words_of("" if value is INVALID else value)
    said = words.message or body.strip() or response.reason_phrase
    if where := response.headers.get("location"):
        said = f"redirects are not followed, and this one leads to {where}"
    return BackendError(
        f"HTTP {response.status_code}: {said}",
        status=response.status_code,
        code=words.code,
        type=words.type,
        param=words.param,
        body=body,
        retry_after=retry_after(response.headers),
    )
