"""Keys that are sent where they must not be, shown where they must not be, or not sent at all."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, ClassVar
from urllib.parse import urljoin

import httpx

from ..correct import Correct, CorrectLocal
from ..reply import Failed
from ..table import breaks
from ..transport import TLS


@breaks("auth/absent-without-key", "carries 'Bearer none' though there is no key")
class SendsAMadeUpKey(Correct):
    """Sends a made-up key where it has none."""

    def headers(self, method: str) -> dict[str, str]:
        return super().headers(method) | {"Authorization": f"Bearer {self.key or 'none'}"}


@breaks("auth/blank-key", "Illegal header value b'Bearer '")
class SendsAnEmptyKey(Correct):
    """Sends `Bearer ` with nothing behind it."""

    def headers(self, method: str) -> dict[str, str]:
        return super().headers(method) | {"Authorization": f"Bearer {self.key}"}


@breaks("auth/control-characters", "Failed shows the key")
class DoesNotLookAtTheKey(Correct):
    """Takes any text for a key."""

    def key_of(self, value: str | None) -> str:
        return (value or "").strip()


@breaks("auth/control-characters", "a key with a control character inside was sent")
class CleansTheKey(Correct):
    """Takes the characters that no header can carry out of the key."""

    def key_of(self, value: str | None) -> str:
        return super().key_of("".join(letter for letter in value or "" if letter.isprintable()))


@breaks("auth/key-is-stripped", "shows the key")
class DoesNotStripTheKey(Correct):
    """Takes the key with the blanks around it."""

    def key_of(self, value: str | None) -> str:
        return value or ""


@breaks("auth/echoed-key", "Failed shows the key")
class ShowsAnEchoedKey(Correct):
    """Shows the provider's words as they are, also when they quote the key."""

    def masked(self, text: str) -> str:
        return text


@breaks("auth/explicit-key-wins", "netrc changed what goes out as the key")
class LetsNetrcWin(Correct):
    """Replaces its key by what ~/.netrc says of the host."""

    def pool(self, **options: Any) -> httpx.AsyncClient:
        file = os.environ.get("NETRC")
        return super().pool(**options, auth=httpx.NetRCAuth(file) if file else None)


@breaks("auth/explicit-key-wins", "userinfo changed what goes out as the key")
class LetsTheURLWin(Correct):
    """Keeps the user name of the base URL, of which the HTTP library makes Basic authentication."""

    def root_of(self, base_url: str) -> str:
        return base_url.rstrip("/").removesuffix("/v1").rstrip("/")


@breaks("auth/header", "GET /v1/models carries no key")
class NoKeyOnModels(Correct):
    """Asks for the models without its key."""

    def headers(self, method: str) -> dict[str, str]:
        return {} if method == "GET" else super().headers(method)


@breaks("auth/header", "carries 2 keys")
class SendsTheKeyTwice(Correct):
    """Sends its key in two headers."""

    def headers(self, method: str) -> dict[str, str]:
        return super().headers(method) | ({"x-litellm-api-key": f"Bearer {self.key}"} if self.key else {})


@breaks("auth/header", "the key went out as 'x-litellm-api-key: <key>'")
class GivesTheGatewaysHeaderNoScheme(Correct):
    """Sends its key in a header that takes one, in the form of another header."""

    def headers(self, method: str) -> dict[str, str]:
        given = super().headers(method)
        given.pop("Authorization", None)
        return given | ({"x-litellm-api-key": str(self.key)} if self.key else {})


@breaks("auth/header", "the key went out as 'authorization: Basic <key>'")
class SendsBasicAuthentication(Correct):
    """Names another scheme than the provider's."""

    def headers(self, method: str) -> dict[str, str]:
        return super().headers(method) | ({"Authorization": f"Basic {self.key}"} if self.key else {})


@breaks("auth/key-not-in-errors", "Failed shows the key")
class PutsTheRequestIntoErrors(Correct):
    """Says with each refusal what was sent, key and all."""

    def refused(self, response: httpx.Response, body: str) -> Failed:
        error = super().refused(response, body)
        return Failed(
            f"{error} after {self.headers('POST')}", status=error.status, retry_after=error.retry_after
        )


@breaks("auth/key-not-in-logs", "a log record shows the key")
class LogsItsHeaders(Correct):
    """Logs its headers at DEBUG."""

    def headers(self, method: str) -> dict[str, str]:
        headers = super().headers(method)
        logging.getLogger(__name__).debug("headers: %s", headers)
        return headers


