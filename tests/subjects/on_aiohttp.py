"""aiohttp: one session made at the first call, an async generator, results as dataclasses turned into dicts at the edge."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import aiohttp

ENGINE = ("temperature", "top_p", "presence_penalty")


class LLMError(Exception):
    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Outcome:
    text: list[str] = field(default_factory=list)
    finish: str | None = None
    prompt: int | None = None
    completion: int | None = None
    calls: dict[int, dict[str, Any]] = field(default_factory=dict)
    refusal: str = ""
    done: bool = False

    def count(self, usage: Any) -> None:
        if isinstance(usage, dict):
            for name, key in (("prompt", "prompt_tokens"), ("completion", "completion_tokens")):
                value = usage.get(key)
                if isinstance(value, int) and value >= 0 and value is not True:
                    setattr(self, name, value)

    @property
    def used(self) -> int | None:
        return None if self.prompt is None or self.completion is None else self.prompt + self.completion


class AiohttpBackend:
    def __init__(self, model: str = "openai/gpt-4o-mini", base_url: str = "http://localhost:4000", *,
                 sampling: dict[str, Any] | None = None, max_model_len: int = 8192) -> None:  # fmt: skip
        self.model, self.max_model_len = model, max_model_len
        self.sampling = {"temperature": 1.0, "top_p": 0.95, "presence_penalty": 1.5}
        self._asked = {key: value for key, value in (sampling or {}).items() if value is not None}
        if extra := self._asked.keys() - {*ENGINE, "top_k"}:
            raise ValueError(f"sampling does not know {', '.join(extra)}")
        self._asked.pop("top_k", None)
        scheme, _, rest = base_url.partition("://")
        rest = rest.rpartition("@")[2].rstrip("/")
        self._url = f"{scheme}://{rest.removesuffix('/v1').rstrip('/')}/v1"
        self._key = os.environ.get("LITELLM_KEY", "").strip()
        if not self._key.isprintable():
            raise ValueError("the key contains control characters")
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"AiohttpBackend({self.model})"

    def _open(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._session is None or self._session.closed or self._session._loop is not loop:
            if self._session is not None and self._session.connector is not None:
                self._session.connector._close()  # its loop is gone
            self._session = aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {self._key}"} if self._key else None,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=120),
                connector=aiohttp.TCPConnector(limit=20),
                raise_for_status=False,
            )
        return self._session

    def _clean(self, words: str) -> str:
        return words[:3000].replace(self._key, "<key>") if self._key else words[:3000]

    def _request(self, messages: list[dict[str, Any]], base: dict[str, Any], given: dict[str, Any]) -> bytes:
        body = {"model": self.model, "messages": [self._message(one) for one in messages], **base, **self._asked}
        body |= {key: value for key, value in given.items() if value is not None and value != []}
        try:
            return json.dumps(body, allow_nan=False, ensure_ascii=False).encode()
        except ValueError as error:
            raise LLMError(f"these arguments cannot be sent: {error}") from error

    @staticmethod
    def _message(message: dict[str, Any]) -> dict[str, Any]:
        if "tool_calls" not in message:
            return message
        calls = [
            {**call, "function": {**call["function"], "arguments": a if isinstance(a := call["function"]["arguments"], str) else json.dumps(a)}}
            for call in message["tool_calls"]
        ]
        return {**message, "tool_calls": calls}

    @contextlib.asynccontextmanager
    async def _post(self, data: bytes, kind: str):
        try:
            async with self._open().post(
                f"{self._url}/chat/completions", data=data, headers={"Content-Type": "application/json"}, allow_redirects=False
            ) as response:
                if response.status != 200 or (kind not in response.headers.get("Content-Type", "") and kind != "json"):
                    words = await response.text(errors="replace")
                    raise LLMError(f"{response.status}: {self._clean(words)}", response.status)
                yield response
        except aiohttp.ClientError as error:
            raise LLMError(f"{type(error).__name__}: {self._clean(str(error))}") from None
        except TimeoutError:
            raise LLMError("the provider did not answer in time") from None

    async def stream(self, messages, *, max_tokens=512, temperature=None, top_k=None, top_p=None, presence_penalty=None,
                     stop=None, stats=None) -> AsyncGenerator[str, None]:  # fmt: skip
        given = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p, "presence_penalty": presence_penalty, "stop": stop}
        data = self._request(messages, {**self.sampling, "stream": True, "stream_options": {"include_usage": True}}, given)
        seen = Outcome()
        async with self._post(data, "text/event-stream") as response:
            async for kind, event in self._events(response.content):
                for piece in self._take(seen, kind, event):
                    yield piece
                if seen.done:
                    break
            if seen.done:
                with contextlib.suppress(TimeoutError, aiohttp.ClientError):
                    await asyncio.wait_for(response.content.read(), 0.4)
        if not seen.done and not seen.finish:
            raise LLMError(f"the stream ended early, after {''.join(seen.text)!r}")
        if seen.refusal:
            raise LLMError(f"refused: {seen.refusal}")
        if stats is None and seen.calls:
            raise LLMError("the model calls tools")
        if stats is not None:
            told = {"prompt_tokens": seen.prompt, "completion_tokens": seen.completion, "ctx_used": seen.used, "ctx_max": self.max_model_len}
            stats.update({key: value for key, value in told.items() if value is not None})
            stats["done_reason"] = seen.finish
            stats["tool_calls"] = list(seen.calls.values())

    async def _events(self, content: aiohttp.StreamReader):
        """Type and data of each event; lines are kept as bytes until they are whole."""
        line, data, kind, skip, first = bytearray(), [], "", False, True
        async for block in content.iter_any():
            start = 0
            for at, byte in enumerate(block):
                if byte not in (10, 13):
                    skip = False
                    continue
                if byte == 10 and skip:
                    start, skip = at + 1, False
                    continue
                line += block[start:at]
                start, skip = at + 1, byte == 13
                if first:
                    line, first = line.removeprefix(b"\xef\xbb\xbf"), False
                if not line:
                    if data:
                        yield kind, b"\n".join(data).decode(errors="replace")
                    data, kind = [], ""
                    continue
                name, _, value = bytes(line).partition(b":")
                value = value[1:] if value.startswith(b" ") else value
                if name == b"data":
                    data.append(value)
                elif name == b"event":
                    kind = value.decode(errors="replace")
                line = bytearray()
            line += block[start:]

    def _take(self, seen: Outcome, kind: str, event: str):
        if event.strip() == "[DONE]":
            seen.done = True
            return
        if not event.strip():
            return
        try:
            chunk = json.loads(event)
        except ValueError:
            raise LLMError(f"the stream holds something else than JSON: {self._clean(event)}") from None
        if kind == "error" or not isinstance(chunk, dict) or chunk.get("error"):
            raise LLMError(self._clean(event))
        seen.count(chunk.get("usage"))
        for choice in chunk.get("choices") or []:
            if choice.get("index", 0) != 0:
                continue
            if choice.get("error"):
                raise LLMError(self._clean(event))
            seen.count(choice.get("usage"))
            seen.finish = choice.get("finish_reason") or seen.finish
            delta = choice.get("delta") or {}
            seen.refusal += delta.get("refusal") or ""
            for call in delta.get("tool_calls") or []:
                seen.calls.setdefault(call.get("index", 0), call)
            content = delta.get("content")
            if isinstance(content, list):
                content = "".join(part.get("text", "") for part in content if part.get("type") == "text")
            if content:
                seen.text.append(content)
                yield content

    async def complete(self, messages, *, max_tokens=1024, temperature=None, top_k=None, top_p=None, presence_penalty=None,
                       tools=None, stop=None, stats=None):  # fmt: skip
        given = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p, "presence_penalty": presence_penalty,
                 "stop": stop, "tools": tools}  # fmt: skip
        async with self._post(self._request(messages, {**self.sampling, "temperature": 0.0}, given), "json") as response:
            words = await response.text("utf-8", errors="replace")
        try:
            reply = json.loads(words)
            choice = min(reply["choices"], key=lambda one: one.get("index", 0))
            message = choice["message"]
        except (ValueError, TypeError, LookupError):
            raise LLMError(f"no reply in {self._clean(words)}") from None
        if reply.get("error") or choice.get("error") or message.get("refusal"):
            raise LLMError(self._clean(words))
        seen = Outcome(finish=choice.get("finish_reason"))
        seen.count(reply.get("usage"))
        content = message.get("content")
        if isinstance(content, list):
            content = "".join(part.get("text", "") for part in content if part.get("type") == "text")
        usage = {"prompt": seen.prompt, "completion": seen.completion, "ctx_used": seen.used, "ctx_max": self.max_model_len}
        if stats is not None:
            stats.update(prompt_tokens=seen.prompt, completion_tokens=seen.completion, ctx_used=seen.used)
        calls = [self._called(call) for call in message.get("tool_calls") or []]
        return {"content": content or "", "tool_calls": calls, "usage": usage, "done_reason": seen.finish}

    @staticmethod
    def _called(call: dict[str, Any]) -> dict[str, Any]:
        raw = call["function"].get("arguments") or {}
        try:
            arguments = raw if isinstance(raw, dict) else json.loads(raw)
        except ValueError:
            arguments = None
        if arguments is None and raw == "null":
            arguments = {}
        if not isinstance(arguments, dict):
            raise LLMError(f"the arguments of {call['function'].get('name')} are not an object: {raw!r}")
        return {"id": call["id"], "name": call["function"]["name"], "arguments": arguments}

    async def prefill(self, messages) -> None:
        return

    async def list_models(self) -> list[str]:
        try:
            async with self._open().get(f"{self._url}/models", timeout=aiohttp.ClientTimeout(total=5)) as response:
                response.raise_for_status()
                listed = (await response.json(content_type=None))["data"]
                return [one["id"] for one in listed if isinstance(one, dict) and one.get("id")] or [self.model]
        except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError):
            return [self.model]

    async def set_model(self, name: str) -> None:
        self.model = name

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)
