"""The shape of a stream from recorded ones: framing, chunks, deltas, tool-call fragments and counts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from onpaper.probe.fact import Evidence, Fact, fact, literal
from onpaper.probe.replies import SPOKEN, THOUGHTS, absence, call_template, counts, templated
from onpaper.probe.stream import Stream, bare, choice_of, chunk_template, delta_of


def stream_facts(evidence: Evidence) -> Iterator[Fact]:
    """The `stream` section of a draft."""
    asked, unasked = Stream.of(evidence, "stream-usage"), Stream.of(evidence, "chat-stream")
    plain = asked or unasked
    if plain is None or not plain.pieces:
        return
    yield from _framing(plain)
    yield from _chunks(plain)
    yield from _deltas(plain)
    if asked is not None and unasked is not None and unasked.closing:
        alone = chunk_template(unasked.closing)
        if bare(alone) != bare(chunk_template(asked.closing)):
            yield fact("stream.last_alone", alone, unasked.case)
    yield from _counts(asked, unasked)
    for case in ("tool-stream", "parallel-tool-stream"):
        tools = Stream.of(evidence, case)
        if tools is not None and tools.calls:
            yield from _tools(tools, plain, Stream.of(evidence, "parallel-tool-stream"))
            break
    thinking = Stream.of(evidence, "reasoning-stream")
    if thinking is not None:
        yield from _reasoning(thinking)


# ---- framing ----


def _framing(stream: Stream) -> Iterator[Fact]:
    case, body, reply = stream.case, stream.body, stream.reply
    kind = reply.header("content-type")
    if kind:
        yield fact("stream.content_type", kind, case)
    newline = "crlf" if b"\r\n" in body else "lf" if b"\n" in body else "cr"
    yield fact("stream.newline", newline, case)
    lines = re.split(rb"\r\n|\n|\r", body)
    data = [line for line in lines if line.startswith(b"data:")]
    yield fact("stream.space", data[0].startswith(b"data: "), case)
    yield fact("stream.sentinel", stream.sentinel, case)
    first = lines.index(data[0])
    comments = [
        line[1:].decode("utf-8", "replace").strip() for line in lines[:first] if line.startswith(b":")
    ]
    if comments:
        yield fact("stream.comments", comments, case)
    coded = (reply.header("transfer-encoding") or "").lower()
    if "chunked" not in coded and reply.header("content-length") is None:
        yield fact("stream.http", "close", case)


# ---- chunks ----


def _chunks(stream: Stream) -> Iterator[Fact]:
    case = stream.case
    ids = [chunk.get("id") for chunk in stream.chunks if chunk.get("id")]
    if len(set(ids)) > 1:
        yield fact("stream.changing_id", True, case)
    yield fact("stream.obfuscation", any("obfuscation" in chunk for chunk in stream.chunks), case)
    if stream.preamble:
        yield fact(
            "stream.preamble",
            templated(stream.preamble[0], {**SPOKEN, "choices": ""}) | {"choices": []},
            case,
        )
    usual = stream.pieces[1] if len(stream.pieces) > 1 else stream.pieces[0]
    chunk = chunk_template(usual)
    yield fact("stream.chunk", chunk, case)
    first, last = chunk_template(stream.pieces[0]), chunk_template(stream.closing)
    if bare(first) != bare(chunk):
        yield fact("stream.first", first, case)
    if bare(last) != bare(chunk):
        yield fact("stream.last", last, case)
    before = choice_of(usual)
    if "finish_reason" in before:
        word = before["finish_reason"]
        yield fact("stream.before_finish", "null" if word is None else "empty", case)
    if not choice_of(stream.closing).get("finish_reason"):
        yield fact("stream.finishes", False, case)


# ---- deltas ----


def _deltas(stream: Stream) -> Iterator[Fact]:
    case, deltas, closing = stream.case, stream.deltas, delta_of(stream.closing)
    text = next((delta for delta in deltas[1:] if delta.get("content")), deltas[-1])
    yield fact("stream.delta.text", said(text, "content"), case)
    opening = deltas[0]
    plain = len(deltas) > 1 and set(opening) == set(text) and bool(opening.get("content"))
    yield fact("stream.delta.opening", False if plain else said(opening, "content"), case)
    if "refusal" not in opening:
        for name in ("opening_refusal", "refusal"):
            yield fact(f"stream.delta.{name}", False, case)
    merged = bool(closing.get("content"))
    yield fact("stream.merge_last", "text" if merged else "never", case)
    if not merged:
        yield fact("stream.delta.closing", literal(closing), case)
    idle = deltas[-1]
    if len(deltas) > 2 and not any(idle.values()) and not merged and idle != closing:
        yield fact("stream.delta.idle", literal(idle), case)


def said(delta: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A delta as a template: what it says under a key is a piece of text, the rest is as it was seen."""
    return templated(delta, {key: "{text}"} if delta.get(key) else {})


def _reasoning(stream: Stream) -> Iterator[Fact]:
    deltas, case = stream.deltas, stream.case
    carrier = next((name for name in THOUGHTS for delta in deltas if delta.get(name)), "")
    text = "".join(delta["content"] for delta in deltas if isinstance(delta.get("content"), str))
    if not carrier:
        if "<think>" in text:
            yield fact("stream.reasoning", "tags", case)
        return
    thinking = [delta for delta in deltas if delta.get(carrier)]
    yield fact("stream.reasoning", "field", case)
    yield fact("stream.delta.reasoning", _thought(thinking[-1]), case)
    if deltas[0].get(carrier):
        yield fact("stream.delta.opening_reasoning", _thought(deltas[0]), case)
    speaking = next((delta for delta in deltas[1:] if delta.get("content") and not delta.get(carrier)), None)
    if (speaking is not None and THOUGHTS[0] in speaking) or (
        speaking is not None and THOUGHTS[1] in speaking
    ):
        yield fact("stream.reasoned.text", said(speaking, "content"), case)


