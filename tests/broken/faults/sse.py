"""Event streams that are cut at the wrong places, or read by what they usually look like."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx

from ..correct import Correct
from ..framing import Event, Events, Lines
from ..reply import Failed, Reply
from ..table import breaks


class WithASpace(Events):
    def line(self, line: bytes) -> list[Event]:
        return super().line(line if line.startswith(b"data: ") else line and b":")


@breaks("sse/no-space", "the reply held no event")
@breaks("property/any-framing-any-cut", "stream")
class SplitsOnDataSpace(Correct):
    """Looks for `data: ` with its space, and passes over what is written without."""

    framing = WithASpace


class LFAlone(Events):
    class lines(Lines):
        ends = re.compile(rb"\n")


@breaks("sse/line-ends-crlf", "the reply held no event")
class EndsLinesAtLFAlone(Correct):
    """Takes the CR of a CRLF for a part of the line, so that no line is ever blank."""

    framing = LFAlone


class LFOrCRLF(Events):
    class lines(Lines):
        ends = re.compile(rb"\r\n|\n")


@breaks("sse/line-ends-cr", "the reply held no event")
class KnowsNoCR(Correct):
    """Ends lines at LF and CRLF, and not at CR."""

    framing = LFOrCRLF


class OneLineEnd(Events):
    class lines(Lines):
        def feed(self, data: bytes) -> list[bytes]:
            seen = re.search(rb"\r\n|\r|\n", data)
            if seen and self.ends is Lines.ends:
                self.ends = re.compile(re.escape(seen[0]))
            return super().feed(data)


@breaks("sse/line-ends-mixed", "stream()")
class DecidesTheLineEndOnce(Correct):
    """Takes the first line end of a stream for the only one."""

    framing = OneLineEnd


class WithItsMark(Events):
    class lines(Lines):
        def begin(self, line: bytes) -> bytes:
            return line


@breaks("sse/bom", "stream()")
class KeepsTheMark(Correct):
    """Takes a byte order mark for the beginning of the first field's name."""

    framing = WithItsMark


class CommentsAreData(Events):
    def line(self, line: bytes) -> list[Event]:
        return super().line(
            line.removeprefix(b": ").join((b"data: ", b"")) if line.startswith(b": ") else line
        )


@breaks("sse/comments", "this is not JSON: OPENROUTER PROCESSING")
class TakesCommentsForData(Correct):
    """Takes each line that is not blank for data."""

    framing = CommentsAreData


class LineByLine(Events):
    def line(self, line: bytes) -> list[Event]:
        return super().line(line) + (super().line(b"") if line.startswith(b"data") else [])


@breaks("sse/multi-line-data", "this is not JSON")
class ParsesEachDataLine(Correct):
    """Parses each line of data by itself."""

    framing = LineByLine


class FieldsAreData(Events):
    def field(self, name: bytes, value: bytes) -> None:
        super().field(b"event" if name == b"event" else b"data", value)


@breaks("sse/other-fields", "this is not JSON")
class TakesEachFieldForData(Correct):
    """Cuts each line at its colon, and takes the rest for data."""

    framing = FieldsAreData


class ColonsOnly(Events):
    def line(self, line: bytes) -> list[Event]:
        if line and b":" not in line:
            raise Failed(f"a line without a colon: {line!r}")
        return super().line(line)


@breaks("sse/field-without-colon", "a line without a colon")
class ExpectsAColon(Correct):
    """Refuses a line that has no colon."""

    framing = ColonsOnly


class BlankEnds(Events):
    blank = 0

    def line(self, line: bytes) -> list[Event]:
        self.blank = 0 if line else self.blank + 1
        return [("", "[DONE]")] if self.blank == 3 else super().line(line)


@breaks("sse/blank-lines", "; the server said")
class EndsAtBlankLines(Correct):
    """Takes several blank lines for the end of the stream."""

    framing = BlankEnds


class EachBlankLine(Events):
    def dispatch(self) -> list[Event]:
        kind = self.kind
        return super().dispatch() or ([("", "no data")] if kind else [])


@breaks("sse/events-without-data", "this is not JSON: no data")
class ReadsEventsWithoutData(Correct):
    """Parses what an event without data does not carry."""

    framing = EachBlankLine


