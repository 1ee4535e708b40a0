"""Ollama's own API (https://github.com/ollama/ollama/blob/main/docs/api.md): `POST /api/chat`, lines of
JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .backend import Backend, Messages
from .envelope import error_in, raised_inside
from .errors import UnusableReply
from .framing import Event, NDJSONReader, Reader
from .reply import Reply
from .text import parse
from .tool_calls import history_with_object_arguments


class OllamaBackend(Backend):
    """A local Ollama server.

    `think` lets the model reason before it answers (some models take a level, "low" to "high"). `num_ctx` is
    the context window in tokens that the server is asked for.
    """

    name = "ollama"
    chat_path = "/api/chat"
    models_path = "/api/tags"

    def __init__(
        self,
        model: str = "qwen3.5:4b",
        base_url: str = "http://localhost:11434",
        *,
        think: bool | str = False,
        num_ctx: int = 8192,
        sampling: Mapping[str, Any] | None = None,
        timeouts: Mapping[str, float | None] | None = None,
    ) -> None:
        super().__init__(model, base_url, window=num_ctx, sampling=sampling, timeouts=timeouts)
        self.think = think
        self.num_ctx = num_ctx

    def _body(
        self,
        messages: Messages,
        *,
        stream: bool,
        max_tokens: int | None,
        sampling: dict[str, Any],
        stop: str | list[str] | None,
        tools: list[Any] | None,
    ) -> dict[str, Any]:
        options = {
            "num_ctx": self.num_ctx,
            "num_predict": max_tokens,
            **sampling,
            "stop": [stop] if isinstance(stop, str) else stop,  # the API takes a list only
        }
        body = {
            "model": self.model,
            "messages": history_with_object_arguments(messages),
            "stream": stream,  # absent would mean true
            "keep_alive": "30m",
            "think": self.think,
            "options": {name: value for name, value in options.items() if value is not None},
            "tools": tools,
        }
        return {name: value for name, value in body.items() if value is not None}

    def _reader(self) -> Reader:
        return NDJSONReader()

    def _read_event(self, reply: Reply, event: Event) -> str:
        line = parse(event.data)
        if words := error_in(line):
            raise raised_inside(words)
        if not isinstance(line, dict):
            raise UnusableReply(f"a line of the stream is not a JSON object: {event.data}")
        return _read_line(reply, line)

    def _read_whole(self, reply: Reply, value: dict[str, Any]) -> None:
        _read_line(reply, value)
        if not reply.done:
            raise UnusableReply(f"the reply is not the end of a chat (no `done`): {value}")

    def _model_ids(self, value: Any) -> list[Any]:
        models = value.get("models") if isinstance(value, dict) else None
        return (
            [model.get("name") for model in models if isinstance(model, dict)]
            if isinstance(models, list)
            else []
        )


def _read_line(reply: Reply, line: Mapping[str, Any]) -> str:
    """Take a line into the reply; returns the text that can be given out.

    The last line says `done` and has the counts; `prompt_eval_count` is missing when the prompt was cached.
    """
    message = line.get("message")
    message = message if isinstance(message, Mapping) else {}
    reply.add_reasoning(_text(message.get("thinking")))
    reply.tool_calls.add_whole(message.get("tool_calls"))
    if line.get("done") is True:
        reply.done = True
        reply.finish_reason = _text(line.get("done_reason")) or None
        reply.add_usage(line.get("prompt_eval_count"), line.get("eval_count"))
    return reply.add_text(_text(message.get("content")))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
