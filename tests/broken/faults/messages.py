"""Messages that are dropped, merged, moved or rewritten on their way out."""

from __future__ import annotations

import json
from typing import Any

from ..correct import Correct
from ..table import breaks


class Rewriting(Correct):
    """Rewrites the messages before they go out; `rewritten` is the fault."""

    def history(self, messages: Any) -> list[Any]:
        return self.rewritten(super().history(messages))

    def rewritten(self, messages: list[Any]) -> list[Any]:
        return messages


@breaks("body/messages", "of message 0 content")
class FlattensParts(Rewriting):
    """Joins the texts of typed parts and loses the images."""

    def rewritten(self, messages: list[Any]) -> list[Any]:
        return [
            one | {"content": " ".join(part.get("text", "") for part in one["content"])}
            if isinstance(one["content"], list)
            else one
            for one in messages
        ]


@breaks("body/messages", "3 messages were given, other ones went out: 2 messages")
class MergesTheSameRole(Rewriting):
    """Makes one message of two that follow each other in the same role."""

    def rewritten(self, messages: list[Any]) -> list[Any]:
        merged: list[Any] = []
        for one in messages:
            if merged and set(one) == set(merged[-1]) == {"role", "content"} and one["role"] == merged[-1]["role"]:
                merged[-1] = one | {"content": f"{merged[-1]['content']}\n{one['content']}"}
            else:
                merged.append(one)
        return merged


@breaks("body/messages", "of message 0 role 'user' as 'system'")
class PutsTheSystemFirst(Rewriting):
    """Moves system messages to the front."""

    def rewritten(self, messages: list[Any]) -> list[Any]:
        return sorted(messages, key=lambda one: one["role"] != "system")


@breaks("body/messages", "3 messages were given, other ones went out: 2 messages")
class KeepsOneSystemMessage(Rewriting):
    """Keeps the first system message and drops the others."""

    def rewritten(self, messages: list[Any]) -> list[Any]:
        first = next((one for one in messages if one["role"] == "system"), None)
        return [one for one in messages if one["role"] != "system" or one is first]


@breaks("body/messages", "4 messages were given, other ones went out: 3 messages")
class DropsEmptyMessages(Rewriting):
    """Drops messages that say nothing."""

    def rewritten(self, messages: list[Any]) -> list[Any]:
        return [one for one in messages if one["content"] or one.get("tool_calls")]


@breaks("body/messages", "of message 1 content None as 'None'")
class WritesNoneForNothing(Rewriting):
    """Writes the word None where a message has no content."""

    def rewritten(self, messages: list[Any]) -> list[Any]:
        return [one | {"content": str(one["content"])} if one["content"] is None else one for one in messages]


@breaks("body/messages", "of message 1 name 'alice' as None")
class ForwardsWhatItKnows(Rewriting):
    """Sends of a message the keys that it knows."""

    def rewritten(self, messages: list[Any]) -> list[Any]:
        known = ("role", "content", "tool_calls", "tool_call_id")
        return [{key: value for key, value in one.items() if key in known} for one in messages]


@breaks("tools/history", "the arguments went out as '\"{")
class EncodesArgumentsTwice(Correct):
    """Encodes the arguments of the history, also those that are JSON text already."""

    def history(self, messages: Any) -> list[Any]:
        return [self.message(message, object, json.dumps) for message in messages]


@breaks("body/messages", "the calls [('call_1', 'get_weather')] went out as [('call_0', 'get_weather')]")
class NamesCallsAnew(Correct):
    """Gives each tool call of the history an id of its own."""

    def message(self, message: Any, kind: type, rewrite: Any) -> Any:
        message = super().message(message, kind, rewrite)
        calls = [{**call, "id": f"call_{number}"} for number, call in enumerate(message.get("tool_calls") or ())]
        return {**message, "tool_calls": calls} if calls else message


@breaks("body/messages", "tool_call_id 'call_1' went out as None")
class ForgetsWhatAResultIsOf(Correct):
    """Sends the result of a tool call without the id of the call."""

    def message(self, message: Any, kind: type, rewrite: Any) -> Any:
        return {key: value for key, value in super().message(message, kind, rewrite).items() if key != "tool_call_id"}


@breaks("body/messages", "3 messages were given, other ones went out: 4 messages")
class AsksToGoOn(Correct):
    """Adds a word of its own where the assistant spoke last."""

    def history(self, messages: Any) -> list[Any]:
        sent = super().history(messages)
        return [*sent, {"role": "user", "content": "Continue."}] if sent[-1]["role"] == "assistant" else sent


@breaks("body/messages", "of message 0 content '\\n  You are brief.\\n\\n' as 'You are brief.'")
class StripsTheSystemMessage(Rewriting):
    """Strips the blanks around what the system says."""

    def rewritten(self, messages: list[Any]) -> list[Any]:
        return [one | {"content": one["content"].strip()} if one["role"] == "system" else one for one in messages]


@breaks("body/messages", "of message 2 content '  12 degrees, rain \\n' as '12 degrees, rain'")
class StripsResults(Rewriting):
    """Strips the blanks around the result of a tool call."""

    def rewritten(self, messages: list[Any]) -> list[Any]:
        return [one | {"content": one["content"].strip()} if one["role"] == "tool" else one for one in messages]


@breaks("body/messages", "of message 3 content")
class CutsResults(Rewriting):
    """Cuts the result of a tool call off where it gets long."""

    def rewritten(self, messages: list[Any]) -> list[Any]:
        return [one | {"content": one["content"][:8000]} if one["role"] == "tool" else one for one in messages]


@breaks("body/messages", "the calls [('call_get_weather', 'get_weather'), ('call_get_news', 'get_news')] went out as [('call_get_weather', 'get_weather')]")
class SendsOneCallOfTheHistory(Rewriting):
    """Sends the first of several calls that the assistant made at once."""

    def rewritten(self, messages: list[Any]) -> list[Any]:
        return [one | {"tool_calls": one["tool_calls"][:1]} if one.get("tool_calls") else one for one in messages]


@breaks("body/messages", "5 messages were given, other ones went out: 4 messages")
class JoinsTheResults(Rewriting):
    """Makes one result of those of several calls."""

    def rewritten(self, messages: list[Any]) -> list[Any]:
        joined: list[Any] = []
        for one in messages:
            if joined and one["role"] == joined[-1]["role"] == "tool":
                joined[-1] = joined[-1] | {"content": f"{joined[-1]['content']}\n{one['content']}"}
            else:
                joined.append(one)
        return joined


@breaks("body/messages", "of message 0 content")
class KnowsTextsAndImages(Rewriting):
    """Sends of a message's parts the texts and the images."""

    def rewritten(self, messages: list[Any]) -> list[Any]:
        return [
            one | {"content": [part for part in one["content"] if part["type"] in ("text", "image_url")]}
            if isinstance(one["content"], list)
            else one
            for one in messages
        ]


@breaks("body/messages", "of message 0 content")
class SendsOnePartOfEachType(Rewriting):
    """Sends the first text and the first image of a message."""

    def rewritten(self, messages: list[Any]) -> list[Any]:
        return [
            one | {"content": list({part["type"]: part for part in reversed(one["content"])}.values())[::-1]}
            if isinstance(one["content"], list)
            else one
            for one in messages
        ]
