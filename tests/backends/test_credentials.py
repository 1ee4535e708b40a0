"""The key: sent where it belongs, and shown nowhere."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from onpaper.backends import BackendError, LiteLLMBackend, OllamaBackend, VLLMBackend
from onpaper.backends.credential import Key

HELLO = [{"role": "user", "content": "hi"}]
KEY = 'sk-canary-"quoted"-0123456789'
REPLY = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}], "data": [{"id": "m"}]}


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    """Every log record at DEBUG, of every logger."""
    kept: list[logging.LogRecord] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(record)

    handler = Keeper()
    loggers = [logging.getLogger(name) for name in (None, "httpx", "httpcore", "httpcore.http11", "onpaper")]
    levels = [logger.level for logger in loggers]
    loggers[0].addHandler(handler)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    yield kept
    loggers[0].removeHandler(handler)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


async def test_the_key_goes_out_once_as_a_bearer_header_on_every_request(provider: Any, build: Any) -> None:
    provider.replies(REPLY)
    backend = build(LiteLLMBackend, api_key=KEY)
    await backend.complete(HELLO)
    await backend.list_models()
    for asked in provider.asked:
        assert asked.head.lower().count(b"authorization:") == 1
        assert asked.headers["authorization"] == f"Bearer {KEY}"
        assert KEY not in asked.target
        assert KEY.encode() not in asked.content


@pytest.mark.parametrize("key", [None, "", "  ", "\n"])
async def test_no_key_is_no_header(provider: Any, build: Any, key: str | None, monkeypatch: Any) -> None:
    monkeypatch.delenv("VUI_LITELLM_KEY", raising=False)
    provider.replies(REPLY)
    for kind in (VLLMBackend, LiteLLMBackend):
        await build(kind, api_key=key).complete(HELLO)
    assert all("authorization" not in asked.headers for asked in provider.asked)


async def test_a_backend_without_authentication_sends_none(
    provider: Any, build: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("VUI_LITELLM_KEY", KEY)
    provider.replies({"message": {"content": ""}, "done": True, **REPLY})
    for kind in (VLLMBackend, OllamaBackend):
        await build(kind).complete(HELLO)
    assert all("authorization" not in asked.headers for asked in provider.asked)


async def test_the_key_is_read_when_the_backend_is_made(provider: Any, build: Any, monkeypatch: Any) -> None:
    provider.replies(REPLY)
    monkeypatch.setenv("VUI_LITELLM_KEY", f"  {KEY}\n")
    backend = build(LiteLLMBackend)
    monkeypatch.setenv("VUI_LITELLM_KEY", "another")
    await backend.complete(HELLO)
    assert provider.asked[0].headers["authorization"] == f"Bearer {KEY}"


async def test_an_argument_wins_over_the_environment_also_when_it_is_empty(
    provider: Any, build: Any, monkeypatch: Any
) -> None:
    provider.replies(REPLY)
    monkeypatch.setenv("VUI_LITELLM_KEY", "environment")
    for key in ("argument", ""):
        await build(LiteLLMBackend, api_key=key).complete(HELLO)
    assert [asked.headers.get("authorization") for asked in provider.asked] == ["Bearer argument", None]


@pytest.mark.parametrize(
    "bad", ["sk-\nsecret", "sk-\x00secret", "sk-secret\x7f", "sk-ключ-secret", "sk\r\nX: secret"]
)
def test_a_key_that_no_header_may_carry_is_refused_without_showing_it(bad: str) -> None:
    with pytest.raises(ValueError, match="no HTTP header may carry") as caught:
        LiteLLMBackend(api_key=bad)
    shown = "".join(traceback.format_exception(caught.value))
    assert "secret" not in str(caught.value)
    assert bad not in shown


async def test_two_keys_never_mix(provider: Any, build: Any) -> None:
    async def answer(line: Any) -> None:
        body = b'{"choices":[{"message":{"content":"%s"}}]}' % line.asked.headers["authorization"].encode()
        await line.head(framing=f"content-length: {len(body)}")
        await line.send(body)

    provider.answer = answer
    backends = [build(LiteLLMBackend, api_key=f"key-{n}") for n in range(5)]
    replies = await asyncio.gather(*(backend.complete(HELLO) for backend in backends * 3))
    assert [reply["content"] for reply in replies] == [f"Bearer key-{n}" for n in range(5)] * 3


async def test_neither_netrc_nor_the_base_urls_user_takes_the_keys_place(
    provider: Any, build: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password pw\n")
    monkeypatch.setenv("NETRC", str(netrc))
    provider.replies(REPLY)
    url = provider.url.replace("http://", "http://user:password@")
    for key in (KEY, ""):
        backend = build(LiteLLMBackend, base_url=url, api_key=key)
        await backend.complete(HELLO)
        assert "password" not in backend.base_url
    assert [asked.headers.get("authorization") for asked in provider.asked] == [f"Bearer {KEY}", None]


async def test_the_environments_proxies_are_not_used(provider: Any, build: Any, monkeypatch: Any) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    provider.replies(REPLY)
    await build(VLLMBackend).complete(HELLO)
    assert provider.asked[0].target == "/v1/chat/completions"


def test_a_backend_does_not_show_its_key() -> None:
    backend = LiteLLMBackend(api_key=KEY)
    assert KEY not in repr(backend) + str(backend) + repr(vars(backend)) + repr(vars(backend._transport))
    assert repr(Key(KEY)) == str(Key(KEY)) == "Key(***)"


async def test_no_log_record_shows_the_key(
    provider: Any, build: Any, delta: Any, records: list[logging.LogRecord]
) -> None:
    backend = build(LiteLLMBackend, api_key=KEY)
    provider.streams(delta("a", finish="stop"), "[DONE]")
    async for _ in backend.stream(HELLO):
        pass
    provider.replies({"error": {"message": f"bad key {KEY}"}}, 401)
    with pytest.raises(BackendError):
        await backend.complete(HELLO)
    warm = build(VLLMBackend, api_key=KEY)
    await warm.prefill(HELLO)
    assert any(record.name.startswith("httpcore") for record in records)
    assert any("prefill failed" in record.getMessage() for record in records)
    assert not [r for r in records if KEY in r.getMessage() or KEY in repr(r.args) or KEY in repr(vars(r))]


def shown(error: BaseException) -> str:
    """Everything that an exception and those behind it show."""
    parts = ["".join(traceback.format_exception(error))]
    link: BaseException | None = error
    while link is not None:
        parts += [str(link), repr(link), repr(link.args), repr(vars(link))]
        link = link.__cause__ or link.__context__
    return "\n".join(parts)


ECHOES = {
    "refused": (401, b'{"error":{"message":"bad key KEY","code":"KEY","type":"KEY","param":"KEY"}}'),
    "refused in plain text": (401, b"KEY " * 30_000),
    "inside a reply": (200, b'{"error":{"message":"bad key KEY"}}'),
    "in a body that is no reply": (200, b"<html>KEY</html>"),
    "in broken tool calls": (
        200,
        b'{"choices":[{"message":{"tool_calls":[{"function":{"name":"f","arguments":"KEY"}}]}}]}',
    ),
}


@pytest.mark.parametrize("where", ECHOES)
@pytest.mark.parametrize("key", [KEY, "sk-plain-0123456789"])
async def test_a_key_that_the_server_echoes_is_masked(
    provider: Any, build: Any, where: str, key: str
) -> None:
    status, body = ECHOES[where]
    escaped = key.replace('"', '\\"').encode()
    provider.replies(body.replace(b"KEY", escaped), status)
    with pytest.raises(BackendError) as caught:
        await build(LiteLLMBackend, api_key=key).complete(HELLO)
    assert "***" in str(caught.value)
    assert key not in shown(caught.value)
    assert key[:12] not in shown(caught.value)


async def test_a_key_that_the_server_echoes_in_a_stream_is_masked(provider: Any, build: Any) -> None:
    key = "sk-plain-0123456789"
    for event in ({"error": {"message": f"bad key {key}"}}, f"not json {key}"):
        provider.streams(event, location=key)
        with pytest.raises(BackendError) as caught:
            async for _ in build(LiteLLMBackend, api_key=key).stream(HELLO):
                pass
        assert "***" in str(caught.value)
        assert key not in shown(caught.value)


def test_a_key_cut_by_the_bound_of_a_body_is_masked_whole() -> None:
    error = BackendError("x", body="x" * 65_530 + "sk-plain-0123456789")
    error.seal(Key("sk-plain-0123456789").mask)
    assert error.body == "x" * 65_530 + "***"
