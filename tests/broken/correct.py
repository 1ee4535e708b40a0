"""Correct clients, small and in many steps, so that each fault can be the change of one step.

`Correct` speaks chat completions to a metered gateway, `CorrectLocal` to a local server; the one that speaks
lines is in `lines`. They keep every clause, and the tests hold them to it.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any

from .framing import Events
from .reply import Failed, Reply, count
from .transport import SHOWN, Transport

PARAMETERS = ("temperature", "top_p", "presence_penalty")


class Correct(Transport):
    """A client of a gateway that speaks chat completions.

    The key is in CLIENT_KEY, and the URL in CLIENT_URL unless it is given.
    """

    provider = "litellm"
    """The contract that it is judged by."""
    chat, models = "/v1/chat/completions", "/v1/models"
    parameters: tuple[str, ...] = PARAMETERS
    framing: type[Any] = Events
    reply: type[Reply] = Reply

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        sampling: Mapping[str, Any] | None = None,
        connect: float = 10.0,
        first_byte: float = 60.0,
        between: float = 60.0,
        window: int = 8192,
    ) -> None:
        self.model = model
        self.window = window
        self.sampling = self.checked(sampling or {})
        url = base_url or os.environ.get("CLIENT_URL") or "http://127.0.0.1:9"
        super().__init__(url, os.environ.get("CLIENT_KEY"), connect, first_byte, between)

    def checked(self, sampling: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters that are not None. Raises ValueError for an unknown name and for NaN."""
        given = {name: value for name, value in sampling.items() if value is not None}
        for name, value in given.items():
            if name not in (*PARAMETERS, "top_k"):
                raise ValueError(f"unknown sampling parameter {name!r}")
            if not math.isfinite(value):
                raise ValueError(f"{name} is {value}, which JSON has no form for")
        return given

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self.model!r}, root={self.root!r})"

    # ---- the calls -----------------------------------------------------------------------

    async def stream(
        self,
        messages: Any,
        *,
        max_tokens: int | None = 512,
        stop: Any = None,
        stats: Any = None,
        temperature: Any = None,
        top_k: Any = None,
        top_p: Any = None,
        presence_penalty: Any = None,
    ) -> AsyncIterator[str]:
        given = self.checked(
            {"temperature": temperature, "top_k": top_k, "top_p": top_p, "presence_penalty": presence_penalty}
        )
        body = self.body(messages, True, max_tokens, self.chosen(given, {}), stop, None)
        reply = self.reply()
        try:
            async with self.send("POST", self.chat, self.encoded(body)) as response:
                reader, pieces = self.framing(), response.aiter_bytes()
                last = time.monotonic()
                while not reply.over:
                    data = await self.read(pieces, last, reply)
                    for kind, text in reader.feed(data) if data else reader.finish():
                        if piece := self.take(reply, kind, text):
                            yield piece
                        last = time.monotonic()
                        if reply.over:
                            break
                    if not data:
                        break
                if reply.over:
                    await self.drain(pieces)
            self.ended(reply)
            self.report(reply, stats)
        except Failed as error:
            error.partial = reply.text
            self.fail(error)

    async def complete(
        self,
        messages: Any,
        *,
        max_tokens: int | None = 1024,
        stop: Any = None,
        stats: Any = None,
        temperature: Any = None,
        top_k: Any = None,
        top_p: Any = None,
        presence_penalty: Any = None,
        tools: Any = None,
    ) -> dict[str, Any]:
        given = self.checked(
            {"temperature": temperature, "top_k": top_k, "top_p": top_p, "presence_penalty": presence_penalty}
        )
        body = self.body(messages, False, max_tokens, self.chosen(given, {"temperature": 0.0}), stop, tools)
        reply = self.reply()
        try:
            async with self.send("POST", self.chat, self.encoded(body)) as response:
                self.take_whole(reply, await self.whole(response))
        except Failed as error:
            self.fail(error)
        return self.report(reply, stats)

    def fail(self, error: Failed) -> None:
        raise error

    async def prefill(self, messages: Any) -> None:
        """Nothing: a request would be billed."""

    async def list_models(self) -> list[str]:
        try:
            async with self.send("GET", self.models, None) as response:
                found = self.ids(json.loads(await self.whole(response)))
        except (Failed, ValueError, KeyError, TypeError):
            found = []
        return found or [self.model]

    async def set_model(self, name: str) -> None:
        self.model = name

    # ---- the request ---------------------------------------------------------------------

    def chosen(self, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
        """The call's parameters, then the constructor's, then the method's own."""
        merged = {**defaults, **self.sampling, **given}
        return {name: value for name, value in merged.items() if name in self.parameters}

    def body(
        self,
        messages: Any,
        stream: bool,
        max_tokens: int | None,
        sampling: dict[str, Any],
        stop: Any,
        tools: Any,
    ) -> dict[str, Any]:
        body = {
            "model": self.model,
            "messages": self.history(messages),
            "stream": stream,
            "stream_options": {"include_usage": True} if stream else None,
            "max_tokens": max_tokens,
            "stop": None if stop == [] else stop,
            "tools": tools or None,
            **sampling,
        }
        return {name: value for name, value in body.items() if value is not None}

    def history(self, messages: Any) -> list[Any]:
        """The messages, with each tool call's arguments as JSON text."""
        return [self.message(message, dict, json.dumps) for message in messages]

    def message(self, message: Any, kind: type, rewrite: Callable[[Any], Any]) -> Any:
        """The message with its tool calls' arguments rewritten where they are of that kind, as a copy."""
        calls = []
        for call in message.get("tool_calls") or ():
            function = dict(call["function"])
            if isinstance(function["arguments"], kind):
                function["arguments"] = rewrite(function["arguments"])
            calls.append({**call, "function": function})
        return {**message, "tool_calls": calls} if calls else message

    def encoded(self, body: Mapping[str, Any]) -> bytes:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8")

    # ---- the reply -----------------------------------------------------------------------

    def take(self, reply: Reply, kind: str, data: str) -> str:
        """Take one event into the reply; gives the text to hand on."""
        if data.strip() == "[DONE]":
            reply.over = True
            return ""
        if not data.strip():
            return ""
        chunk = self.parsed(kind, data)
        reply.begun = True
        choice = self.choice(chunk.get("choices"))
        self.counts(reply, chunk, choice)
        return self.add(reply, choice, choice.get("delta"))

    def parsed(self, kind: str, data: str) -> dict[str, Any]:
        """The JSON object of an event. Raises Failed for anything else, and for an error that it reports."""
        try:
            value = json.loads(data)
        except ValueError:
            raise Failed(f"this is not JSON: {data[:SHOWN]}") from None
        if kind == "error" or self.is_error(value):
            raise Failed(f"the provider reports an error: {self.masked(data[:SHOWN])}")
        if not isinstance(value, dict):
            raise Failed(f"this is not a JSON object: {data[:SHOWN]}")
        return value

    def is_error(self, value: Any) -> bool:
        return isinstance(value, dict) and bool(value.get("error"))

    def choice(self, choices: Any) -> dict[str, Any]:
        """The choice with index 0, wherever it stands; empty when there is none."""
        found = [one for one in choices or () if not one.get("index")]
        return found[0] if found else {}

    def counts(self, reply: Reply, chunk: Mapping[str, Any], choice: Mapping[str, Any]) -> None:
        for holder in (choice, chunk):
            usage = holder.get("usage") or {}
            prompt, completion = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
            if (prompt, completion) != (None, None):
                reply.prompt, reply.completion = prompt, completion

    def add(self, reply: Reply, choice: Mapping[str, Any], message: Any) -> str:
        """Take a choice's delta or message into the reply; gives its text."""
        if choice.get("error"):
            raise Failed(
                f"the provider reports an error in the choice: {self.masked(json.dumps(choice['error']))}"
            )
        message = message or {}
        reply.finish = choice.get("finish_reason") or reply.finish
        text, thoughts = self.parts(message.get("content"))
        reply.reasoning += thoughts or self.thoughts(message)
        reply.refusal += message.get("refusal") or ""
        for part in message.get("tool_calls") or ():
            reply.add_fragment(part)
        reply.text += text
        return text

    def parts(self, content: Any) -> tuple[str, str]:
        """Text and reasoning of a `content`: text, null, or a list of typed parts."""
        if not isinstance(content, list):
            return content or "", ""
        text = "".join(part.get("text") or "" for part in content if part.get("type") == "text")
        inner = [part.get("thinking") or () for part in content if part.get("type") == "thinking"]
        return text, "".join(part.get("text") or "" for parts in inner for part in parts)

    def thoughts(self, message: Mapping[str, Any]) -> str:
        return message.get("reasoning_content") or message.get("reasoning") or ""

    def ended(self, reply: Reply) -> None:
        """Raises Failed for a stream that did not come to its end."""
        if not reply.over and reply.finish is None:
            raise Failed(
                "the stream ended without a finish reason and without [DONE]"
                if reply.begun
                else "the reply held no event"
            )

    def take_whole(self, reply: Reply, data: bytes) -> None:
        """Take a reply in one piece."""
        value = self.parsed("", data.decode("utf-8", "replace"))
        choice = self.choice(value.get("choices"))
        if not choice:
            raise Failed(f"the reply has no choices: {str(value)[:SHOWN]}")
        self.counts(reply, value, choice)
        for index, call in enumerate((choice.get("message") or {}).get("tool_calls") or ()):
            call["index"] = index
        self.add(reply, choice, choice.get("message"))

    def report(self, reply: Reply, stats: Any) -> dict[str, Any]:
        """The result of complete(), after `stats` was filled with the same. Raises Failed for a refusal."""
        if reply.refusal:
            raise Failed(f"the model refused: {reply.refusal}")
        calls = reply.tool_calls()
        used = (
            None
            if None in (reply.prompt, reply.completion)
            else (reply.prompt or 0) + (reply.completion or 0)
        )
        usage = {
            "prompt": reply.prompt,
            "completion": reply.completion,
            "ctx_used": used,
            "ctx_max": self.window,
        }
        if stats is not None:
            known = {"prompt_tokens": reply.prompt, "completion_tokens": reply.completion, "ctx_used": used}
            stats |= {name: value for name, value in known.items() if value is not None}
            stats |= {
                "ctx_max": self.window,
                "done_reason": reply.finish,
                "tool_calls": calls,
                "reasoning": reply.reasoning,
            }
        return {"content": reply.text, "tool_calls": calls, "usage": usage, "done_reason": reply.finish}

    def ids(self, value: Any) -> list[str]:
        return [
            one["id"] for one in value["data"] if isinstance(one, dict) and isinstance(one.get("id"), str)
        ]


class CorrectLocal(Correct):
    """The same for a local server: it takes top_k, and a prefill warms its cache with one token."""

    provider = "vllm"
    parameters: tuple[str, ...] = (*PARAMETERS, "top_k")

    async def prefill(self, messages: Any) -> None:
        body = self.body(messages, False, 1, self.chosen({}, {"temperature": 0.0}), None, None)
        with suppress(Failed):
            async with self.send("POST", self.chat, self.encoded(body)) as response:
                await self.whole(response)
