"""A live server is asked every case; nothing of the key, the account or the machine reaches the disk."""

import asyncio
import base64
import json
import urllib.parse
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from onpaper.cassettes import Cassette, CassetteError, Provenance, load, save
from onpaper.cassettes.cases import select
from onpaper.cassettes.recorder import WRONG_KEY, Endpoint, NotAnswered, record, record_case
from onpaper.cassettes.verify import verify

KEY = "canary-" + "0123456789abcdef"
Answer = Callable[[str, dict[str, str], bytes], bytes]


@asynccontextmanager
async def serving(answer: Answer, key: str = KEY) -> AsyncIterator[Endpoint]:
    """An endpoint whose replies are made by `answer(request line, headers, body)`."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *fields = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        writer.write(answer(line, headers, body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        provenance = Provenance(contract="demo", server="demo 1.0", setup="in a test")
        yield Endpoint(f"http://127.0.0.1:{port}/v1", "tiny", key, provenance=provenance)
    finally:
        server.close()


def reply(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


def fine(line: str, headers: dict[str, str], body: bytes) -> bytes:
    return reply(b'{"choices": []}')


async def recorded(endpoint: Endpoint, name: str) -> Cassette:
    return await record_case(endpoint, select([name], context=100)[0])


async def test_what_is_sent_is_what_the_case_says() -> None:
    seen: list[tuple[str, dict[str, str], bytes]] = []

    def answer(*request: object) -> bytes:
        seen.append(request)  # type: ignore[arg-type]
        return fine(*request)  # type: ignore[arg-type]

    async with serving(answer) as endpoint:
        await recorded(endpoint, "models")
        await recorded(replace(endpoint, scripted=True, limit_key="max_completion_tokens"), "stream-usage")
    (models, get_headers, nothing), (chat, post_headers, body) = seen
    assert (models, nothing) == ("GET /v1/models HTTP/1.1", b"")
    assert chat == "POST /v1/chat/completions HTTP/1.1"
    assert get_headers["authorization"] == post_headers["authorization"] == f"Bearer {KEY}"
    assert get_headers["accept-encoding"] == "identity" and "content-type" not in get_headers
    sent = json.loads(body)
    assert sent["model"] == "tiny" and sent["stream"] and sent["stream_options"] == {"include_usage": True}
    assert sent["messages"][0]["content"].startswith("[[chat]] ")
    assert "max_tokens" not in sent and sent["max_completion_tokens"] == 64


async def test_a_key_may_travel_in_another_header_and_a_wrong_or_missing_one_is_wrong_or_missing() -> None:
    seen: list[str | None] = []

    def answer(line: str, headers: dict[str, str], body: bytes) -> bytes:
        seen.append(headers.get("api-key"))
        return fine(line, headers, body)

    async with serving(answer) as endpoint:
        for name in ("chat", "bad-key", "no-key"):
            await recorded(replace(endpoint, auth=("api-key", "{key}")), name)
    assert seen == [KEY, WRONG_KEY, None]


async def test_the_cassette_says_where_it_comes_from() -> None:
    async with serving(fine) as endpoint:
        chat, bad_key = await recorded(endpoint, "chat"), await recorded(endpoint, "bad-key")
    assert chat.name == "demo/chat" and chat.origin == "http://host.invalid"
    assert chat.provenance and bad_key.provenance
    assert chat.provenance.recorder.startswith("onpaper ") and len(chat.provenance.recorded) == 10
    assert (chat.provenance.model, chat.provenance.host_class) == ("tiny", "loopback")
    assert (chat.provenance.provoked, chat.provenance.note) == (False, "")
    assert (bad_key.provenance.provoked, bad_key.provenance.note) == (True, "Not refused by this server.")
    assert bad_key.exchanges[0].provoked and bad_key.exchanges[0].redacted
    assert chat.exchanges[0].request.header("host") == "host.invalid"


async def test_a_stream_that_was_cut_is_recorded_as_cut(tmp_path: Path) -> None:
    def answer(line: str, headers: dict[str, str], body: bytes) -> bytes:
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\ndata: \r\n"

    async with serving(answer) as endpoint:
        path = save(await recorded(endpoint, "chat-stream"), tmp_path / "demo" / "chat-stream.yaml", [KEY])
    (exchange,) = load(path).exchanges
    assert exchange.reply and (exchange.reply.end, exchange.reply.body) == ("cut", b"data: ")
    assert "end: cut" in path.read_text()


def echo(line: str, headers: dict[str, str], body: bytes) -> bytes:
    """A server that gives everything away that it knows, everywhere it can."""
    key = headers.get("authorization", "").removeprefix("Bearer ")
    told = {
        "error": {"message": f"Incorrect API key provided: {key} for org-{'a1' * 12}.", "code": 401},
        "nested": json.dumps(
            {"authorization": f"Bearer {key}", "b64": base64.b64encode(key.encode()).decode()}
        ),
        "url": f"http://127.0.0.1:8080/v1?key={urllib.parse.quote(key)}",
        "file": "/srv/anna/server.py",
        "request_id": "7c1d",
        "you_sent": headers,
    }
    return reply(
        json.dumps(told).encode(),
        f"200 Welcome {key}",
        f"Set-Cookie: session={key}; Path=/",
        f"X-Request-Id: req_{'0' * 24}",
        f"openai-organization: org-{'a1' * 12}",
        f"Server: demo ({key})",
    )


@pytest.mark.parametrize(
    "key", [KEY, "sk-" + "0123456789abcdef", "a+b/c=d%41\"é'"], ids=["canary", "sk", "odd"]
)
async def test_a_server_that_echoes_everything_leaves_no_trace_on_disk(key: str, tmp_path: Path) -> None:
    async with serving(echo, key) as endpoint:
        outcomes = [outcome async for outcome in record(endpoint, select(context=100, scripted=True))]
    for case, outcome in outcomes:
        assert isinstance(outcome, Cassette)
        save(outcome, tmp_path / "demo" / f"{case.name}.yaml", canaries=[key, WRONG_KEY])
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == len(outcomes) > 30
    for path in files:
        text = path.read_text(encoding="utf-8")
        for trace in (
            key,
            WRONG_KEY,
            base64.b64encode(key.encode()).decode(),
            "org-a1",
            "7c1d",
            "anna",
            "127.0.0",
        ):
            assert trace not in text, (path.name, trace)
        assert json.dumps(key)[1:-1] not in text and urllib.parse.quote(key) not in text
        (exchange,) = load(path).exchanges
        assert exchange.reply
        assert int(exchange.reply.header("content-length") or 0) == len(exchange.reply.body)
    assert verify(tmp_path) == []


async def test_a_refusal_of_what_should_be_answered_is_told_and_not_recorded() -> None:
    def answer(line: str, headers: dict[str, str], body: bytes) -> bytes:
        return reply(f'{{"error": "no\nmoney for {KEY}"}}'.encode(), "402 Payment Required")

    async with serving(answer) as endpoint:
        with pytest.raises(NotAnswered, match=r'chat: answered with 402: \{"error": "no money') as caught:
            await recorded(endpoint, "chat")
        assert KEY not in str(caught.value)
        assert isinstance(await recorded(endpoint, "bad-key"), Cassette)


async def test_one_case_that_fails_does_not_stop_the_next() -> None:
    def answer(line: str, headers: dict[str, str], body: bytes) -> bytes:
        return b"" if "models" in line else fine(line, headers, body)

    async with serving(answer) as endpoint:
        outcomes = {
            case.name: outcome async for case, outcome in record(endpoint, select(["models", "chat"]))
        }
    assert isinstance(outcomes["models"], CassetteError) and isinstance(outcomes["chat"], Cassette)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/v1",
        "ftp://h/v1",
        "http://",
        "http://u:p@h/v1",
        "http://h/v1?x=1",
        "http://h:0/",
        "http://h:x/",
    ],
)
async def test_a_base_url_that_cannot_be_used_is_explained(url: str) -> None:
    with pytest.raises(
        CassetteError, match=r"the base URL must be like 'http://127\.0\.0\.1:8000/v1'"
    ) as caught:
        await recorded(Endpoint(url, "tiny", KEY), "chat")
    assert KEY not in str(caught.value)


async def test_a_base_url_without_a_path_gets_the_usual_one() -> None:
    assert Endpoint("http://127.0.0.1:80/", "tiny").url.path == "/v1"
    assert Endpoint("http://127.0.0.1:80/openai/v1/", "tiny").url.path == "/openai/v1"


async def test_a_key_with_a_control_character_is_refused_without_being_shown() -> None:
    with pytest.raises(CassetteError, match="holds a control character") as caught:
        await recorded(Endpoint("http://127.0.0.1:9/v1", "tiny", "sk-line\nbreak"), "chat")
    assert "sk-line" not in str(caught.value)


def test_the_key_is_not_in_the_representation_of_an_endpoint() -> None:
    assert KEY not in repr(Endpoint("http://h", "tiny", KEY, headers=(("x-key", KEY),)))
