"""httpx2 and the event source that comes with it, made by a function; no prefill, no set_model, and complete() reads a stream."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import aclosing, suppress
from typing import Any

import httpx2


class ProviderError(RuntimeError):
    """What the provider said when it did not answer; `partial` is the text that had come."""

    partial = ""


class _Client:
    def __init__(self, http: httpx2.AsyncClient, model: str, sampling: dict[str, Any], secret: str) -> None:
        self._http, self.model, self._sampling, self._secret = http, model, sampling, secret
        self._loop: asyncio.AbstractEventLoop | None = None

    def _post(self, body: dict[str, Any]):
        if self._loop not in (None, asyncio.get_running_loop()):
            raise RuntimeError("make a client for each event loop")
        self._loop = asyncio.get_running_loop()
        body = {"model": self.model, **body, "messages": [self._written(one) for one in body["messages"]]}
        return self._http.stream("POST", "chat/completions", json={key: value for key, value in body.items() if value not in (None, [])})

    @staticmethod
    def _written(message: dict[str, Any]) -> dict[str, Any]:
        copy = json.loads(json.dumps(message))
        for call in copy.get("tool_calls", []):
            if not isinstance(call["function"]["arguments"], str):
                call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
        return copy

    def _error(self, words: str) -> ProviderError:
        return ProviderError(words[:5000].replace(self._secret, "***") if self._secret else words[:5000])

    async def stream(self, messages, *, max_tokens=512, temperature=None, top_p=None, presence_penalty=None, stop=None, stats=None):
        said = Said()
        given = {"temperature": temperature, "top_p": top_p, "presence_penalty": presence_penalty}
        async with aclosing(self._pieces(said, {
            "messages": messages, "max_tokens": max_tokens, "stop": stop, **self._sampling,
            **{key: value for key, value in given.items() if value is not None},
        })) as pieces:  # fmt: skip
            async for piece in pieces:
                yield piece
        if said.calls and stats is None:
            raise self._error("the model called tools where a text was wanted")
        if stats is not None:
            stats.update(said.stats, done_reason=said.finish, tool_calls=said.tool_calls())

    async def _pieces(self, said: Said, body: dict[str, Any]):
        try:
            async with self._post({**body, "stream": True, "stream_options": {"include_usage": True}}) as response:
                if response.status_code != 200 or not response.headers.get("content-type", "").startswith("text/event-stream"):
                    with suppress(TimeoutError):
                        await asyncio.wait_for(response.aread(), 5)
                    raise self._error(f"{response.status_code} {response.text if response.is_closed else ''}")
                source = aiter(httpx2.EventSource(response))
                async for event in source:
                    if piece := said.take(event, self._error):
                        yield piece
                    if said.over:
                        break
                if said.over:
                    with suppress(TimeoutError, httpx2.HTTPError):
                        await asyncio.wait_for(anext(source, None), 0.4)
        except httpx2.HTTPError as error:
            raise self._error(f"{type(error).__name__}: {error}") from None
        if not (said.over or said.finish):
            raise self._error("the reply is incomplete")
        if said.refusal:
            raise self._error(said.refusal)

    async def complete(self, messages, *, max_tokens=1024, temperature=None, top_p=None, presence_penalty=None, tools=None, stop=None):
        given = {"temperature": temperature, "top_p": top_p, "presence_penalty": presence_penalty}
        body = {
            "messages": messages, "max_tokens": max_tokens, "stop": stop, "tools": tools, "temperature": 0, **self._sampling,
            **{key: value for key, value in given.items() if value is not None},
        }  # fmt: skip
        try:
            async with self._post(body) as response:
                with suppress(TimeoutError):
                    await asyncio.wait_for(response.aread(), 60)
                text = response.text
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise self._error(f"{type(error).__name__}: {error}") from None
        if response.status_code != 200:
            raise self._error(f"{response.status_code} {text}")
        said = Said()
        try:
            reply = json.loads(text)
            content = said.reply(reply, self._error)
        except (ValueError, LookupError, TypeError, AttributeError):
            raise self._error(f"no reply: {text}") from None
        if said.refusal:
            raise self._error(said.refusal)
        usage = {
            "prompt": said.stats.get("prompt_tokens"), "completion": said.stats.get("completion_tokens"),
            "ctx_used": said.stats.get("ctx_used"), "ctx_max": None,
        }  # fmt: skip
        return {"content": content, "tool_calls": said.tool_calls(), "usage": usage, "done_reason": said.finish}

    async def list_models(self) -> list[str]:
        with suppress(httpx2.HTTPError, ValueError, LookupError, TypeError, AttributeError):
            response = (await self._http.get("models", timeout=5)).raise_for_status()
            return [one["id"] for one in response.json()["data"] if one and one.get("id")] or [self.model]
        return [self.model]

    async def aclose(self) -> None:
        await self._http.aclose()


class Said:
    """What a reply has said so far."""

    def __init__(self) -> None:
        self.over, self.finish, self.refusal = False, None, ""
        self.usage: dict[str, Any] = {}
        self.calls: list[dict[str, Any]] = []

    def take(self, event: httpx2.ServerSentEvent, failed: Any) -> str:
        data = event.data.strip()
        if data == "[DONE]":
            self.over = True
        if self.over or not data:
            return ""
        try:
            chunk = json.loads(data)
        except ValueError:
            raise failed(f"not JSON: {data}") from None
        if event.event == "error" or not isinstance(chunk, dict) or chunk.get("error"):
            raise failed(data)
        self.usage = chunk.get("usage") or self.usage
        return "".join(self._choice(one, one.get("delta"), failed) for one in chunk.get("choices") or [] if not one.get("index"))

    def reply(self, reply: dict[str, Any], failed: Any) -> str:
        if reply.get("error"):
            raise failed(json.dumps(reply, ensure_ascii=False))
        self.usage = reply.get("usage") or {}
        choice = next(one for one in reply["choices"] if not one.get("index"))
        return self._choice(choice, choice["message"], failed)

    def _choice(self, choice: dict[str, Any], message: dict[str, Any] | None, failed: Any) -> str:
        if choice.get("error"):
            raise failed(json.dumps(choice, ensure_ascii=False))
        self.usage = choice.get("usage") or self.usage
        self.finish = choice.get("finish_reason") or self.finish
        message = message or {}
        self.refusal += message.get("refusal") or ""
        for part in message.get("tool_calls") or []:
            self._call(part)
        content = message.get("content") or ""
        if isinstance(content, list):
            content = "".join(part.get("text") or "" for part in content if part.get("type") == "text")
        return content

    def _call(self, part: dict[str, Any]) -> None:
        function = part.get("function") or {}
        same = [one for one in self.calls if one["index"] == part.get("index") and part.get("id") in (None, "", one["id"])]
        if part.get("index") is None and not part.get("id") and self.calls:
            same = self.calls
        if not same:
            self.calls.append({"index": part.get("index"), "id": part.get("id"), "name": "", "raw": ""})
            same = self.calls
        same[-1]["name"] = same[-1]["name"] or function.get("name") or ""
        arguments = function.get("arguments") or ""
        same[-1]["raw"] = arguments if isinstance(arguments, dict) else same[-1]["raw"] + arguments

    def tool_calls(self) -> list[dict[str, Any]]:
        found = []
        for call in self.calls:
            try:
                arguments = json.loads(call["raw"] or "{}") if isinstance(call["raw"], str) else call["raw"]
                good = isinstance(arguments, dict) or arguments is None
            except ValueError:
                arguments, good = call["raw"], False
            found.append({"id": call["id"], "name": call["name"], "arguments": arguments or {} if good else call["raw"], "invalid": not good})
        return found

    @property
    def stats(self) -> dict[str, int]:
        found = {key: self.usage.get(key) for key in ("prompt_tokens", "completion_tokens")}
        found = {key: value for key, value in found.items() if isinstance(value, int) and value >= 0}
        return {**found, "ctx_used": sum(found.values())} if len(found) == 2 else found


def client(model: str = "openai/gpt-4o-mini", base_url: str = "http://localhost:4000", *, sampling: dict[str, Any] | None = None) -> _Client:
    """A client of the LiteLLM proxy; its key is LITELLM_KEY."""
    secret = (os.environ.get("LITELLM_KEY") or "").strip()
    if not (secret.isprintable() and secret.isascii()):
        raise ValueError("LITELLM_KEY is no key")
    url = httpx2.URL(base_url)
    if url.userinfo:
        raise ValueError("no user name in the base URL, please")
    if unknown := set(sampling or ()) - {"temperature", "top_p", "presence_penalty", "top_k"}:
        raise ValueError(f"unknown in sampling: {unknown}")
    defaults = {"temperature": 1.0, "top_p": 0.95, "presence_penalty": 1.5}
    given = {key: value for key, value in (sampling or {}).items() if value is not None and key in defaults}
    http = httpx2.AsyncClient(
        base_url=str(url).rstrip("/").removesuffix("/v1").rstrip("/") + "/v1/",
        headers={"authorization": f"bearer {secret}"} if secret else {},
        timeout=httpx2.Timeout(60, connect=5),
        trust_env=False,
    )
    return _Client(http, model, given, secret)
