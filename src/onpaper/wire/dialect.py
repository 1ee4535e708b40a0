"""What a mock says, in a provider's own words: a `Say` and a contract become a `Script`.

The words are in `voice`, `message`, `chunks` and `complaint`; here they become bytes. Nothing knows a
provider.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from onpaper.exchange import Headers
from onpaper.mock import Injection, Say, Trouble
from onpaper.script import Script, Transfer, Write
from onpaper.wire import chunks, complaint, message, sse
from onpaper.wire.template import fill
from onpaper.wire.voice import Asked, Voice, compact, utf8

__all__ = ["Asked", "Speaker", "compact", "event_line"]


class Speaker(Voice):
    """One reply being put into bytes."""

    def body(self, say: Say) -> Any:
        """The JSON of a reply in one piece."""
        return message.body(self, say)

    def chunks(self, say: Say) -> list[Any]:
        """The JSON of each chunk of a streamed reply, from the preamble to the usage, without the
        sentinel."""
        return chunks.chunks(self, say)

    def trouble(self, trouble: Trouble, **quoted: Any) -> tuple[int, Headers, bytes]:
        """`(status, headers, body)` of an error before any reply."""
        return complaint.answer(self, trouble, quoted)

    def framing(self, overrides: Mapping[str, Any]) -> sse.Framing:
        """The provider's framing, with a mock's overrides."""
        stream = self.contract.data.get("stream", {})
        own = {
            "newline": stream.get("newline", "lf"),
            "space": stream.get("space", True),
            "comments": tuple(stream.get("comments", ())),
            "keepalive": stream.get("keepalive"),
        }
        return sse.Framing(**{**own, **overrides})

    def headers(self, say: Say, content_type: str) -> Headers:
        """The headers of an answer: the provider's, then the mock's."""
        own = {
            name: str(fill(value, self.values)) for name, value in self.contract.get("headers", {}).items()
        }
        said = {"content-type": say.content_type or content_type, **own, **say.headers}
        return tuple(said.items())

    def script(self, say: Say) -> Script:
        """A reply as a script: an error, a stream or one piece, as was asked."""
        if say.error is not None and say.error.pieces is None:
            status, headers, body = self.trouble(say.error)
            extra = tuple(say.headers.items())
            return Script(
                status, (*headers, *extra), (Write(body),), transfer="length", head_after=say.head_after
            )
        if say.body is not None:
            writes = (Write(say.body.encode("utf-8", "surrogateescape")),) if say.body else ()
            kind = say.content_type or "application/json"
            return Script(
                say.status or 200,
                self.headers(say, kind),
                writes,
                transfer="length",
                head_after=say.head_after,
            )
        if self.asked.stream:
            return self.stream_script(say)
        if say.error is not None:
            return self.script(replace(say, error=replace(say.error, pieces=None)))
        body = utf8(compact(self.body(say)))
        preface = self.contract.get("reply.preface", "").encode()
        writes = (Write(preface + body, after=say.first_after),)
        kind = self.contract.get("reply.content_type", "application/json")
        return Script(
            say.status or 200, self.headers(say, kind), writes, transfer="length", head_after=say.head_after
        )

    def stream_script(self, say: Say) -> Script:
        """A streamed reply as a script: each event is one write."""
        contract = self.contract
        events = self._events(say)
        framing = self.framing(say.framing)
        if contract.protocol == "ndjson":
            pieces = [data if isinstance(data, bytes) else event_line(data) for data in events]
        else:
            pieces = [data if isinstance(data, bytes) else sse.encode(data, framing) for data in events]
            start = sse.opening(framing)
            if start:
                pieces[:1] = [start + piece for piece in pieces[:1]] or [start]
        writes = [
            Write(piece, after=say.first_after if number == 0 else say.between)
            for number, piece in enumerate(pieces)
        ]
        transfer: Transfer = "close" if contract.get("stream.http") == "close" else "chunked"
        default = "application/x-ndjson" if contract.protocol == "ndjson" else "text/event-stream"
        return Script(
            status=say.status or 200,
            headers=self.headers(say, contract.get("stream.content_type", default)),
            writes=tuple(writes),
            transfer=transfer,
            head_after=say.head_after,
        )

    def _events(self, say: Say) -> list[sse.Event | bytes]:
        if say.events is not None:
            events: list[sse.Event | bytes] = [sse.Event("message", data) for data in say.events]
        else:
            chat = [sse.Event("message", compact(chunk)) for chunk in self.chunks(say)]
            events = list(chat)
            if say.error is not None:
                kept = chat[: _position(chat, say.error.pieces or 0)]
                events = [*kept, *complaint.event(self, say.error, self.framing({}))]
            elif self.contract.get("stream.sentinel"):
                events.append(sse.Event("message", "[DONE]"))
        count = len(events)
        places = [(one.at if one.at >= 0 else max(0, count + one.at), one) for one in say.inject]
        for place, injection in sorted(places, key=lambda one: one[0], reverse=True):
            events.insert(place, _injected(injection))
        return events


def event_line(event: sse.Event) -> bytes:
    """An event's data as one NDJSON line."""
    return utf8(event.data) + b"\n"


def _injected(injection: Injection) -> sse.Event | bytes:
    return injection.raw if injection.raw is not None else sse.Event(injection.event, injection.data or "")


def _position(events: list[sse.Event], pieces: int) -> int:
    """The number of events up to and with the given number of pieces of text: chunks that carry words."""
    seen = 0
    for number, event in enumerate(events):
        if seen >= pieces:
            return number
        seen += _carries_words(event.data)
    return len(events)


def _carries_words(data: str) -> bool:
    value = json.loads(data)
    choices = value.get("choices") or [{}]
    message = value.get("message") or (choices[0].get("delta") if choices else {}) or {}
    return any(
        message.get(key) for key in ("content", "refusal", "reasoning", "reasoning_content", "tool_calls")
    )
