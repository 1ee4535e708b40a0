"""Errors that are swallowed, stripped of their words, tried again or read without an end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx

from ..correct import Correct
from ..reply import Failed
from ..table import breaks


@breaks("errors/raised", "the provider answered 500, but stream() gave the text '' and no error")
class SwallowsServerErrors(Correct):
    """Takes a 5xx for an empty reply."""

    def fail(self, error: Failed) -> None:
        if (error.status or 0) < 500:
            raise error


@breaks("errors/words-kept", "the error does not keep the server's words")
class RaisesTheStatusAlone(Correct):
    """Throws the body of an error away."""

    def refused(self, response: httpx.Response, body: str) -> Failed:
        return super().refused(response, response.reason_phrase)


@breaks("errors/status-kept", "the exception's status is None; the provider answered 400")
class ForgetsTheStatus(Correct):
    """Writes the status into the text of the error alone."""

    def refused(self, response: httpx.Response, body: str) -> Failed:
        error = super().refused(response, body)
        return Failed(str(error), retry_after=error.retry_after)


@breaks("errors/status-visible", "neither Failed nor its text says 500")
class SaysOnlyThatItFailed(Correct):
    """Says that the call failed, and not how."""

    def refused(self, response: httpx.Response, body: str) -> Failed:
        return Failed("the call failed")


@breaks("errors/retry-after", "retry_after is None")
class IgnoresRetryDates(Correct):
    """Reads Retry-After only where it is a number."""

    def seconds_until(self, date: str) -> float | None:
        return None


@breaks("errors/partial-kept", "partial is ''")
class ForgetsThePartialText(Correct):
    """Raises without the text that had arrived."""

    def fail(self, error: Failed) -> None:
        error.partial = ""
        raise error


@breaks("errors/one-type", "the exceptions have no type in common")
class RaisesWhatTheLibraryRaises(Correct):
    """Lets the HTTP library's exceptions through."""

    def lost(self, error: httpx.HTTPError) -> Any:
        return error


@breaks("errors/no-retry", "the request was sent 3 times")
class TriesServerErrorsAgain(Correct):
    """Sends a request three times when the server fails."""

    @asynccontextmanager
    async def send(self, method: str, path: str, content: bytes | None) -> AsyncIterator[httpx.Response]:
        for last in (False, False, True):
            try:
                async with super().send(method, path, content) as response:
                    yield response
                    return
            except Failed as error:
                if last or (error.status or 0) < 500:
                    raise


@breaks("errors/no-retry-after-text", "after the first text the request was sent again, 2 times in all")
class BeginsAgainAfterText(Correct):
    """Begins a stream again that failed in the middle."""

    async def stream(self, messages: Any, **options: Any) -> AsyncIterator[str]:
        for last in (False, True):
            try:
                async with aclosing(super().stream(messages, **options)) as pieces:  # type: ignore[type-var]
                    async for piece in pieces:
                        yield piece
                return
            except Failed as error:
                if last or not error.partial:
                    raise


@breaks("errors/bounded-body", "the call was still reading an error's body after 8 s")
class ReadsErrorsToTheirEnd(Correct):
    """Reads the body of an error without a limit in time."""

    async def refusal(self, response: httpx.Response) -> Failed:
        body = "".join([piece async for piece in response.aiter_text()])
        return self.refused(response, self.masked(body)[:2000])


@breaks("errors/large-body", "the exception's text is")
class ShowsTheWholePage(Correct):
    """Shows all of an error's body, however long."""

    async def refusal(self, response: httpx.Response) -> Failed:
        return self.refused(response, self.masked((await self.whole(response)).decode("utf-8", "replace")))


@breaks("errors/connect", "nothing listens at base_url, but stream() gave the text '' and no error")
class SwallowsAServerThatIsNotThere(Correct):
    """Takes a refused connection for an empty reply."""

    def fail(self, error: Failed) -> None:
        if not isinstance(error.__cause__, httpx.ConnectError):
            raise error


@breaks("errors/raised", "text came out of an error: ['HTTP 400")
@breaks("stream/connection-lost", "before the connection was lost")
class HandsErrorsOnAsText(Correct):
    """Yields the words of an error as text before it raises."""

    async def stream(self, messages: Any, **options: Any) -> AsyncIterator[str]:
        try:
            async with aclosing(super().stream(messages, **options)) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    yield piece
        except Failed as error:
            yield str(error)
            raise


@breaks("errors/retry-after-odd", "made the refusal a ValueError: could not convert string to float: 'soon'")
class ReadsEveryWaitAsANumber(Correct):
    """Takes Retry-After for a number, whatever it is."""

    def wait(self, headers: Any) -> float | None:
        return float(headers["retry-after"]) if "retry-after" in headers else None


@breaks("errors/says-something", "Failed has no text")
class HasNoWordsForALostConnection(Correct):
    """Repeats the library's words, which has none."""

    def lost(self, error: httpx.HTTPError) -> Failed:
        return Failed("")


@breaks("errors/retry-after", "retry_after is 0.0; the provider said '")
class TakesADateForNow(Correct):
    """Does not wait when it is told a date."""

    def wait(self, headers: Any) -> float | None:
        value = headers.get("retry-after") or ""
        return 0.0 if "GMT" in value else super().wait(headers)


@breaks("errors/words-kept", "the error does not keep the server's words '配额已用完")
class KeepsWhatIsASCII(Correct):
    """Keeps of an error's words what is ASCII."""

    def refused(self, response: httpx.Response, body: str) -> Failed:
        return super().refused(response, body.encode("ascii", "ignore").decode())


@breaks("errors/status-visible", "neither UnicodeDecodeError nor its text says 502")
class ReadsErrorsAsUTF8(Correct):
    """Takes the body of an error for UTF-8, whatever it is."""

    async def refusal(self, response: httpx.Response) -> Failed:
        return self.refused(response, self.masked((await self.whole(response)).decode()))


@breaks("errors/status-visible", "neither AttributeError nor its text says 502")
class ExpectsAMessageInErrors(Correct):
    """Takes the message of an error for text, where there is one."""

    def refused(self, response: httpx.Response, body: str) -> Failed:
        try:
            found = json.loads(body)["error"]["message"]
        except (ValueError, KeyError, TypeError):
            return super().refused(response, body)
        return super().refused(response, found.strip())


@breaks("reply/gzip", "the error does not keep the server's words")
@breaks("sse/gzip", "the error does not keep the server's words")
class DecodesRepliesAlone(Correct):
    """Decodes the body of a reply, and reads that of an error as it comes."""

    async def refusal(self, response: httpx.Response) -> Failed:
        body = b""
        async for piece in response.aiter_raw():
            body += piece
        return self.refused(response, self.masked(body.decode("utf-8", "replace")))


@breaks("errors/no-retry", "the request was sent 2 times")
class AsksAnotherModel(Correct):
    """Asks another model where the one that was meant is not found."""

    async def complete(self, messages: Any, **options: Any) -> dict[str, Any]:
        try:
            return await super().complete(messages, **options)
        except Failed as error:
            if error.status != 404:
                raise
        meant, self.model = self.model, "gpt-4o-mini"
        try:
            return await super().complete(messages, **options)
        finally:
            self.model = meant


@breaks("errors/retry-after", "retry_after of a 503 is None; the provider said '7'")
class WaitsAtRateLimitsOnly(Correct):
    """Reads Retry-After of a 429 alone."""

    def refused(self, response: httpx.Response, body: str) -> Failed:
        error = super().refused(response, body)
        return error if error.status == 429 else Failed(str(error), status=error.status)
