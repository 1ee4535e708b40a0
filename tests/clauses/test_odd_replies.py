"""Replies that no provider should send are judged as what they are, and stop nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from onpaper import Contract
from onpaper.clauses import View
from onpaper.exchange import Chunk, Exchange, Reply, Request
from onpaper.suite.judge import judge_exchange
from onpaper.wire.sse import BOM

ODD: dict[str, dict[str, Any]] = {
    "an id that is a list": {"id": ["x"], "choices": [{"index": 0, "delta": {"content": "a"}}]},
    "an index that is an object": {"id": "x", "choices": [{"index": {}, "delta": {}, "finish_reason": "stop"}]},
    "arguments that are an object": {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": {}}}]}}]},
    "choices that are no list": {"id": "x", "choices": {"0": 1}},
    "a delta that is a text": {"id": "x", "choices": [{"index": 0, "delta": "a"}]},
    "usage that is a list": {"id": "x", "choices": [], "usage": [1]},
}


def stream(*chunks: Any, before: bytes = b"") -> Exchange:
    request = Request("POST", "/v1/chat/completions", (), json.dumps({"model": "m", "messages": [], "stream": True}).encode())
    body = before + b"".join(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks) + b"data: [DONE]\n\n"
    return Exchange(request, Reply(200, (("content-type", "text/event-stream"),), (Chunk(0.1, body),)))


@pytest.mark.parametrize("chunk", ODD.values(), ids=ODD)
def test_an_odd_chunk_is_judged_by_every_clause(chunk: dict[str, Any]) -> None:
    verdicts = list(judge_exchange(stream(chunk, chunk), View(Contract.load("openai")), "x", "x"))
    assert [one.message for one in verdicts if "onpaper itself failed" in one.message] == []


def test_a_byte_order_mark_is_no_part_of_the_first_field() -> None:
    first = {"id": "x", "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}
    verdicts = judge_exchange(stream(first, before=BOM), View(Contract.load("openai")), "x", "x")
    assert [one.message for one in verdicts if one.clause == "server/only-known-fields" and one.verdict == "broken"] == []
