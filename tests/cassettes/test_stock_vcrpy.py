"""Stock vcrpy plays our cassettes through httpx, and its own load here."""

from pathlib import Path

import httpx
import pytest
import vcr
from hypothesis import given, settings
from hypothesis import strategies as st

from onpaper.cassettes import Cassette, find, load, save
from onpaper.exchange import Chunk, Exchange, Reply, Request

SHIPPED = find([Path(__file__).resolve().parents[2] / "cassettes"])


def play(path: Path, request: Request, origin: str) -> httpx.Response:
    with (
        vcr.use_cassette(str(path), record_mode="none", match_on=["method", "uri", "body"]),
        httpx.Client(trust_env=False) as client,
    ):
        return client.request(request.method, origin + request.target, content=request.body)


@pytest.mark.parametrize("name", [name for name in SHIPPED if name.startswith(("litellm/", "llamacpp/"))])
def test_a_recorded_cassette_plays_the_same_bytes(name: str) -> None:
    cassette = load(SHIPPED[name])
    (exchange,) = cassette.exchanges
    response = play(SHIPPED[name], exchange.request, cassette.origin)
    assert exchange.reply
    assert (response.status_code, response.content) == (exchange.reply.status, exchange.reply.body)
    assert response.headers.multi_items() == [(n.lower(), v) for n, v in exchange.reply.headers]


@settings(max_examples=40, deadline=None)
@given(
    body=st.binary(max_size=30)
    | st.sampled_from([b"\xc2\x85\r\n", "\u2028 data: x\n\n ".encode(), b"\0\xff"])
)
def test_any_body_plays_the_same_bytes(body: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    request = Request("POST", "/v1/chat", (("Content-Type", "text/plain"),), body)
    exchange = Exchange(request, Reply(200, (), (Chunk(0.0, body[:3]), Chunk(0.1, body[3:])), "cut", "OK"))
    path = save(Cassette("a/b", (exchange,)), tmp_path_factory.mktemp("vcr") / "b.yaml")
    assert play(path, request, "http://host.invalid").content == body


def test_a_cassette_that_vcrpy_recorded_loads(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(
            201, content="data: é\n\n".encode(), headers=[("Set-Cookie", "a"), ("Set-Cookie", "b")]
        )

    with (
        vcr.use_cassette(str(tmp_path / "theirs.yaml")),
        httpx.Client(transport=httpx.MockTransport(answer), trust_env=False) as client,
    ):
        client.post("https://api.example.com/v1/chat?x=1", json={"a": "é"})
    cassette = load(tmp_path / "theirs.yaml")
    (exchange,) = cassette.exchanges
    assert cassette.origin == "https://api.example.com" and cassette.provenance is None
    assert (exchange.request.method, exchange.request.target) == ("POST", "/v1/chat?x=1")
    assert exchange.request.json() == {"a": "é"}
    assert exchange.reply
    assert (exchange.reply.status, exchange.reply.body) == (201, "data: é\n\n".encode())
    assert [value for name, value in exchange.reply.headers if name == "set-cookie"] == ["a", "b"]
