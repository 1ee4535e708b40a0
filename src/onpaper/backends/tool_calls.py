"""Tool calls: put together from fragments, decoded for the caller, encoded again as history."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import UnusableReply
from .request import encoded
from .text import join_surrogates, parse


@dataclass
class _Call:
    index: int | None
    id: str = ""
    name: str = ""
    text: list[str] = field(default_factory=list)
    """Arguments as JSON text, in fragments."""
    object: dict[str, Any] | None = None
    """Arguments that came decoded."""

    @property
    def raw(self) -> str:
        return join_surrogates("".join(self.text))

    def take(self, entry: Mapping[str, Any]) -> None:
        """Take the arguments out of an entry of `tool_calls`; null is nothing yet."""
        function = entry.get("function")
        arguments = function.get("arguments") if isinstance(function, Mapping) else None
        if isinstance(arguments, Mapping):
            self.object = dict(arguments)
        elif isinstance(arguments, str):
            self.text.append(arguments)
        elif arguments is not None:
            raise UnusableReply(f"the arguments of tool call {self.name!r} are no object: {arguments!s}")


class ToolCalls:
    """The tool calls of one reply.

    Providers agree on little here. What tells one call from the next, in this order:
    - a fragment with an id that was seen before continues that call, and one with a new id and a name begins
      a call, also on an index that is in use (two calls on index 0:
      https://github.com/NousResearch/hermes-agent/issues/62940);
    - a fragment without a name continues the call of its index, even under another id (some gateways make a
      fresh id for each fragment: https://github.com/BerriAI/litellm/pull/40040);
    - without an index, a new id or another name begins a call, and anything else continues the last one
      (https://github.com/AstrBotDevs/AstrBot/pull/6692).
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add_fragments(self, entries: Any) -> None:
        """Take the `tool_calls` of one delta of a stream; null and `[]` hold none."""
        for entry in _objects(entries):
            index, id, name = _identity(entry)
            call = self._continued(index, id, name)
            if call is None:
                call = _Call(index)
                self._calls.append(call)
            call.index = index if call.index is None else call.index
            call.id = call.id or id
            call.name = call.name or name
            call.take(entry)

    def add_whole(self, entries: Any) -> None:
        """Take the `tool_calls` of a message, where each entry is a call of its own."""
        for entry in _objects(entries):
            call = _Call(*_identity(entry))
            call.take(entry)
            self._calls.append(call)

    def _continued(self, index: int | None, id: str, name: str) -> _Call | None:
        """The call that this fragment continues; None when it begins one."""
        same_index = [call for call in self._calls if index is None or call.index in (None, index)]
        if id and (same_id := [call for call in same_index if call.id == id]):
            return same_id[-1]
        if not same_index:
            return None
        last = same_index[-1]
        new_id = bool(id and last.id)
        if index is None:
            begins = new_id or bool(name and last.name)
        else:
            begins = bool(name and last.name) and (new_id or name != last.name)
        return None if begins else last

    def finished(self, finish_reason: str | None) -> list[dict[str, Any]]:
        """The calls as `{"id", "type": "function", "function": {"name", "arguments": dict}}`.

        Empty ids are replaced by fresh ones, so that results can be matched to calls. Raises UnusableReply
        for a call without a name and for arguments that are not a JSON object, with the raw text: a tool must
        never run with arguments that were cut or guessed.
        """
        return [
            {
                "id": call.id or f"call_{uuid.uuid4().hex}",
                "type": "function",
                "function": {"name": _name(call), "arguments": _arguments(call, finish_reason)},
            }
            for call in self._calls
        ]


def _objects(entries: Any) -> list[Mapping[str, Any]]:
    if not entries:
        return []
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise UnusableReply(f"`tool_calls` is not a list of objects: {entries!s}")
    return entries


def _identity(entry: Mapping[str, Any]) -> tuple[int | None, str, str]:
    """Index, id and name of an entry; what is absent, null or of another type is None or empty."""
    function = entry.get("function")
    name = function.get("name") if isinstance(function, Mapping) else None
    index, id = entry.get("index"), entry.get("id")
    return (
        index if isinstance(index, int) else None,
        id if isinstance(id, str) else "",
        name if isinstance(name, str) else "",
    )


def _name(call: _Call) -> str:
    if not call.name:
        raise UnusableReply(f"tool call {call.id or call.index!r} never got a name; arguments: {call.raw}")
    return call.name


def _arguments(call: _Call, finish_reason: str | None) -> dict[str, Any]:
    if call.object is not None:
        return call.object
    raw = call.raw
    if not raw.strip():
        return {}  # a tool without parameters
    value = parse(raw)
    if not isinstance(value, dict):
        cut = " (the token limit cut the reply)" if finish_reason == "length" else ""
        raise UnusableReply(f"the arguments of tool call {call.name!r} are not a JSON object{cut}: {raw}")
    return value


def history_with_text_arguments(messages: Any) -> list[Any]:
    """The messages with each tool call's arguments as JSON text, as the OpenAI API wants them back.

    The caller's messages are not touched; only messages that change are copied. Raises ValueError for
    arguments that JSON has no form for.
    """
    return _with_arguments(messages, _as_text)


def history_with_object_arguments(messages: Any) -> list[Any]:
    """The messages with each tool call's arguments as an object, as Ollama's own API wants them back.

    Raises ValueError when text arguments are not a JSON object.
    """
    return _with_arguments(messages, _as_object)


def _with_arguments(messages: Any, convert: Any) -> list[Any]:
    return [
        {**message, "tool_calls": [_converted(call, convert) for call in message["tool_calls"]]}
        if isinstance(message, Mapping) and isinstance(message.get("tool_calls"), list)
        else message
        for message in messages
    ]


def _converted(call: Any, convert: Any) -> Any:
    if not isinstance(call, Mapping) or not isinstance(call.get("function"), Mapping):
        return call
    function = call["function"]
    return {**call, "function": {**function, "arguments": convert(function.get("arguments"))}}


def _as_text(arguments: Any) -> str:
    if isinstance(arguments, str):
        return arguments
    return encoded({} if arguments is None else arguments).decode()


def _as_object(arguments: Any) -> Any:
    if not isinstance(arguments, str):
        return {} if arguments is None else arguments
    value = parse(arguments) if arguments.strip() else {}
    if not isinstance(value, dict):
        raise ValueError(f"the arguments of a tool call in the history are not a JSON object: {arguments}")
    return value
