"""What was recorded, played by the gateway on a real socket and recorded again, is the same."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from onpaper.cassettes import find, load, script_of
from onpaper.cassettes.client import Limits, fetch
from onpaper.exchange import Chunk, End, Exchange, Reply, Request
from onpaper.gateway import Server

SHIPPED = find([Path(__file__).resolve().parents[2] / "cassettes"])
# One of each framing: chunked, with a length, ended by the connection; and a frame that several reads bring.
NAMES = ["litellm/tool-stream", "litellm/bad-key", "llamacpp/escapes-stream", "vllm/stream-usage"]
NAMES += ["mlx-lm/stream-usage", "portkey/unicode-stream", "sglang-router/no-key", "transformers-serve/tools"]


async def played(exchange: Exchange, speed: float | None = None, limits: Limits | None = None) -> Reply:
    async with Server(lambda request: script_of(exchange, speed)) as server:
        request = Request("GET", "/v1/models", (("Host", "here"),))
        reply = (await fetch(urlsplit(server.url), request, limits or Limits())).reply
    assert reply
    return reply


@pytest.mark.parametrize("name", NAMES)
async def test_a_recording_is_said_again_chunk_by_chunk(name: str) -> None:
    (exchange,) = load(SHIPPED[name]).exchanges
    reply = await played(exchange)
    assert exchange.reply
    assert (reply.status, reply.body, reply.end) == (
        exchange.reply.status,
        exchange.reply.body,
        exchange.reply.end,
    )
    assert reply.header("content-type") == exchange.reply.header("content-type")
    assert reply.header("content-length") == exchange.reply.header("content-length")
    if reply.header("transfer-encoding"):
        assert [len(chunk.data) for chunk in reply.chunks] == [
            len(chunk.data) for chunk in exchange.reply.chunks
        ]


async def test_a_recording_keeps_its_pace_at_recorded_speed() -> None:
    (exchange,) = load(SHIPPED["litellm/stream-usage"]).exchanges
    assert exchange.reply
    slow = replace(exchange.reply, chunks=tuple(Chunk(c.at * 5, c.data) for c in exchange.reply.chunks))
    reply = await played(replace(exchange, reply=slow), speed=1)
    assert reply.chunks[-1].at >= slow.chunks[-1].at * 0.9


@pytest.mark.parametrize("end", ["cut", "reset", "timeout"])
async def test_an_ending_is_played_as_it_was_recorded(end: End) -> None:
    headers = (("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked"))
    reply = Reply(200, headers, (Chunk(0.0, b"data: 1\n\n"), Chunk(0.01, b"data: 2\n\n")), end)
    again = await played(Exchange(Request("GET", "/"), reply), limits=Limits(silence=0.2))
    assert (again.end, again.body) == (end, reply.body)