def _thought(delta: Mapping[str, Any]) -> dict[str, Any]:
    return templated(delta, {name: "{text}" for name in THOUGHTS if delta.get(name)})


# ---- tool calls ----


def _tools(stream: Stream, plain: Stream, several: Stream | None) -> Iterator[Fact]:
    case, calls = stream.case, stream.calls
    opening = stream.deltas[0] if stream.deltas else delta_of(stream.closing)
    carried = bool(opening.get("tool_calls"))
    own = templated(opening, {"tool_calls": "{first_call}"}) if carried else literal(opening)
    usual = plain.deltas[0]
    if carried or set(opening) != set(usual) or opening.get("content") != usual.get("content"):
        yield fact("stream.delta.opening_tool", own, case)
    else:
        yield fact("stream.delta.opening_tool", False, case)
    yield from _several(several, opening)
    around = [delta for delta in [*stream.deltas[1:], delta_of(stream.closing)] if delta.get("tool_calls")]
    yield fact("stream.delta.tool", templated((around or [opening])[0], {"tool_calls": "{calls}"}), case)
    first = calls[0][0]
    yield fact("stream.delta.tool_first", call_template(first), case)
    rest = [one for group in calls for one in group if one.get("index") == first.get("index")][1:]
    if rest:
        yield fact("stream.delta.tool_next", call_template(rest[-1]), case)
    yield fact("stream.tools.split", _split(first, rest, calls[0]), case)
    merged = bool(delta_of(stream.closing).get("tool_calls"))
    if merged:
        yield fact("stream.merge_last", "tools", case)
    else:
        yield fact("stream.delta.closing_tool", literal(delta_of(stream.closing)), case)


def _split(first: Mapping[str, Any], rest: list[dict[str, Any]], group: list[dict[str, Any]]) -> str:
    if len(group) > 1 and group[1].get("index") == first.get("index"):
        return "paired"
    if not rest:
        return "whole"
    arguments = (first.get("function") or {}).get("arguments")
    return "fragments" if arguments else "empty-first"


def _several(stream: Stream | None, opening: Mapping[str, Any]) -> Iterator[Fact]:
    """What differs where several tools are called at once."""
    if stream is None or not stream.calls or len({c.get("index") for g in stream.calls for c in g}) < 2:
        return
    first = stream.deltas[0] if stream.deltas else delta_of(stream.closing)
    if set(first) == set(opening):
        yield fact("stream.delta.opening_tools", False, stream.case)
    else:
        carried = {"tool_calls": "{first_call}"} if first.get("tool_calls") else {}
        yield fact("stream.delta.opening_tools", templated(first, carried), stream.case)
    yield fact("stream.tools.together", len(stream.calls[0]) > 1, stream.case)


# ---- counts ----


def _places(stream: Stream) -> list[str]:
    """Where a stream carries its counts, in the words of a contract."""
    spoken = [chunk for chunk in stream.pieces if chunk.get("usage")]
    if spoken and len(spoken) == len(stream.pieces) > 1:
        return ["every"] + (["own"] if any(chunk.get("usage") for chunk in stream.after) else [])
    found = ["first"] if spoken and spoken[0] is stream.pieces[0] else []
    found += ["finish"] if stream.closing.get("usage") else []
    return found + (["own"] if any(chunk.get("usage") for chunk in stream.after) else [])


def _counts(asked: Stream | None, unasked: Stream | None) -> Iterator[Fact]:
    told, silent = _places(asked) if asked else [], _places(unasked) if unasked else []
    if asked is None and unasked is None:
        return
    stream = asked if asked is not None and told else unasked if silent and unasked else (asked or unasked)
    assert stream is not None
    if asked and unasked:
        when = "always" if silent == told and told else "asked" if told else "never"
        yield fact("stream.usage.when", when, stream.case, "and " + unasked.case)
    if not told and not silent:
        return
    yield fact("stream.usage.at", told or silent, stream.case)
    if asked and told and silent and silent != told:
        yield fact("stream.usage.unasked", silent, unasked.case if unasked else "")
    yield fact("stream.usage.elsewhere", _elsewhere(stream, unasked), stream.case)
    carrying = next(chunk for chunk in reversed(stream.chunks) if chunk.get("usage"))
    yield fact("stream.usage.template", counts(carrying["usage"]), stream.case)
    if carrying in stream.after:
        own = chunk_template(carrying)
        if choice_of(carrying):
            own["choices"] = literal(carrying["choices"])
        yield fact("stream.usage.own", own, stream.case)


def _elsewhere(stream: Stream, unasked: Stream | None) -> str:
    """What the other chunks say under `usage`."""
    kinds = {absence(chunk, "usage") for chunk in stream.pieces if not chunk.get("usage")}
    if "null" not in kinds:
        return "missing"
    silent = unasked is not None and any("usage" in chunk for chunk in unasked.pieces)
    return "always-null" if silent else "null"
