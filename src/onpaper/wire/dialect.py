"""What a mock says, in a provider's own words: a `Say` and a contract become a `Script`.

Everything that differs between providers is read from the contract; nothing here knows a provider.
"""

from __future__ import annotations

import email.utils
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

from onpaper.contract import Contract
from onpaper.exchange import Headers
from onpaper.mock import Injection, Say, Trouble
from onpaper.script import Script, Write
from onpaper.wire import sse
from onpaper.wire.template import ABSENT, fill, make_id, mentions


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request shapes the reply. `number` counts the requests and seeds the ids, so that a run repeats;
    `now` is the time that replies carry, in seconds since 1970."""

    model: str = "gpt-4o-mini"
    stream: bool = False
    usage: bool = False
    named_tool: bool = False
    choices: int = 1
    number: int = 1
    now: int = 1_763_640_000


def compact(value: Any) -> str:
    """JSON as most servers write it: no spaces, text as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Speaker:
    """One reply being put into words."""

    def __init__(self, contract: Contract, asked: Asked) -> None:
        self.contract = contract
        self.asked = asked
        self.rng = random.Random(f"{contract.name}/{asked.number}")
        resolved = fill(contract.get("models.resolved", "{model}"), {"model": asked.model})
        self.values: dict[str, Any] = {
            "id": make_id(contract.get("reply.id", "{hex:16}"), self.rng),
            "request_id": make_id("{hex:32}", self.rng),
            "created": asked.now,
            "created_iso": f"{_iso(asked.now)}.{self.rng.randrange(10**9):09d}Z",
            "model": resolved,
            "usage": ABSENT,
            "prompt": ABSENT,
            "completion": ABSENT,
            "obfuscation": ABSENT,
        }

    # ---- one piece -----------------------------------------------------------------------------------------------

    def body(self, say: Say) -> Any:
        """The JSON of a reply in one piece."""
        contract, template = self.contract, self.contract.get("reply.body", {})
        values = dict(self.values, usage=self._usage(say, 1.0), **self._counts(say))
        values["finish"] = self._finish(say)
        messages = [self._message(say) for _ in range(self.asked.choices)]
        values["message"] = messages[0]
        choice = contract.get("reply.choice", {})
        values["choices"] = [
            fill(choice, values | {"index": index, "message": message}) for index, message in enumerate(messages)
        ]
        return fill(template, values)

    def _message(self, say: Say) -> Any:
        contract = self.contract
        mode = contract.get("reply.reasoning", "field")
        reasoning = "".join(say.reasoning) if mode != "hidden" else ""
        text: Any = "".join(say.text)
        if reasoning and mode == "tags":
            text = f"<think>{reasoning}</think>{text}"
        elif reasoning and mode == "parts":
            text = [
                {"type": "thinking", "thinking": [{"type": "text", "text": reasoning}]},
                {"type": "text", "text": text},
            ]
        if not text and say.tool_calls:
            text = {"null": None, "empty": "", "missing": ABSENT}[contract.get("reply.content_with_tools", "null")]
        refusal = "".join(say.refusal)
        values = {
            "content": None if refusal else text,
            "reasoning": reasoning if reasoning and mode == "field" else ABSENT,
            "refusal": refusal or {"null": None, "missing": ABSENT}[contract.get("reply.refusal", "missing")],
            "tool_calls": [self._whole_call(call, number) for number, call in enumerate(say.tool_calls)]
            or {"null": None, "empty": [], "missing": ABSENT}[contract.get("reply.no_tools", "missing")],
        }
        return fill(contract.get("reply.message", {}), values)

    def _whole_call(self, call: Any, number: int) -> Any:
        template = self.contract.get("reply.tool_call", {})
        return fill(template, self._call_values(call, number, "".join(call.arguments)))

    def _call_values(self, call: Any, number: int, arguments: str) -> dict[str, Any]:
        sent: Any = arguments
        if self.contract.get("reply.arguments", "text") == "object":
            sent = json.loads(arguments or "{}")
        call_id = call.id or make_id(self.contract.get("reply.call_id", "call_{hex:8}"), self.rng)
        return {"index": number, "id": call_id, "name": call.name, "arguments": sent}

    def _finish(self, say: Say) -> Any:
        reasons = self.contract.get("reply.finish", {})
        ending = say.ending
        if ending == "tool_calls" and self.asked.named_tool and say.finish is None:
            return reasons.get("named_tool", reasons.get("tool_calls", ending))
        return reasons.get(ending, ending)

    def _counts(self, say: Say, share: float = 1.0) -> dict[str, Any]:
        if say.usage is None:
            return {"prompt": ABSENT, "completion": ABSENT, "total": ABSENT}
        prompt = say.usage.get("prompt", 0)
        completion = max(1, round(say.usage.get("completion", 0) * share)) if share < 1 else say.usage.get("completion", 0)
        return {
            "prompt": prompt,
            "completion": completion,
            "total": prompt + completion,
            "reasoning_tokens": say.usage.get("reasoning", 0),
        }

    def _usage(self, say: Say, share: float) -> Any:
        template = self.contract.get("reply.usage")
        if say.usage is None or template is None:
            return ABSENT
        return fill(template, self.values | self._counts(say, share))

    # ---- a stream ------------------------------------------------------------------------------------------------

    def chunks(self, say: Say) -> list[Any]:
        """The JSON of each chunk of a streamed reply, from the preamble to the usage, without the sentinel."""
        preamble = self.contract.get("stream.preamble")
        out: list[Any] = [] if preamble is None else [fill(preamble, self.values)]
        per_choice = [list(self._choice_chunks(say, index)) for index in range(self.asked.choices)]
        places = self._usage_places()
        bodies = [chunk for group in zip_longest(*per_choice) for chunk in group if chunk is not None]
        for number, (template, values) in enumerate(bodies):
            final = template is not self.contract.get("stream.chunk")
            values = dict(values)
            if "every" in places or (final and "finish" in places) or (number == 0 and "first" in places):
                share = (number + 1) / len(bodies) if not final else 1.0
                values["usage"] = self._usage(say, share)
                values |= self._counts(say, share)
            else:
                values["usage"] = self._no_usage()
            out.append(fill(template, self.values | self._fresh() | values))
        again = self.contract.get("stream.repeat_finish")
        carries_usage = "repeat" in self.contract.get("stream.usage.at", ())
        if again is not None and (not carries_usage or "repeat" in places):
            usage = self._usage(say, 1.0) if "repeat" in places else self._no_usage()
            values = {"finish": self._finish(say), "usage": usage, "index": 0}
            out.append(fill(again, self.values | self._fresh() | values))
        if "own" in places and say.usage is not None:
            values = {"usage": self._usage(say, 1.0), **self._counts(say), "finish": self._finish(say)}
            out.append(fill(self.contract.get("stream.usage.own", {}), self.values | self._fresh() | values))
        return out

    def _fresh(self) -> dict[str, Any]:
        fresh: dict[str, Any] = {}
        if self.contract.get("stream.obfuscation"):
            fresh["obfuscation"] = make_id(f"{{alnum:{self.rng.randrange(1, 16)}}}", self.rng)
        if self.contract.get("stream.changing_id"):
            fresh["id"] = make_id(self.contract.get("reply.id", "{hex:16}"), self.rng)
        return fresh

    def _usage_places(self) -> tuple[str, ...]:
        when = self.contract.get("stream.usage.when", "asked")
        if when == "never" or (when == "asked" and not self.asked.usage):
            return ()
        return tuple(self.contract.get("stream.usage.at", ("own",)))

    def _no_usage(self) -> Any:
        asked = self._usage_places()
        return None if asked and self.contract.get("stream.usage.elsewhere") == "null" else ABSENT

    def _choice_chunks(self, say: Say, index: int) -> Iterator[tuple[Any, dict[str, Any]]]:
        """`(template, values)` of each chunk of one choice."""
        contract = self.contract
        deltas = list(self._deltas(say))
        chunk, last = contract.get("stream.chunk", {}), contract.get("stream.last", {})
        merge = contract.get("stream.merge_last", "never")
        with_tools = bool(say.tool_calls)
        if deltas and (merge == "always" or merge == ("tools" if with_tools else "text")):
            closing = deltas.pop()
        else:
            closing = contract.get("stream.delta.closing", {})
            if with_tools:
                closing = contract.get("stream.delta.closing_tool", closing)
            closing = fill(closing, self.values)
        for delta in deltas:
            yield chunk, {"index": index, "delta": delta}
        yield last, {"index": index, "delta": closing, "finish": self._finish(say)}

    def _deltas(self, say: Say) -> Iterator[Any]:
        templates = self.contract.get("stream.delta", {})
        reasoning, text = list(say.reasoning), list(say.text)
        mode = self.contract.get("stream.reasoning", self.contract.get("reply.reasoning", "field"))
        if mode == "hidden" or (mode in ("field", "parts") and "reasoning" not in templates):
            reasoning = []
        elif mode == "tags" and reasoning:
            text, reasoning = ["<think>", *reasoning, "</think>", *text], []
        fragments = [list(group) for group in self._fragments(say)]
        opening, first = self._opening(templates, reasoning, text, say.refusal, fragments)
        if opening is not None:
            yield fill(opening, self.values | first)
        for piece in reasoning:
            yield fill(templates.get("reasoning", {}), self.values | {"text": piece})
        for piece in text:
            yield fill(templates.get("text", {}), self.values | {"text": piece})
        for piece in say.refusal:
            yield fill(templates.get("refusal", templates.get("text", {})), self.values | {"text": piece})
        around = templates.get("tool", {"tool_calls": "{calls}"})
        for group in fragments:
            yield fill(around, self.values | {"calls": group})

    def _opening(
        self, templates: Mapping[str, Any], reasoning: list[str], text: list[str], refusal: Any, fragments: list[Any]
    ) -> tuple[Any, dict[str, Any]]:
        """The template of the first delta and what it carries; what it carries is taken from the pieces."""
        if reasoning:
            opening = templates.get("opening_reasoning", templates.get("opening"))
            taken = reasoning.pop(0) if mentions(opening, "text") else ""
            return opening, {"text": taken}
        if not text and fragments and "opening_tool" in templates:
            return templates["opening_tool"], {"first_call": fragments.pop(0)}
        if not text and refusal and "opening_refusal" in templates:
            return templates["opening_refusal"], {"text": ""}
        opening = templates.get("opening")
        if mentions(opening, "text"):
            if not text:
                return (None, {}) if fragments else (opening, {"text": ""})
            return opening, {"text": text.pop(0)}
        return opening, {}

    def _fragments(self, say: Say) -> Iterator[list[Any]]:
        """The tool-call fragments, grouped by the chunk that carries them."""
        contract = self.contract
        split = contract.get("stream.tools.split", "empty-first")
        first, following = contract.get("stream.delta.tool_first", {}), contract.get("stream.delta.tool_next", {})
        together: list[Any] = []
        for number, call in enumerate(say.tool_calls):
            pieces = list(call.arguments)
            if split == "whole":
                pieces = ["".join(pieces)]
            elif split == "empty-first":
                pieces.insert(0, "")
            values = self._call_values(call, number, pieces[0])
            opening = fill(first, self.values | values)
            if split == "whole" and contract.get("stream.tools.together"):
                together.append(opening)
                continue
            yield [opening]
            for piece in pieces[1:]:
                yield [fill(following, self.values | values | {"arguments": piece})]
        if together:
            yield together

    # ---- errors --------------------------------------------------------------------------------------------------

    def trouble(self, trouble: Trouble, **quoted: Any) -> tuple[int, Headers, bytes]:
        """`(status, headers, body)` of an error before any reply."""
        situation = self.contract.get(f"errors.{trouble.situation}", {}) if trouble.situation else {}
        values = self._trouble_values(trouble, situation, quoted)
        envelope = situation.get("envelope", self.contract.get("errors.envelope", "{message}"))
        body = fill(envelope, values)
        raw = body if isinstance(body, str) else compact(body)
        kind = situation.get("content_type", self.contract.get("errors.content_type"))
        if kind is None:
            kind = "text/plain; charset=utf-8" if isinstance(body, str) else "application/json"
        wanted = {**self.contract.get("errors.headers", {}), **situation.get("headers", {})}
        headers = {name: str(fill(value, values)) for name, value in wanted.items() if value}
        if trouble.retry_after is not None:
            headers["retry-after"] = values["retry_after_date" if trouble.retry_after_date else "retry_after"]
        status = trouble.status or situation.get("status", 500)
        return status, (("content-type", kind), *headers.items()), raw.encode()

    def _trouble_values(
        self, trouble: Trouble, situation: Mapping[str, Any], quoted: Mapping[str, Any]
    ) -> dict[str, Any]:
        after = 1 if trouble.retry_after is None else trouble.retry_after
        values = dict(self.values, param=trouble.param, key="", value=None, reason="", limit=None) | quoted
        values["retry_after"] = f"{after:g}"
        values["retry_after_date"] = email.utils.formatdate(self.asked.now + after, usegmt=True)
        status = trouble.status or situation.get("status", 500)
        message = trouble.message if trouble.message is not None else situation.get("message", "")
        members = {
            "status": status,
            "message": fill(message, values),
            "type": trouble.type or fill(situation.get("type", "{null}"), values),
            "code": trouble.code if trouble.code is not None else fill(situation.get("code", "{null}"), values),
            "param": trouble.param or fill(situation.get("param", "{null}"), values),
        }
        return values | members

    def trouble_event(self, trouble: Trouble, number: int) -> list[bytes]:
        """The bytes of an error inside a stream, and of what the provider sends after it."""
        contract, framing = self.contract, self.framing({})
        situation = contract.get(f"errors.{trouble.situation}", {}) if trouble.situation else {}
        values = self._trouble_values(trouble, situation, {})
        body = fill(contract.get("stream.error.body", contract.get("errors.envelope", "{message}")), values)
        if contract.get("stream.error.in_chunk"):
            delta = fill(contract.get("stream.delta.closing", {}), self.values)
            chunk = fill(contract.get("stream.chunk", {}), self.values | {"index": 0, "delta": delta})
            body = chunk | body if isinstance(body, dict) else chunk
        data = body if isinstance(body, str) else compact(body)
        if contract.protocol == "ndjson":
            return [data.encode() + b"\n"]
        field_name = contract.get("stream.error.field")
        if field_name:
            end = sse.NEWLINES[framing.newline]
            out = [f"{field_name}: {data}".encode() + end + end]
        else:
            out = [sse.encode(sse.Event(contract.get("stream.error.event", "message"), data), framing)]
        if contract.get("stream.error.sentinel") and contract.get("stream.sentinel"):
            out.append(sse.encode(sse.Event("message", "[DONE]"), framing))
        return out

    # ---- bytes ---------------------------------------------------------------------------------------------------

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
            Write(piece, after=say.first_after if number == 0 else say.between) for number, piece in enumerate(pieces)
        ]
        transfer = "close" if contract.get("stream.http") == "close" else "chunked"
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
            events = [sse.Event("message", compact(chunk)) for chunk in self.chunks(say)]
            trouble = say.error
            if trouble is not None:
                kept = events[: _position(events, trouble.pieces or 0)]
                events = [*kept, *self.trouble_event(trouble, len(kept))]
            elif self.contract.get("stream.sentinel"):
                events.append(sse.Event("message", "[DONE]"))
        for injection in sorted(say.inject, key=lambda one: one.at % (len(events) + 1), reverse=True):
            at = injection.at if injection.at >= 0 else len(events) + injection.at
            events.insert(at, _injected(injection))
        return events

    def headers(self, say: Say, content_type: str) -> Headers:
        """The headers of an answer: the provider's, then the mock's."""
        own = {name: str(fill(value, self.values)) for name, value in self.contract.get("headers", {}).items()}
        said = {"content-type": say.content_type or content_type, **own, **say.headers}
        return tuple(said.items())

    def script(self, say: Say) -> Script:
        """A reply as a script: an error, a stream or one piece, as was asked."""
        if say.error is not None and say.error.pieces is None:
            status, headers, body = self.trouble(say.error)
            extra = tuple(say.headers.items())
            return Script(status, (*headers, *extra), (Write(body),), transfer="length", head_after=say.head_after)
        if say.body is not None:
            writes = (Write(say.body.encode("utf-8", "surrogateescape")),) if say.body else ()
            kind = say.content_type or "application/json"
            return Script(
                say.status or 200, self.headers(say, kind), writes, transfer="length", head_after=say.head_after
            )
        if self.asked.stream:
            return self.stream_script(say)
        if say.error is not None:
            return self.script(replace(say, error=replace(say.error, pieces=None)))
        body = compact(self.body(say)).encode()
        preface = self.contract.get("reply.preface", "").encode()
        writes = (Write(preface + body, after=say.first_after),)
        kind = self.contract.get("reply.content_type", "application/json")
        return Script(say.status or 200, self.headers(say, kind), writes, transfer="length", head_after=say.head_after)


def event_line(event: sse.Event) -> bytes:
    """An event's data as one NDJSON line."""
    return event.data.encode("utf-8", "surrogatepass") + b"\n"


def _injected(injection: Injection) -> sse.Event | bytes:
    return injection.raw if injection.raw is not None else sse.Event(injection.event, injection.data or "")


def _position(events: list[Any], pieces: int) -> int:
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
    return any(message.get(key) for key in ("content", "refusal", "reasoning", "reasoning_content", "tool_calls"))


def _iso(seconds: int) -> str:
    import datetime

    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")
