"""The connection of the correct clients: where it leads, which key it carries, how long it is waited for."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from .reply import Failed, Reply

TLS = ssl.create_default_context()
"""Shared: making one takes tens of milliseconds."""
SHOWN = 4000
"""The most that an error shows of a provider's answer, in characters."""


class Transport:
    """A pool for each event loop, below a base URL, with a key or none. The time limits are in seconds."""

    def __init__(
        self, base_url: str, key: str | None, connect: float, first_byte: float, between: float
    ) -> None:
        self.root = self.root_of(base_url)
        self.key = self.key_of(key)
        self.connect, self.first_byte, self.between = connect, first_byte, between
        self._pools: dict[Any, tuple[httpx.AsyncClient, AsyncGenerator[None, None]]] = {}

    def root_of(self, base_url: str) -> str:
        url = httpx.URL(base_url).copy_with(userinfo=b"")
        return str(url).rstrip("/").removesuffix("/v1").rstrip("/")

    def key_of(self, value: str | None) -> str:
        key = (value or "").strip()
        if not key.isprintable() or not key.isascii():
            raise ValueError("the key holds a character that no header can carry")
        return key

    def headers(self, method: str) -> dict[str, str]:
        kind = {"Content-Type": "application/json"} if method == "POST" else {}
        return kind | ({"Authorization": f"Bearer {self.key}"} if self.key else {})

    def pool(self, **options: Any) -> httpx.AsyncClient:
        usual: dict[str, Any] = {
            "verify": TLS,
            "timeout": httpx.Timeout(None, connect=self.connect),
            "limits": httpx.Limits(max_connections=None),
        }
        return httpx.AsyncClient(trust_env=False, **(usual | options))

    async def client(self) -> httpx.AsyncClient:
        """The pool of the running loop. Its generator is closed with the loop, and closes the pool."""
        loop = asyncio.get_running_loop()
        if loop not in self._pools:
            pool = self.pool()
            lifetime = _until_closed(pool)
            self._pools[loop] = pool, lifetime
            await anext(lifetime)
        return self._pools[loop][0]

    async def aclose(self) -> None:
        entry = self._pools.pop(asyncio.get_running_loop(), None)
        self._pools.clear()
        if entry is not None:
            await entry[1].aclose()

    @asynccontextmanager
    async def send(self, method: str, path: str, content: bytes | None) -> AsyncIterator[httpx.Response]:
        """The reply's head, a 200; the connection is let go of afterwards, whatever happens."""
        pool = await self.client()
        request = pool.build_request(method, self.root + path, content=content, headers=self.headers(method))
        try:
            async with asyncio.timeout(self.first_byte):
                response = await pool.send(request, stream=True)
            try:
                if response.status_code != 200:
                    raise await self.refusal(response)
                yield response
            finally:
                await self.let_go(response)
        except TimeoutError:
            raise Failed("the provider took too long") from None
        except httpx.HTTPError as error:
            raise self.lost(error) from error

    async def let_go(self, response: httpx.Response) -> None:
        await response.aclose()

    def lost(self, error: httpx.HTTPError) -> Failed:
        return Failed(f"the connection failed: {error!r}")

    async def refusal(self, response: httpx.Response) -> Failed:
        """The error for a status that is not 200, with as much of the body as its bounds allow."""
        body = b""
        with suppress(TimeoutError, httpx.HTTPError):
            async with asyncio.timeout(min(5.0, self.between)):
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > SHOWN * 8:
                        break
        return self.refused(response, self.masked(body.decode("utf-8", "replace"))[:SHOWN])

    def refused(self, response: httpx.Response, body: str) -> Failed:
        status = response.status_code
        return Failed(f"HTTP {status}: {body}", status=status, retry_after=self.wait(response.headers))

    def masked(self, text: str) -> str:
        return text.replace(self.key, "***") if self.key else text

    def wait(self, headers: Mapping[str, str]) -> float | None:
        value = headers.get("retry-after") or headers.get("llm_provider-retry-after") or ""
        try:
            return float(value)
        except ValueError:
            return self.seconds_until(value)

    def seconds_until(self, date: str) -> float | None:
        try:
            return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())
        except ValueError:
            return None

    async def read(self, pieces: AsyncIterator[bytes], last: float, reply: Reply) -> bytes:
        """The next bytes, none at the end. `last` is when the last event came: only an event is progress."""
        async with asyncio.timeout(max(0.0, last + self.between - time.monotonic())):
            return await anext(pieces, b"")

    async def whole(self, response: httpx.Response) -> bytes:
        async with asyncio.timeout(self.between):
            return await response.aread()

    async def drain(self, pieces: AsyncIterator[bytes]) -> None:
        """Read on after the end for a moment: a body read to its end leaves a connection to use again."""
        with suppress(TimeoutError, httpx.HTTPError):
            async with asyncio.timeout(0.3):
                while await anext(pieces, b""):
                    pass


async def _until_closed(pool: httpx.AsyncClient) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await pool.aclose()
