"""Ollama's own protocol through httpx: lines cut by hand, dataclass options, a prefill that warms, no key."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import httpx


class OllamaError(Exception):
    def __init__(self, words: str, status: int | None = None) -> None:
        super().__init__(words)
        self.status = status


class OllamaOnHttpx:
    name = "ollama"

    def __init__(self, model="qwen3.5:4b", base_url="http://localhost:11434", *, sampling=None, num_ctx=8192, think=False):
        self.model, self.num_ctx, self.think = model, num_ctx, think
        self.options = {"temperature": 1.0, "top_k": 20, "top_p": 0.95, "presence_penalty": 1.5}
        if sampling and not sampling.keys() <= self.options.keys():
            raise ValueError(f"sampling takes {', '.join(self.options)}")
        self.mine = {key: value for key, value in (sampling or {}).items() if value is not None}
        self.base = str(base_url).rstrip("/")
        self._http: httpx.AsyncClient | None = None
        self._loop: Any = None

    def _client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if self._http is None or self._loop is not loop:
            self._http, self._loop = httpx.AsyncClient(base_url=self.base, timeout=120, trust_env=False), loop
        return self._http

    def _body(self, messages, stream, options, **more):
        options = {key: value for key, value in options.items() if value is not None and value != []}
        for key, value in options.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{key} is {value}")
        if isinstance(options.get("stop"), str):
            options["stop"] = [options["stop"]]
        body = {
            "model": self.model, "messages": [self._message(one) for one in messages], "stream": stream,
            "keep_alive": "30m", "think": self.think, "options": {"num_ctx": self.num_ctx, **options},
        }  # fmt: skip
        return json.dumps({**body, **{key: value for key, value in more.items() if value}}, ensure_ascii=False).encode("utf-8")

    @staticmethod
    def _message(message):
        if not message.get("tool_calls"):
            return message
        calls = []
        for call in message["tool_calls"]:
            function = dict(call["function"])
            if isinstance(function["arguments"], str):
                function["arguments"] = json.loads(function["arguments"])
            calls.append({**call, "function": function})
        return {**message, "tool_calls": calls}

    def _send(self, body):
        return self._client().stream("POST", "/api/chat", content=body, headers={"content-type": "application/json"})

    @staticmethod
    async def _check(response):
        if response.status_code != 200:
            words = (await response.aread()).decode("utf-8", "replace")[:2000]
            raise OllamaError(f"Ollama answered {response.status_code}: {words}", response.status_code)

    async def stream(self, messages, *, max_tokens=512, temperature=None, top_k=None, top_p=None, presence_penalty=None,
                     stop=None, stats=None):  # fmt: skip
        call = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "presence_penalty": presence_penalty}
        options = {**self.options, **self.mine, **{key: value for key, value in call.items() if value is not None}}
        body = self._body(messages, True, {"num_predict": max_tokens, "stop": stop, **options})
        last = None
        async with self._send(body) as response:
            await self._check(response)
            rest = b""
            source = response.aiter_bytes()
            async for data in source:
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    said = self._line(line)
                    if said is None:
                        continue
                    if text := self._text(said, stats):
                        yield text
                    if said.get("done"):
                        last = said
                        break
                if last is not None:
                    break
            if last is None and (said := self._line(rest)) is not None:
                if text := self._text(said, stats):
                    yield text
                last = said if said.get("done") else None
            if last is not None:
                try:
                    async with asyncio.timeout(0.4):
                        async for _ in source:
                            pass
                except (TimeoutError, httpx.HTTPError):
                    pass
        if last is None:
            raise OllamaError("the stream ended before it was done")
        if stats is not None:
            stats |= self._counts(last, ("prompt_tokens", "completion_tokens"))
            stats["ctx_max"] = self.num_ctx

    def _line(self, line):
        if not line.strip():
            return None
        try:
            said = json.loads(line.decode("utf-8", "replace"))
        except ValueError:
            raise OllamaError(f"not JSON: {line[:500]!r}") from None
        if not isinstance(said, dict) or said.get("error"):
            raise OllamaError(f"Ollama failed: {line.decode('utf-8', 'replace')[:2000]}")
        return said

    @staticmethod
    def _text(said, stats):
        message = said.get("message") or {}
        if message.get("tool_calls"):
            if stats is None:
                raise OllamaError("the model calls tools")
            stats.setdefault("tool_calls", []).extend(message["tool_calls"])
        return message.get("content") or ""

    def _counts(self, said, names):
        found = {}
        for name, key in zip(names, ("prompt_eval_count", "eval_count"), strict=True):
            if isinstance(said.get(key), int) and said[key] >= 0:
                found[name] = said[key]
        if len(found) == 2:
            found["ctx_used"] = sum(found.values())
        return found

    async def complete(self, messages, *, max_tokens=1024, temperature=None, top_k=None, top_p=None, presence_penalty=None,
                       tools=None, stop=None, stats=None):  # fmt: skip
        call = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "presence_penalty": presence_penalty}
        options = {**self.options, "temperature": 0.0, **self.mine, **{key: value for key, value in call.items() if value is not None}}
        body = self._body(messages, False, {"num_predict": max_tokens, "stop": stop, **options}, tools=tools or [])  # as ollama-python does, and Ollama takes it
        async with self._send(body) as response:
            await self._check(response)
            data = await response.aread()
        said = self._line(data)
        if said is None or not said.get("done"):
            raise OllamaError(f"no reply: {data[:2000]!r}")
        message = said.get("message") or {}
        return {
            "content": message.get("content") or "",
            "tool_calls": message.get("tool_calls"),
            "usage": {"ctx_max": self.num_ctx, **self._counts(said, ("prompt", "completion"))},
            "done_reason": said.get("done_reason"),
        }

    async def prefill(self, messages):
        try:
            body = self._body(messages, False, {**self.options, **self.mine, "num_predict": 1})
            async with self._send(body) as response:
                await response.aread()
        except httpx.HTTPError:
            pass

    async def list_models(self):
        try:
            response = await self._client().get("/api/tags", timeout=5)
            found = [one["name"] for one in response.json()["models"] if isinstance(one, dict) and "name" in one] if response.is_success else []
        except (httpx.HTTPError, ValueError, LookupError, TypeError):
            found = []
        return found or [self.model]

    async def set_model(self, name):
        self.model = name

    async def aclose(self):
        if self._http is not None:
            await self._http.aclose()