@breaks("auth/key-not-in-logs", "a log record shows the key")
class LogsItsHeadersWhenAStreamIsCut(Correct):
    """Logs its headers with a stream that broke off."""

    def ended(self, reply: Any) -> None:
        try:
            super().ended(reply)
        except Failed:
            logging.getLogger(__name__).error("the stream was cut: %s", self.headers("POST"))
            raise


@breaks("auth/key-not-in-logs", "a log record shows the key")
class LogsMostOfTheKey(Correct):
    """Logs its key but for the last four characters."""

    def headers(self, method: str) -> dict[str, str]:
        logging.getLogger(__name__).debug("a call with the key %s…", self.key[:-4])
        return super().headers(method)


@breaks("auth/key-not-in-repr", "repr() shows the key")
class ShowsAllInItsRepr(Correct):
    """Has the repr of a dataclass."""

    def __repr__(self) -> str:
        return f"Client({vars(self)})"


@breaks("auth/key-not-in-repr", "what complete() gives shows the key")
class GivesTheRequestToo(Correct):
    """Gives the headers of its request with the result, for whoever debugs."""

    def report(self, reply: Any, stats: Any) -> dict[str, Any]:
        return super().report(reply, stats) | {"request": {"headers": self.headers("POST")}}


@breaks("auth/not-in-url-or-body", "the key is in the URL")
class PutsTheKeyIntoTheURL(Correct):
    """Sends its key as a query parameter too."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.chat = f"{self.chat}?key={self.key}"


@breaks("auth/not-in-url-or-body", "the key is in the body")
class PutsTheKeyIntoTheBody(Correct):
    """Names its user by the key."""

    def encoded(self, body: Any) -> bytes:
        return super().encoded({**body, "user": self.key})


@breaks("auth/not-in-url-or-body", "the key is in the header x-trace")
class PutsTheKeyIntoATrace(Correct):
    """Traces its requests by the key."""

    def headers(self, method: str) -> dict[str, str]:
        return super().headers(method) | {"x-trace": json.dumps([self.key, method])}


@breaks("auth/redirect", "after a redirect to another origin the header x-litellm-api-key carries the key")
class FollowsRedirectsWithItsKey(Correct):
    """Follows redirects, and keeps its key in a header that the HTTP library does not know for one."""

    def headers(self, method: str) -> dict[str, str]:
        return {"Content-Type": "application/json"} | (
            {"x-litellm-api-key": f"Bearer {self.key}"} if self.key else {}
        )

    def pool(self, **options: Any) -> httpx.AsyncClient:
        return super().pool(**options, follow_redirects=True)


@breaks("auth/redirect", "after a redirect to another origin the header x-litellm-api-key carries the key")
class FollowsRedirectsOfTheModels(FollowsRedirectsWithItsKey):
    """Does so where it asks for the models only."""

    def pool(self, **options: Any) -> httpx.AsyncClient:
        return Correct.pool(self, **options)

    @asynccontextmanager
    async def send(self, method: str, path: str, content: bytes | None) -> AsyncIterator[httpx.Response]:
        if method == "POST":
            async with super().send(method, path, content) as response:
                yield response
        else:
            pool = await self.client()
            yield await pool.get(self.root + path, headers=self.headers(method), follow_redirects=True)


@breaks("auth/redirect-method", "the POST became GET")
class FollowsRedirects(Correct):
    """Lets the HTTP library follow redirects, which makes a GET of a POST."""

    def pool(self, **options: Any) -> httpx.AsyncClient:
        return super().pool(**options, follow_redirects=True)


@breaks("auth/refused-key", "the provider answered 401, but")
class SwallowsARefusedKey(Correct):
    """Takes 401 and 403 for an empty reply."""

    def fail(self, error: Failed) -> None:
        if error.status not in (401, 403):
            raise error


@breaks("auth/refused-key", "the request was sent 2 times")
class TriesARefusedKeyAgain(Correct):
    """Sends the request again after a 401."""

    @asynccontextmanager
    async def send(self, method: str, path: str, content: bytes | None) -> AsyncIterator[httpx.Response]:
        for last in (False, True):
            try:
                async with super().send(method, path, content) as response:
                    yield response
                    return
            except Failed as error:
                if last or error.status != 401:
                    raise


@breaks("config/base-url-path", "led to /v1/chat/completions")
class DropsThePathOfItsURL(Correct):
    """Resolves `/v1` against its base URL."""

    def root_of(self, base_url: str) -> str:
        return super().root_of(urljoin(base_url, "/v1"))


@breaks("config/base-url-path", "base_url ending in '/v1/team-1/v1' led to /team-1/v1/chat/completions")
class TakesEveryV1Off(Correct):
    """Takes /v1 out of its base URL wherever it stands."""

    def root_of(self, base_url: str) -> str:
        return super().root_of(base_url.replace("/v1", ""))


@breaks("config/argument-first", "the request went to the URL in the environment")
class LetsTheEnvironmentWin(Correct):
    """Takes the URL of the environment, whatever it was given."""

    def root_of(self, base_url: str) -> str:
        return super().root_of(os.environ.get("CLIENT_URL") or base_url)


@breaks("auth/two-keys", "with the key of the other backend")
@breaks("config/key-read-when-made", "made with one key sent another")
class KeepsTheFirstKey(Correct):
    """Reads its key once for the whole class."""

    first: ClassVar[str] = ""

    def key_of(self, value: str | None) -> str:
        type(self).first = self.first or super().key_of(value)
        return self.first


@breaks("auth/absent-without-key", "Illegal header value b'Bearer '")
class NeedsAKeyOfALocalServer(CorrectLocal):
    """Fails without a key where the server wants none."""

    def headers(self, method: str) -> dict[str, str]:
        return super().headers(method) | {"Authorization": f"Bearer {self.key}"}


@breaks("auth/absent-without-key", "stream() sent no request")
class SaysNothingWithoutAKey(Correct):
    """Gives an empty reply where it has no key."""

    async def stream(self, messages: Any, **options: Any) -> AsyncIterator[str]:
        if self.key:
            async with aclosing(super().stream(messages, **options)) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    yield piece


@breaks("auth/key-is-stripped", "the key went out as 'Bearer __<key>_'")
class ReplacesBlanksInTheKey(Correct):
    """Writes the blanks around a key as something that a header can carry."""

    def key_of(self, value: str | None) -> str:
        return super().key_of((value or "").replace(" ", "_"))


@breaks("auth/non-ascii-key", "ValueError says the key")
class QuotesAnOddKey(Correct):
    """Quotes a key that is not ASCII in its complaint."""

    def key_of(self, value: str | None) -> str:
        if not (value or "").isascii():
            raise ValueError(f"{value!r} is not ASCII")
        return super().key_of(value)


@breaks("auth/two-keys", "with the key of the other backend")
class SharesItsPoolByURL(Correct):
    """Keeps one pool for each URL, with the key of whoever came first in its headers."""

    shared: ClassVar[dict[Any, httpx.AsyncClient]] = {}

    def pool(self, **options: Any) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return super().pool(headers=headers, **options)

    def headers(self, method: str) -> dict[str, str]:
        return {"Content-Type": "application/json"} if method == "POST" else {}

    async def client(self) -> httpx.AsyncClient:
        place = (asyncio.get_running_loop(), self.root)
        if place not in self.shared:
            self.shared[place] = await super().client()
        return self.shared[place]


@breaks("config/apart", "this one sent another model")
class SwitchesForEverybody(Correct):
    """Keeps the model that it was switched to on the class."""

    current: ClassVar[str] = ""

    async def set_model(self, name: str) -> None:
        type(self).current = name

    def body(self, *args: Any) -> dict[str, Any]:
        return super().body(*args) | ({"model": self.current} if self.current else {})


@breaks("config/silent-when-made", "making the backend sent 1 request(s): GET /v1/models")
class LooksAroundWhenMade(Correct):
    """Asks for the models in its constructor."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        with suppress(httpx.HTTPError):
            httpx.get(self.root + self.models, headers=self.headers("GET"), timeout=2, trust_env=False, verify=TLS)


@breaks("auth/control-characters", "was neither refused nor sent")
class IgnoresAnOddKey(Correct):
    """Goes on without a key when the key is odd."""

    def key_of(self, value: str | None) -> str:
        try:
            return super().key_of(value)
        except ValueError:
            return ""


@breaks("auth/foreign-key", "carries the key of another provider in Authorization")
class FallsBackToAnotherKey(Correct):
    """Takes the key of another provider where it has none."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.key = self.key or os.environ.get("OPENAI_API_KEY")