class PythonLines(Events):
    class lines(Lines):
        ends = re.compile(rb"\r\n|\r|\n|\xe2\x80\xa8|\xe2\x80\xa9|\xc2\x85")


@breaks("sse/unicode-separators", "stream()")
@breaks("stream/unicode", "stream()")
class SplitsLikePython(Correct):
    """Ends lines where str.splitlines does."""

    framing = PythonLines


@breaks("sse/looks-like-framing", "; the server said")
class FindsTheSentinelAnywhere(Correct):
    """Looks for [DONE] anywhere in the data."""

    def take(self, reply: Reply, kind: str, data: str) -> str:
        return super().take(reply, kind, "[DONE]" if "[DONE]" in data else data)


class ReadByRead(Events):
    def feed(self, data: bytes) -> list[Event]:
        self.reader.parts = []
        return super().feed(data)


@breaks("sse/any-cut", "stream()")
class ParsesEachRead(Correct):
    """Takes each read for whole lines."""

    framing = ReadByRead


class DecodedEachRead(Events):
    def feed(self, data: bytes) -> list[Event]:
        return super().feed(data.decode("utf-8", "replace").encode())


@breaks("sse/utf8-across-chunks", "\ufffd")
class DecodesEachRead(Correct):
    """Decodes each read by itself, so that a character cut in two is lost."""

    framing = DecodedEachRead


class StrictlyUTF8(Events):
    def dispatch(self) -> list[Event]:
        try:
            b"".join(self.data).decode("utf-8")
        except UnicodeDecodeError:
            self.clear()
        return super().dispatch()


@breaks("sse/invalid-utf8", "the server said")
class SkipsWhatIsNotUTF8(Correct):
    """Passes over an event that has one broken byte."""

    framing = StrictlyUTF8


class ShortLines(Events):
    class lines(Lines):
        def feed(self, data: bytes) -> list[bytes]:
            return [line for line in super().feed(data) if len(line) < 65536]


@breaks("sse/long-line", "1048577 characters were sent, 1 came out")
class PassesOverLongLines(Correct):
    """Passes over a line that is longer than its reader likes."""

    framing = ShortLines


class Quadratic(Events):
    class lines(Lines):
        buffer = b""

        def feed(self, data: bytes) -> list[bytes]:
            self.buffer += data
            *whole, self.buffer = self.buffer.replace(b"\r\n", b"\n").split(b"\n")
            return whole


@breaks("sse/linear-time", "a parser that looks at each byte once needs half a second")
class SearchesAllAgain(Correct):
    """Looks at everything it has again for each read."""

    framing = Quadratic

    async def read(self, pieces: AsyncIterator[bytes], last: float, reply: Reply) -> bytes:
        await asyncio.sleep(0)  # it is slow, and does not block the loop
        return await super().read(pieces, last, reply)


@breaks("sse/unterminated-event", "without a finish reason and without [DONE]", unterminated_event="yes")
class DropsTheEventItSaysItReads(Correct):
    """Drops an event that no blank line closes, and declares that it reads it."""


class OneBehind(Events):
    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Event] = []

    def feed(self, data: bytes) -> list[Event]:
        self.kept += super().feed(data)
        ready = len(self.kept) if self.kept and self.kept[-1][1] == "[DONE]" else len(self.kept) - 1
        given, self.kept = self.kept[:ready], self.kept[ready:]
        return given


@breaks("sse/unterminated-event", "gave the text 'Hel' and no error")
class KeepsOneEventBack(Correct):
    """Hands an event on when the next one comes, and takes any end for the end."""

    framing = OneBehind

    def ended(self, reply: Reply) -> None:
        return None


@breaks("sse/sentinel-with-blanks", "this is not JSON")
class ComparesTheSentinelExactly(Correct):
    """Knows [DONE] only without blanks around it."""

    def take(self, reply: Reply, kind: str, data: str) -> str:
        if data.strip() == "[DONE]" != data:
            raise Failed(f"this is not JSON: {data}")
        return super().take(reply, kind, data)


