"""What a call has brought so far, and the error that a call ends with."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


class Failed(Exception):
    """Whatever went wrong with a call, in the provider's words where it has some."""

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.partial = ""


@dataclass
class Reply:
    """Text, tool calls and counts, put together piece by piece."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    finish: str | None = None
    over: bool = False
    begun: bool = False
    prompt: int | None = None
    completion: int | None = None
    calls: list[dict[str, Any]] = field(default_factory=list)

    def add_fragment(self, part: dict[str, Any]) -> None:
        """An index names a call, and so does an id: another id is another call, also on the same index."""
        function = part.get("function") or {}
        index, id = part.get("index"), part.get("id") or ""
        call = self.continued(index, id)
        if call is None:
            call = {"index": index, "id": "", "name": "", "arguments": ""}
            self.calls.append(call)
        call["id"] = call["id"] or id
        call["name"] = call["name"] or function.get("name") or ""
        arguments = function.get("arguments")
        if isinstance(arguments, dict):
            call["arguments"] = arguments
        else:
            call["arguments"] += arguments or ""

    def continued(self, index: int | None, id: str) -> dict[str, Any] | None:
        """The call that a fragment continues; None when it begins one."""
        on_index = [call for call in self.calls if index is None or call["index"] == index]
        if not on_index or (id and on_index[-1]["id"] and on_index[-1]["id"] != id):
            return None
        return on_index[-1]

    def tool_calls(self) -> list[dict[str, Any]] | None:
        """The calls as calling code wants them. Raises Failed for one that cannot be carried out."""
        found = [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": self.name(call), "arguments": self.arguments(call)},
            }
            for call in self.calls
        ]
        return found or None

    def name(self, call: dict[str, Any]) -> str:
        if not call["name"]:
            raise Failed(f"a tool call without a name: {call}")
        return str(call["name"])

    def arguments(self, call: dict[str, Any]) -> dict[str, Any]:
        raw = call["arguments"]
        if isinstance(raw, dict):
            return raw
        try:
            value = json.loads(raw) if raw.strip() else {}
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise Failed(f"the arguments of {call['name']!r} are not a JSON object: {raw}")
        return value


def count(value: Any) -> int | None:
    """A token count; None for what cannot be one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
