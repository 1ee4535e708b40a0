"""Bodies that ask for more than the caller did."""

from __future__ import annotations

from typing import Any

from ..lines import CorrectLines
from ..table import breaks
from .body import Changing


@breaks("body/one-choice", "stream() asked for n: 2; each of them is billed")
class AsksForTwoChoices(Changing):
    """Asks for two replies and hands one on."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"n": 2}


@breaks("body/nothing-unasked", "sent service_tier: \"priority\", which nobody asked for")
class BuysPriority(Changing):
    """Asks for the dearer tier."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"service_tier": "priority"}


@breaks("body/nothing-unasked", "sent store: true")
class StoresAtTheProvider(Changing):
    """Has the provider keep each conversation."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"store": True}


@breaks("body/nothing-unasked", "sent user: \"alice@laptop.local\"")
class TellsWhoAsks(Changing):
    """Sends the name of whoever is logged in."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"user": "alice@laptop.local"}


@breaks("body/nothing-unasked", "sent frequency_penalty: 1.5")
class PenalisesTwice(Changing):
    """Sends the presence penalty as a frequency penalty too."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"frequency_penalty": body.get("presence_penalty", 1.5)}


@breaks("body/nothing-unasked", "complete() sent tool_choice: \"required\"")
class InsistsOnATool(Changing):
    """Has the model call a tool whenever there is one."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | ({"tool_choice": "required"} if body.get("tools") else {})


@breaks("body/nothing-unasked", "sent response_format: {\"type\": \"json_object\"}")
class AlwaysAsksForJSON(Changing):
    """Has every reply be JSON."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"response_format": {"type": "json_object"}}


@breaks("body/nothing-unasked", "sent reasoning_effort: \"high\"")
class HasTheModelThinkLong(Changing):
    """Has the model think for as long as it likes."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"reasoning_effort": "high"}


@breaks("body/nothing-unasked", "sent seed: 42")
class DrawsWithOneSeed(Changing):
    """Draws every reply with the same seed."""

    def change(self, body: dict[str, Any]) -> dict[str, Any]:
        return body | {"seed": 42}


@breaks("body/nothing-unasked", "sent seed: 7")
class DrawsItsLinesWithOneSeed(CorrectLines):
    """Draws every reply with the same seed, which it sends as an option."""

    def body(self, *args: Any) -> dict[str, Any]:
        body = super().body(*args)
        return body | {"options": body["options"] | {"seed": 7}}
