"""The OpenAI SDK behind the interface, as carefully as the SDK lets an application be.

What the SDK itself does to the bytes cannot be mended from here: see SDK_BREAKS in the tests.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import openai
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Omit


class Incomplete(Exception):
    """The reply broke off, or is none."""


class OpenAISDKBackend:
    def __init__(self, model: str = "openai/gpt-4o-mini", base_url: str = "http://localhost:4000", *,
                 temperature: float = 1.0, sampling: dict[str, Any] | None = None) -> None:  # fmt: skip
        self.model = model
        self.sampling = {"temperature": temperature, "top_p": 0.95, "presence_penalty": 1.5}
        self._given = {name: value for name, value in (sampling or {}).items() if value is not None}
        for name in self._given:
            if name not in self.sampling:
                raise ValueError(f"sampling: {name} is not sent by this client")
        if "@" in base_url:
            raise ValueError("base_url must not carry a user name")
        key = os.environ.get("LITELLM_KEY", "").strip()
        if not key.isprintable():
            raise ValueError("LITELLM_KEY holds a control character")
        self._key = key
        self._headers = None if key else {"Authorization": Omit()}  # the SDK wants a key, or to be told that there is none
        self._loop: asyncio.AbstractEventLoop | None = None
        url = base_url.rstrip("/")
        self._sdk = AsyncOpenAI(
            api_key=key or "none",
            base_url=url if url.endswith("/v1") else url + "/v1",
            max_retries=0,
            timeout=60,
            http_client=DefaultAsyncHttpxClient(follow_redirects=False, trust_env=False),
        )

    def _parameters(self, messages: Any, given: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        if self._loop is not None and self._loop is not loop:
            raise RuntimeError("this client was used on another event loop; make one client for each loop")
        self._loop = loop
        values = {**self.sampling, **defaults, **self._given, **{key: value for key, value in given.items() if value is not None}}
        values = {key: value for key, value in values.items() if value != []}
        json.dumps(values, allow_nan=False)
        json.dumps(messages, ensure_ascii=False).encode()
        return {"model": self.model, "messages": [self._history(one) for one in messages], **values}

    @staticmethod
    def _history(message: dict[str, Any]) -> dict[str, Any]:
        calls = [
            {**call, "function": {**call["function"], "arguments": json.dumps(call["function"]["arguments"])}}
            if isinstance(call["function"]["arguments"], dict) else call
            for call in message.get("tool_calls") or ()
        ]  # fmt: skip
        return {**message, "tool_calls": calls} if calls else message

    def _hidden(self, error: Exception) -> Exception:
        """An error in the provider's words, without the key."""
        body = getattr(error, "body", None)
        response = getattr(error, "response", None)
        words = f"{str(error)[:2000]} {str(body)[:2000] if body is not None else ''} {response.text[:2000] if response is not None else ''}"
        status = getattr(error, "status_code", None)
        return Incomplete(f"{type(error).__name__} {status or ''}: {words.replace(self._key, '***') if self._key else words}")

    async def stream(self, messages, *, max_tokens=512, temperature=None, top_p=None, presence_penalty=None, stop=None, stats=None):
        given = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p, "presence_penalty": presence_penalty, "stop": stop}
        parameters = self._parameters(messages, given, {})
        finish = usage = None
        refusal, called, chunks = "", False, 0
        try:
            async with await self._sdk.chat.completions.create(
                **parameters, stream=True, stream_options={"include_usage": True}, extra_headers=self._headers
            ) as source:
                if "event-stream" not in source.response.headers.get("content-type", ""):
                    raise Incomplete(f"no stream: {(await source.response.aread())[:2000]!r}")
                async for chunk in source:
                    chunks += 1
                    usage = chunk.usage or usage
                    for choice in chunk.choices or ():
                        if choice.index:
                            continue
                        extra = choice.model_extra or {}
                        if extra.get("error"):
                            raise Incomplete(f"the provider failed: {extra['error']}")
                        usage = extra.get("usage") or usage
                        finish = choice.finish_reason or finish
                        if choice.delta is None:
                            continue
                        refusal += choice.delta.refusal or ""
                        called = called or bool(choice.delta.tool_calls)
                        content = choice.delta.content
                        if isinstance(content, list):
                            content = "".join(part.get("text", "") for part in content if part.get("type") == "text")
                        if content:
                            yield content
        except openai.OpenAIError as error:
            raise self._hidden(error) from None
        except (ValueError, TypeError, AttributeError) as error:
            raise Incomplete(f"the stream cannot be read: {error}") from None
        if not finish:
            raise Incomplete("the stream ended before the reply did")
        if refusal or called:
            raise Incomplete(f"no text: {refusal or 'tool calls'}")
        if stats is not None:
            prompt, completion = self._counts(usage)
            stats.update({key: value for key, value in (("prompt_tokens", prompt), ("completion_tokens", completion)) if value is not None})
            if prompt is not None and completion is not None:
                stats["ctx_used"] = prompt + completion

    @staticmethod
    def _counts(usage: Any) -> tuple[int | None, int | None]:
        get = usage.get if isinstance(usage, dict) else lambda name: getattr(usage, name, None)
        found = [value if type(value := get(name)) is int and value >= 0 else None for name in ("prompt_tokens", "completion_tokens")]
        return found[0], found[1]

    async def complete(self, messages, *, max_tokens=1024, temperature=None, top_p=None, presence_penalty=None, tools=None, stop=None, stats=None):
        given = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p, "presence_penalty": presence_penalty,
                 "stop": stop, "tools": tools}  # fmt: skip
        parameters = self._parameters(messages, given, {"temperature": 0.0})
        try:
            raw = await self._sdk.chat.completions.with_raw_response.create(**parameters, extra_headers=self._headers)
            text = raw.http_response.text
            if not isinstance(json.loads(text), dict):
                raise Incomplete(f"no reply: {text[:2000]}")
            reply = raw.parse()
        except openai.OpenAIError as error:
            raise self._hidden(error) from None
        except ValueError:
            raise Incomplete(f"the reply is not JSON: {text[:2000]}") from None
        choice = next((one for one in reply.choices or () if not one.index), None)
        failed = (reply.model_extra or {}).get("error") or (choice is not None and (choice.model_extra or {}).get("error"))
        if choice is None or failed or choice.message is None or choice.message.refusal:
            raise Incomplete(f"no reply: {text[:2000]}")
        content = choice.message.content
        if isinstance(content, list):
            content = "".join(part.get("text", "") for part in content if part.get("type") == "text")
        prompt, completion = self._counts(reply.usage)
        if stats is not None:
            stats.update(prompt_tokens=prompt, completion_tokens=completion)
        used = prompt + completion if prompt is not None and completion is not None else None
        return {
            "content": content or "",
            "tool_calls": [self._call(call) for call in choice.message.tool_calls or ()],
            "usage": {"prompt": prompt, "completion": completion, "ctx_used": used, "ctx_max": None},
            "done_reason": choice.finish_reason,
        }

    @staticmethod
    def _call(call: Any) -> dict[str, Any]:
        arguments = call.function.arguments
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments or "{}")
            except ValueError:
                raise Incomplete(f"{call.function.name} was called with {arguments!r}") from None
        if not isinstance(arguments, dict):
            raise Incomplete(f"{call.function.name} was called with {arguments!r}")
        return {"id": call.id, "function": {"name": call.function.name, "arguments": arguments}}

    async def prefill(self, messages) -> None:
        return

    async def list_models(self) -> list[str]:
        try:
            page = await self._sdk.models.list(timeout=5, extra_headers=self._headers)
            return [one.id for one in page.data if one is not None and getattr(one, "id", None)] or [self.model]
        except (openai.OpenAIError, ValueError, TypeError, AttributeError):
            return [self.model]

    async def set_model(self, name: str) -> None:
        self.model = name

    async def aclose(self) -> None:
        await self._sdk.close()


