"""A client of the LiteLLM proxy as an application writes it: httpx, a small SSE parser of its own, options as **kwargs.

It refuses `top_k` with TypeError, because the proxy does not take it, and keeps one pool for each event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx

LINE_END = re.compile(rb"\r\n?|\n")
DEFAULTS = {"temperature": 1.0, "top_p": 0.95, "presence_penalty": 1.5}
KNOWN = {*DEFAULTS, "max_tokens", "stop"}


class ReplyFailed(Exception):
    """The provider refused, broke off, or said something that cannot be used."""


class Events:
    """Data and type of each event of an event stream, from bytes cut anywhere (WHATWG)."""

    def __init__(self) -> None:
        self._line: list[bytes] = []  # the pieces of the line that is still open
        self._data: list[bytes] = []
        self._kind = ""
        self._after_cr = False
        self._first = True

    def feed(self, data: bytes) -> list[tuple[str, str]]:
        second_half = self._after_cr and data.startswith(b"\n")
        self._after_cr = data.endswith(b"\r")
        data = data[1:] if second_half else data
        found = []
        while match := LINE_END.search(data):
            self._line.append(data[: match.start()])
            data = data[match.end() :]
            line, self._line = b"".join(self._line), []
            if self._first:
                line, self._first = line.removeprefix(b"\xef\xbb\xbf"), False
            if line:
                self._field(line)
            else:
                if self._data:
                    found.append((b"\n".join(self._data).decode("utf-8", "replace"), self._kind))
                self._data, self._kind = [], ""
        if data:
            self._line.append(data)
        return found

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._kind = value.decode("utf-8", "replace")


class LiteLLMClient:
    """`LiteLLMClient(model, base_url, sampling={...})`; the key is `LITELLM_KEY` when the client is made."""

    def __init__(
        self,
        model: str = "openai/gpt-4o-mini",
        base_url: str = "http://localhost:4000",
        *,
        sampling: dict[str, Any] | None = None,
        window: int | None = None,
    ) -> None:
        unknown = set(sampling or {}) - set(DEFAULTS)
        if unknown:
            raise ValueError(f"this provider takes no {', '.join(sorted(unknown))}")
        self.model = model
        self.window = window
        self._sampling = {name: value for name, value in (sampling or {}).items() if value is not None}
        self._root = re.sub(r"(/v1)?/*\Z", "", base_url) + "/v1"
        if "@" in base_url:
            raise ValueError("a user name in the base URL would replace the key; set LITELLM_KEY instead")
        key = os.environ.get("LITELLM_KEY", "").strip()
        if key and not (key.isascii() and key.isprintable()):
            raise ValueError("LITELLM_KEY holds characters that no key has")
        self._auth = {"authorization": f"Bearer {key}"} if key else {}
        self._mask = (lambda text: text.replace(key, "***")) if key else str
        self._clients: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}

    @property
    def _client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients = {one: client for one, client in self._clients.items() if not one.is_closed()}
            self._clients[loop] = httpx.AsyncClient(
                headers={"user-agent": "my-agent/1.0", **self._auth},
                timeout=httpx.Timeout(120, connect=5),
                limits=httpx.Limits(max_connections=20),
                trust_env=False,
            )
        return self._clients[loop]

    def _body(self, messages: list[dict[str, Any]], defaults: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
        if unknown := set(options) - KNOWN - {"tools"}:
            raise TypeError(f"unexpected argument {sorted(unknown)[0]!r}")
        given = {name: value for name, value in options.items() if value is not None and value != []}
        return {"model": self.model, "messages": [_outgoing(one) for one in messages], **defaults, **self._sampling, **given}

    async def stream(
        self, messages: list[dict[str, Any]], *, max_tokens: int | None = 512, stats: dict[str, Any] | None = None, **options: Any
    ) -> AsyncIterator[str]:
        body = self._body(messages, DEFAULTS, {"max_tokens": max_tokens, **options})
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        seen = _Seen()
        async with self._client.stream("POST", f"{self._root}/chat/completions", json=body,
                                       headers={"accept": "text/event-stream"}) as response:  # fmt: skip
            kind = response.headers.get("content-type", "")
            if response.status_code != 200 or "event-stream" not in kind:
                raise await self._failed(response)
            events, source = Events(), response.aiter_bytes()
            async for data in source:
                for text, kind in events.feed(data):
                    if piece := seen.take(text, kind, self._mask):
                        yield piece
                    if seen.done:
                        break
                if seen.done:
                    with contextlib.suppress(TimeoutError, httpx.HTTPError):
                        async with asyncio.timeout(0.5):
                            async for _ in source:
                                pass
                    break
        if not seen.done and not seen.finish:
            raise ReplyFailed("the stream broke off")
        if seen.special:
            raise ReplyFailed(f"the model gave no text but {seen.special}")
        if stats is not None:
            stats.update(_stats(seen.usage, self.window))

    async def complete(
        self, messages: list[dict[str, Any]], *, max_tokens: int | None = 1024, tools: list[Any] | None = None, **options: Any
    ) -> dict[str, Any]:
        stats = options.pop("stats", None)
        body = self._body(messages, {**DEFAULTS, "temperature": 0.0}, {"max_tokens": max_tokens, "tools": tools, **options})
        response = await self._client.post(f"{self._root}/chat/completions", json=body)
        if response.status_code != 200:
            raise await self._failed(response)
        try:
            value = json.loads(response.content)
            choices = value["choices"]
            choice = next(one for one in choices if one.get("index", 0) == 0)
            message = choice["message"]
        except (ValueError, LookupError, TypeError, AttributeError, StopIteration):
            raise ReplyFailed(f"no reply: {self._mask(response.text[:2000])}") from None
        if value.get("error") or choice.get("error"):
            raise ReplyFailed(self._mask(response.text[:2000]))
        if message.get("refusal"):
            raise ReplyFailed(f"the model refused: {message['refusal']}")
        if stats is not None:
            stats.update(_stats(value.get("usage"), self.window))
        counts = _stats(value.get("usage"), self.window)
        return {
            "content": _text(message.get("content")),
            "tool_calls": [_call(one) for one in message.get("tool_calls") or ()],
            "usage": {
                "prompt": counts.get("prompt_tokens"), "completion": counts.get("completion_tokens"),
                "ctx_used": counts.get("ctx_used"), "ctx_max": self.window,
            },
            "done_reason": choice.get("finish_reason"),
        }  # fmt: skip

    async def prefill(self, messages: list[dict[str, Any]]) -> None:
        """Nothing: it would be billed."""

    async def list_models(self) -> list[str]:
        try:
            response = await self._client.get(f"{self._root}/models", timeout=5)
            response.raise_for_status()
            found = [one["id"] for one in response.json()["data"] if isinstance(one, dict) and one.get("id")]
        except (httpx.HTTPError, ValueError, LookupError, TypeError):
            found = []
        return found or [self.model]

    async def set_model(self, name: str) -> None:
        self.model = name

    async def aclose(self) -> None:
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.aclose()

    async def _failed(self, response: httpx.Response) -> ReplyFailed:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3):
                await response.aread()
        text = response.text if response.is_stream_consumed else ""
        return ReplyFailed(f"{response.status_code} {self._mask(text[:2000])}")


class _Seen:
    """What a stream has said so far, text apart."""

    def __init__(self) -> None:
        self.done, self.finish, self.special = False, None, ""
        self.usage: Any = None

    def take(self, data: str, kind: str, mask: Any) -> str:
        if data.strip() == "[DONE]":
            self.done = True
            return ""
        try:
            chunk = json.loads(data)
        except ValueError:
            raise ReplyFailed(f"not JSON in the stream: {mask(data[:2000])}") from None
        if kind == "error" or not isinstance(chunk, dict) or chunk.get("error"):
            raise ReplyFailed(mask(data[:2000]))
        if chunk.get("usage"):
            self.usage = chunk["usage"]
        text = ""
        for choice in chunk.get("choices") or ():
            if choice.get("index", 0):
                continue
            if choice.get("error"):
                raise ReplyFailed(mask(data[:2000]))
            self.usage = choice.get("usage") or self.usage
            self.finish = choice.get("finish_reason") or self.finish
            delta = choice.get("delta") or {}
            text += _text(delta.get("content"))
            if delta.get("tool_calls"):
                self.special = "tool calls"
            if delta.get("refusal"):
                self.special = f"a refusal: {delta['refusal']}"
        return text


def _outgoing(message: dict[str, Any]) -> dict[str, Any]:
    if not message.get("tool_calls"):
        return message
    calls = []
    for call in message["tool_calls"]:
        function = call["function"]
        if not isinstance(function["arguments"], str):
            function = {**function, "arguments": json.dumps(function["arguments"])}
        calls.append({**call, "function": function})
    return {**message, "tool_calls": calls}


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    arguments = function.get("arguments") or {}
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            raise ReplyFailed(f"{function.get('name')} was called with {arguments!r}") from None
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise ReplyFailed(f"{function.get('name')} was called with {arguments!r}")
    return {"id": call.get("id"), "function": {"name": function.get("name"), "arguments": arguments}}


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(one.get("text") or "" for one in content if isinstance(one, dict) and one.get("type") == "text")
    return content or ""


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _stats(usage: Any, window: int | None) -> dict[str, Any]:
    usage = usage if isinstance(usage, dict) else {}
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    found = {"prompt_tokens": prompt, "completion_tokens": completion, "ctx_max": window}
    if prompt is not None and completion is not None:
        found["ctx_used"] = prompt + completion
    return {name: value for name, value in found.items() if value is not None}
