"""A correct client of Ollama's own protocol: one JSON object a line, the last one says done."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from .correct import Correct
from .framing import JSONLines
from .reply import Failed, Reply, count
from .transport import SHOWN


class CorrectLines(Correct):
    """A client of a local server that speaks lines."""

    provider = "ollama"
    chat, models = "/api/chat", "/api/tags"
    parameters = (*Correct.parameters, "top_k")
    framing = JSONLines

    async def prefill(self, messages: Any) -> None:
        body = self.body(messages, False, 1, self.chosen({}, {"temperature": 0.0}), None, None)
        with suppress(Failed):
            async with self.send("POST", self.chat, self.encoded(body)) as response:
                await self.whole(response)

    def body(
        self,
        messages: Any,
        stream: bool,
        max_tokens: int | None,
        sampling: dict[str, Any],
        stop: Any,
        tools: Any,
    ) -> dict[str, Any]:
        stops = [stop] if isinstance(stop, str) else stop
        options = {
            "num_ctx": self.window,
            "num_predict": max_tokens,
            "stop": None if stops == [] else stops,
            **sampling,
        }
        body = {
            "model": self.model,
            "messages": self.history(messages),
            "stream": stream,
            "options": {name: value for name, value in options.items() if value is not None},
            "tools": tools or None,
        }
        return {name: value for name, value in body.items() if value is not None}

    def history(self, messages: Any) -> list[Any]:
        """The messages, with each tool call's arguments as an object."""
        return [self.message(message, str, json.loads) for message in messages]

    def take(self, reply: Reply, kind: str, data: str) -> str:
        return self.line(reply, self.parsed(kind, data))

    def line(self, reply: Reply, line: dict[str, Any]) -> str:
        reply.begun = True
        message = self.message_of(line)
        reply.reasoning += message.get("thinking") or ""
        for index, call in enumerate(message.get("tool_calls") or (), len(reply.calls)):
            reply.add_fragment({**call, "index": index})
        if line.get("done"):
            self.done(reply, line)
        text = message.get("content") or ""
        reply.text += text
        return str(text)

    def message_of(self, line: dict[str, Any]) -> dict[str, Any]:
        return line.get("message") or {}

    def done(self, reply: Reply, line: dict[str, Any]) -> None:
        reply.over, reply.finish = True, line.get("done_reason")
        reply.prompt, reply.completion = count(line.get("prompt_eval_count")), count(line.get("eval_count"))

    def ended(self, reply: Reply) -> None:
        if not reply.over:
            raise Failed("no line said done")

    def take_whole(self, reply: Reply, data: bytes) -> None:
        value = self.parsed("", data.decode("utf-8", "replace"))
        if not value.get("done"):
            raise Failed(f"the reply does not say done: {json.dumps(value)[:SHOWN]}")
        self.line(reply, value)

    def ids(self, value: Any) -> list[str]:
        return [
            one["name"]
            for one in value["models"]
            if isinstance(one, dict) and isinstance(one.get("name"), str)
        ]
