"""A gateway in front of another provider: what it drops, what it refuses itself, and how it relays an error.

A request goes through two contracts: the gateway's `upstreams` table says which of its own keys an upstream
does not take; all others reach the upstream's contract, and what that refuses comes back in the gateway's
envelope.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onpaper.contract import Contract
from onpaper.errors import BadInput, nearest
from onpaper.mock import Trouble
from onpaper.refusal import Refusal, refusal
from onpaper.wire.dialect import Asked, Speaker
from onpaper.wire.reading import fault_of

PASSED = frozenset({400, 401, 403, 404, 408, 429})
"""Client errors that keep their status; any other becomes 400."""


@dataclass(frozen=True)
class Upstream:
    """An upstream behind a gateway. Raises BadInput when the gateway cannot be played in front of it."""

    gateway: Contract
    contract: Contract
    drop_params: bool = False

    def __post_init__(self) -> None:
        known = self.gateway.get("upstreams", {})
        if self._name not in known:
            raise BadInput(
                f"contract {self.gateway.name!r} cannot be played in front of {self.contract.name!r}"
                + nearest(self._name, known)
            )

    @property
    def _name(self) -> str:
        return self.contract.name.partition("@")[0]

    @property
    def _terms(self) -> Mapping[str, Any]:
        terms: Mapping[str, Any] = self.gateway.get("upstreams", {})[self._name]
        return terms

    def refusal(self, body: Any) -> Refusal | None:
        """What the gateway itself refuses: a key that it knows the upstream not to take."""
        unsupported = self._unsupported(body)
        if not unsupported or self.drop_params:
            return None
        quoted = {
            "param": unsupported[0],
            "params": str(unsupported),
            "upstream": self._terms.get("provider", self._name),
        }
        return Refusal("unsupported_parameter", quoted)

    def _unsupported(self, body: Any) -> list[str]:
        keys = self._terms.get("unsupported", ())
        return [key for key in keys if isinstance(body, dict) and body.get(key) is not None]

    def forwarded(self, body: Any) -> Any:
        """The body that reaches the upstream: without what is dropped, with keys renamed."""
        if not isinstance(body, dict):
            return body
        gone = {*self.gateway.get("body.ignored", ()), *self._unsupported(body)}
        if body.get("stream") is not True:
            gone.add("stream_options")
        rename = self._terms.get("rename", {})
        return {
            rename.get(key, key): value
            for key, value in body.items()
            if key not in gone and value is not None
        }

    def refused(self, body: Any) -> Refusal | None:
        """What the upstream refuses of the body that reaches it."""
        return refusal(self.contract, self.forwarded(body))

    def relayed(
        self, trouble: Trouble, asked: Asked, quoted: Mapping[str, Any]
    ) -> tuple[Trouble, dict[str, Any]]:
        """An upstream's error as the gateway's: `(trouble, what its words may quote)`."""
        status, _, raw = Speaker(self.contract, asked).trouble(trouble, **quoted)
        said = raw.decode("utf-8", "replace")
        if self._terms.get("quote", "body") == "message":
            fault = fault_of(_json(said))
            said = fault.message if fault is not None else said
        situation = "relayed_error"
        if trouble.situation == "context_length":
            situation = "relayed_context_length"
        elif status == 429:
            situation = "relayed_rate_limit"
        elif status >= 500:
            situation = "relayed_failure"
        passed = status if status >= 500 or status in PASSED else 400
        relayed = Trouble(situation, status=passed, retry_after=trouble.retry_after, pieces=trouble.pieces)
        return relayed, {"said": said, "exception": self._terms.get("exception", "OpenAIException")}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
