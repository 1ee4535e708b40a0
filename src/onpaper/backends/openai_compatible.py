"""The client of a chat completions endpoint, with its replies as one object or as server-sent events.

The shape of requests and replies is https://platform.openai.com/docs/api-reference/chat; where this reads
more than that, a provider was seen sending it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .backend import Backend, Messages
from .envelope import error_in, raised_inside, words_of
from .errors import BackendError, IncompleteReply, UnusableReply
from .framing import Event, Reader, SSEReader
from .reply import Reply
from .text import INVALID, parse
from .tool_calls import history_with_text_arguments


class OpenAICompatibleBackend(Backend):
    """One client for every provider that speaks this dialect; where they differ, a subclass says so."""

    chat_path = "/v1/chat/completions"
    models_path = "/v1/models"

    def _extra_keys(self, sampling: dict[str, Any]) -> dict[str, Any]:
        """Body keys beyond the API's own. A provider that does not know a key may refuse the whole call."""
        return {}

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
        body = {
            "model": self.model,
            "messages": history_with_text_arguments(messages),
            "stream": stream,
            "stream_options": {"include_usage": True} if stream else None,
            "max_tokens": max_tokens,
            "temperature": sampling["temperature"],
            "top_p": sampling["top_p"],
            "presence_penalty": sampling["presence_penalty"],
            "stop": stop,
            "tools": tools,
            **self._extra_keys(sampling),
        }
        return {name: value for name, value in body.items() if value is not None}

    def _reader(self) -> Reader:
        return SSEReader()

    def _read_event(self, reply: Reply, event: Event) -> str:
        data = event.data.strip()
        if data == "[DONE]":
            if reply.is_empty:
                raise IncompleteReply("the stream ended before it held a choice")
            reply.done = True
            return ""
        if not data:
            return ""  # an event without data keeps the connection alive
        chunk = parse(data)
        if event.type == "error":
            words = words_of(data if chunk is INVALID else chunk)
            raise raised_inside(words if words.message else words._replace(message=data))
        if error := error_in(chunk):
            raise raised_inside(error)
        if not isinstance(chunk, dict):
            raise UnusableReply(f"a chunk of the stream is not a JSON object: {data}")
        choice = _first_choice(chunk.get("choices"))
        _add_usage(reply, chunk, choice)
        return _read_choice(reply, choice, _object(choice.get("delta")), whole=False)

    def _read_whole(self, reply: Reply, value: dict[str, Any]) -> None:
        choice = _first_choice(value.get("choices"))
        message = choice.get("message")
        if not isinstance(message, Mapping):
            raise UnusableReply(f"the reply holds no choice with a message: {value}")
        _add_usage(reply, value, choice)
        _read_choice(reply, choice, message, whole=True)

    def _model_ids(self, value: Any) -> list[Any]:
        entries = value.get("data") if isinstance(value, Mapping) else value
        return [entry.get("id") for entry in _objects(entries)]


def _first_choice(choices: Any) -> Mapping[str, Any]:
    """The choice with index 0, wherever it stands; without an index its position counts.

    Empty when there is none: the first chunk of some providers and the usage chunk of most hold no choice.
    """
    for position, choice in enumerate(_objects(choices)):
        if choice.get("index", position) in (0, None):
            return choice
    return {}


def _read_choice(reply: Reply, choice: Mapping[str, Any], message: Mapping[str, Any], *, whole: bool) -> str:
    """Take a choice, with its delta or message, into the reply; returns the text that can be given out."""
    if choice.get("error"):
        raise raised_inside(words_of(choice))
    if reason := choice.get("finish_reason"):  # "" means not finished, as null does
        reply.finish_reason = str(reason)
    if reply.finish_reason == "error":
        raise BackendError("the provider ended the reply with the finish reason 'error'")
    text, thoughts = _content(message.get("content"))
    # A provider that sends both spellings sends the same words twice.
    thoughts += _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
    reply.add_reasoning(thoughts)
    reply.add_refusal(_text(message.get("refusal")))
    if whole:
        reply.tool_calls.add_whole(message.get("tool_calls"))
    else:
        reply.tool_calls.add_fragments(message.get("tool_calls"))
    return reply.add_text(text)


def _content(content: Any) -> tuple[str, str]:
    """Text and reasoning of a `content`: a text, null, or a list of parts.

    Parts are texts, `{"type": "text", "text"}`, `{"type": "thinking", "thinking"}` (Mistral) and
    `{"type": "reasoning", "summary"}` (Databricks).
    """
    if isinstance(content, str) or content is None:
        return content or "", ""
    if not isinstance(content, list):
        raise UnusableReply(f"the reply's content is neither text nor a list of parts: {content}")
    text, thoughts = "", ""
    for part in content:
        if isinstance(part, str):
            text += part
        elif isinstance(part, Mapping):
            if part.get("type") in ("thinking", "reasoning"):
                thoughts += _text(part.get("text")) + "".join(
                    _content(part.get(name))[0] if isinstance(part.get(name), list) else _text(part.get(name))
                    for name in ("thinking", "summary")
                )
            else:
                text += _text(part.get("text"))
    return text, thoughts


def _add_usage(reply: Reply, chunk: Mapping[str, Any], choice: Mapping[str, Any]) -> None:
    """Take the usage from wherever it is: the chunk, its choice (Moonshot) or its `x_groq` (Groq)."""
    for holder in (choice, _object(chunk.get("x_groq")), chunk):
        usage = _object(holder.get("usage"))
        reply.add_usage(usage.get("prompt_tokens"), usage.get("completion_tokens"))


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
