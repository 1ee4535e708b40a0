"""What a reply has to be, whoever sent it: a recording, a live server, or our own gateway playing a contract.

Each clause judges one exchange by the contract: what the contract says of its provider (no sentinel, ids that change)
is not held against it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from onpaper.clauses import NDJSON, OPENAI, WHATWG, View, clause
from onpaper.clauses.parts import (
    answered,
    asked,
    choices_of,
    chunks,
    completion_of,
    events,
    is_stream,
    keeps_headers,
    read_reply,
    stream_of,
    templates,
)
from onpaper.driving.verdict import Broken, NotApplicable
from onpaper.exchange import Exchange
from onpaper.jsontext import parse as strict_json
from onpaper.wire import sse
from onpaper.wire.reading import fault_of
from onpaper.wire.template import mentions


def server(name: str, *, source: str, why: str, level: str = "must", covers: tuple[int, ...] = ()) -> Callable[[Any], Any]:
    """A clause about a reply."""
    return clause(f"server/{name}", kind="reply", level=level, source=source, why=why, covers=covers, cases=())  # type: ignore[arg-type]


@server("content-type", source=WHATWG, why="Clients choose the parser by it.")
def content_type(exchange: Exchange, view: View) -> None:
    """A stream is labelled as one (text/event-stream; application/x-ndjson), and a reply in one piece as JSON."""
    reply = answered(exchange)
    if reply.status != 200 or exchange.request.method != "POST":
        raise NotApplicable("the reply is no completion")
    label = reply.header("content-type")
    if not reply.headers or (label is None and not keeps_headers(exchange)):
        raise NotApplicable("the recording keeps no label")
    if not asked(exchange):
        raise NotApplicable("the request is not known")
    kind = (label or "").partition(";")[0].strip().lower()
    lines = view.contract.protocol == "ndjson"
    streams = asked(exchange).get("stream", lines) is True
    if streams and kind == "application/json" and _is_error(reply.body):
        raise NotApplicable("the reply is an error in one piece")
    allowed = {True: {"application/x-ndjson"} if lines else {"text/event-stream"}, False: {"application/json"}}[streams]
    if kind not in allowed:
        raise Broken(f"a {'stream' if streams else 'reply in one piece'} is labelled {label!r}", reply.body)


def _is_error(body: bytes) -> bool:
    """Whether a body is one JSON value that reports an error."""
    try:
        return fault_of(json.loads(body)) is not None
    except (ValueError, RecursionError):
        return False


@server("utf8", source=WHATWG, why="Both formats are UTF-8 by definition.")
def utf8(exchange: Exchange, view: View) -> None:
    """The body of a reply is UTF-8."""
    reply = answered(exchange)
    if (reply.header("content-encoding") or "identity") != "identity":
        raise NotApplicable("the body is compressed")
    if reply.end != "clean":
        raise NotApplicable("the reply did not come to its end")
    try:
        reply.body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Broken(f"the body is not UTF-8: {error.reason} at byte {error.start}", reply.body[max(0, error.start - 40) : error.start + 40]) from None


@server("json", source=OPENAI, why="A client that cannot parse the reply has paid for it all the same.")
def is_json(exchange: Exchange, view: View) -> None:
    """A reply in one piece with status 200 is JSON."""
    reply = answered(exchange)
    if reply.status != 200 or is_stream(exchange):
        raise NotApplicable("the reply is a stream, or an error")
    if view.contract.protocol == "ndjson":
        raise NotApplicable("the reply is lines: see server/lines-are-json")
    if reply.end != "clean":
        raise NotApplicable("the reply did not come to its end")
    try:
        strict_json(reply.body.decode("utf-8", "replace").encode())
    except ValueError as error:
        raise Broken(f"the reply is not JSON: {error}", reply.body) from None


@server("events-are-closed", source=WHATWG, why="WHATWG discards an event that no blank line closes; the counts are often in the last one.")
def closed(exchange: Exchange, view: View) -> None:
    """The last event of a stream is closed by a blank line."""
    reply = stream_of(exchange)
    if sse.decode([reply.body])[1]:
        raise Broken("the stream ends inside an event", reply.body[-200:])


FIELDS = {b"data", b"event", b"id", b"retry", b""}


@server("only-known-fields", source=WHATWG, why="llama.cpp wrote `error: {…}`: a field that every parser drops.")
def known_fields(exchange: Exchange, view: View) -> None:
    """A stream has no lines but comments and the fields data, event, id and retry."""
    reply = stream_of(exchange)
    for line in reply.body.removeprefix(sse.BOM).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        name = line.partition(b":")[0]
        if name not in FIELDS:
            raise Broken(f"the field {name[:60].decode('utf-8', 'replace')!r} is none of server-sent events", line)


@server("events-are-json", source=OPENAI, why="A chunk that does not parse is a token that is lost.")
def events_json(exchange: Exchange, view: View) -> None:
    """The data of every event is a JSON object, or the sentinel [DONE]."""
    reply = stream_of(exchange)
    for event in events(reply):
        if event.data.strip() in ("[DONE]", ""):
            continue
        try:
            value = strict_json(event.data.encode("utf-8", "replace"))
        except ValueError as error:
            raise Broken(f"the data of an event is not JSON: {error}", event.data.encode("utf-8", "replace")) from None
        if not isinstance(value, dict):
            raise Broken("the data of an event is no JSON object", event.data.encode("utf-8", "replace"))


@server("lines-are-json", source=NDJSON, why="A line that does not parse is a token that is lost.")
def lines_json(exchange: Exchange, view: View) -> None:
    """In Ollama's own protocol every line is a JSON object."""
    if view.contract.protocol != "ndjson" or exchange.request.method != "POST":
        raise NotApplicable("the provider does not speak NDJSON")
    reply = answered(exchange)
    if reply.status != 200 or reply.end != "clean":
        raise NotApplicable("the reply is an error, or did not come to its end")
    for line in reply.body.split(b"\n"):
        if line.strip():
            try:
                good = isinstance(strict_json(line), dict)
            except ValueError:
                good = False
            if not good:
                raise Broken("a line is no JSON object", line)


