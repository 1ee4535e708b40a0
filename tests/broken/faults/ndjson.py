"""Lines of Ollama's own protocol that are cut, skipped or misread."""

from __future__ import annotations

import json
import re
from typing import Any

from ..framing import Event, JSONLines
from ..lines import CorrectLines
from ..reply import Failed, Reply
from ..table import breaks


class EachRead(JSONLines):
    def feed(self, data: bytes) -> list[Event]:
        return [("", data.decode("utf-8", "replace"))]


@breaks("ndjson/any-cut", "this is not JSON")
class ParsesEachReadAsALine(CorrectLines):
    """Takes each read for one line."""

    framing = EachRead


class PythonLines(JSONLines):
    ends = re.compile(rb"\n|\xe2\x80\xa8|\xe2\x80\xa9|\xc2\x85")


@breaks("ndjson/unicode-separators", "this is not JSON")
class SplitsLinesLikePython(CorrectLines):
    """Ends lines where str.splitlines does."""

    framing = PythonLines


class Braced(JSONLines):
    def line(self, line: bytes) -> list[Event]:
        return super().line(line if line.endswith(b"}") else b"")


@breaks("ndjson/crlf", "; the server said")
class ExpectsABraceAtTheEnd(CorrectLines):
    """Passes over a line that does not end in a brace."""

    framing = Braced


class EachLine(JSONLines):
    def line(self, line: bytes) -> list[Event]:
        return [("", line.decode())]

    def finish(self) -> list[Event]:
        rest = self.reader.rest()
        return self.line(rest) if rest else []


@breaks("ndjson/blank-lines", "this is not JSON")
class ParsesBlankLines(CorrectLines):
    """Parses lines that hold nothing."""

    framing = EachLine


class WithNewline(JSONLines):
    def finish(self) -> list[Event]:
        return []


@breaks("ndjson/no-last-newline", "no line said done")
class WaitsForTheLastNewline(CorrectLines):
    """Never hands on a last line that has no newline."""

    framing = WithNewline


@breaks("ndjson/message-missing", "raised KeyError")
class ExpectsAMessageInEachLine(CorrectLines):
    """Looks for a message in each line."""

    def message_of(self, line: dict[str, Any]) -> dict[str, Any]:
        return dict(line["message"])


@breaks("ndjson/text-in-last-line", "gave 'Hel'; the server said 'Hello'")
class LooksAtDoneFirst(CorrectLines):
    """Passes over the text of the line that says done."""

    def message_of(self, line: dict[str, Any]) -> dict[str, Any]:
        message = super().message_of(line)
        return (
            message | {"content": ""}
            if line.get("done") and "created_at" in line and self.streams
            else message
        )

    streams = True

    async def complete(self, messages: Any, **options: Any) -> dict[str, Any]:
        self.streams = False
        return await super().complete(messages, **options)


@breaks("ndjson/thinking-apart", "'hmm")
class ReadsThinkingAloud(CorrectLines):
    """Takes thoughts for text."""

    def message_of(self, line: dict[str, Any]) -> dict[str, Any]:
        message = super().message_of(line)
        return message | {"content": (message.get("thinking") or "") + (message.get("content") or "")}


@breaks("ndjson/unknown-keys", "an unknown key: ")
class RefusesUnknownKeysInLines(CorrectLines):
    """Refuses a line with a key that it does not know."""

    def parsed(self, kind: str, data: str) -> dict[str, Any]:
        value = super().parsed(kind, data)
        if unknown := {"zzz", "remote_model"} & set(value):
            raise Failed(f"an unknown key: {sorted(unknown)[0]}")
        return value


@breaks("ndjson/truncated", "no line said done, but stream() gave the text 'Hello' and no error")
class TakesAnyEndForDone(CorrectLines):
    """Takes the end of the body for the end of the reply."""

    def ended(self, reply: Reply) -> None:
        if not reply.begun:
            raise Failed("no line at all")


@breaks("ndjson/error-line", "a line carried an error, but stream() gave the text 'Hel' and no error")
class EndsQuietlyAtAnErrorLine(CorrectLines):
    """Stops at a line with an error as if the reply were over."""

    def take(self, reply: Reply, kind: str, data: str) -> str:
        return super().take(reply, kind, '{"done": true}' if data.startswith('{"error"') else data)


@breaks("ndjson/error-line", "the error does not keep the server's words")
class PassesOverAnErrorLine(CorrectLines):
    """Passes over a line with an error, and wonders where the rest is."""

    def is_error(self, value: Any) -> bool:
        return False


@breaks("ndjson/malformed-line", "a line was not JSON, but stream() gave the text 'Hello' and no error")
class SkipsLinesThatAreNotJSON(CorrectLines):
    """Passes over a line that does not parse."""

    def take(self, reply: Reply, kind: str, data: str) -> str:
        try:
            json.loads(data)
        except ValueError:
            return ""
        return super().take(reply, kind, data)


@breaks("ndjson/reply-error", "the reply was an error object, but complete() gave")
class TakesAnErrorForAnEmptyLine(CorrectLines):
    """Takes an error object in one piece for an empty reply."""

    def take_whole(self, reply: Reply, data: bytes) -> None:
        if not data.startswith(b'{"error"'):
            super().take_whole(reply, data)


@breaks("ndjson/counts-missing", "the server said nothing")
class EstimatesCountsOfLines(CorrectLines):
    """Counts characters where the last line does not count tokens."""

    def done(self, reply: Reply, line: dict[str, Any]) -> None:
        super().done(reply, line)
        reply.completion = reply.completion or max(1, len(reply.text) // 4)
