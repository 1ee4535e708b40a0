"""One line of a draft, and the recording that shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onpaper.cassettes import Cassette
from onpaper.cassettes.recorder import PASSING
from onpaper.cassettes.shapes import MASK
from onpaper.exchange import Reply

NULL = "{null}"
"""What a contract's template writes for null, which TOML has not."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact of a contract by its dotted path; `case` is the recording that shows it, `note` what to know.

    A fact that is not `verified` is a guess from what was seen.
    """

    path: tuple[str, ...]
    value: Any
    case: str
    note: str = ""
    verified: bool = True

    @property
    def dotted(self) -> str:
        return ".".join(self.path)


def fact(dotted: str, value: Any, case: str, note: str = "", verified: bool = True) -> Fact:
    """A fact whose path holds no dots of its own."""
    return Fact(tuple(dotted.split(".")), value, case, note, verified)


@dataclass(frozen=True)
class Evidence:
    """The recordings of one provider by case, and the model that was asked."""

    cassettes: Mapping[str, Cassette]
    model: str

    def reply(self, case: str) -> Reply | None:
        """What was answered, if the case was recorded."""
        cassette = self.cassettes.get(case)
        return cassette.exchanges[0].reply if cassette else None

    def asked(self, case: str) -> Any:
        """The JSON of the request; None when it is none."""
        cassette = self.cassettes.get(case)
        return _json(cassette.exchanges[0].request.body) if cassette else None

    def answered(self, case: str) -> bool:
        """Whether the case was recorded and answered."""
        reply = self.reply(case)
        return reply is not None and 200 <= reply.status < 300

    def refused(self, case: str) -> bool:
        """Whether the case was recorded and the request refused, which is not a failure of the server."""
        reply = self.reply(case)
        return reply is not None and 400 <= reply.status < 500 and reply.status not in PASSING

    def json(self, case: str) -> Any:
        """The JSON of an answer with status 200; None when there is none."""
        reply = self.reply(case)
        return _json(reply.body) if reply is not None and self.answered(case) else None

    def message(self, case: str) -> dict[str, Any]:
        """The message of the first choice; empty when there is none."""
        choice = self.choice(case)
        message = choice.get("message")
        return message if isinstance(message, dict) else {}

    def choice(self, case: str) -> dict[str, Any]:
        """The first choice; empty when there is none."""
        value = self.json(case)
        choices = value.get("choices") if isinstance(value, dict) else None
        first = choices[0] if isinstance(choices, list) and choices else None
        return first if isinstance(first, dict) else {}


def _json(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"))
    except ValueError:
        return None


def literal(value: Any) -> Any:
    """A recorded value as a template that says it again; what was masked becomes an id."""
    if value is None:
        return NULL
    if isinstance(value, str) and MASK.decode() in value:
        return "{request_id}"  # what was masked was some id
    if isinstance(value, dict):
        return {key: literal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [literal(item) for item in value]
    return value