@server("sentinel", source=OPENAI, why="Clients wait for it, or hang up on it.")
def sentinel(exchange: Exchange, view: View) -> None:
    """A stream ends with `data: [DONE]` where the contract says so, and has none where it does not; nothing follows it."""
    reply = stream_of(exchange)
    data = [event.data.strip() for event in events(reply)]
    wanted = bool(view.contract.get("stream.sentinel", True))
    said = read_reply(exchange, view.contract)
    if said.error is not None and wanted:
        wanted = bool(view.contract.get("stream.error.sentinel", False))
    if "[DONE]" in data and data.index("[DONE]") != len(data) - 1:
        raise Broken("events follow [DONE]", reply.body[-300:])
    if wanted and (not data or data[-1] != "[DONE]"):
        raise Broken("the stream does not end with [DONE]", reply.body[-300:])
    if not wanted and "[DONE]" in data and said.error is None:
        raise Broken("the stream ends with [DONE], which the contract says it does not", reply.body[-100:])


@server("complete", source=OPENAI, why="A client cannot tell a stream that just stops from one that was cut.")
def complete(exchange: Exchange, view: View) -> None:
    """A stream that came to its end says why: a finish reason, the sentinel, or an error."""
    if view.contract.protocol == "ndjson":
        reply = answered(exchange)
        if reply.status != 200 or exchange.request.method != "POST" or reply.end != "clean":
            raise NotApplicable("the reply is no whole completion")
    else:
        reply = stream_of(exchange)
    said = read_reply(exchange, view.contract)
    if said.finish is None and not said.sentinel and said.error is None:
        raise Broken("the stream ends without a finish reason, a sentinel or an error", reply.body[-300:])


