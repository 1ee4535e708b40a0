"""The parts of an exchange that clauses about replies look at. Each function raises NotApplicable where there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from onpaper.contract import Contract
from onpaper.driving.verdict import NotApplicable
from onpaper.exchange import Exchange, Reply
from onpaper.wire import reading, sse
from onpaper.wire.reading import Reading


def answered(exchange: Exchange) -> Reply:
    """The reply, complete as the transfer coding goes. Raises NotApplicable."""
    if exchange.reply is None:
        raise NotApplicable("there was no reply")
    return exchange.reply


def asked(exchange: Exchange) -> dict[str, Any]:
    """The request's JSON object, or an empty one."""
    try:
        value = exchange.request.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def is_stream(exchange: Exchange) -> bool:
    """Whether the reply is an event stream: by its label or, where a recorder kept none, by what was asked for; by how it
    begins where the recorder kept that neither."""
    label, body = answered(exchange).header("content-type"), answered(exchange).body.lstrip()
    if label is not None:
        return label.partition(";")[0].strip().lower() == "text/event-stream"
    if not asked(exchange):
        return body.startswith((b"data:", b"event:", b":"))
    return asked(exchange).get("stream") is True and not body.startswith(b"{")


def keeps_headers(exchange: Exchange) -> bool:
    """Whether a header that is not there was not sent. Nearly every server sends `Date` (RFC 9110 §6.6.1): a recording
    without it keeps only some of the headers."""
    return not exchange.redacted or answered(exchange).header("date") is not None


def stream_of(exchange: Exchange) -> Reply:
    """The reply, when it is a stream that came to its end. Raises NotApplicable."""
    reply = answered(exchange)
    if reply.status != 200 or not is_stream(exchange):
        raise NotApplicable("the reply is no event stream")
    if reply.end != "clean":
        raise NotApplicable(f"the stream did not come to its end ({reply.end})")
    return reply


def completion_of(exchange: Exchange, contract: Contract) -> tuple[Reply, Any]:
    """The reply and its JSON, when it is a completion in one piece. Raises NotApplicable."""
    reply = answered(exchange)
    if reply.status != 200 or exchange.request.method != "POST" or is_stream(exchange):
        raise NotApplicable("the reply is no completion in one piece")
    if contract.protocol == "ndjson" and asked(exchange).get("stream") is not False:
        raise NotApplicable("the reply is a stream of lines")
    if reply.end != "clean":
        raise NotApplicable(f"the reply did not come to its end ({reply.end})")
    try:
        return reply, json.loads(reply.body.decode("utf-8"))
    except ValueError:
        raise NotApplicable("the reply is not JSON: see server/json") from None


def events(reply: Reply) -> list[sse.Event]:
    return sse.decode([reply.body])[0]


def chunks(reply: Reply) -> list[dict[str, Any]]:
    """The JSON objects of a stream; what is not one is judged by server/events-are-json."""
    found = []
    for event in events(reply):
        if event.data.strip() == "[DONE]":
            break
        try:
            value = json.loads(event.data)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


def read_reply(exchange: Exchange, contract: Contract) -> Reading:
    """What the reply says, in the contract's protocol."""
    reply = answered(exchange)
    if contract.protocol == "ndjson":
        return reading.read_lines([reply.body])
    if is_stream(exchange):
        return reading.read_stream([reply.body], contract.usage_paths)
    return reading.read_reply(reply.body, contract.usage_paths)


def templates(contract: Contract) -> list[dict[str, Any]]:
    """The chunks of a stream as the contract writes them, but for the one that carries only counts."""
    places = ("stream.preamble", "stream.first", "stream.chunk", "stream.last", "stream.repeat_finish")
    return [one for one in (contract.get(place) for place in places) if isinstance(one, dict)]


def choices_of(chunk: dict[str, Any]) -> Iterator[dict[str, Any]]:
    choices = chunk.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            yield choice
