"""What the values in a reply have to be: their types, and the words that have a meaning."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from onpaper.clauses import NDJSON, OPENAI, View
from onpaper.clauses.parts import (
    answered,
    choices_of,
    chunks,
    completion_of,
    is_stream,
    read_reply,
    stream_of,
)
from onpaper.clauses.server import server
from onpaper.contract import Contract
from onpaper.driving.verdict import Broken, NotApplicable
from onpaper.exchange import Exchange
from onpaper.wire.reading import fault_of
from onpaper.wire.template import mentions

FINISHES = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
LINE_COUNTS = ("prompt_eval_count", "eval_count")
LATEST = 10**11
"""Seconds since 1970 in the year 5138; a moment in milliseconds is larger."""


def values_of(exchange: Exchange, view: View) -> list[dict[str, Any]]:
    """The chunks of a stream, or the one body, that report no error. Raises NotApplicable."""
    if view.contract.protocol == "ndjson":
        raise NotApplicable("the provider answers in a protocol of its own")
    found = chunks(stream_of(exchange)) if is_stream(exchange) else [completion_of(exchange, view.contract)[1]]
    return [one for one in found if isinstance(one, dict) and not fault_of(one)]


def _said(exchange: Exchange, view: View) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """What each choice says, message or delta, with the chunk that it is in."""
    for value in values_of(exchange, view):
        for choice in choices_of(value):
            said = choice.get("delta", choice.get("message"))
            if isinstance(said, dict):
                yield said, value


def _calls(said: dict[str, Any]) -> list[Any]:
    calls = said.get("tool_calls")
    return calls if isinstance(calls, list) else []


@server("finish-reason", source=OPENAI, why="A stream that ends in [DONE] alone cannot be told from one that was cut by a proxy that adds it.")
def finish_reason(exchange: Exchange, view: View) -> None:
    """A stream without an error says why it ends, where the contract says that the provider's do."""
    reply = stream_of(exchange)
    if not view.contract.get("stream.finishes", True):
        raise NotApplicable("the contract says that its streams give no reason")
    said = read_reply(exchange, view.contract)
    if said.error is not None or not said.sentinel:
        raise NotApplicable("the stream reports an error, or does not come to its end: see server/complete")
    if said.finish is None:
        raise Broken("the stream ends without a finish reason", reply.body[-300:])


@server("finish-known", source=OPENAI, level="should", why="Clients decide by it whether to call tools, go on or give up.")
def finish_known(exchange: Exchange, view: View) -> None:
    """The finish reason is one of OpenAI's, or one that the contract names."""
    known = FINISHES | _words(view.contract)
    for value in values_of(exchange, view):
        for choice in choices_of(value):
            found = choice.get("finish_reason")
            if isinstance(found, str) and found and found not in known:
                raise Broken(f"the finish reason {found!r} is none of {', '.join(sorted(known))}", json.dumps(choice).encode())


def _words(contract: Contract) -> set[str]:
    """Every finish reason that a contract or a variant of it names."""
    found: set[str] = set()
    for one in (contract, *map(contract.variant, contract.variants)):
        for place in ("reply.finish", "stream.finish"):
            found.update(word for word in one.get(place, {}).values() if isinstance(word, str))
    return found


@server("chunk-choices", source=OPENAI, why="`for choice in chunk.choices` is in every client.")
def chunk_choices(exchange: Exchange, view: View) -> None:
    """Every chunk that reports no error has a list `choices`; it may be empty."""
    stream_of(exchange)
    if not mentions(view.contract.get("stream.chunk"), "delta"):
        raise NotApplicable("the provider writes no choices")
    for value in values_of(exchange, view):
        if not isinstance(value.get("choices"), list):
            raise Broken(f"choices is {value.get('choices', 'missing')!r}", json.dumps(value).encode())


@server("content-is-text", source=OPENAI, why="Clients join the pieces; a number or an object is an exception, or a text nobody wrote.")
def content_is_text(exchange: Exchange, view: View) -> None:
    """The content of a message or a delta is text, a list of parts, or null."""
    if view.contract.get("reply.content_as") == "object":
        raise NotApplicable("the contract says that the content may be an object")
    for said, value in _said(exchange, view):
        if not isinstance(said.get("content"), (str, list, type(None))):
            raise Broken(f"the content is {said['content']!r}", json.dumps(value).encode())


@server("role", source=OPENAI, why="Callers append what came to the history as it is, role and all.")
def role(exchange: Exchange, view: View) -> None:
    """A delta that names a role names the assistant's."""
    stream_of(exchange)
    for said, value in _said(exchange, view):
        if said.get("role") not in ("assistant", "", None):
            raise Broken(f"the role of a delta is {said['role']!r}", json.dumps(value).encode())