@server("finish-once", source=OPENAI, why="A client that stops at the first finish reason loses what comes between.", level="should")
def finish_once(exchange: Exchange, view: View) -> None:
    """Each choice of a stream is finished once, and no text follows."""
    reply = stream_of(exchange)
    if view.contract.get("stream.repeat_finish") is not None:
        raise NotApplicable("the contract says that the provider repeats it")
    finished: set[Any] = set()
    for chunk in chunks(reply):
        for choice in choices_of(chunk):
            index = str(choice.get("index") or 0)
            if index in finished:
                delta = choice.get("delta") if isinstance(choice.get("delta"), dict) else {}
                if choice.get("finish_reason") or delta.get("content") or delta.get("tool_calls"):
                    raise Broken(f"choice {index} goes on after its finish reason", json.dumps(chunk).encode())
            if choice.get("finish_reason"):
                finished.add(index)


@server("id-constant", source=OPENAI, why="Logs and bills are joined by the id.", level="should")
def id_constant(exchange: Exchange, view: View) -> None:
    """All chunks of a stream have the same id, unless the contract says otherwise."""
    reply = stream_of(exchange)
    if view.contract.get("stream.changing_id") or any(mentions(one, "other_id") for one in templates(view.contract)):
        raise NotApplicable("the contract says that the ids change")
    found = {str(chunk["id"]) for chunk in chunks(reply) if chunk.get("id")}
    if len(found) > 1:
        raise Broken(f"the ids of one stream differ: {', '.join(sorted(found)[:3])}", reply.body)


@server("object", source=OPENAI, why="Typed clients dispatch on it.", level="should")
def object_kind(exchange: Exchange, view: View) -> None:
    """`object` is what the contract says: chat.completion.chunk in a stream, chat.completion in one piece."""
    streamed = is_stream(exchange)
    whole = view.contract.get("reply.body")
    written = templates(view.contract) if streamed else [whole] if isinstance(whole, dict) else []
    wanted = {one["object"] for one in written if isinstance(one.get("object"), str)}
    if not wanted:
        raise NotApplicable("the provider does not name the object")
    values = chunks(stream_of(exchange)) if streamed else [completion_of(exchange, view.contract)[1]]
    for value in values:
        if isinstance(value, dict) and value.get("choices") and value.get("object") not in (*wanted, None):
            said = " or ".join(sorted(wanted))
            raise Broken(f"object is {value.get('object')!r}; the contract says {said}", json.dumps(value).encode())


@server("delta", source=OPENAI, why="`delta: null` crashes two of seven clients measured.")
def delta(exchange: Exchange, view: View) -> None:
    """Each choice of a chunk has a delta that is an object, and an index."""
    if not mentions(view.contract.get("stream.chunk"), "delta") or view.contract.protocol == "ndjson":
        raise NotApplicable("the provider writes no deltas")
    reply = stream_of(exchange)
    for chunk in chunks(reply):
        for choice in choices_of(chunk):
            if not isinstance(choice.get("delta"), dict) and not fault_of(chunk):
                raise Broken(f"delta is {choice.get('delta')!r}", json.dumps(chunk).encode())
            if not isinstance(choice.get("index"), int):
                raise Broken(f"index is {choice.get('index')!r}", json.dumps(chunk).encode())


@server("tool-call-named", source=OPENAI, why="Nobody can call a function without a name.")
def tool_named(exchange: Exchange, view: View) -> None:
    """Every tool call has a name."""
    if answered(exchange).status != 200 or exchange.request.method != "POST":
        raise NotApplicable("the reply is no completion")
    calls = read_reply(exchange, view.contract).tool_calls
    if not calls:
        raise NotApplicable("the reply makes no tool call")
    if any(not call.name for call in calls):
        raise Broken("a tool call has no name", answered(exchange).body)


