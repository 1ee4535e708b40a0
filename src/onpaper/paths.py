"""Which call of a provider a method and a path are: what the gateway serves, and what a client should ask for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

_PLACEHOLDER = re.compile(r"\{\w+\}")
_MODEL = "{model}"
_SEGMENT = r"(?!v\d+/)[^/]+"
"""What a placeholder stands for: one segment, but no version, or `/v1/v1` would be a path of `/{provider}/v1`."""


class Call(NamedTuple):
    """What is asked for; `model` is the one that the path names: whose entry of the list is wanted, or who shall reply."""

    kind: Literal["chat", "models"]
    model: str | None = None

    def completed(self, body: Any) -> Any:
        """A chat body with the model that the path names, where it names none itself."""
        return {"model": self.model, **body} if self.model is not None and isinstance(body, dict) else body


class Paths:
    """The paths of a provider, from its contract's data.

    Chat completions are served at the root and below `/v1` as well, whatever the provider's own prefixes: so that a
    client which is given the gateway's address reaches every provider.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        endpoint, models = data.get("endpoint", {}), data.get("models", {})
        prefixes = [endpoint.get("prefix", ""), *endpoint.get("also", ())]
        if endpoint.get("protocol", "sse") == "sse":
            prefixes += ["", "/v1"]
        before = "|".join(map(_pattern, prefixes))
        chat, listing = endpoint.get("chat", "/chat/completions"), endpoint.get("models", "/models")
        self._chat = re.compile(f"(?:{before}){re.escape(chat)}")
        naming = [one for one in prefixes if one.count(_MODEL) == 1]
        self._naming = [re.compile(f"({_SEGMENT})".join(map(_pattern, one.split(_MODEL))) + re.escape(chat)) for one in naming]
        self._models = re.compile(f"(?:{before}){re.escape(listing)}(?:/(.+))?")
        self._lists = models.get("list") is not None
        self._also = frozenset(models.get("also", ()))

    def call(self, method: str, path: str) -> Call | None:
        """The call that this is, or None when the provider does not serve it."""
        if self._chat.fullmatch(path):  # first: it may lie below the path of the models
            return Call("chat", self._model_in(path)) if method == "POST" else None
        if method in ("GET", "HEAD") and self._lists:
            found = self._models.fullmatch(path)
            if found or path in self._also:
                return Call("models", found and found[1])
        return None

    def _model_in(self, path: str) -> str | None:
        found = next((found for one in self._naming if (found := one.fullmatch(path))), None)
        return found and found[1]

    def serves(self, path: str) -> bool:
        """Whether the provider serves a path with any method."""
        return any(self.call(method, path) for method in ("GET", "POST"))


def _pattern(prefix: str) -> str:
    return _SEGMENT.join(map(re.escape, _PLACEHOLDER.split(prefix)))