@server("arguments-are-text", source=OPENAI, why="Clients join the pieces and parse them; an object is no piece.")
def arguments_are_text(exchange: Exchange, view: View) -> None:
    """The arguments of a tool call are text, unless the contract says that they are an object."""
    if view.contract.get("reply.arguments", "text") == "object":
        raise NotApplicable("the contract says that they are an object")
    seen = False
    for said, value in _said(exchange, view):
        for call in _calls(said):
            function = call.get("function") if isinstance(call, dict) else None
            if not isinstance(function, dict):
                raise Broken("a tool call has no function that is an object", json.dumps(value).encode())
            seen = True
            if not isinstance(function.get("arguments"), (str, type(None))):
                raise Broken(f"the arguments are {function['arguments']!r}", json.dumps(value).encode())
    if not seen:
        raise NotApplicable("the reply makes no tool call")


@server("call-ids-differ", source=OPENAI, why="Results are given back by the id of the call.")
def call_ids_differ(exchange: Exchange, view: View) -> None:
    """The tool calls of one reply have different ids."""
    if answered(exchange).status != 200 or exchange.request.method != "POST":
        raise NotApplicable("the reply is no completion")
    ids = [call.id for call in read_reply(exchange, view.contract).tool_calls if call.id]
    if len(ids) < 2:
        raise NotApplicable("the reply makes no two tool calls with ids")
    if len(set(ids)) < len(ids):
        raise Broken(f"the ids of the tool calls are {', '.join(ids)}", answered(exchange).body)


@server("counts-are-numbers", source=OPENAI, why="Who bills by them adds them up.")
def counts_are_numbers(exchange: Exchange, view: View) -> None:
    """Each count of tokens is a whole number from 0 on, or null."""
    if view.contract.protocol == "ndjson":
        places = [(value, LINE_COUNTS) for value in _lines(exchange)]
    else:
        places = [(one["usage"], COUNTS) for one in values_of(exchange, view) if isinstance(one.get("usage"), dict)]
    if not any(name in counts for counts, names in places for name in names):
        raise NotApplicable("the reply counts nothing")
    for counts, names in places:
        for name in names:
            found = counts.get(name)
            if found is not None and (type(found) is not int or found < 0):
                raise Broken(f"{name} is {found!r}", json.dumps(counts).encode())


@server("types", source=OPENAI, why="Typed clients refuse the whole reply over one of them.")
def types(exchange: Exchange, view: View) -> None:
    """`id`, `model` and `object` are text, and `created` is a whole number of seconds, where a reply has them."""
    for value in values_of(exchange, view):
        for name in ("id", "model", "object"):
            if not isinstance(value.get(name), (str, type(None))):
                raise Broken(f"{name} is {value[name]!r}", json.dumps(value).encode())
        created = value.get("created")
        if created is not None and (isinstance(created, bool) or not isinstance(created, int) or created > LATEST):
            raise Broken(f"created is {created!r}", json.dumps(value).encode())


@server("lines-shape", source=NDJSON, why="message.content is what every client of Ollama's own protocol reads, until done.")
def lines_shape(exchange: Exchange, view: View) -> None:
    """In Ollama's own protocol each line of a chat has a message whose content is text, and the last alone is done."""
    if view.contract.protocol != "ndjson" or not exchange.request.path.endswith("/api/chat"):
        raise NotApplicable("the reply is no chat in lines")
    found = _lines(exchange)
    for number, value in enumerate(found):
        message = value.get("message")
        if not isinstance(message, dict) or not isinstance(message.get("content"), (str, type(None))):
            raise Broken("a line has no message with a content that is text", json.dumps(value).encode())
        if message.get("role") not in ("assistant", "", None):
            raise Broken(f"the role of a line is {message['role']!r}", json.dumps(value).encode())
        if value.get("done") is True and number < len(found) - 1:
            raise Broken("lines follow the one that is done", json.dumps(value).encode())


def _lines(exchange: Exchange) -> list[dict[str, Any]]:
    """The objects of the lines that report no error. Raises NotApplicable."""
    reply = answered(exchange)
    if reply.status != 200 or exchange.request.method != "POST" or reply.end != "clean":
        raise NotApplicable("the reply is no completion that came to its end")
    found = []
    for text in reply.body.splitlines():
        try:
            value = json.loads(text)
        except ValueError:
            continue  # see server/lines-are-json
        if isinstance(value, dict) and not fault_of(value):
            found.append(value)
    return found