@breaks("sse/content-type", "is not text/event-stream")
class WantsTheExactContentType(Correct):
    """Compares the content type with all of its parameters."""

    async def let_go(self, response: httpx.Response) -> None:
        await super().let_go(response)
        kind = response.headers.get("content-type", "")
        if kind.startswith("text/event-stream") and kind != "text/event-stream; charset=utf-8":
            raise Failed(f"{kind!r} is not text/event-stream")


@breaks("sse/gzip", "the reply held no event")
class AsksForGzipAndCannotReadIt(Correct):
    """Says that it accepts gzip, and reads the bytes as they are."""

    def pool(self, **options: Any) -> httpx.AsyncClient:
        pool = super().pool(**options)

        async def as_it_is(response: httpx.Response) -> None:
            response.headers.pop("content-encoding", None)

        pool.event_hooks = {"response": [as_it_is]}
        return pool


@breaks("sse/as-it-arrives", "the first piece came")
class CollectsTheStreamFirst(Correct):
    """Reads a stream to its end before it parses it."""

    async def read(self, pieces: AsyncIterator[bytes], last: float, reply: Reply) -> bytes:
        return b"".join([piece async for piece in pieces])


@breaks("sse/gzip", "the text came out as ''")
class TakesGzipForNoText(AsksForGzipAndCannotReadIt):
    """Says that it accepts gzip, and takes the bytes for a stream without text."""

    def ended(self, reply: Reply) -> None:
        return None


@breaks("sse/any-cut", "stats['prompt_tokens'] is 1; the server said 11")
class SearchesTheBytesForCounts(Correct):
    """Looks for the counts in the bytes that have arrived, also where a number is not complete."""

    async def read(self, pieces: AsyncIterator[bytes], last: float, reply: Reply) -> bytes:
        data = await super().read(pieces, last, reply)
        self.seen = data if not reply.begun else self.seen + data
        found = re.search(rb'"prompt_tokens":\s*(\d+)', self.seen)
        if found and reply.prompt is None:
            reply.prompt = int(found[1])
        return data

    seen = b""

    def counts(self, reply: Reply, chunk: Any, choice: Any) -> None:
        prompt = reply.prompt
        super().counts(reply, chunk, choice)
        reply.prompt = prompt if prompt is not None else reply.prompt


class Latin(Events):
    def text(self, data: bytes) -> str:
        return data.decode("latin-1")


@breaks("sse/content-type", "the server said 'Grüße, 你好!'")
class ReadsLatinUnlessTold(Correct):
    """Takes an event stream for Latin-1 unless its charset is UTF-8, as HTTP libraries take text."""

    @asynccontextmanager
    async def send(self, method: str, path: str, content: bytes | None) -> AsyncIterator[httpx.Response]:
        async with super().send(method, path, content) as response:
            told = "charset=utf-8" in response.headers.get("content-type", "").lower()
            self.framing = Events if told else Latin
            yield response


@breaks("sse/promised-coding", "the reply held no event")
@breaks("reply/promised-coding", "raised Failed: this is not JSON")
class NamesTheCodingsOfABrowser(Correct):
    """Says that it accepts what browsers do, and decodes gzip and deflate."""

    def pool(self, **options: Any) -> httpx.AsyncClient:
        pool = super().pool(**options)
        pool.headers["Accept-Encoding"] = "gzip, deflate, br, zstd"

        async def as_it_is(response: httpx.Response) -> None:
            if response.headers.get("content-encoding") in ("br", "zstd"):  # also where httpx could
                del response.headers["content-encoding"]

        pool.event_hooks = {"response": [as_it_is]}
        return pool


@breaks("sse/other-fields", "the reply held no event")
class PassesOverNamedEvents(Correct):
    """Passes over an event that names its type, unless it is an error."""

    def take(self, reply: Any, kind: str, data: str) -> str:
        return super().take(reply, kind, data) if kind in ("", "error") else ""


@breaks("sse/as-it-arrives", "the first piece came")
class HandsOnWholeWords(Correct):
    """Hands text on when a word is complete, which it knows by the blank behind it."""

    async def stream(self, messages: Any, **options: Any) -> AsyncIterator[str]:
        held = ""
        async with aclosing(super().stream(messages, **options)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                words, blank, held = (held + piece).rpartition(" ")
                if words + blank:
                    yield words + blank
        if held:
            yield held