@server("tool-arguments", source=OPENAI, why="Arguments that do not parse cannot be used.")
def tool_arguments(exchange: Exchange, view: View) -> None:
    """The arguments of a tool call are a JSON object, unless the reply was cut by its token limit."""
    if answered(exchange).status != 200 or exchange.request.method != "POST":
        raise NotApplicable("the reply is no completion")
    said = read_reply(exchange, view.contract)
    if not said.tool_calls:
        raise NotApplicable("the reply makes no tool call")
    if not said.complete or said.finish is None or said.finish == view.contract.get("reply.finish.length", "length"):
        raise NotApplicable("the reply was cut")
    for call in said.tool_calls:
        try:
            good = isinstance(call.decoded, dict)
        except ValueError:
            good = False
        if not good:
            raise Broken(f"the arguments of {call.name!r} are {call.arguments!r}", answered(exchange).body)


@server("usage-asked", source=OPENAI, why="Who asks for the counts bills by them.", level="should")
def usage_asked(exchange: Exchange, view: View) -> None:
    """A stream for which the counts were asked carries them, where the contract says so."""
    reply = stream_of(exchange)
    options = asked(exchange).get("stream_options")
    if not isinstance(options, dict) or not options.get("include_usage"):
        raise NotApplicable("the counts were not asked for")
    if view.contract.get("stream.usage.when", "asked") == "never":
        raise NotApplicable("the provider never counts")
    said = read_reply(exchange, view.contract)
    if not said.complete:
        raise NotApplicable("the reply is an error")
    if said.usage is None:
        raise Broken("the counts were asked for, and the stream has none", reply.body[-300:])


@server("usage-unasked", source=OPENAI, why="A chunk without choices that nobody expects crashes choices[0].", level="should")
def usage_unasked(exchange: Exchange, view: View) -> None:
    """A stream for which nobody asked the counts has none, where the contract says that one has to ask."""
    stream_of(exchange)
    options = asked(exchange).get("stream_options")
    if isinstance(options, dict) and options.get("include_usage"):
        raise NotApplicable("the counts were asked for")
    if view.contract.get("stream.usage.when", "asked") != "asked":
        raise NotApplicable("the provider counts without being asked")
    if not asked(exchange):
        raise NotApplicable("the request is not known")
    if view.contract.get("stream.usage.unasked"):
        raise NotApplicable("the contract says that the provider counts in one place without being asked")
    if any(chunk.get("usage") for chunk in chunks(answered(exchange))):
        raise Broken("nobody asked for the counts, and the stream has them", answered(exchange).body[-300:])


@server("usage-adds-up", source=OPENAI, why="Three numbers of which two can be right.", level="should")
def usage_adds_up(exchange: Exchange, view: View) -> None:
    """`total_tokens` is not less than prompt plus completion."""
    reply = answered(exchange)
    if reply.status != 200 or exchange.request.method != "POST" or view.contract.protocol == "ndjson":
        raise NotApplicable("the reply is no completion with a total")
    values = chunks(reply) if is_stream(exchange) else [completion_of(exchange, view.contract)[1]]
    seen = False
    for value in values:
        usage = value.get("usage") if isinstance(value, dict) else None
        if isinstance(usage, dict) and all(isinstance(usage.get(k), int) for k in ("prompt_tokens", "completion_tokens", "total_tokens")):
            seen = True
            if usage["total_tokens"] < usage["prompt_tokens"] + usage["completion_tokens"]:
                raise Broken(f"total_tokens is less than the sum: {usage}", json.dumps(usage).encode())
    if not seen:
        raise NotApplicable("the reply has no total")


@server("reply-shape", source=OPENAI, why="choices[0].message.content is what every client reads.")
def reply_shape(exchange: Exchange, view: View) -> None:
    """A completion in one piece has choices, each with an index, a message of the assistant and a finish reason."""
    if view.contract.protocol == "ndjson":
        raise NotApplicable("the provider answers in a protocol of its own")
    reply, value = completion_of(exchange, view.contract)
    if not isinstance(value, dict):
        raise Broken("the reply is no JSON object", reply.body)
    if fault_of(value):
        raise NotApplicable("the reply reports an error")
    choices = value.get("choices")
    if not isinstance(choices, list) or not choices:
        raise Broken("the reply has no choices", reply.body)
    for choice in choices:
        if isinstance(choice, dict) and choice.get("error"):
            continue
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict):
            raise Broken("a choice has no message", reply.body)
        if message.get("role") not in ("assistant", None):
            raise Broken(f"the role of the message is {message.get('role')!r}", reply.body)
        if not isinstance(choice.get("index"), int):
            raise Broken(f"the index of a choice is {choice.get('index')!r}", reply.body)
        if not isinstance(choice.get("finish_reason"), str):
            raise Broken(f"the finish reason of a choice is {choice.get('finish_reason')!r}", reply.body)


@server("error-has-words", source=OPENAI, why="An error without words is a riddle.")
def error_words(exchange: Exchange, view: View) -> None:
    """An error status comes with words, in JSON where the contract's envelope is JSON."""
    reply = answered(exchange)
    if reply.status < 400:
        raise NotApplicable("the reply is no error")
    if reply.end != "clean":
        raise NotApplicable("the reply did not come to its end")
    if not isinstance(view.contract.get("errors.envelope"), (dict, list)):
        raise NotApplicable("the provider writes its errors as text")
    kind = (reply.header("content-type") or "").lower()
    if reply.body and "json" not in kind and "octet-stream" not in kind:
        raise NotApplicable("the error is not labelled as JSON: it may be a proxy's")
    if not reply.body.strip():
        raise NotApplicable("the error has no body: it may be a proxy's")
    try:
        value = json.loads(reply.body.decode("utf-8", "replace"))
    except ValueError:
        raise Broken("the error is labelled as JSON and is not", reply.body) from None
    if not any(isinstance(text, str) and text.strip() for text in _texts(value)):
        raise Broken("the error has no words", reply.body)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


@server("retry-after", source="https://www.rfc-editor.org/rfc/rfc6585#section-4", why="Without it a client has to guess how long to wait.", level="should")
def retry_after(exchange: Exchange, view: View) -> None:
    """429 says how long to wait, in some header."""
    reply = answered(exchange)
    if reply.status != 429:
        raise NotApplicable("the reply is not 429")
    if not keeps_headers(exchange):
        raise NotApplicable("the recording keeps only some headers")
    names = [name.lower() for name, _ in reply.headers]
    if not any("retry-after" in name or "ratelimit-reset" in name for name in names):
        raise Broken(f"no header says how long to wait: {', '.join(names)}")


@server("models-list", source="https://platform.openai.com/docs/api-reference/models", why="Clients fill their menus from it.")
def models_list(exchange: Exchange, view: View) -> None:
    """The model list is a list of entries that each have an id (a name, in Ollama's own protocol)."""
    reply = answered(exchange)
    if exchange.request.method != "GET" or reply.status != 200 or not exchange.request.path.endswith(view.contract.get("endpoint.models", "/models")):
        raise NotApplicable("the reply is no model list")
    try:
        value = json.loads(reply.body.decode("utf-8", "replace"))
    except ValueError:
        raise Broken("the model list is not JSON", reply.body) from None
    key, name = ("models", "name") if view.contract.protocol == "ndjson" else ("data", "id")
    entries = value if isinstance(value, list) else value.get(key) if isinstance(value, dict) else None
    if not isinstance(entries, list):
        raise Broken(f"the model list has no {key}", reply.body)
    if any(not isinstance(one, dict) or not isinstance(one.get(name), str) for one in entries):
        raise Broken(f"an entry of the model list has no {name}", reply.body)
